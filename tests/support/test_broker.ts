/**
 * Real brokers without doors, ports, disks or waiting: the very room that a
 * broker runs (`broker/room.ts`) on a memory disk, a memory metadata store that
 * several of them share, and a time that a test moves. A broker can be stopped,
 * killed (its page cache survives) or lose its power, and started again on what
 * its disk then holds.
 */
import type { BrokerConfig } from "../../broker/config.ts";
import type { Environment } from "../../broker/environment.ts";
import type { LogFields, Logger } from "../../broker/logger.ts";
import type {
  NewRecord,
  Operations,
  Produced,
} from "../../broker/operations/operations.ts";
import type { PartitionReplica } from "../../broker/replication/partition_replica.ts";
import { Room } from "../../broker/room.ts";
import { Failure } from "../../contract/errors.ts";
import type { CreateTopicRequest } from "../../contract/http.ts";
import { assert } from "./assert.ts";
import { brokerConfigOf } from "./broker_config.ts";
import { ManualTime } from "./manual_time.ts";
import { type KeepChange, MemoryFileSystem } from "./memory_file_system.ts";
import {
  MemoryMetadata,
  type MemoryMetadataStore,
} from "./memory_metadata_store.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** What brokers share: one metadata store and one time. */
export class TestCluster {
  readonly time = new ManualTime();
  readonly metadata = new MemoryMetadata({
    clock: this.time,
    timers: this.time,
  });
  readonly brokers = new Map<number, TestBroker>();
  readonly #seed: number;
  #uuids = 0;

  /** Clusters of different seeds have different ids. */
  constructor(seed = 0) {
    this.#seed = seed;
  }

  /** A broker of this cluster, started. */
  async broker(config: Partial<BrokerConfig> = {}): Promise<TestBroker> {
    const broker = new TestBroker(
      this,
      brokerConfigOf({ id: this.brokers.size + 1, ...config }),
    );
    this.brokers.set(broker.config.id, broker);
    await broker.start();
    return broker;
  }

