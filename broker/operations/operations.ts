/**
 * The one room behind both doors (DESIGN section 1): what a broker can do, in
 * terms of neither HTTP nor Kafka. Doors decode, call these, and encode. What
 * the protocol expects to go wrong comes back as a `Failure`, never thrown.
 *
 * Unless said otherwise an operation on a partition works on this broker only
 * and answers NOT_LEADER_OR_FOLLOWER where another one leads: the HTTP door
 * forwards then, a Kafka client asks the leader itself.
 */
import type { Failure } from "../../contract/errors.ts";
import type {
  AlterTopicRequest,
  BrokerDescription,
  CreateTopicRequest,
  Json,
  PartitionLocation,
  Receipt,
  SchemaVersionAnswer,
  SkippedRun,
  TopicConfigEntry,
} from "../../contract/http.ts";
import type { BalanceOperations } from "./balance.ts";
import type { GroupOperations } from "./group_operations.ts";

export interface RecordHeader {
  readonly name: string;
  readonly value: Uint8Array | null;
}

/** A record on its way in. */
export interface NewRecord {
  readonly key: Uint8Array | null;
  readonly value: Uint8Array | null;
  readonly headers: readonly RecordHeader[];
  /** The broker's clock when undefined. */
  readonly timestampMs: number | undefined;
}

/** A record on its way out. */
export interface StoredRecord {
  readonly offset: number;
  readonly timestampMs: number;
  readonly key: Uint8Array | null;
  readonly value: Uint8Array | null;
  readonly headers: readonly RecordHeader[];
}

export interface ProduceOptions {
  /** Longest wait for the durability that was asked for, in ms. */
  readonly timeoutMs: number;
  /** Idempotent producing: see `ProducerIdentity` of the contract. */
  readonly producer?: {
    readonly producerId: number;
    readonly producerEpoch: number;
    readonly sequence: number;
  };
}

export interface Produced {
  /** Of the first record; the others follow densely. */
  readonly baseOffset: number;
  readonly leaderEpoch: number;
  /** What records without a timestamp, or all of a LogAppendTime topic, got. */
  readonly appendTimeMs: number;
  /** True: every record has `appendTimeMs`, whatever the producer said. */
  readonly logAppendTime: boolean;
  /** Who holds the records, at the moment of the answer. */
  receipt(): Receipt;
}

export interface ReadOptions {
  readonly offset: number;
  /** At least 1. */
  readonly maxRecords: number;
  /** Soft: the first record is returned however large. */
  readonly maxBytes: number;
  /** 0 answers at once; else waits until there is a record or time is up. */
  readonly waitMs: number;
  /** Leave out what does not conform to the topic's newest schema. */
  readonly validate: boolean;
  /** Ends the wait early (the client has gone). */
  readonly signal?: AbortSignal;
}

export interface ReadResult {
  readonly records: StoredRecord[];
  readonly nextOffset: number;
  readonly logStartOffset: number;
  readonly highWatermark: number;
  readonly skipped: SkippedRun[];
}

export interface PartitionOffsets {
  readonly logStartOffset: number;
  readonly highWatermark: number;
  readonly logEndOffset: number;
  readonly sizeBytes: number;
}

/** `latest` is the high watermark; a time finds the first record at or after. */
export type OffsetQuery = "earliest" | "latest" | { timestampMs: number };

/** Where requests for a partition go. */
export interface PartitionRoute {
  readonly isLocal: boolean;
  /** The leader; `http` is its `host:port`. */
  readonly broker: BrokerDescription;
  /** Tells a leadership from the one before and the next. */
  readonly leaderEpoch: number;
}

export interface RecordOperations {
  /**
   * The partition of a record that names none: by its key, else round robin.
   * Asks the metadata store again before it calls a topic unknown.
   */
  choosePartition(
    topic: string,
    key: Uint8Array | null,
  ): number | Failure | Promise<number | Failure>;
  /** Synchronous when the topic is known (the hot path). */
  route(
    topic: string,
    partition: number,
  ): PartitionRoute | Failure | Promise<PartitionRoute | Failure>;
  /** Of a leader that lives; undefined: there is none, as far as is known. */
  leaderEpoch(topic: string, partition: number): number | undefined;
  /**
   * Checks every record without storing: what a batch over several partitions
   * needs, to store nothing when one message is bad. Undefined: all are good.
   */
  check(
    topic: string,
    records: readonly NewRecord[],
  ): Failure | undefined | Promise<Failure | undefined>;
  /** Stores all or none; resolves when they are as durable as the topic says. */
  produce(
    topic: string,
    partition: number,
    records: readonly NewRecord[],
    options: ProduceOptions,
  ): Promise<Produced | Failure>;
  read(
    topic: string,
    partition: number,
    options: ReadOptions,
  ): Promise<ReadResult | Failure>;
  /** When no record is that young: the high watermark. */
  findOffset(
    topic: string,
    partition: number,
    query: OffsetQuery,
  ): Promise<number | Failure>;
  /** OFFSET_NOT_AVAILABLE at a new leader that does not know the end yet. */
  offsets(
    topic: string,
    partition: number,
  ): Promise<PartitionOffsets | Failure>;
  /** Moves the log start offset up; answers the new one. */
  deleteRecords(
    topic: string,
    partition: number,
    beforeOffset: number | "latest",
  ): Promise<number | Failure>;
}

