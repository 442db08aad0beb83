/** Which replicas hold what was produced (DESIGN D4), as their leader knows it. */
import type { Receipt } from "../../contract/http.ts";
import type { PartitionReplica } from "../replication/partition_replica.ts";

/**
 * A follower tells how far it is as safe as the topic's level says: on disk where
 * every append is flushed before it counts, in its page cache otherwise.
 */
export function receiptOf(
  replica: PartitionReplica,
  brokerId: number,
  appended: {
    readonly leaderEpoch: number;
    /** Exclusive. */
    readonly endOffset: number;
  },
): Receipt {
  const { leaderEpoch, endOffset } = appended;
  const { following, inSync, log, settings } = replica;
  // Who leads no more was told of this by who leads now, and knows of no other.
  const others = inSync === undefined
    ? following === undefined ? [] : [following.leader]
    : inSync.state.replicas.filter((id) =>
      id !== brokerId && (inSync.safeEndOf(id) ?? -1) >= endOffset
    );
  const isFlushed = settings.flushMessages === 1;
  const onDisk = [
    ...(log.flushedOffset >= endOffset ? [brokerId] : []),
    ...(isFlushed ? others : []),
  ];
  return {
    leaderEpoch,
    replicas: [brokerId, ...others].sort((a, b) => a - b),
    onDisk: onDisk.sort((a, b) => a - b),
  };
}
