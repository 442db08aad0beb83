/**
 * Commits of offsets as the wire has them, for OffsetCommit and TxnOffsetCommit.
 * An offset that no log can have (int64 beyond the safe integers) is refused by
 * itself; the rest of its request goes on.
 */
import type {
  CommittedPartition,
  OffsetCommitRequest,
  OffsetCommitResponse,
} from "../../group/messages.ts";
import { kafkaCode } from "../answers.ts";

interface WireTopic {
  readonly name: string;
  readonly partitions: readonly WirePartition[];
}

interface WirePartition {
  readonly partitionIndex: number;
  /** Saturated: see `int64Saturated`. */
  readonly committedOffset: number;
  readonly committedLeaderEpoch: number;
  readonly committedMetadata: string | null;
}

export interface CommitRead {
  readonly topics: OffsetCommitRequest["topics"];
  readonly refused: ReadonlySet<WirePartition>;
}

export function readCommit(wire: readonly WireTopic[]): CommitRead {
  const refused = new Set<WirePartition>();
  const topics = wire.map(({ name, partitions }) => ({
    topic: name,
    partitions: partitions.flatMap((one): CommittedPartition[] => {
      if (Math.abs(one.committedOffset) >= Number.MAX_SAFE_INTEGER) {
        refused.add(one);
        return [];
      }
      return [{
        partition: one.partitionIndex,
        offset: one.committedOffset,
        leaderEpoch: one.committedLeaderEpoch,
        metadata: one.committedMetadata,
      }];
    }),
  }));
  return { topics, refused };
}

/** In the order of the request, which the coordinator's answer keeps. */
export function commitAnswer(
  wire: readonly WireTopic[],
  refused: CommitRead["refused"],
  committed: OffsetCommitResponse,
) {
  return {
    topics: wire.map(({ name, partitions }, topicIndex) => {
      const outcomes = committed.topics[topicIndex].partitions;
      let next = 0;
      return {
        name,
        partitions: partitions.map((one) => {
          const error = refused.has(one)
            ? "INVALID_COMMIT_OFFSET_SIZE"
            : outcomes[next++].error;
          return {
            partitionIndex: one.partitionIndex,
            errorCode: kafkaCode(error ?? undefined),
          };
        }),
      };
    }),
  };
}
