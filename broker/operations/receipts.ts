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
  const { inSync, log, settings } = replica;
  const followers = (inSync?.state.replicas ?? []).filter((id) =>
    id !== brokerId && (inSync?.safeEndOf(id) ?? -1) >= endOffset
  );
  const isFlushed = settings.flushMessages === 1;
  const onDisk = [
    ...(log.flushedOffset >= endOffset ? [brokerId] : []),
    ...(isFlushed ? followers : []),
  ];
  return {
    leaderEpoch,
    replicas: [brokerId, ...followers].sort((a, b) => a - b),
    onDisk: onDisk.sort((a, b) => a - b),
  };
}
