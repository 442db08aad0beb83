/**
 * Brokers without ports: real rooms, coordinators and Kafka handlers over disks,
 * metadata, network and time in memory. A request goes through the codec both
 * ways, so that what a version cannot carry shows.
 */
import { Coordinators } from "../../broker/coordinators.ts";
import type { Environment, TcpConnection } from "../../broker/environment.ts";
import type { GroupConfig } from "../../broker/group/config.ts";
import type { Api } from "../../broker/kafka/codec/api.ts";
import {
  decodeRequest,
  decodeResponse,
  encodeRequest,
  encodeResponse,
} from "../../broker/kafka/codec/frame.ts";
import type { ServedApi } from "../../broker/kafka/handler.ts";
import {
  createKafkaDoor,
  type KafkaDoor,
} from "../../broker/kafka/listener.ts";
import { servedApis } from "../../broker/kafka/served_apis.ts";
import type { Logger } from "../../broker/logger.ts";
import { Diagnostics } from "../../broker/operations/diagnostics.ts";
import { Room } from "../../broker/room.ts";
import type { TransactionConfig } from "../../broker/transaction/config.ts";
import { assert } from "./assert.ts";
import { brokerConfigOf } from "./broker_config.ts";
import { ManualTime } from "./manual_time.ts";
import { MemoryFileSystem } from "./memory_file_system.ts";
import {
  MemoryMetadata,
  type MemoryMetadataStore,
} from "./memory_metadata_store.ts";
import { GivenTcpListener, type TcpPair, tcpPair } from "./tcp_pair.ts";

export interface KafkaClusterOptions {
  readonly group?: Partial<GroupConfig>;
  readonly transaction?: Partial<TransactionConfig>;
  /** Of each internal topic; few, since each is a log. */
  readonly internalPartitions?: number;
  /** Of topics that name none, the internal ones too; 1 when absent. */
  readonly replicationFactor?: number;
}

const STEP_MS = 10;

export class KafkaCluster {
  readonly time = new ManualTime();
  readonly metadata = new MemoryMetadata({
    clock: this.time,
    timers: this.time,
  });
  readonly brokers = new Map<number, TestBroker>();
  readonly options: KafkaClusterOptions;
  /** Connections between brokers, newest last. */
  readonly #connections: { port: number; pair: TcpPair }[] = [];
  /** What brokers told, by level. */
  readonly lines: { level: string; message: string }[] = [];
  #uuids = 0;

  constructor(options: KafkaClusterOptions = {}) {
    this.options = options;
  }

  /** A broker on `disk`; a second one of the same id takes the first's place. */
  async open(id = 1, disk = new MemoryFileSystem()): Promise<TestBroker> {
    const broker = new TestBroker(this, id, disk);
    this.brokers.set(id, broker);
    await this.settle(broker.open());
    return broker;
  }

  /** Lets time pass in small steps until `work` is done. */
  async settle<T>(work: Promise<T>, limitMs = 60_000): Promise<T> {
    let isDone = false;
    const done = () => void (isDone = true);
    work.then(done, done);
    for (let passedMs = 0; !isDone; passedMs += STEP_MS) {
      assert(passedMs <= limitMs, `nothing came of it for ${limitMs} ms`);
      await this.time.elapse(passedMs === 0 ? 0 : STEP_MS);
    }
    return await work;
  }

  /** In steps, so that what brokers tell each other arrives meanwhile. */
  async pass(forMs: number): Promise<void> {
    for (let passedMs = 0; passedMs < forMs; passedMs += STEP_MS) {
      await this.time.elapse(STEP_MS);
    }
  }

  /** Never the same, also not for a broker that comes back. */
  uuid(): string {
    const last = (++this.#uuids).toString(16).padStart(12, "0");
    return `00000000-0000-4000-8000-${last}`;
  }

  async close(): Promise<void> {
    for (const broker of this.brokers.values()) await broker.close();
  }

  /** To this broker, newest last. */
  connectionsTo(broker: TestBroker): TcpPair[] {
    return this.#connections.filter(({ port }) => port === broker.kafkaPort)
      .map(({ pair }) => pair);
  }

  connect(port: number): Promise<TcpConnection> {
    const broker = [...this.brokers.values()].find((one) =>
      one.kafkaPort === port
    );
    if (broker === undefined || !broker.isReachable) {
      return Promise.reject(new Error("connection refused"));
    }
    const pair = tcpPair();
    this.#connections.push({ port, pair });
    broker.listener.give(pair.server);
    return Promise.resolve(pair.client);
  }
}

export class TestBroker {
  readonly id: number;
  readonly kafkaPort: number;
  readonly disk: MemoryFileSystem;
  readonly room: Room;
  readonly coordinators: Coordinators;
  readonly store: MemoryMetadataStore;
  readonly listener: GivenTcpListener;
  isReachable = true;
  readonly #cluster: KafkaCluster;
  readonly #served: ReadonlyMap<number, ServedApi>;
  readonly #door: KafkaDoor;
  #isClosed = false;

