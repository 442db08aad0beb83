/**
 * Operations of a broker over plain arrays, for tests of the doors. Several
 * fakes may share one `FakeCluster`; each leads the partitions that the
 * cluster gives to its id.
 */
import { Failure } from "../../contract/errors.ts";
import type {
  BalanceAnswer,
  BalancePlanAnswer,
  CancelBalanceAnswer,
  UndrainAnswer,
} from "../../contract/balance.ts";
import type {
  BrokerDescription,
  GroupDescription,
  Json,
  ListedGroup,
  PartitionFault,
  ResetOffset,
  SchemaVersionAnswer,
  TopicConfigEntry,
} from "../../contract/http.ts";
import { partitionForKey } from "../../contract/partitioner.ts";
import type { BalanceOperations } from "../../broker/operations/balance.ts";
import type { CopyProgress } from "../../broker/operations/copy_progress.ts";
import type {
  GroupOperations,
  GroupPoll,
} from "../../broker/operations/group_operations.ts";
import type {
  ClusterOperations,
  NewRecord,
  Operations,
  PartitionRoute,
  ProduceOptions,
  ProducerOperations,
  ReadOptions,
  ReadResult,
  RecordOperations,
  SchemaOperations,
  StoredRecord,
  TopicOperations,
  TopicView,
} from "../../broker/operations/operations.ts";

interface FakePartition {
  leader: number | null;
  logStartOffset: number;
  readonly records: StoredRecord[];
}

interface FakeTopic {
  readonly topic: string;
  readonly partitions: FakePartition[];
  config: { [name: string]: string };
}

/** What the brokers of one fake cluster share. */
export class FakeCluster {
  readonly brokers: BrokerDescription[];
  readonly topics = new Map<string, FakeTopic>();
  readonly subjects = new Map<string, string[]>();
  nextProducerId = 1000;
  /** The broker that coordinates every group. */
  groupCoordinator: number;

  constructor(brokerIds: readonly number[] = [1]) {
    this.groupCoordinator = brokerIds[0];
    this.brokers = brokerIds.map((id) => ({
      id,
      http: `localhost:${8079 + id}`,
      kafka: null,
      rack: null,
      alive: true,
    }));
  }

  readonly #listeners = new Set<() => void>();

  onChange(listener: () => void): () => void {
    const own = () => listener();
    this.#listeners.add(own);
    return () => this.#listeners.delete(own);
  }

  /** Who wait for a change. */
  get listenerCount(): number {
    return this.#listeners.size;
  }

  /** Gives a partition another leader, whose id is its epoch, and tells all. */
  move(topic: string, partition: number, leader: number | null): void {
    this.topics.get(topic)!.partitions[partition].leader = leader;
    this.changed();
  }

