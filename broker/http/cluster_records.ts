/**
 * The records of the whole cluster for operations that work beside a group's
 * coordinator: read here what this broker leads, asked of its leader what it
 * does not, over the same calls that clients use. Each is one hop from here, and
 * goes no further.
 */
import { ERRORS, Failure } from "../../contract/errors.ts";
import type {
  ConsumeAnswer,
  ConsumedRecord,
  HeaderValue,
  OffsetsAnswer,
  ProblemDocument,
} from "../../contract/http.ts";
import type {
  ClusterRecords,
  OffsetQuery,
  PartitionRoute,
  ReadableRange,
  ReadOptions,
  ReadResult,
  RecordHeader,
  StoredRecord,
} from "../operations/operations.ts";
import type { Answer } from "./answer.ts";
import type { Door } from "./exchange.ts";
import { hasMoved } from "./routing.ts";
import { describeTopic } from "./resources/topic_description.ts";

export class ClusterRecordsOverHttp implements ClusterRecords {
  readonly #door: Door;

  constructor(door: Door) {
    this.#door = door;
  }

  async read(
    topic: string,
    partition: number,
    options: ReadOptions,
  ): Promise<ReadResult | Failure> {
    const { records } = this.#door.operations;
    const place = { topic, partition };
    const route = await records.route(topic, partition);
    if (route instanceof Failure) return route;
    if (route.isLocal) return await records.read(topic, partition, options);
    const { offset, maxRecords, maxBytes, waitMs, validate, signal } = options;
    const answer = await this.#ask<ConsumeAnswer>(place, route, {
      target:
        `/consume?topic=${topic}&partition=${partition}&offset=${offset}` +
        `&max=${maxRecords}&maxBytes=${maxBytes}&waitMs=${waitMs}` +
        `&validate=${validate}`,
      waitMs,
      signal,
    });
    if (answer instanceof Failure) return answer;
    const { nextOffset, logStartOffset, highWatermark, skipped = [] } = answer;
    return {
      records: answer.records.map(storedRecord),
      nextOffset,
      logStartOffset,
      highWatermark,
      skipped,
    };
  }

  async findOffset(
    topic: string,
    partition: number,
    query: OffsetQuery,
  ): Promise<number | Failure> {
    const { records } = this.#door.operations;
    const place = { topic, partition };
    const route = await records.route(topic, partition);
    if (route instanceof Failure) return route;
    if (route.isLocal) return await records.findOffset(topic, partition, query);
    if (typeof query === "object") {
      const answer = await this.#ask<ConsumeAnswer>(place, route, {
        target: `/consume?topic=${topic}&partition=${partition}` +
          `&timestamp=${query.timestampMs}&max=1`,
      });
      return answer instanceof Failure
        ? answer
        : answer.records[0]?.offset ?? answer.nextOffset;
    }
    const answer = await this.#ask<OffsetsAnswer>(place, route, {
      target: `/v1/topics/${topic}/partitions/${partition}/offsets`,
    });
    if (answer instanceof Failure) return answer;
    return query === "earliest" ? answer.logStartOffset : answer.highWatermark;
  }

  async ranges(
    topic: string,
  ): Promise<ReadonlyMap<number, ReadableRange> | Failure> {
    const view = await this.#door.operations.topics.describe(topic);
    if (view instanceof Failure) return view;
    const { partitions } = await describeTopic(
      { isForwarded: false },
      this.#door,
      view,
    );
    const ranges = new Map<number, ReadableRange>();
    for (const { partition, logStartOffset, highWatermark } of partitions) {
      if (logStartOffset === null || highWatermark === null) continue;
      ranges.set(partition, { logStartOffset, highWatermark });
    }
    return ranges;
  }

  async #ask<T>(
    { topic, partition }: { topic: string; partition: number },
    { broker, leaderEpoch }: PartitionRoute,
    request: { target: string; waitMs?: number; signal?: AbortSignal },
  ): Promise<T | Failure> {
    const { forwarder, leaderWaits, limits, operations } = this.#door;
    const { target, waitMs = 0 } = request;
    const answer = await leaderWaits.whileLeading(
      {
        hasMoved: () =>
          hasMoved(
            leaderEpoch,
            operations.records.leaderEpoch(topic, partition),
          ),
        outer: request.signal,
      },
      (signal) =>
        forwarder.send(broker, {
          method: "GET",
          target,
          timeoutMs: waitMs + limits.forwardGraceMs,
          isPoll: waitMs > 0,
          changes: false,
          signal,
        }),
    );
    if (answer instanceof Failure) return answer;
    const value = parsedAnswer(answer);
    if (answer.status === 200 && value !== undefined) return value as T;
    return isProblem(value)
      ? new Failure(value.code, value.detail, value)
      : new Failure(
        "UNKNOWN_SERVER_ERROR",
        `Broker ${broker.id} on ${broker.http} answered ${answer.status} in a form that is not ours.`,
      );
  }
}

/** The JSON of another broker's answer; undefined: it is none. */
export function parsedAnswer({ body }: Answer): unknown {
  if (!(body instanceof Uint8Array)) return undefined;
  try {
    return JSON.parse(new TextDecoder().decode(body));
  } catch {
    return undefined;
  }
}

function isProblem(value: unknown): value is ProblemDocument {
  if (typeof value !== "object" || value === null) return false;
  const { code, detail } = value as Partial<ProblemDocument>;
  return typeof code === "string" && Object.hasOwn(ERRORS, code) &&
    typeof detail === "string";
}

const ENCODER = new TextEncoder();

/** What `storedRecordText` wrote, as it was. */
export function storedRecord(record: ConsumedRecord): StoredRecord {
  return {
    offset: record.offset,
    timestampMs: record.timestamp,
    key: bytesOf(record.key ?? null, record.keyEncoding),
    value: bytesOf(record.message, record.encoding),
    headers: Object.entries(record.headers ?? {}).flatMap(headersOf),
  };
}

function bytesOf(
  text: string | null,
  encoding: "base64" | undefined,
): Uint8Array | null {
  if (text === null) return null;
  return encoding === "base64"
    ? Uint8Array.fromBase64(text)
    : ENCODER.encode(text);
}

function headersOf([name, value]: [string, HeaderValue]): RecordHeader[] {
  return (Array.isArray(value) ? value : [value]).map((one) => ({
    name,
    value: typeof one === "object" && one !== null
      ? Uint8Array.fromBase64(one.base64)
      : bytesOf(one, undefined),
  }));
}