/** A topic as the metadata has it. */
export interface TopicView {
  readonly topic: string;
  readonly topicId: string;
  readonly replicationFactor: number;
  readonly isInternal: boolean;
  readonly partitions: readonly PartitionLocation[];
  readonly config: readonly TopicConfigEntry[];
}

/** `validateOnly`: say what would come of it, and change nothing. */
export interface ChangeOptions {
  readonly validateOnly?: boolean;
}

export interface CreateOptions extends ChangeOptions {
  /**
   * Broker ids by partition, the preferred leader first, at least one partition:
   * in place of the request's number of partitions and replicas.
   */
  readonly assignments?: readonly (readonly number[])[];
}

/** How many partitions are not well, those of the brokers' own topics included. */
export interface PartitionHealth {
  /** Without the brokers' own. */
  readonly topics: number;
  readonly partitions: number;
  /** Nobody leads them: they take and give nothing. */
  readonly withoutLeader: number;
  /** Fewer in sync than min.insync.replicas: acks=all is refused. */
  readonly underMinIsr: number;
  /** Not every replica is in sync. */
  readonly underReplicated: number;
}

export interface TopicOperations {
  /**
   * `exists`: a topic of the very same shape is there; of which a replication
   * factor that is left out is no part.
   */
  create(
    request: CreateTopicRequest,
    options?: CreateOptions,
  ): Promise<{ status: "created" | "exists" } | Failure>;
  /** Sorted by name. */
  list(options?: { includeInternal?: boolean }): TopicView[];
  describe(topic: string): Promise<TopicView | Failure>;
  health(): PartitionHealth;
  alter(
    topic: string,
    change: AlterTopicRequest,
    options?: ChangeOptions,
  ): Promise<TopicView | Failure>;
  delete(topic: string): Promise<Failure | undefined>;
}

export interface SchemaOperations {
  /** A schema equal to an earlier version answers that version's id. */
  register(
    topic: string,
    schema: Json,
  ): Promise<{ id: number; subject: string; version: number } | Failure>;
  /** Sorted. */
  subjects(): string[];
  versions(subject: string): number[] | Failure;
  version(
    subject: string,
    version: number | "latest",
  ): SchemaVersionAnswer | Failure;
  /** The schema as JSON text. */
  byId(id: number): { schema: string } | Failure;
  /** The same, after a second look at the store before an id is unknown. */
  find(id: number): Promise<{ schema: string } | Failure>;
}

export interface ClusterView {
  readonly clusterId: string;
  readonly brokerId: number;
  readonly controller: number | null;
  readonly brokers: readonly BrokerDescription[];
}

export interface ReadinessCheck {
  readonly name: string;
  readonly ok: boolean;
  readonly detail?: string;
}

export interface ClusterOperations {
  describe(): ClusterView;
  /** Takes a broker that is gone for good off the list of brokers. */
  forget(brokerId: number): Promise<Failure | undefined>;
  /** Ready when every check is ok. */
  readiness(): ReadinessCheck[];
  /** Calls whenever more is known of the cluster; returns what ends it. */
  onChange(listener: () => void): () => void;
}

export interface ProducerOperations {
  /** An id that no producer of this cluster ever had, with epoch 0. */
  allocate(): Promise<
    { producerId: number; producerEpoch: number } | Failure
  >;
}

/** Offsets of a partition that readers see. */
export interface ReadableRange {
  readonly logStartOffset: number;
  readonly highWatermark: number;
}

/**
 * The records of the whole cluster: read here where this broker leads, else
 * asked of the leader. Brought by the door, which is who can ask.
 */
export interface ClusterRecords {
  read(
    topic: string,
    partition: number,
    options: ReadOptions,
  ): Promise<ReadResult | Failure>;
  findOffset(
    topic: string,
    partition: number,
    query: OffsetQuery,
  ): Promise<number | Failure>;
  /** By partition; what no leader could be asked for is missing. */
  ranges(topic: string): Promise<ReadonlyMap<number, ReadableRange> | Failure>;
}

export interface Operations {
  readonly groups: GroupOperations;
  readonly topics: TopicOperations;
  readonly records: RecordOperations;
  readonly schemas: SchemaOperations;
  readonly cluster: ClusterOperations;
  readonly balance: BalanceOperations;
  readonly producers: ProducerOperations;
}