  changed(): void {
    for (const listener of [...this.#listeners]) listener();
  }

  /** Every record of every partition. */
  get recordCount(): number {
    let count = 0;
    for (const { partitions } of this.topics.values()) {
      for (const { records } of partitions) count += records.length;
    }
    return count;
  }
}

/** What the operations on groups answer, set by a test. */
export interface GroupAnswers {
  list: ListedGroup[] | Failure;
  describe: GroupDescription | Failure;
  delete: Failure | undefined;
  reset: ResetOffset[] | Failure;
  poll: GroupPoll | Failure;
  commit: PartitionFault[] | Failure;
  leave: Failure | undefined;
}

/** What the operations that move replicas answer, set by a test. */
export interface BalanceAnswers {
  progress: BalanceAnswer;
  begin: BalanceAnswer | BalancePlanAnswer | Failure;
  undrain: UndrainAnswer | Failure;
  cancel: CancelBalanceAnswer | Failure;
}

const NOTHING_MOVES: BalanceAnswer = {
  running: null,
  moving: [],
  waitingPartitions: 0,
  replicasToCopy: 0,
  leadershipsToMove: 0,
  stuck: { count: 0, partitions: [] },
  brokers: [],
};

const NO_GROUP = new Failure("GROUP_ID_NOT_FOUND", "There is no such group.");

export interface FakeOperationsOptions {
  brokerId?: number;
  cluster?: FakeCluster;
  /** The clock of appends. */
  nowMs?: () => number;
}

export class FakeOperations implements Operations {
  readonly brokerId: number;
  readonly clusterState: FakeCluster;
  readonly calls: string[] = [];
  /** Records whose value contains this are refused, as by a schema. */
  forbidden: string | undefined;
  maxMessageBytes = 1024 * 1024;
  /** What `produce` answers instead of storing. */
  produceFailure: Failure | undefined;
  /** Thrown by `produce`. */
  produceError: Error | undefined;
  /** Produce waits for it. */
  gate: Promise<void> | undefined;
  lastProduceOptions: ProduceOptions | undefined;
  lastReadOptions: ReadOptions | undefined;
  ready = true;
  /** Requests for groups that came here. */
  readonly groupCalls: { name: string; request: unknown }[] = [];
  readonly groupAnswers: GroupAnswers = {
    list: [],
    describe: NO_GROUP,
    delete: undefined,
    reset: [],
    poll: NO_GROUP,
    commit: [],
    leave: undefined,
  };
  /** Requests to move replicas that came here. */
  copies: CopyProgress[] = [];
  readonly forgotten: number[] = [];
  /** The answer to the next calls to forget a broker. */
  forgetFailure: Failure | undefined;
  readonly balanceCalls: { name: string; request: unknown }[] = [];
  readonly balanceAnswers: BalanceAnswers = {
    progress: NOTHING_MOVES,
    begin: NOTHING_MOVES,
    undrain: { ...NOTHING_MOVES, wasDrained: true },
    cancel: { reverted: [], kept: [] },
  };
  #turn = 0;
  readonly #nowMs: () => number;
  readonly #wakers = new Set<() => void>();

  constructor(options: FakeOperationsOptions = {}) {
    this.brokerId = options.brokerId ?? 1;
    this.clusterState = options.cluster ?? new FakeCluster([this.brokerId]);
    this.#nowMs = options.nowMs ?? (() => 1_700_000_000_000);
  }

  /** Long polls that wait at this broker. */
  get waiting(): number {
    return this.#wakers.size;
  }

  addTopic(topic: string, leaders: readonly (number | null)[]): FakeTopic {
    const added: FakeTopic = {
      topic,
      partitions: leaders.map((leader) => ({
        leader,
        logStartOffset: 0,
        records: [],
      })),
      config: {},
    };
    this.clusterState.topics.set(topic, added);
    return added;
  }

  /** Stores past the door. */
  append(topic: string, partition: number, record: Partial<NewRecord>): void {
    const { records } = this.clusterState.topics.get(topic)!
      .partitions[partition];
    records.push({
      key: null,
      value: null,
      headers: [],
      ...record,
      offset: records.length,
      timestampMs: record.timestampMs ?? this.#nowMs(),
    });
    this.wake();
  }

  /** Who waits looks again, as when a replica resigns. */
  wake(): void {
    for (const wake of [...this.#wakers]) wake();
  }

  #find(topic: string, partition: number): FakePartition | Failure {
    const found = this.clusterState.topics.get(topic)?.partitions[partition];
    return found ??
      new Failure(
        "UNKNOWN_TOPIC_OR_PARTITION",
        `There is no partition ${partition} of topic "${topic}".`,
      );
  }

  #led(topic: string, partition: number): FakePartition | Failure {
    const found = this.#find(topic, partition);
    if (found instanceof Failure || found.leader === this.brokerId) {
      return found;
    }
    return new Failure("NOT_LEADER_OR_FOLLOWER", "Another broker leads it.");
  }

  readonly records: RecordOperations = {
    choosePartition: (topic, key) => {
      const found = this.clusterState.topics.get(topic);
      if (found === undefined) {
        return new Failure(
          "UNKNOWN_TOPIC_OR_PARTITION",
          `There is no topic "${topic}".`,
        );
      }
      const count = found.partitions.length;
      return key === null ? this.#turn++ % count : partitionForKey(key, count);
    },
    route: (topic, partition): PartitionRoute | Failure => {
      const found = this.#find(topic, partition);
      if (found instanceof Failure) return found;
      const broker = this.clusterState.brokers.find(({ id }) =>
        id === found.leader
      );
      return broker === undefined
        ? new Failure(
          "LEADER_NOT_AVAILABLE",
          `Partition ${partition} of topic "${topic}" has no leader.`,
        )
        : {
          isLocal: found.leader === this.brokerId,
          broker,
          leaderEpoch: found.leader ?? -1,
        };
    },
    leaderEpoch: (topic, partition) => {
      const found = this.#find(topic, partition);
      if (found instanceof Failure) return undefined;
      const leads = this.clusterState.brokers.some(({ id }) =>
        id === found.leader
      );
      return leads ? found.leader ?? undefined : undefined;
    },
    check: (_topic, records) => {
      for (let index = 0; index < records.length; index++) {
        const { value } = records[index];
        if (value !== null && value.length > this.maxMessageBytes) {
          return new Failure(
            "MESSAGE_TOO_LARGE",
            `Message ${index} has ${value.length} bytes.`,
            { records: [{ index, message: "is too large" }] },
          );
        }
        const text = new TextDecoder().decode(value ?? new Uint8Array());
        if (this.forbidden !== undefined && text.includes(this.forbidden)) {
          return new Failure("INVALID_RECORD", "A message is forbidden.", {
            records: [{ index, message: "is forbidden" }],
            violations: [{ pointer: "", rule: "not", message: "forbidden" }],
          });
        }
      }
      return undefined;
    },
    produce: async (topic, partition, records, options) => {
      this.calls.push(`produce ${topic} ${partition} ${records.length}`);
      this.lastProduceOptions = options;
      await this.gate;
      if (this.produceError !== undefined) throw this.produceError;
      if (this.produceFailure !== undefined) return this.produceFailure;
      const found = this.#led(topic, partition);
      if (found instanceof Failure) return found;
      const faulty = await this.records.check(topic, records);
      if (faulty !== undefined) return faulty;
      const baseOffset = found.records.length;
      for (const record of records) this.append(topic, partition, record);
      return {
        baseOffset,
        leaderEpoch: 3,
        appendTimeMs: this.#nowMs(),
        logAppendTime: false,
        receipt: () => ({ leaderEpoch: 3, replicas: [1, 2], onDisk: [1] }),
      };
    },
    read: async (topic, partition, options) => {
      this.lastReadOptions = options;
      const found = this.#led(topic, partition);
      if (found instanceof Failure) return found;
      const end = found.records.length;
      if (options.offset < found.logStartOffset || options.offset > end) {
        return new Failure(
          "OFFSET_OUT_OF_RANGE",
          `Offset ${options.offset} is not between ${found.logStartOffset} and ${end}.`,
          { earliestOffset: found.logStartOffset, latestOffset: end },
        );
      }
      if (options.offset === end && options.waitMs > 0) {
        await this.#wait(options.signal);
        const still = this.#led(topic, partition);
        if (still instanceof Failure) return still;
      }
      return this.#readNow(found, options);
    },
    findOffset: (topic, partition, query) => {
      const found = this.#led(topic, partition);
      if (found instanceof Failure) return Promise.resolve(found);
      if (query === "earliest") return Promise.resolve(found.logStartOffset);
      if (query === "latest") return Promise.resolve(found.records.length);
      const record = found.records.find(({ timestampMs }) =>
        timestampMs >= query.timestampMs
      );
      return Promise.resolve(record?.offset ?? found.records.length);
    },
    offsets: (topic, partition) => {
      const found = this.#led(topic, partition);
      return Promise.resolve(
        found instanceof Failure ? found : {
          logStartOffset: found.logStartOffset,
          highWatermark: found.records.length,
          logEndOffset: found.records.length,
          sizeBytes: 100 * found.records.length,
        },
      );
    },
    deleteRecords: (topic, partition, beforeOffset) => {
      const found = this.#led(topic, partition);
      if (found instanceof Failure) return Promise.resolve(found);
      found.logStartOffset = beforeOffset === "latest"
        ? found.records.length
        : beforeOffset;
      return Promise.resolve(found.logStartOffset);
    },
  };

  #readNow(found: FakePartition, options: ReadOptions): ReadResult {
    const records = found.records.slice(
      options.offset,
      options.offset + options.maxRecords,
    );
    return {
      records,
      nextOffset: options.offset + records.length,
      logStartOffset: found.logStartOffset,
      highWatermark: found.records.length,
      skipped: options.validate && records.length > 1
        ? [{ firstOffset: 0, lastOffset: 0, reason: "does not conform" }]
        : [],
    };
  }

  #wait(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        this.#wakers.delete(wake);
        signal?.removeEventListener("abort", wake);
        resolve();
      };
      this.#wakers.add(wake);
      signal?.addEventListener("abort", wake);
      if (signal?.aborted) wake();
    });
  }

  #view(found: FakeTopic): TopicView {
    return {
      topic: found.topic,
      topicId: "00000000-0000-4000-8000-000000000001",
      replicationFactor: 1,
      isInternal: found.topic.startsWith("__"),
      partitions: found.partitions.map(({ leader }, partition) => ({
        partition,
        state: leader === null ? "no leader" : "ok",
        broker: this.clusterState.brokers.find(({ id }) => id === leader)
          ?.http ?? null,
        leader,
        leaderEpoch: 3,
        replicas: leader === null ? [1] : [leader],
        isr: leader === null ? [] : [leader],
      })),
      config: Object.entries(found.config).map(([name, value]) => ({
        name,
        value,
        isDefault: false,
        documentation: "",
      } satisfies TopicConfigEntry)),
    };
  }

  readonly topics: TopicOperations = {
    create: ({ topic, partitions = 1 }) => {
      const there = this.clusterState.topics.get(topic);
      if (there !== undefined) {
        return Promise.resolve(
          there.partitions.length === partitions
            ? { status: "exists" as const }
            : new Failure(
              "TOPIC_ALREADY_EXISTS",
              `Topic "${topic}" has ${there.partitions.length} partitions.`,
            ),
        );
      }
      const { brokers } = this.clusterState;
      const leaders = Array.from(
        { length: partitions },
        (_, i) => brokers[i % brokers.length].id,
      );
      this.addTopic(topic, leaders);
      return Promise.resolve({ status: "created" as const });
    },
    list: (options) =>
      [...this.clusterState.topics.values()]
        .map((found) => this.#view(found))
        .filter((view) => options?.includeInternal || !view.isInternal)
        .sort((a, b) => a.topic < b.topic ? -1 : 1),
    describe: (topic) => Promise.resolve(this.#topic(topic)),
    health: () => {
      const topics = [...this.clusterState.topics.values()];
      const partitions = topics.flatMap((topic) => topic.partitions);
      const dead = partitions.filter(({ leader }) => leader === null).length;
      return {
        topics: topics.length,
        partitions: partitions.length,
        withoutLeader: dead,
        underMinIsr: dead,
        underReplicated: dead,
      };
    },
    alter: (topic, change) => {
      const found = this.clusterState.topics.get(topic);
      if (found !== undefined) {
        for (const [name, value] of Object.entries(change.config ?? {})) {
          found.config[name] = String(value);
        }
        while (found.partitions.length < (change.partitions ?? 0)) {
          found.partitions.push({
            leader: this.brokerId,
            logStartOffset: 0,
            records: [],
          });
        }
      }
      return Promise.resolve(this.#topic(topic));
    },
    delete: (topic) => {
      const found = this.#topic(topic);
      this.clusterState.topics.delete(topic);
      return Promise.resolve(found instanceof Failure ? found : undefined);
    },
  };

  #topic(topic: string): TopicView | Failure {
    const found = this.clusterState.topics.get(topic);
    return found === undefined
      ? new Failure(
        "UNKNOWN_TOPIC_OR_PARTITION",
        `There is no topic "${topic}".`,
      )
      : this.#view(found);
  }

  readonly schemas: SchemaOperations = {
    register: (topic, schema: Json) => {
      const subject = `${topic}-value`;
      const text = JSON.stringify(schema);
      if (text.includes("bad-schema")) {
        return Promise.resolve(
          new Failure("INVALID_RECORD", "The schema does not compile at /x."),
        );
      }
      const versions = this.clusterState.subjects.get(subject) ?? [];
      this.clusterState.subjects.set(subject, versions);
      if (!versions.includes(text)) versions.push(text);
      const version = versions.indexOf(text) + 1;
      return Promise.resolve({ id: version, subject, version });
    },
    subjects: () => [...this.clusterState.subjects.keys()].sort(),
    versions: (subject) =>
      this.clusterState.subjects.get(subject)?.map((_, i) => i + 1) ??
        new Failure("RESOURCE_NOT_FOUND", `There is no subject ${subject}.`),
    version: (subject, wanted): SchemaVersionAnswer | Failure => {
      const versions = this.clusterState.subjects.get(subject) ?? [];
      const version = wanted === "latest" ? versions.length : wanted;
      const schema = versions[version - 1];
      return schema === undefined
        ? new Failure("RESOURCE_NOT_FOUND", `There is no version ${version}.`)
        : { subject, version, id: version, schemaType: "JSON", schema };
    },
    find: (id) => Promise.resolve(this.schemas.byId(id)),
    byId: (id) => {
      for (const versions of this.clusterState.subjects.values()) {
        if (versions[id - 1] !== undefined) return { schema: versions[id - 1] };
      }
      return new Failure("RESOURCE_NOT_FOUND", `There is no schema ${id}.`);
    },
  };

  readonly cluster: ClusterOperations = {
    describe: () => ({
      clusterId: "fake",
      brokerId: this.brokerId,
      controller: 1,
      brokers: this.clusterState.brokers,
    }),
    readiness: () => [{
      name: "metadata",
      ok: this.ready,
      ...(this.ready ? {} : { detail: "The store is away" }),
    }],
    forget: (brokerId) => {
      this.forgotten.push(brokerId);
      return Promise.resolve(this.forgetFailure);
    },
    onChange: (listener) => this.clusterState.onChange(listener),
  };

  readonly balance: BalanceOperations = {
    progress: () => this.balanceAnswers.progress,
    rebalance: (request) => this.#balanceAnswer("begin", "rebalance", request),
    drain: (request) => this.#balanceAnswer("begin", "drain", request),
    undrain: (request) => this.#balanceAnswer("undrain", "undrain", request),
    cancel: () => this.#balanceAnswer("cancel", "cancel", undefined),
    copies: () => this.copies,
    reassignments: {
      alter: () => Promise.resolve(new Map()),
      list: () => Promise.resolve([]),
    },
  };

  #balanceAnswer<Name extends keyof BalanceAnswers>(
    answer: Name,
    name: string,
    request: unknown,
  ): Promise<BalanceAnswers[Name]> {
    this.balanceCalls.push({ name, request });
    return Promise.resolve(this.balanceAnswers[answer]);
  }

  readonly producers: ProducerOperations = {
    allocate: () =>
      Promise.resolve({
        producerId: this.clusterState.nextProducerId++,
        producerEpoch: 0,
      }),
  };

  #groupAnswer<Name extends keyof GroupAnswers>(
    name: Name,
    request: unknown,
  ): Promise<GroupAnswers[Name]> {
    this.groupCalls.push({ name, request });
    return Promise.resolve(this.groupAnswers[name]);
  }

  readonly groups: GroupOperations = {
    route: () => {
      const { brokers, groupCoordinator } = this.clusterState;
      const broker = brokers.find(({ id }) => id === groupCoordinator)!;
      return Promise.resolve({
        isLocal: broker.id === this.brokerId,
        broker,
        leaderEpoch: groupCoordinator,
      });
    },
    leaderEpoch: () => this.clusterState.groupCoordinator,
    list: (states) => this.#groupAnswer("list", states),
    describe: (groupId) => this.#groupAnswer("describe", groupId),
    delete: (groupId) => this.#groupAnswer("delete", groupId),
    reset: (request) => this.#groupAnswer("reset", request),
    poll: (request) => this.#groupAnswer("poll", request),
    commit: (request) => this.#groupAnswer("commit", request),
    leave: (request) => this.#groupAnswer("leave", request),
  };
}
