/**
 * How much new replicas have fetched of what their leader holds: what a leader
 * knows of those that are being added to its partitions.
 */
import type { CopiedBytes } from "../../contract/balance.ts";
import type { Log } from "../../storage/log/log.ts";
import { offset } from "../../storage/log/types.ts";
import type { InSyncReplicas } from "../replication/in_sync_replicas.ts";

export interface CopyProgress extends CopiedBytes {
  readonly topic: string;
  readonly partition: number;
}

/** Of a replica here, what its progress follows from. */
export interface CopiedReplica {
  readonly topic: string;
  readonly partition: number;
  readonly log: Pick<Log, "sizeBytes" | "logStartOffset" | "bytesFrom">;
  /** Undefined: it does not lead. */
  readonly inSync: Pick<InSyncReplicas, "state" | "safeEndOf"> | undefined;
}

/** Of the partitions that this broker leads. */
export function copyProgress(
  replicas: Iterable<CopiedReplica>,
): CopyProgress[] {
  const progress: CopyProgress[] = [];
  for (const { topic, partition, log, inSync } of replicas) {
    if (inSync === undefined) continue;
    const { adding = [], isr } = inSync.state;
    const coming = adding.filter((id) => !isr.includes(id));
    if (coming.length === 0) continue;
    const left = coming.map((id) =>
      log.bytesFrom(offset(inSync.safeEndOf(id) ?? log.logStartOffset))
    );
    progress.push({
      topic,
      partition,
      bytesToCopy: log.sizeBytes * coming.length,
      bytesLeft: left.reduce((sum, bytes) => sum + bytes, 0),
    });
  }
  return progress;
}
