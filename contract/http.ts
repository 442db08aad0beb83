/**
 * The shapes of StreamNest's HTTP API, shared by the broker that answers and the
 * client that asks. Response fields listed here never change meaning; new ones
 * may be added. All offsets and timestamps are integers; timestamps are
 * milliseconds since the Unix epoch.
 */
import type { ErrorCode, FailureDetails } from "./errors.ts";

/** Any JSON value. */
export type Json =
  | string
  | number
  | boolean
  | null
  | Json[]
  | { [name: string]: Json };

/** Marks a forwarded request, so that stale metadata cannot loop. */
export const FORWARDED_HEADER = "streamnest-forwarded-by";
/** On a forwarded request: the host of the client that sent it. */
export const FORWARDED_FOR_HEADER = "streamnest-forwarded-for";

/** RFC 9457 problem document: the body of every answer of status >= 400. */
export interface ProblemDocument extends FailureDetails {
  type: string;
  title: string;
  status: number;
  detail: string;
  code: ErrorCode;
}

/** A header's value: text, bytes, null, or several for a repeated name. */
export type HeaderValue = SingleHeaderValue | SingleHeaderValue[];
export type SingleHeaderValue = string | null | { base64: string };
export type Headers = { [name: string]: HeaderValue };

/** A record as `POST /produce` takes it. */
export interface ProduceMessage {
  /**
   * A string is stored byte for byte, null as a null value (a tombstone),
   * any other JSON value as its compact text.
   */
  message: Json;
  /** `base64`: `message` is a string of base64, stored as the bytes. */
  encoding?: "base64";
  key?: string | null;
  keyEncoding?: "base64";
  partition?: number;
  headers?: Headers;
  /** When the record was made; the broker's clock when absent. */
  timestamp?: number;
}

/**
 * Makes a retry safe: a batch with a sequence that was stored before is
 * answered with its first offset again and is not stored twice (Kafka's
 * idempotent producer, KIP-98). Needs an explicit partition.
 */
export interface ProducerIdentity {
  producerId: number;
  producerEpoch: number;
  /** Of the first message; the next batch's is this plus the message count. */
  sequence: number;
}

/** `POST /produce`; exactly one of `message` and `messages`. */
export interface ProduceRequest extends Partial<ProduceMessage> {
  topic: string;
  /** Text elements are short for `{message: text}`. */
  messages?: (ProduceMessage | string)[];
  producer?: ProducerIdentity;
  /** Ask for a receipt per message. */
  receipt?: boolean;
  timeoutMs?: number;
}

/** Which replicas hold a record (DESIGN D4). */
export interface Receipt {
  leaderEpoch: number;
  /** Broker ids that hold the record. */
  replicas: number[];
  /** Broker ids that have it on disk (fdatasync). */
  onDisk: number[];
}

export interface ProducedMessage {
  offset: number;
  partition: number;
  timestamp: number;
  receipt?: Receipt;
}

/** The answer to a request with `message`. */
export type ProduceAnswer = ProducedMessage;

/**
 * The answer to a request with `messages`, in their order. Status 200: all are
 * stored. 207: some are not, and say why. Otherwise a problem document.
 */
export interface ProduceBatchAnswer {
  results: (ProducedMessage | ProduceMessageFault)[];
}

export interface ProduceMessageFault {
  partition: number;
  code: ErrorCode;
  detail: string;
  /** As the member of that name in a problem document. */
  mayBeStored?: boolean;
}

/** A record as `GET /consume` returns it. */
export interface ConsumedRecord {
  offset: number;
  /** The value as text; base64 when it is not valid UTF-8; null for a tombstone. */
  message: string | null;
  encoding?: "base64";
  key?: string | null;
  keyEncoding?: "base64";
  headers?: Headers;
  timestamp: number;
}

/** The answer to `GET /consume` with `max` (without it: one record, or 204). */
export interface ConsumeAnswer {
  topic: string;
  partition: number;
  records: ConsumedRecord[];
  /** Where to go on. */
  nextOffset: number;
  logStartOffset: number;
  highWatermark: number;
  /** With `validate=true`: runs of offsets left out, and why. */
  skipped?: SkippedRun[];
}

/** Records left out because they do not conform to the topic's schema. */
export interface SkippedRun {
  firstOffset: number;
  lastOffset: number;
  /** Of the first of them. */
  reason: string;
}

/** `POST /create-topic` and `POST /v1/topics`. */
export interface CreateTopicRequest {
  topic: string;
  partitions?: number;
  replicationFactor?: number;
  config?: TopicConfigInput;
}
/** Values as people write them; the broker checks them by Kafka's names. */
export type TopicConfigInput = {
  [name: string]: string | number | boolean | null;
};
export interface CreateTopicAnswer {
  status: "created" | "exists";
}