  /** Different every time, the same in every run. */
  uuid(): string {
    const seed = String(this.#seed).padStart(8, "0");
    const digits = String(++this.#uuids).padStart(12, "0");
    return `${seed}-0000-4000-8000-${digits}`;
  }

  /** Stops the brokers that run. */
  async stop(): Promise<void> {
    for (const broker of this.brokers.values()) await broker.stop();
  }
}

export class TestBroker {
  readonly config: BrokerConfig;
  readonly cluster: TestCluster;
  /** What the disk holds, also while the broker is down. */
  disk = new MemoryFileSystem();
  /** Lines of the diagnostic output, all runs together. */
  readonly logged: string[] = [];
  /** What `onFault` was told. */
  readonly faults: unknown[] = [];
  #run: Run | undefined;

  constructor(cluster: TestCluster, config: BrokerConfig) {
    this.cluster = cluster;
    this.config = config;
  }

  async start(): Promise<void> {
    assert(this.#run === undefined, "The broker runs already");
    const run = new Run(this);
    this.#run = run;
    try {
      await run.room.open();
      await run.room.join();
    } catch (fault) {
      // As a broker does that cannot start.
      await run.room.close().catch(() => {});
      await this.kill();
      throw fault;
    }
  }

  /** As SIGTERM does it, but for the doors. */
  async stop(): Promise<void> {
    const run = this.#run;
    if (run === undefined) return;
    this.#run = undefined;
    await run.room.leave();
    await run.room.close();
    await run.end();
  }

  /** As kill -9: what was written is in the page cache. */
  async kill(): Promise<void> {
    await this.#end();
    this.disk = this.disk.kill();
  }

  /** As a loss of power: of what was not synced, `keep` says what stays. */
  async crash(keep?: KeepChange): Promise<void> {
    await this.#end();
    this.disk = this.disk.crash(keep);
  }

  get room(): Room {
    return this.#running.room;
  }

  get store(): MemoryMetadataStore {
    return this.#running.store;
  }

  get operations(): Operations {
    return this.room.operations;
  }

  replica(topic: string, partition = 0): PartitionReplica {
    const replica = this.room.replicas.replica(topic, partition);
    assert(replica !== undefined, `No replica of ${topic}-${partition} here`);
    return replica;
  }

  /** Makes a topic, which must succeed. */
  async create(
    topic: string,
    request: Omit<CreateTopicRequest, "topic"> = {},
  ): Promise<void> {
    succeeded(await this.operations.topics.create({ topic, ...request }));
  }

  /** Produces texts to one partition. */
  produce(
    topic: string,
    values: readonly string[],
    options: { partition?: number; timeoutMs?: number } = {},
  ): Promise<Produced | Failure> {
    return this.operations.records.produce(
      topic,
      options.partition ?? 0,
      values.map((value) => recordOf(value)),
      { timeoutMs: options.timeoutMs ?? 30_000 },
    );
  }

  /** Everything readable of a partition now, as "offset:value". */
  async readAll(topic: string, partition = 0): Promise<string[]> {
    const { records } = this.operations;
    const earliest = succeeded(
      await records.findOffset(topic, partition, "earliest"),
    );
    const texts: string[] = [];
    let offset = earliest;
    for (;;) {
      const result = succeeded(
        await records.read(topic, partition, {
          offset,
          maxRecords: 1000,
          maxBytes: 1024 * 1024,
          waitMs: 0,
          validate: false,
        }),
      );
      for (const record of result.records) {
        texts.push(`${record.offset}:${textOf(record.value)}`);
      }
      if (result.nextOffset === offset) return texts;
      offset = result.nextOffset;
    }
  }

  get #running(): Run {
    assert(this.#run !== undefined, "The broker does not run");
    return this.#run;
  }

  async #end(): Promise<void> {
    const run = this.#run;
    this.#run = undefined;
    await run?.end();
  }
}

/** A broker from its start to its end, after which nothing of it runs on. */
class Run {
  readonly store: MemoryMetadataStore;
  readonly room: Room;
  #isAlive = true;
  readonly #timers = new Set<{ cancel(): void }>();

  constructor(broker: TestBroker) {
    this.store = broker.cluster.metadata.connect();
    this.room = new Room({
      config: broker.config,
      environment: this.#environment(broker),
      logger: loggerInto(broker.logged),
      store: this.store,
      version: "0.0.1",
      onFault: (fault) => void broker.faults.push(fault),
    });
  }

  async end(): Promise<void> {
    this.#isAlive = false;
    for (const timer of this.#timers) timer.cancel();
    await this.store.close();
  }

  #environment(broker: TestBroker): Environment {
    const { cluster } = broker;
    const { time } = cluster;
    return {
      clock: time,
      timers: {
        after: (delayMs, callback) => {
          const timer = time.after(delayMs, () => {
            this.#timers.delete(timer);
            callback();
          });
          this.#timers.add(timer);
          return {
            cancel: () => {
              this.#timers.delete(timer);
              timer.cancel();
            },
          };
        },
        soon: (callback) => time.soon(() => this.#isAlive && callback()),
      },
      random: {
        bytes: (length) => new Uint8Array(length),
        uuid: () => cluster.uuid(),
        float: () => 0.5,
      },
      network: {
        serveHttp: unused,
        fetch: unused,
        listenTcp: unused,
        connectTcp: unused,
      },
      fileSystem: broker.disk,
      process: {
        residentMemoryBytes: () => 0,
        heapUsedBytes: () => 0,
        cpuSeconds: () => 0,
      },
    };
  }
}

function unused(): never {
  throw new Error("A room does not use the network");
}

function loggerInto(lines: string[]): Logger {
  const log = (message: string, fields?: LogFields) =>
    void lines.push(`${message} ${JSON.stringify(fields ?? {})}`);
  return { debug: log, info: log, warn: log, error: log };
}

export function bytesOf(text: string): Uint8Array {
  return encoder.encode(text);
}

export function textOf(bytes: Uint8Array | null): string {
  return bytes === null ? "null" : decoder.decode(bytes);
}

export function recordOf(
  value: string | null,
  changes: Partial<NewRecord> & { keyText?: string } = {},
): NewRecord {
  const { keyText, ...rest } = changes;
  return {
    key: keyText === undefined ? null : bytesOf(keyText),
    value: value === null ? null : bytesOf(value),
    headers: [],
    timestampMs: undefined,
    ...rest,
  };
}

/** The answer, which must not be a failure. */
export function succeeded<Answer>(answer: Answer | Failure): Answer {
  if (answer instanceof Failure) {
    throw new Error(`${answer.code}: ${answer.detail}`);
  }
  return answer;
}

/** The failure, which the answer must be. */
export function failed(answer: unknown): Failure {
  assert(answer instanceof Failure, `No failure: ${JSON.stringify(answer)}`);
  return answer;
}

/** Whether a promise has settled by now. */
export async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  const pending = Symbol();
  const turns = (async () => {
    for (let turn = 0; turn < 50; turn++) await Promise.resolve();
    return pending;
  })();
  return await Promise.race([promise, turns]) !== pending;
}
