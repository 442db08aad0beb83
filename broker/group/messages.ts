/**
 * What the group coordinator is asked and answers, close to the fields of
 * Kafka's messages but of no version: the door knows versions. Each request
 * concerns one group, since groups of one Kafka request may have several
 * coordinators; the door splits and joins.
 */
import type { ErrorCode } from "../../contract/errors.ts";

/** Null is Kafka's NONE. */
export type ErrorOrNone = ErrorCode | null;

export interface JoinProtocol {
  readonly name: string;
  readonly metadata: Uint8Array;
}

export interface JoinGroupRequest {
  readonly groupId: string;
  /** "" when the member has no id yet. */
  readonly memberId: string;
  readonly groupInstanceId: string | null;
  readonly clientId: string;
  readonly clientHost: string;
  readonly protocolType: string;
  /** In the member's order of preference. */
  readonly protocols: readonly JoinProtocol[];
  /** Below 0 (version 0 has none): as the session timeout. */
  readonly rebalanceTimeoutMs: number;
  readonly sessionTimeoutMs: number;
  /** The id to give the member when it has none: `newMemberId()`. */
  readonly newMemberId: string;
  /** Version 4 and later: an id is handed out before the member joins. */
  readonly requiresMemberId: boolean;
  /** Version 9 and later. */
  readonly knowsSkipAssignment: boolean;
}

export interface JoinedMember {
  readonly memberId: string;
  readonly groupInstanceId: string | null;
  readonly metadata: Uint8Array;
}

export interface JoinGroupResponse {
  readonly error: ErrorOrNone;
  /** -1 with an error. */
  readonly generationId: number;
  readonly protocolType: string | null;
  readonly protocolName: string | null;
  /** Member id of the leader; "" with an error. */
  readonly leader: string;
  readonly skipAssignment: boolean;
  readonly memberId: string;
  /** For the leader all members; for others none. */
  readonly members: readonly JoinedMember[];
}

export interface SyncGroupRequest {
  readonly groupId: string;
  readonly generationId: number;
  readonly memberId: string;
  readonly groupInstanceId: string | null;
  /** Null when the version has no such field: not compared. */
  readonly protocolType: string | null;
  readonly protocolName: string | null;
  readonly assignments: readonly {
    readonly memberId: string;
    readonly assignment: Uint8Array;
  }[];
}

export interface SyncGroupResponse {
  readonly error: ErrorOrNone;
  readonly protocolType: string | null;
  readonly protocolName: string | null;
  readonly assignment: Uint8Array;
}

export interface HeartbeatRequest {
  readonly groupId: string;
  readonly generationId: number;
  readonly memberId: string;
  readonly groupInstanceId: string | null;
}

export interface HeartbeatResponse {
  readonly error: ErrorOrNone;
}

export interface LeavingMember {
  /** "" with an instance id: whoever holds the instance id (an admin's call). */
  readonly memberId: string;
  readonly groupInstanceId: string | null;
}

export interface LeaveGroupRequest {
  readonly groupId: string;
  readonly members: readonly LeavingMember[];
}

export interface LeaveGroupResponse {
  readonly error: ErrorOrNone;
  readonly members:
    readonly (LeavingMember & { readonly error: ErrorOrNone })[];
}

export interface CommittedPartition {
  readonly partition: number;
  readonly offset: number;
  /** -1 when unknown. */
  readonly leaderEpoch: number;
  readonly metadata: string | null;
}

export interface OffsetCommitRequest {
  readonly groupId: string;
  /** Below 0, with an empty member id: a commit from outside the group. */
  readonly generationId: number;
  readonly memberId: string;
  readonly groupInstanceId: string | null;
  /** -1: the broker's retention (versions 2 to 4 may say otherwise). */
  readonly retentionTimeMs: number;
  readonly topics: readonly {
    readonly topic: string;
    readonly partitions: readonly CommittedPartition[];
  }[];
}

export interface OffsetCommitResponse {
  readonly topics: readonly {
    readonly topic: string;
    readonly partitions: readonly {
      readonly partition: number;
      readonly error: ErrorOrNone;
    }[];
  }[];
}

