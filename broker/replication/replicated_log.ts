/**
 * What a follower does to its log with what its leader answered: append, cut
 * what differs, start over. Owns the order of these; refuses to know who asks
 * (`replica_fetcher.ts`) and when it is flushed.
 */
import type { Log } from "../../storage/log/log.ts";
import { type Offset, offset } from "../../storage/log/types.ts";
import type { FetchAnswer } from "./fetch_source.ts";
import { divergencePoint } from "./in_sync_rules.ts";

export interface Applied {
  /** Highest offset up to which this replica knows records to be committed. */
  readonly highWatermark: Offset;
  /** Bytes that were appended. */
  readonly appendedBytes: number;
  /** Where the log was cut, when it was. */
  readonly truncatedTo: Offset | undefined;
}

/**
 * `highWatermark` is what the replica knew before.
 *
 * @throws StorageError, and InvalidBatchError for bytes that are no batches or do
 * not follow the log's end: nothing is appended then.
 */
export function applyFetched(
  log: Log,
  answer: Exclude<FetchAnswer, { kind: "refused" }>,
  { highWatermark, nowMs }: { highWatermark: Offset; nowMs: number },
): Applied {
  if (answer.kind !== "records") {
    const end = cutPoint(log, answer);
    if (answer.kind === "outOfRange" && end > log.logEndOffset) {
      log.truncateFullyAndStartAt(end);
      return { highWatermark: end, appendedBytes: 0, truncatedTo: end };
    }
    if (end < log.logStartOffset) log.truncateFullyAndStartAt(end);
    else log.truncateTo(end);
    const { logEndOffset } = log;
    return {
      highWatermark: lower(highWatermark, logEndOffset),
      appendedBytes: 0,
      truncatedTo: logEndOffset,
    };
  }
  if (answer.bytes.length > 0) log.appendReplicated(answer.bytes, nowMs);
  const known = Math.max(
    highWatermark,
    Math.min(answer.highWatermark, log.logEndOffset),
  );
  const start = Math.min(answer.logStartOffset, known);
  if (start > log.logStartOffset) log.advanceLogStart(offset(start));
  return {
    highWatermark: offset(known),
    appendedBytes: answer.bytes.length,
    truncatedTo: undefined,
  };
}

function cutPoint(
  log: Log,
  answer: Exclude<FetchAnswer, { kind: "refused" | "records" }>,
): Offset {
  if (answer.kind === "outOfRange") {
    const isBehind = log.logEndOffset < answer.logStartOffset;
    return offset(isBehind ? answer.logStartOffset : answer.logEndOffset);
  }
  const own = answer.epoch < 0
    ? undefined
    : log.epochEndOffset(answer.epoch as never);
  return offset(divergencePoint({
    ownEndOfEpoch: own?.endOffset,
    leaderEndOffset: answer.endOffset,
    logStart: log.logStartOffset,
  }));
}

function lower(one: Offset, other: Offset): Offset {
  return one < other ? one : other;
}
