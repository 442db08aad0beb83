/**
 * The records of `__consumer_offsets` as plain objects, field by field as
 * Kafka's OffsetCommitKey/Value and GroupMetadataKey/Value. Bytes are the
 * codec's business. A null value is a tombstone.
 */

/** Key version 1 (0 reads the same). */
export interface OffsetCommitKey {
  readonly type: "offsetCommit";
  readonly group: string;
  readonly topic: string;
  readonly partition: number;
}

/** Written as value version 3; as 1 when `expireTimestamp` is not -1. */
export interface OffsetCommitValue {
  readonly offset: number;
  /** -1 when unknown. */
  readonly leaderEpoch: number;
  readonly metadata: string;
  /** Milliseconds since the Unix epoch. */
  readonly commitTimestamp: number;
  /** -1: the broker's retention applies. */
  readonly expireTimestamp: number;
}

/** Key version 2. */
export interface GroupMetadataKey {
  readonly type: "groupMetadata";
  readonly group: string;
}

export interface GroupMemberValue {
  readonly memberId: string;
  readonly groupInstanceId: string | null;
  readonly clientId: string;
  readonly clientHost: string;
  readonly rebalanceTimeout: number;
  readonly sessionTimeout: number;
  readonly subscription: Uint8Array;
  readonly assignment: Uint8Array;
}

/** Written as value version 3. */
export interface GroupMetadataValue {
  readonly protocolType: string;
  readonly generation: number;
  readonly protocol: string | null;
  readonly leader: string | null;
  /** Milliseconds since the Unix epoch; -1 in records older than version 2. */
  readonly currentStateTimestamp: number;
  readonly members: readonly GroupMemberValue[];
}

export type GroupRecord =
  | { readonly key: OffsetCommitKey; readonly value: OffsetCommitValue | null }
  | {
    readonly key: GroupMetadataKey;
    readonly value: GroupMetadataValue | null;
  };
