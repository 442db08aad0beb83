/**
 * Brokers with nothing but replicas: the real `ReplicaManager` of each, on a
 * memory disk, one shared memory metadata store, and a fetch source that calls
 * the leader's real side of Fetch directly. Elections, leases and the rule for a
 * broker's start are the test's, so that every order of events can be had.
 */
import {
  KEYS,
  type PartitionFact,
  type TopicFact,
} from "../../../broker/cluster/facts.ts";
import { flushPeriodAfter } from "../../../broker/cluster/flush_periods.ts";
import type { PartitionImage } from "../../../broker/cluster/metadata_image.ts";
import { MetadataView } from "../../../broker/cluster/metadata_view.ts";
import type { Environment } from "../../../broker/environment.ts";
import { FollowerFetches } from "../../../broker/operations/follower_fetch.ts";
import type {
  FetchAnswer,
  FetchAsk,
  FetchSource,
} from "../../../broker/replication/fetch_source.ts";
import type {
  AckWait,
  Appended,
  PartitionReplica,
} from "../../../broker/replication/partition_replica.ts";
import { ReplicaManager } from "../../../broker/replication/replica_manager.ts";
import type { Failure } from "../../../contract/errors.ts";
import {
  decodeRecords,
  iterateBatches,
  RecordBatchBuilder,
} from "../../../storage/log/record_batch.ts";
import { assert } from "../../support/assert.ts";
import { ManualTime } from "../../support/manual_time.ts";
import { MemoryFileSystem } from "../../support/memory_file_system.ts";
import {
  MemoryMetadata,
  type MemoryMetadataStore,
} from "../../support/memory_metadata_store.ts";
import { bytesOf, recordOf, textOf } from "../../support/test_broker.ts";

export const TOPIC = "demo";
export const TOPIC_ID = "10000000-0000-4000-8000-000000000000";

export interface ReplicaSetOptions {
  readonly brokers?: number;
  readonly partitions?: number;
  readonly config?: Record<string, string>;
  readonly replicas?: readonly number[];
}

export class ReplicaSet {
  readonly time = new ManualTime();
  readonly metadata = new MemoryMetadata({
    clock: this.time,
    timers: this.time,
  });
  readonly nodes = new Map<number, ReplicaNode>();
  readonly store: MemoryMetadataStore;
  readonly view: MetadataView;
  /** Pairs, as "follower>leader", that cannot reach each other. */
  readonly cuts = new Set<string>();
  /** Every request that reached a leader. */
  readonly fetches: { from: number; to: number; asks: number }[] = [];

  #topic: TopicFact | undefined;

  private constructor() {
    this.store = this.metadata.connect();
    this.view = new MetadataView(this.store, this.time, (fault) => {
      throw fault;
    });
  }