/** `GET /list-topics`: sorted by code point; internal topics left out. */
export interface ListTopicsAnswer {
  topics: string[];
}

/** `GET /metadata`. */
export interface MetadataAnswer {
  topic_partitions: {
    [topic: string]: { partitions: PartitionLocation[] };
  };
  clusterId: string;
  controller: number | null;
  brokers: BrokerDescription[];
}
export interface PartitionLocation {
  partition: number;
  state: PartitionState;
  /** `host:port` of the leader's HTTP listener; null when there is none. */
  broker: string | null;
  leader: number | null;
  leaderEpoch: number;
  replicas: number[];
  isr: number[];
  /** Not in sync, and able to lead all the same when nobody in sync lives. */
  eligible?: number[];
  /** While replicas move: those of `replicas` that are still being copied. */
  adding?: number[];
  /** Those of `replicas` that go when all that come are in sync. */
  removing?: number[];
}
/**
 * By the brokers that live, the worst that is true: nobody alive leads; fewer in
 * sync than min.insync.replicas, so that acks=all is refused; not every replica
 * in sync; replicas come or go.
 */
export type PartitionState =
  | "no leader"
  | "under min.insync.replicas"
  | "under-replicated"
  | "moving"
  | "ok";
export interface BrokerDescription {
  id: number;
  /** `host:port` of the HTTP listener. */
  http: string;
  /** `host:port` of the Kafka listener; null when there is none. */
  kafka: string | null;
  rack: string | null;
  alive: boolean;
  /** It is about to stop and hands over what it leads; only while it does. */
  leaving?: boolean;
  /** It was drained, or is being: it gets no replicas; shown by `/v1/cluster`. */
  drained?: boolean;
}

/** `GET /v1/topics`. */
export interface TopicListAnswer {
  topics: { topic: string; partitions: number; replicationFactor: number }[];
}

/** `GET /v1/topics/{topic}`. */
export interface TopicDescription {
  topic: string;
  topicId: string;
  partitions: PartitionDescription[];
  replicationFactor: number;
  config: TopicConfigEntry[];
}
export interface PartitionDescription extends PartitionLocation {
  /** null when the leader cannot be asked. */
  logStartOffset: number | null;
  highWatermark: number | null;
  logEndOffset: number | null;
  sizeBytes: number | null;
}
export interface TopicConfigEntry {
  name: string;
  value: string | null;
  isDefault: boolean;
  documentation: string;
}

/** `PATCH /v1/topics/{topic}`; null puts a setting back to its default. */
export interface AlterTopicRequest {
  config?: TopicConfigInput;
  /** The new, larger number of partitions. */
  partitions?: number;
  /** Replicas are copied or let go after the answer, see `BalanceAnswer`. */
  replicationFactor?: number;
}

/** `POST /register-schema`. */
export interface RegisterSchemaRequest {
  topic: string;
  schema: Json;
}
export interface RegisterSchemaAnswer {
  status: "schema registered";
  id: number;
  subject: string;
  version: number;
}

/** `GET /subjects/{subject}/versions/{version}`, as Confluent's registry answers. */
export interface SchemaVersionAnswer {
  subject: string;
  version: number;
  id: number;
  schemaType: "JSON";
  /** The schema as JSON text. */
  schema: string;
}

/** `GET /v1/topics/{topic}/partitions/{partition}/offsets`. */
export interface OffsetsAnswer {
  topic: string;
  partition: number;
  logStartOffset: number;
  highWatermark: number;
  logEndOffset: number;
}

/** `POST /v1/producers`: an identity for idempotent producing. */
export interface CreateProducerAnswer {
  producerId: number;
  producerEpoch: number;
}

/** `GET /v1/cluster`. */
export interface ClusterAnswer {
  clusterId: string;
  version: string;
  brokerId: number;
  controller: number | null;
  brokers: BrokerDescription[];
  topics: number;
  partitions: number;
  /** Nobody alive leads them. */
  partitionsWithoutLeader: number;
  /** Fewer replicas in sync than min.insync.replicas: acks=all is refused. */
  underMinIsrPartitions: number;
  /** Not every replica is in sync; those that are only coming do not count. */
  underReplicatedPartitions: number;
  /** What is not well with the broker that answers: it may know old facts. */
  warnings?: string[];
}

/** `GET /health/live`, `GET /health/ready` (503 while not ready). */
export interface HealthAnswer {
  status: "live" | "ready" | "not ready";
  brokerId: number;
  checks?: { name: string; ok: boolean; detail?: string }[];
}

