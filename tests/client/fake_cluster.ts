/**
 * Brokers that answer in memory, with the rules that matter to a client: leaders
 * per partition, idempotent producers, offsets, long polls. Tests script their
 * misbehaviour.
 */
import { type ErrorCode, ERRORS } from "../../contract/errors.ts";
import type {
  ConsumedRecord,
  Json,
  ProduceMessage,
  ProduceRequest,
  SkippedRun,
} from "../../contract/http.ts";
import type { TestWorld } from "./test_world.ts";

export interface FakePartition {
  /** Index of the broker that leads it; undefined: none. */
  leader: number | undefined;
  logStartOffset: number;
  records: ConsumedRecord[];
  /** By producer id: the next sequence, and the batches stored. */
  producers: Map<number, { next: number; batches: Map<number, number> }>;
  skipped: SkippedRun[];
}

export interface ProduceCall {
  broker: number;
  topic: string;
  partition: number;
  sequence: number | undefined;
  producerId: number | undefined;
  messages: (ProduceMessage | string)[];
}

/** What to do with a produce request. */
export type Misbehaviour =
  | "store and lose the answer"
  | "lose the request"
  | Response
  | undefined;

export class FakeCluster {
  readonly addresses: string[];
  readonly isUp: boolean[];
  readonly topics = new Map<string, FakePartition[]>();
  readonly calls: string[] = [];
  readonly produced: ProduceCall[] = [];
  requestsInFlight = 0;
  mostRequestsInFlight = 0;
  /** Runs before a produce request is stored. */
  onProduce: (call: ProduceCall) => Misbehaviour | Promise<Misbehaviour> = () =>
    undefined;
  /** Answers other requests than those this knows, or in their place. */
  onRequest: (
    method: string,
    url: URL,
    body: Json | undefined,
  ) => Response | Promise<Response> | undefined = () => undefined;
  /** Names records that a topic refuses. */
  refuses: (message: ProduceMessage | string) => string | undefined = () =>
    undefined;
  namesRefused = true;
  readonly #world: TestWorld;
  #nextProducerId = 1000;
  readonly #pollers = new Set<() => void>();

  constructor(world: TestWorld, brokers = 3) {
    this.#world = world;
    this.addresses = Array.from(
      { length: brokers },
      (_, index) => `localhost:${8080 + index}`,
    );
    this.isUp = this.addresses.map(() => true);
    world.answer = (url, init) => this.#answer(url, init);
  }

  createTopic(topic: string, partitions: number): FakePartition[] {
    const created = Array.from({ length: partitions }, (_, index) => ({
      leader: index % this.addresses.length,
      logStartOffset: 0,
      records: [],
      producers: new Map(),
      skipped: [],
    }));
    this.topics.set(topic, created);
    return created;
  }

  append(topic: string, partition: number, ...messages: string[]): void {
    const { records } = this.topics.get(topic)![partition];
    for (const message of messages) {
      const offset = this.#end(topic, partition);
      records.push({ offset, message, timestamp: offset });
    }
    this.wakePollers();
  }

  wakePollers(): void {
    for (const wake of [...this.#pollers]) wake();
  }

  messages(topic: string, partition: number): (string | null)[] {
    return this.topics.get(topic)![partition].records.map((r) => r.message);
  }

  #end(topic: string, partition: number): number {
    const { records, logStartOffset } = this.topics.get(topic)![partition];
    return (records.at(-1)?.offset ?? logStartOffset - 1) + 1;
  }

  async #answer(url: URL, init: RequestInit): Promise<Response> {
    const broker = this.addresses.indexOf(url.host);
    const method = init.method ?? "GET";
    this.calls.push(`${method} ${url.host}${url.pathname}`);
    if (broker < 0 || !this.isUp[broker]) {
      throw transportError(
        url,
        "client error (Connect): tcp connect error: Connection refused (os error 111)",
      );
    }
    this.requestsInFlight++;
    this.mostRequestsInFlight = Math.max(
      this.mostRequestsInFlight,
      this.requestsInFlight,
    );
    try {
      const body = init.body ? JSON.parse(init.body as string) : undefined;
      const special = await this.onRequest(method, url, body);
      if (special !== undefined) return special;
      if (url.pathname === "/metadata") return this.metadata();
      if (url.pathname === "/v1/producers") {
        return Response.json({
          producerId: this.#nextProducerId++,
          producerEpoch: 0,
        });
      }
      if (url.pathname === "/produce") return await this.#produce(broker, body);
      if (url.pathname === "/consume") {
        return await this.#consume(broker, url.searchParams, init.signal!);
      }
      const described = /^\/v1\/topics\/([^/]+)$/.exec(url.pathname);
      if (described !== null && method === "GET") {
        return this.#describe(decodeURIComponent(described[1]));
      }
      return problem("RESOURCE_NOT_FOUND", `nothing at ${url.pathname}`);
    } finally {
      this.requestsInFlight--;
    }
  }