  /** With one topic, whose first replica leads in epoch 0. */
  static async of(options: ReplicaSetOptions = {}): Promise<ReplicaSet> {
    const { brokers = 3, partitions = 1, config = {} } = options;
    const set = new ReplicaSet();
    const ids = Array.from({ length: brokers }, (_, index) => index + 1);
    const replicas = options.replicas ?? ids;
    await set.view.start();
    for (const id of ids) {
      const node = new ReplicaNode(set, id);
      set.nodes.set(id, node);
      await node.start();
    }
    set.#topic = {
      topicId: TOPIC_ID,
      partitions,
      replicationFactor: replicas.length,
      config,
      isInternal: false,
    };
    await set.#put(KEYS.topic(TOPIC), set.#topic);
    for (let index = 0; index < partitions; index++) {
      await set.write({
        leader: replicas[0],
        leaderEpoch: 0,
        replicas,
        isr: replicas,
      }, index);
    }
    await set.time.elapse(20);
    return set;
  }

  node(id: number): ReplicaNode {
    const node = this.nodes.get(id);
    assert(node !== undefined, `There is no broker ${id}`);
    return node;
  }

  get state(): PartitionImage {
    return this.stateOf(0);
  }

  stateOf(partition: number): PartitionImage {
    const state = this.view.image.topics.get(TOPIC)?.partitionStates[partition];
    assert(state !== undefined, "The partition has no state");
    return state;
  }

  /** The replica of the broker that the metadata call the leader. */
  get leader(): PartitionReplica {
    const { leader } = this.state;
    assert(leader !== null, "Nobody leads");
    return this.node(leader).replica();
  }

  /** Gives the topic other settings. */
  async configure(config: Record<string, string>): Promise<void> {
    const flushPeriod = flushPeriodAfter(this.topic, config);
    this.#topic = { ...this.topic, config, flushPeriod };
    await this.#put(KEYS.topic(TOPIC), this.#topic);
  }

  get topic(): TopicFact {
    assert(this.#topic !== undefined, "The topic is not made yet");
    return this.#topic;
  }

  /** Writes a partition's state, whatever it was. */
  write(fact: PartitionFact, partition = 0): Promise<void> {
    return this.#put(KEYS.partition(TOPIC_ID, partition), fact);
  }

  /** Writes a change of the present state; false: it is another one by now. */
  async change(
    change: Partial<PartitionFact>,
    partition = 0,
  ): Promise<boolean> {
    const { modRevision, ...fact } = this.stateOf(partition);
    const { leaderEpoch = fact.leaderEpoch } = change;
    assert(leaderEpoch >= fact.leaderEpoch, "The leader epoch would go back");
    const key = KEYS.partition(TOPIC_ID, partition);
    const { succeeded } = await this.view.transact({
      compare: [{ key, target: "modRevision", equals: modRevision }],
      success: [{
        kind: "put",
        key,
        value: JSON.stringify({ ...fact, ...change }),
      }],
    });
    return succeeded;
  }

  /** Makes another broker the leader, in the next epoch. */
  elect(leader: number | null, isr = this.state.isr): Promise<boolean> {
    return this.change({
      leader,
      leaderEpoch: this.state.leaderEpoch + 1,
      isr,
    });
  }

  async #put(key: string, value: unknown): Promise<void> {
    await this.view.transact({
      compare: [],
      success: [{ kind: "put", key, value: JSON.stringify(value) }],
    });
  }

  async deleteTopic(): Promise<void> {
    await this.view.transact({
      compare: [],
      success: [
        { kind: "delete", key: KEYS.topic(TOPIC) },
        { kind: "delete", key: KEYS.partition(TOPIC_ID, 0) },
      ],
    });
  }

  async putLive(id: number, incarnation: string | undefined): Promise<void> {
    const key = KEYS.liveBroker(id);
    await this.view.transact({
      compare: [],
      success: [
        incarnation === undefined
          ? { kind: "delete", key }
          : { kind: "put", key, value: JSON.stringify({ incarnation }) },
      ],
    });
  }

  async putBroker(id: number): Promise<void> {
    await this.#put(KEYS.broker(id), {
      id,
      host: "localhost",
      httpPort: id,
      kafkaPort: id,
      rack: null,
    });
  }

  isCut(from: number, to: number): boolean {
    return this.cuts.has(`${from}>${to}`);
  }

  async stop(): Promise<void> {
    for (const node of this.nodes.values()) await node.stop();
    this.view.close();
    await this.store.close();
  }
}

export class ReplicaNode {
  readonly id: number;
  readonly #set: ReplicaSet;
  disk = new MemoryFileSystem();
  hasLease = false;
  readonly logged: string[] = [];
  #run: NodeRun | undefined;
  #runs = 0;

  constructor(set: ReplicaSet, id: number) {
    this.#set = set;
    this.id = id;
  }

  get isUp(): boolean {
    return this.#run !== undefined;
  }