/** Kafka's names; a group that nobody knows is `Dead`. */
export type GroupState =
  | "Empty"
  | "PreparingRebalance"
  | "CompletingRebalance"
  | "Stable"
  | "Dead";

/** Partitions of one topic. */
export interface AssignedPartitions {
  topic: string;
  partitions: number[];
}

/** `GET /v1/groups`: the groups of all brokers, sorted by name. */
export interface GroupListAnswer {
  groups: ListedGroup[];
  /** Brokers that could not be asked; their groups may be missing. */
  unreachableBrokers?: number[];
}
export interface ListedGroup {
  group: string;
  /** `consumer` for consumers; empty while only offsets are stored. */
  protocolType: string;
  state: GroupState;
}

/** `GET /v1/groups/{group}`. */
export interface GroupDescription {
  group: string;
  state: GroupState;
  protocolType: string;
  /** How partitions are assigned, such as `range`; empty while undecided. */
  protocol: string;
  generationId: number;
  /** The id of the broker that coordinates the group. */
  coordinator: number;
  members: GroupMember[];
  /** Committed or assigned partitions, sorted by topic and partition. */
  offsets: GroupPartition[];
  /** The sum over partitions where it is known. */
  totalLag: number;
}
export interface GroupMember {
  memberId: string;
  /** The name of a static member; of an HTTP member: `http-` and its name. */
  instanceId: string | null;
  clientId: string;
  clientHost: string;
  assignment: AssignedPartitions[];
}
export interface GroupPartition {
  topic: string;
  partition: number;
  /** The next offset to read; null when none is committed. */
  committedOffset: number | null;
  metadata: string;
  /** null when the leader cannot be asked. */
  logStartOffset: number | null;
  /** The high watermark: the end for readers. */
  logEndOffset: number | null;
  /** Records to read still; null when the end is not known. */
  lag: number | null;
  /** Of the member that reads it; null when nobody does. */
  memberId: string | null;
}

/**
 * `POST /v1/groups/{group}/reset`: moves the committed offsets of a group
 * without members. Exactly one of `to`, `offset` and `timestamp`.
 */
export interface ResetOffsetsRequest {
  to?: "earliest" | "latest";
  /** Must lie within every partition that it is for. */
  offset?: number;
  /** The first record of that time or later; without one, the end. */
  timestamp?: number;
  /** All topics with committed offsets when absent. */
  topic?: string;
  /** All partitions of the topic when absent. */
  partition?: number;
  /** Say what would be done, and do nothing. */
  dryRun?: boolean;
}
export interface ResetOffsetsAnswer {
  group: string;
  dryRun: boolean;
  offsets: ResetOffset[];
}
export interface ResetOffset {
  topic: string;
  partition: number;
  /** null when none was committed. */
  before: number | null;
  after: number;
}

/** What a poll does with the records that the poll before it returned. */
export type CommitMode = "auto" | "manual";

/** A record with the place it comes from. */
export interface GroupRecord extends ConsumedRecord {
  topic: string;
  partition: number;
}

/** `GET /v1/groups/{group}/records`. */
export interface GroupRecordsAnswer {
  group: string;
  member: string;
  /** `rebalancing`: the member holds nothing yet; poll again. */
  state: "stable" | "rebalancing";
  /** null while rebalancing. */
  generationId: number | null;
  /** What the member holds. */
  assignment: AssignedPartitions[];
  records: GroupRecord[];
  /**
   * Names this answer. The next poll may say `ack=<poll>`; when that is another
   * one, this answer counts as not received and its records come again.
   */
  poll: string;
  /** With `validate=true`: records left out because of the schema. */
  skipped?: (SkippedRun & { topic: string; partition: number })[];
  /** Partitions that could not be read now. */
  unavailable?: PartitionFault[];
  /** Partitions of the poll before that were lost before it was committed. */
  notCommitted?: PartitionFault[];
}
export interface PartitionFault {
  topic: string;
  partition: number;
  code: ErrorCode;
  detail: string;
}

/** `POST /v1/groups/{group}/offsets`. */
export interface CommitOffsetsRequest {
  /** Absent: from outside, for a group without members. */
  member?: string;
  /** Of the answer that the records came in; the current one when absent. */
  generationId?: number;
  /** `offset` is the next one to read: the last record's plus 1. */
  offsets: {
    topic: string;
    partition: number;
    offset: number;
    metadata?: string;
  }[];
}
export interface CommitOffsetsAnswer {
  group: string;
  committed: { topic: string; partition: number; offset: number }[];
  /** Status 207 when some are here: why they are not committed. */
  refused?: PartitionFault[];
}
