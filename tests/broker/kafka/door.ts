/** A Kafka door on memory and manual time, with handlers that tests control. */
import type { LogFields, Logger } from "../../../broker/logger.ts";
import {
  decodeResponse,
  encodeRequest,
} from "../../../broker/kafka/codec/frame.ts";
import type { Api } from "../../../broker/kafka/codec/api.ts";
import {
  NO_RESPONSE,
  type RequestContext,
  serve,
  type ServedApi,
} from "../../../broker/kafka/handler.ts";
import type { KafkaLimits } from "../../../broker/kafka/limits.ts";
import {
  createKafkaDoor,
  type KafkaDoor,
} from "../../../broker/kafka/listener.ts";
import { heartbeatApi } from "../../../broker/kafka/messages/heartbeat.ts";
import { produceApi } from "../../../broker/kafka/messages/produce.ts";
import type { KafkaObservation } from "../../../broker/kafka/metrics.ts";
import { ManualTime } from "../../support/manual_time.ts";
import { MemoryTcpListener } from "../../support/memory_tcp.ts";

export interface Line {
  level: string;
  message: string;
  fields: LogFields;
}

export interface TestDoor {
  door: KafkaDoor;
  listener: MemoryTcpListener;
  time: ManualTime;
  lines: Line[];
  observations: KafkaObservation[];
  connectionCounts: number[];
  invariants: Error[];
}

export function openDoor(
  served: readonly ServedApi[],
  limits: Partial<KafkaLimits> = {},
): TestDoor {
  const time = new ManualTime();
  const lines: Line[] = [];
  const write = (level: string) => (message: string, fields: LogFields = {}) =>
    void lines.push({ level, message, fields });
  const logger: Logger = {
    debug: write("debug"),
    info: write("info"),
    warn: write("warn"),
    error: write("error"),
  };
  const observations: KafkaObservation[] = [];
  const connectionCounts: number[] = [];
  const invariants: Error[] = [];
  const door = createKafkaDoor({
    environment: { clock: time, timers: time },
    logger,
    served,
    limits,
    metrics: {
      observe: (observation) => observations.push(observation),
      connections: (open) => connectionCounts.push(open),
    },
    onInvariant: (error) => invariants.push(error),
  });
  const listener = new MemoryTcpListener();
  door.serveOn(listener);
  return {
    door,
    listener,
    time,
    lines,
    observations,
    connectionCounts,
    invariants,
  };
}

/** A request's bytes as one array. */
export function request<In>(
  api: Api<unknown, In, unknown, unknown>,
  header: { version: number; correlationId: number; clientId?: string },
  body: In,
): Uint8Array {
  const chunks = encodeRequest(api, { clientId: "test", ...header }, body);
  return joined(chunks);
}

export function joined(chunks: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(chunks.flatMap((chunk) => [...chunk]));
}

/** A heartbeat: the smallest request there is to park and to answer. */
export function heartbeat(correlationId: number, memberId = "m"): Uint8Array {
  return request(heartbeatApi, { version: 4, correlationId }, {
    groupId: "g",
    generationId: 1,
    memberId,
  });
}

export function heartbeatAnswer(frame: Uint8Array | null) {
  if (frame === null) return null;
  const { correlationId, body } = decodeResponse(heartbeatApi, 4, frame);
  return { correlationId, errorCode: body.errorCode };
}

interface Parked {
  readonly memberId: string;
  readonly context: RequestContext;
  answer(errorCode: number): void;
  fail(error: unknown): void;
}

/** Heartbeats that wait until the test answers them. */
export class ParkedHeartbeats {
  readonly parked: Parked[] = [];
  #arrival = Promise.withResolvers<void>();

  readonly served = serve(heartbeatApi, ({ memberId }, context) => {
    const { promise, resolve, reject } = Promise.withResolvers<
      { errorCode: number }
    >();
    this.parked.push({
      memberId,
      context,
      answer: (errorCode) => resolve({ errorCode }),
      fail: reject,
    });
    this.#arrival.resolve();
    this.#arrival = Promise.withResolvers<void>();
    return promise;
  });

  /** Resolves when `count` requests have come to their handler. */
  async arrived(count: number): Promise<void> {
    while (this.parked.length < count) await this.#arrival.promise;
  }
}

export function produce(
  correlationId: number,
  options: { acks: number; records?: Uint8Array; name?: string },
): Uint8Array {
  return request(produceApi, { version: 9, correlationId }, {
    transactionalId: null,
    acks: options.acks,
    timeoutMs: 1000,
    topicData: [{
      name: options.name ?? "t",
      partitionData: [{
        index: 0,
        records: options.records ?? Uint8Array.of(1),
      }],
    }],
  });
}

/** Keeps what is produced, in order; answers as a broker does. */
export function producing(kept: { name: string; bytes: number }[]) {
  return serve(produceApi, ({ acks, topicData }) => {
    for (const { name, partitionData } of topicData) {
      kept.push({ name, bytes: partitionData[0].records?.length ?? 0 });
    }
    return acks === 0 ? NO_RESPONSE : {
      responses: topicData.map(({ name }) => ({
        name,
        partitionResponses: [{ index: 0, errorCode: 0, baseOffset: 0 }],
      })),
    };
  });
}

/** Runs what is ready to run. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 200; turn++) await Promise.resolve();
}