  /** What every broker answers now. */
  metadata(): Response {
    const topics = [...this.topics].map(([topic, partitions]) => [topic, {
      partitions: partitions.map((_, index) => this.#location(topic, index)),
    }]);
    return Response.json({
      topic_partitions: Object.fromEntries(topics),
      clusterId: "fake",
      controller: 1,
      brokers: this.addresses.map((http, index) => ({
        id: index + 1,
        http,
        kafka: null,
        rack: null,
        alive: this.isUp[index],
      })),
    });
  }

  #location(topic: string, partition: number) {
    const { leader } = this.topics.get(topic)![partition];
    const id = leader === undefined ? null : leader + 1;
    return {
      partition,
      broker: leader === undefined ? null : this.addresses[leader],
      leader: id,
      leaderEpoch: 0,
      replicas: [id],
      isr: [id],
      state: "ok",
    };
  }

  #describe(topic: string): Response {
    const partitions = this.topics.get(topic);
    if (partitions === undefined) return unknownTopic(topic);
    return Response.json({
      topic,
      topicId: "id",
      replicationFactor: 1,
      config: [{
        name: "retention.ms",
        value: "604800000",
        isDefault: true,
        documentation: "",
      }],
      partitions: partitions.map(({ logStartOffset }, index) => ({
        ...this.#location(topic, index),
        logStartOffset,
        highWatermark: this.#end(topic, index),
        logEndOffset: this.#end(topic, index),
        sizeBytes: 0,
      })),
    });
  }

  /** The partition, or why this broker cannot serve it. */
  #led(
    broker: number,
    topic: string,
    partition: number,
  ): FakePartition | Response {
    const found = this.topics.get(topic)?.[partition];
    if (found === undefined) return unknownTopic(topic);
    if (found.leader === undefined) {
      return problem("LEADER_NOT_AVAILABLE", "no leader");
    }
    return found.leader === broker
      ? found
      : problem("NOT_LEADER_OR_FOLLOWER", "another broker leads");
  }

  async #produce(broker: number, request: ProduceRequest): Promise<Response> {
    const { topic, producer, messages = [] } = request;
    const partition = request.partition!;
    const call: ProduceCall = {
      broker,
      topic,
      partition,
      sequence: producer?.sequence,
      producerId: producer?.producerId,
      messages,
    };
    this.produced.push(call);
    const misbehaviour = await this.onProduce(call);
    if (misbehaviour === "lose the request") throw lost();
    if (misbehaviour instanceof Response) return misbehaviour;
    const led = this.#led(broker, topic, partition);
    if (led instanceof Response) return led;
    const records = messages.map((message, index) => ({
      index,
      message: this.refuses(message),
    })).filter(({ message }) => message !== undefined);
    if (records.length > 0) {
      return problem("INVALID_RECORD", "a message violates the schema", {
        records: this.namesRefused ? records : undefined,
      });
    }
    const answer = this.#store(led, call);
    if (misbehaviour === "store and lose the answer") throw lost();
    return answer;
  }

  #store(partition: FakePartition, call: ProduceCall): Response {
    const { producerId, sequence, messages } = call;
    let baseOffset = this.#end(call.topic, call.partition);
    if (producerId !== undefined && sequence !== undefined) {
      let state = partition.producers.get(producerId);
      if (state === undefined) {
        state = { next: 0, batches: new Map() };
        partition.producers.set(producerId, state);
      }
      const before = state.batches.get(sequence);
      if (before !== undefined) {
        return this.#stored(call, before);
      }
      if (sequence !== state.next) {
        return problem(
          "OUT_OF_ORDER_SEQUENCE_NUMBER",
          `sequence ${sequence}, expected ${state.next}`,
        );
      }
      state.batches.set(sequence, baseOffset);
      state.next += messages.length;
    }
    const first = baseOffset;
    for (const message of messages) {
      const record = typeof message === "string" ? { message } : message;
      partition.records.push({
        offset: baseOffset++,
        timestamp: 0,
        ...record,
        message: typeof record.message === "string"
          ? record.message
          : JSON.stringify(record.message),
      } as ConsumedRecord);
    }
    this.wakePollers();
    return this.#stored(call, first);
  }

  #stored({ partition, messages }: ProduceCall, first: number): Response {
    return Response.json({
      results: messages.map((_, index) => ({
        offset: first + index,
        partition,
        timestamp: 0,
      })),
    });
  }

  async #consume(
    broker: number,
    query: URLSearchParams,
    signal: AbortSignal,
  ): Promise<Response> {
    const topic = query.get("topic")!;
    const partition = Number(query.get("partition"));
    const led = this.#led(broker, topic, partition);
    if (led instanceof Response) return led;
    const offset = this.#startOffset(led, topic, partition, query);
    const end = this.#end(topic, partition);
    if (offset < led.logStartOffset || offset > end) {
      return problem("OFFSET_OUT_OF_RANGE", `offset ${offset} is not there`, {
        earliestOffset: led.logStartOffset,
        latestOffset: end,
      });
    }
    const waitMs = Number(query.get("waitMs"));
    if (offset >= end && waitMs > 0) await this.#wait(waitMs, signal);
    if (!this.isUp[broker]) throw lost();
    const skipped = query.get("validate") === "true" ? led.skipped : [];
    const isSkipped = (at: number) =>
      skipped.some((run) => run.firstOffset <= at && at <= run.lastOffset);
    const window = led.records.filter((record) => record.offset >= offset)
      .slice(0, Number(query.get("max")));
    const nextOffset = (window.at(-1)?.offset ?? offset - 1) + 1;
    return Response.json({
      topic,
      partition,
      records: window.filter((record) => !isSkipped(record.offset)),
      nextOffset,
      logStartOffset: led.logStartOffset,
      highWatermark: this.#end(topic, partition),
      skipped: skipped
        .map((run) => ({
          ...run,
          firstOffset: Math.max(run.firstOffset, offset),
          lastOffset: Math.min(run.lastOffset, nextOffset - 1),
        }))
        .filter((run) => run.firstOffset <= run.lastOffset),
    });
  }

  #startOffset(
    led: FakePartition,
    topic: string,
    partition: number,
    query: URLSearchParams,
  ): number {
    const end = this.#end(topic, partition);
    const timestamp = query.get("timestamp");
    if (timestamp !== null) {
      const found = led.records.find((r) => r.timestamp >= Number(timestamp));
      return found?.offset ?? end;
    }
    const offset = query.get("offset");
    if (offset === "earliest") return led.logStartOffset;
    return offset === "latest" ? end : Number(offset);
  }

  #wait(waitMs: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const end = () => {
        timer.cancel();
        this.#pollers.delete(end);
        resolve();
      };
      const timer = this.#world.after(waitMs, end);
      this.#pollers.add(end);
      signal.addEventListener("abort", end);
    });
  }
}

/** As Deno's fetch words it. */
export function transportError(url: URL, reason: string): TypeError {
  return new TypeError("fetch failed", {
    cause: new Error(`error sending request for url (${url}): ${reason}`),
  });
}

function lost(): TypeError {
  return transportError(
    new URL("http://localhost:8080/"),
    "client error (SendRequest): connection closed before message completed",
  );
}

function unknownTopic(topic: string): Response {
  return problem("UNKNOWN_TOPIC_OR_PARTITION", `There is no topic "${topic}".`);
}

export function problem(
  code: ErrorCode,
  detail: string,
  details: object = {},
): Response {
  const { httpStatus: status, title } = ERRORS[code];
  return Response.json({ title, status, detail, code, ...details }, { status });
}