  get run(): NodeRun {
    assert(this.#run !== undefined, `Broker ${this.id} is down`);
    return this.#run;
  }

  /** `settle` is the rule for what an earlier run left, before it is alive. */
  async start(settle?: () => Promise<void>): Promise<void> {
    assert(this.#run === undefined, "It runs already");
    const run = new NodeRun(this.#set, this);
    this.#run = run;
    await run.start();
    await settle?.();
    await this.#set.putBroker(this.id);
    await this.#set.putLive(this.id, `${this.id}.${++this.#runs}`);
    await this.takeLease();
  }

  /** As membership does it: the image first, then whatever waited. */
  async takeLease(): Promise<void> {
    const { view, manager } = this.run;
    await view.catchUp();
    this.hasLease = true;
    manager.recheck();
  }

  async loseLease(): Promise<void> {
    this.hasLease = false;
    await this.#set.putLive(this.id, undefined);
  }

  /** The lease is back, under the same incarnation. */
  async renewLease(): Promise<void> {
    await this.#set.putLive(this.id, `${this.id}.${this.#runs}`);
    await this.takeLease();
  }

  async stop(): Promise<void> {
    const run = this.#run;
    if (run === undefined) return;
    this.#run = undefined;
    await run.manager.close();
    await run.end();
    await this.loseLease();
  }

  /** As kill -9; the page cache survives. */
  async kill(): Promise<void> {
    await this.#end();
    this.disk = this.disk.kill();
  }

  /** As a loss of power; nothing that was not synced survives. */
  async crash(): Promise<void> {
    await this.#end();
    this.disk = this.disk.crash();
  }

  /** While it is down. */
  replaceDisk(): void {
    assert(!this.isUp, `Broker ${this.id} is up`);
    this.disk = new MemoryFileSystem();
  }

  async #end(): Promise<void> {
    const run = this.#run;
    this.#run = undefined;
    await run?.end();
    await this.loseLease();
  }

  /** Undefined: it is not up, or has none. */
  get held(): PartitionReplica | undefined {
    return this.#run?.manager.replica(TOPIC, 0);
  }

  replica(partition = 0): PartitionReplica {
    const replica = this.run.manager.replica(TOPIC, partition);
    assert(replica !== undefined, `Broker ${this.id} has no replica`);
    return replica;
  }

  produce(
    values: readonly string[],
    options: { timeoutMs?: number; partition?: number } = {},
  ): Promise<Appended | Failure> {
    return this.replica(options.partition).appendRecords(
      values.map((value) => recordOf(value)),
      { timeoutMs: options.timeoutMs ?? 30_000 },
    );
  }

  /** `outlivesLeader`: as a producer does that has no identity. */
  produceBatch(
    values: readonly string[],
    wait: AckWait,
    { outlivesLeader = false, timeoutMs = 30_000 } = {},
  ): Promise<Appended | Failure> {
    const builder = new RecordBatchBuilder();
    for (const value of values) {
      builder.add({
        key: null,
        value: bytesOf(value),
        headers: [],
        timestampMs: this.#set.time.nowMs(),
      });
    }
    return this.replica().appendBatch(builder.build(), values.length, {
      timeoutMs,
      wait,
      outlivesLeader,
    });
  }

  /** All batches of the log, as they are on the disk. */
  bytes(partition = 0): Uint8Array {
    return logBytes(this.replica(partition));
  }

  /** All records of the log, committed or not, as "offset:value". */
  values(partition = 0): string[] {
    const values: string[] = [];
    for (const { bytes } of iterateBatches(this.bytes(partition))) {
      for (const { offset, value } of decodeRecords(bytes)) {
        values.push(`${offset}:${textOf(value)}`);
      }
    }
    return values;
  }
}

export function logBytes({ log }: PartitionReplica): Uint8Array {
  const chunks: Uint8Array[] = [];
  let next = log.logStartOffset;
  while (next < log.logEndOffset) {
    const slice = log.read(next, {
      maxBytes: 1024 * 1024,
      upperBound: log.logEndOffset,
      minOneBatch: true,
    });
    if (slice.bytes.length === 0) break;
    chunks.push(slice.bytes.slice());
    next = slice.nextOffset;
  }
  const all = new Uint8Array(
    chunks.reduce((sum, each) => sum + each.length, 0),
  );
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.length;
  }
  return all;
}

/** A broker from its start to its end, after which nothing of it runs on. */
export class NodeRun {
  readonly store: MemoryMetadataStore;
  readonly view: MetadataView;
  readonly manager: ReplicaManager;
  readonly followers: FollowerFetches;
  readonly isrChanges: string[] = [];
  readonly faults: unknown[] = [];
  fetchedBytes = 0;
  readonly #set: ReplicaSet;
  readonly #node: ReplicaNode;
  readonly #environment: Environment;
  readonly #timers = new Set<{ cancel(): void }>();
  readonly #down = new AbortController();

  constructor(set: ReplicaSet, node: ReplicaNode) {
    this.#set = set;
    this.#node = node;
    this.#environment = this.#makeEnvironment();
    this.store = set.metadata.connect();
    const onFault = (fault: unknown) => void this.faults.push(fault);
    this.view = new MetadataView(
      this.store,
      this.#environment.timers,
      onFault,
    );
    const log = (message: string, fields?: unknown) =>
      void node.logged.push(`${message} ${JSON.stringify(fields ?? {})}`);
    this.manager = new ReplicaManager({
      environment: this.#environment,
      logger: { debug: () => {}, info: log, warn: log, error: log },
      brokerId: node.id,
      directory: `data/broker-${node.id}`,
      topicDefaults: {},
      view: this.view,
      source: this.#source(),
      holdsLease: () => node.hasLease,
      onFlush: () => {},
      onIsrChanged: (direction) => void this.isrChanges.push(direction),
      onFetched: (_, bytes) => {
        this.fetchedBytes += bytes;
      },
      onFatal: onFault,
    });
    this.followers = new FollowerFetches({
      view: this.view,
      replicas: this.manager,
      environment: this.#environment,
      onServed: () => {},
    });
  }

