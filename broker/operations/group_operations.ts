/**
 * What a broker can do for consumer groups whose clients do not speak Kafka's
 * protocol: a part of `operations.ts`, under the same terms.
 */
import type { Failure } from "../../contract/errors.ts";
import type {
  AssignedPartitions,
  BrokerDescription,
  CommitMode,
  GroupDescription,
  GroupState,
  ListedGroup,
  PartitionFault,
  ResetOffset,
  SkippedRun,
} from "../../contract/http.ts";
import type {
  ClusterRecords,
  OffsetQuery,
  StoredRecord,
} from "./operations.ts";

/** Where requests for a group go. */
export interface GroupRoute {
  readonly isLocal: boolean;
  /** The coordinator. */
  readonly broker: BrokerDescription;
  /** Tells its term of office from the one before and the next. */
  readonly leaderEpoch: number;
}

/** Where a reset goes; an offset must lie within each partition. */
export type ResetTarget = OffsetQuery | { readonly offset: number };

export interface ResetRequest {
  readonly groupId: string;
  readonly target: ResetTarget;
  /** Undefined: every topic with committed offsets. */
  readonly topic: string | undefined;
  /** Undefined: every partition of the topic. */
  readonly partition: number | undefined;
  readonly dryRun: boolean;
}

/** One poll of a group's member. */
export interface GroupPollRequest {
  readonly groupId: string;
  /** The client's name for itself, unique in the group. */
  readonly member: string;
  readonly clientHost: string;
  /** Distinct, at least one. */
  readonly topics: readonly string[];
  readonly maxRecords: number;
  /** Soft: the first record is returned however large. */
  readonly maxBytes: number;
  readonly waitMs: number;
  readonly commit: CommitMode;
  /** Where to begin in a partition without a committed offset. */
  readonly autoOffsetReset: "earliest" | "latest";
  /** Counts when the member joins. */
  readonly sessionTimeoutMs: number;
  readonly validate: boolean;
  /**
   * The `poll` of the last answer that was received; "none" for a client that
   * starts anew. Undefined: the last answer was received, whichever it was.
   */
  readonly ack: string | undefined;
  /** Ends the wait early. */
  readonly signal?: AbortSignal;
}

export interface GroupPoll {
  readonly state: "stable" | "rebalancing";
  readonly generationId: number | null;
  readonly assignment: readonly AssignedPartitions[];
  readonly records: readonly PlacedRecord[];
  readonly poll: string;
  readonly skipped: readonly (SkippedRun & Place)[];
  readonly unavailable: readonly PartitionFault[];
  readonly notCommitted: readonly PartitionFault[];
  /** The client did not get it: its records are to come again. */
  undelivered(): void;
}

export interface Place {
  readonly topic: string;
  readonly partition: number;
}

export interface PlacedRecord extends Place {
  readonly record: StoredRecord;
}

export interface NewOffset extends Place {
  /** The next one to read. */
  readonly offset: number;
  readonly metadata: string | null;
}

export interface GroupCommitRequest {
  readonly groupId: string;
  /** Undefined: from outside, for a group without members. */
  readonly member: string | undefined;
  /** Undefined: the current one. */
  readonly generationId: number | undefined;
  readonly offsets: readonly NewOffset[];
}

export interface GroupLeaveRequest {
  readonly groupId: string;
  readonly member: string;
  /** When it is the last answer, its records are committed before. */
  readonly ack: string | undefined;
}

/**
 * Consumer groups, for clients that do not speak Kafka's protocol. All but
 * `route` and `list` work beside the group's coordinator only, and answer
 * NOT_COORDINATOR elsewhere.
 */
export interface GroupOperations {
  route(groupId: string): Promise<GroupRoute | Failure>;
  /** Of a coordinator that lives; undefined: there is none that is known. */
  leaderEpoch(groupId: string): number | undefined;
  /** The groups that this broker coordinates; no states: all. */
  list(states: readonly GroupState[]): Promise<ListedGroup[] | Failure>;
  describe(
    groupId: string,
    records: ClusterRecords,
  ): Promise<GroupDescription | Failure>;
  delete(groupId: string): Promise<Failure | undefined>;
  /** Moves committed offsets; NON_EMPTY_GROUP while the group has members. */
  reset(
    request: ResetRequest,
    records: ClusterRecords,
  ): Promise<ResetOffset[] | Failure>;
  /** Joins when needed, commits the poll before, reads. */
  poll(
    request: GroupPollRequest,
    records: ClusterRecords,
  ): Promise<GroupPoll | Failure>;
  /** Which offsets were refused, and why; none: all are committed. */
  commit(request: GroupCommitRequest): Promise<PartitionFault[] | Failure>;
  /** Gives up the member's place at once; one that has none is no failure. */
  leave(request: GroupLeaveRequest): Promise<Failure | undefined>;
}