  constructor(cluster: KafkaCluster, id: number, disk: MemoryFileSystem) {
    this.id = id;
    this.kafkaPort = 9091 + id;
    this.disk = disk;
    this.#cluster = cluster;
    const config = brokerConfigOf({
      id,
      kafkaPort: this.kafkaPort,
      defaultReplicationFactor: cluster.options.replicationFactor ?? 1,
    });
    const environment = environmentOf(cluster, disk);
    const logger = loggerOf(cluster);
    const fail = (fault: unknown) => {
      throw fault;
    };
    this.store = cluster.metadata.connect();
    this.room = new Room({
      config,
      environment,
      logger,
      store: this.store,
      version: "test",
      onFault: fail,
    });
    const { view, replicas, access, topics, operations } = this.room;
    this.coordinators = new Coordinators({
      environment,
      logger,
      brokerId: id,
      view,
      replicas,
      access,
      topics,
      producers: operations.producers,
      group: { initialRebalanceDelayMs: 50, ...cluster.options.group },
      transaction: cluster.options.transaction,
      internalTopics: { partitions: cluster.options.internalPartitions ?? 2 },
      onFatal: fail,
    });
    const { groups, transactions, markers } = this.coordinators;
    const served = servedApis({
      view,
      operations,
      batches: this.room.batches,
      followers: this.room.followers,
      coordinators: { environment, groups, transactions, markers },
      diagnostics: new Diagnostics({
        access,
        replicas,
        directory: config.brokerDirectory,
      }),
      brokerId: id,
      autoCreateTopics: true,
      topicDefaults: {},
      brokerConfig: () => ({}),
    });
    this.#served = new Map(served.map((each) => [each.api.key, each]));
    this.#door = createKafkaDoor({
      environment,
      logger,
      served,
      onInvariant: fail,
    });
    this.listener = new GivenTcpListener(this.kafkaPort);
  }

  async open(): Promise<void> {
    await this.room.open();
    this.coordinators.start();
    this.#door.serveOn(this.listener);
    await this.room.join();
  }

  /** Answers as over the wire, in this version. */
  call<Request, RequestIn, Response, ResponseIn>(
    api: Api<Request, RequestIn, Response, ResponseIn>,
    version: number,
    body: NoInfer<RequestIn>,
    options: { clientId?: string } = {},
  ): Promise<Response> {
    return this.#cluster.settle(this.begin(api, version, body, options));
  }

  /** Lets time pass until `work` is done. */
  await<T>(work: Promise<T>): Promise<T> {
    return this.#cluster.settle(work);
  }

  /** As `call` without waiting: for requests that are parked. */
  async begin<Request, RequestIn, Response, ResponseIn>(
    api: Api<Request, RequestIn, Response, ResponseIn>,
    version: number,
    body: NoInfer<RequestIn>,
    { clientId = "test" }: { clientId?: string } = {},
  ): Promise<Response> {
    const served = this.#served.get(api.key);
    assert(served !== undefined, `${api.name} is served`);
    const header = { version, correlationId: 7, clientId };
    const frame = joined(encodeRequest(api as AnyApi, header, body)).subarray(
      4,
    );
    const asked = decodeRequest(api as AnyApi, frame);
    const reply = await served.handle(asked.body, {
      apiVersion: version,
      clientId: asked.clientId,
      remote: { hostname: "127.0.0.1", port: 50_000 },
      local: { hostname: "127.0.0.1", port: this.kafkaPort },
      signal: new AbortController().signal,
    });
    const answer = joined(encodeResponse(api as AnyApi, header, reply));
    return decodeResponse(api as AnyApi, version, answer.subarray(4))
      .body as Response;
  }

  /** Lets time pass. */
  rest(forMs: number): Promise<void> {
    return this.#cluster.pass(forMs);
  }

  /** Stops in order; its disk and its metadata stay. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.isReachable = false;
    await this.#cluster.settle(this.#door.close());
    this.coordinators.close();
    await this.#cluster.settle(this.room.leave());
    // Its disk may be dead by now.
    await this.#cluster.settle(this.room.close().catch(() => {}));
    await this.store.close();
  }
}

type AnyApi = Api<unknown, unknown, unknown, unknown>;

function joined(chunks: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(
    chunks.reduce((sum, { length }) => sum + length, 0),
  );
  let position = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, position);
    position += chunk.length;
  }
  return bytes;
}

function environmentOf(
  cluster: KafkaCluster,
  fileSystem: MemoryFileSystem,
): Environment {
  const { time } = cluster;
  return {
    clock: time,
    timers: time,
    random: {
      bytes: (length) => new Uint8Array(length),
      uuid: () => cluster.uuid(),
      float: () => 0.5,
    },
    network: {
      connectTcp: ({ port }) => cluster.connect(port),
      listenTcp: () => {
        throw new Error("no ports in tests");
      },
      serveHttp: () => {
        throw new Error("no ports in tests");
      },
      fetch: () => Promise.reject(new Error("no ports in tests")),
    },
    fileSystem,
    process: {
      residentMemoryBytes: () => 0,
      heapUsedBytes: () => 0,
      cpuSeconds: () => 0,
    },
  };
}

function loggerOf(cluster: KafkaCluster): Logger {
  const write = (level: string) => (message: string) =>
    void cluster.lines.push({ level, message });
  return {
    debug: write("debug"),
    info: write("info"),
    warn: write("warn"),
    error: write("error"),
  };
}
