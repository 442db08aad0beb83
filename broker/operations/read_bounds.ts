/**
 * Up to where readers may read, and what they are told outside. What is appended
 * and not yet committed may become readable, so that a reader there waits: also
 * one that read further at a leader before this one (KIP-207).
 */
import { Failure } from "../../contract/errors.ts";
import type { Offset } from "../../storage/log/types.ts";
import type { PartitionReplica } from "../replication/partition_replica.ts";

/** Exclusive. */
export function readBound(
  replica: PartitionReplica,
  readCommitted: boolean,
): Offset {
  return readCommitted ? replica.lastStableOffset : replica.highWatermark;
}

/** Why nothing can ever be read from `asked` on. */
export function outOfRange(
  replica: PartitionReplica,
  asked: number,
): Failure | undefined {
  const { log, highWatermark, partition, topic } = replica;
  const earliest = log.logStartOffset;
  if (asked >= earliest && asked <= log.logEndOffset) return undefined;
  const where = `partition ${partition} of topic "${topic}"`;
  return new Failure(
    "OFFSET_OUT_OF_RANGE",
    asked < earliest
      ? `Offset ${asked} of ${where} is gone: the earliest is ${earliest}`
      : `Offset ${asked} of ${where} is not there yet: the next will be ${log.logEndOffset}`,
    { field: "offset", earliestOffset: earliest, latestOffset: highWatermark },
  );
}

/** Whether the offset is one that another leader may know of. */
export function isBeyondEnd({ log }: PartitionReplica, asked: number): boolean {
  return asked > log.logEndOffset;
}

/** Why it cannot be said where the readable records end. */
export function endNotKnown(replica: PartitionReplica): Failure | undefined {
  return replica.knowsCommitted ? undefined : new Failure(
    "OFFSET_NOT_AVAILABLE",
    `The new leader of partition ${replica.partition} of topic "${replica.topic}" does not know yet up to where its records are committed`,
    { retryAfterMs: 100 },
  );
}