export interface TxnOffsetCommitRequest extends OffsetCommitRequest {
  readonly producerId: number;
  readonly producerEpoch: number;
}

export interface OffsetFetchRequest {
  readonly groupId: string;
  /** Null: every partition with a committed offset. */
  readonly topics:
    | readonly {
      readonly topic: string;
      readonly partitions: readonly number[];
    }[]
    | null;
  /** Refuse offsets that an open transaction may change. */
  readonly requireStable: boolean;
}

export interface FetchedOffset {
  readonly partition: number;
  /** -1 when none is committed. */
  readonly offset: number;
  readonly leaderEpoch: number;
  readonly metadata: string;
  readonly error: ErrorOrNone;
}

export interface OffsetFetchResponse {
  readonly error: ErrorOrNone;
  readonly topics: readonly {
    readonly topic: string;
    readonly partitions: readonly FetchedOffset[];
  }[];
}

export type GroupStateName =
  | "Empty"
  | "PreparingRebalance"
  | "CompletingRebalance"
  | "Stable"
  | "Dead";

export interface DescribedMember {
  readonly memberId: string;
  readonly groupInstanceId: string | null;
  readonly clientId: string;
  readonly clientHost: string;
  /** Its subscription under the chosen protocol; empty while none is chosen. */
  readonly metadata: Uint8Array;
  readonly assignment: Uint8Array;
}

export interface DescribeGroupResponse {
  readonly error: ErrorOrNone;
  /** Dead for a group that does not exist, as Kafka has it. */
  readonly state: GroupStateName;
  readonly protocolType: string;
  readonly protocol: string;
  readonly generationId: number;
  readonly members: readonly DescribedMember[];
}

export interface ListGroupsResponse {
  readonly error: ErrorOrNone;
  readonly groups: readonly {
    readonly groupId: string;
    readonly protocolType: string;
    readonly state: GroupStateName;
  }[];
}

export interface OffsetDeleteRequest {
  readonly groupId: string;
  readonly topics: readonly {
    readonly topic: string;
    readonly partitions: readonly number[];
  }[];
}

export interface OffsetDeleteResponse extends OffsetCommitResponse {
  readonly error: ErrorOrNone;
}

/** Requests and responses by name. A type, not an interface: it is indexed. */
export type GroupApi = {
  joinGroup: { request: JoinGroupRequest; response: JoinGroupResponse };
  syncGroup: { request: SyncGroupRequest; response: SyncGroupResponse };
  heartbeat: { request: HeartbeatRequest; response: HeartbeatResponse };
  leaveGroup: { request: LeaveGroupRequest; response: LeaveGroupResponse };
  offsetCommit: {
    request: OffsetCommitRequest;
    response: OffsetCommitResponse;
  };
  txnOffsetCommit: {
    request: TxnOffsetCommitRequest;
    response: OffsetCommitResponse;
  };
  offsetFetch: { request: OffsetFetchRequest; response: OffsetFetchResponse };
  describeGroup: {
    request: { readonly groupId: string };
    response: DescribeGroupResponse;
  };
  /** An empty list of states means all. */
  listGroups: {
    request: { readonly states: readonly string[] };
    response: ListGroupsResponse;
  };
  deleteGroup: {
    request: { readonly groupId: string };
    response: { readonly error: ErrorOrNone };
  };
  offsetDelete: {
    request: OffsetDeleteRequest;
    response: OffsetDeleteResponse;
  };
};

/** What the coordinator is told without being asked. */
export type GroupNotice =
  /** A transaction's end is committed in this partition of the log. */
  | {
    readonly type: "transactionEnded";
    readonly producerId: number;
    readonly committed: boolean;
  }
  | { readonly type: "topicDeleted"; readonly topic: string };

/**
 * The id for a member that has none; unique through `uuid`, telling through the
 * name of the client or of the instance.
 */
export function newMemberId(
  clientId: string,
  groupInstanceId: string | null,
  uuid: string,
): string {
  return `${groupInstanceId ?? clientId}-${uuid}`;
}