  async start(): Promise<void> {
    await this.view.start();
    const { image } = this.view;
    await this.manager.start(image);
    this.view.subscribe((next, previous) => this.manager.apply(next, previous));
    this.manager.apply(this.view.image, image);
  }

  async end(): Promise<void> {
    this.#down.abort();
    for (const timer of this.#timers) timer.cancel();
    this.view.close();
    await this.store.close();
  }

  get isDown(): boolean {
    return this.#down.signal.aborted;
  }

  get downSignal(): AbortSignal {
    return this.#down.signal;
  }

  #source(): FetchSource {
    const set = this.#set;
    const from = this.#node.id;
    return {
      fetch: (to, asks, options) => {
        const leader = set.nodes.get(to);
        if (!leader?.isUp || set.isCut(from, to)) {
          return Promise.reject(new Error("The leader cannot be reached"));
        }
        set.fetches.push({ from, to, asks: asks.length });
        return orAborted(
          leader.run.#answer(
            { brokerId: from, knownRevision: this.view.image.revision },
            asks,
            options,
          ),
          [options.signal, leader.run.downSignal, this.downSignal],
        );
      },
      close: () => {},
    };
  }

  async #answer(
    follower: { brokerId: number; knownRevision: number },
    asks: readonly FetchAsk[],
    options: { maxWaitMs: number; maxBytes: number; signal: AbortSignal },
  ): Promise<FetchAnswer[]> {
    const answers = await this.followers.fetch({
      ...follower,
      partitions: asks.map(({ topicId, ...ask }) => ({
        ...ask,
        topic: this.view.image.topicById(topicId)?.name,
      })),
      maxWaitMs: options.maxWaitMs,
      minBytes: 1,
      maxBytes: options.maxBytes,
      signal: options.signal,
    });
    if (this.#set.isCut(follower.brokerId, this.#node.id)) {
      throw new Error("The answer was lost");
    }
    // As from a wire: nobody shares memory.
    return answers.map((answer) =>
      answer.kind === "records"
        ? { ...answer, bytes: answer.bytes.slice() }
        : answer
    );
  }

  #makeEnvironment(): Environment {
    const { time } = this.#set;
    const unused = () => {
      throw new Error("Replicas do not use this");
    };
    return {
      clock: time,
      timers: {
        after: (delayMs, callback) => {
          const timer = time.after(delayMs, () => {
            this.#timers.delete(timer);
            if (!this.isDown) callback();
          });
          this.#timers.add(timer);
          return {
            cancel: () => {
              this.#timers.delete(timer);
              timer.cancel();
            },
          };
        },
        soon: (callback) => time.soon(() => this.isDown || callback()),
      },
      random: {
        bytes: (length) => new Uint8Array(length),
        uuid: unused,
        float: () => 0.5,
      },
      network: {
        serveHttp: unused,
        fetch: unused,
        listenTcp: unused,
        connectTcp: unused,
      },
      fileSystem: this.#node.disk,
      process: {
        residentMemoryBytes: () => 0,
        heapUsedBytes: () => 0,
        cpuSeconds: () => 0,
      },
    };
  }
}

/** As the promise, or rejects as soon as one of the signals says so. */
function orAborted<Result>(
  promise: Promise<Result>,
  signals: readonly AbortSignal[],
): Promise<Result> {
  return new Promise((resolve, reject) => {
    const end = () => {
      for (const signal of signals) signal.removeEventListener("abort", stop);
    };
    const stop = () => {
      end();
      reject(new Error("The connection is gone"));
    };
    for (const signal of signals) {
      if (signal.aborted) return stop();
      signal.addEventListener("abort", stop, { once: true });
    }
    promise.then(
      (result) => {
        end();
        resolve(result);
      },
      (fault) => {
        end();
        reject(fault);
      },
    );
  });
}
