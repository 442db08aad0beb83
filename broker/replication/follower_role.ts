/**
 * A replica while it follows a leader, in one leader epoch: where it asks from,
 * and what an answer does to its log. Owns truncation (KIP-101, KIP-279 in the
 * form of KIP-595) and the high watermark that it learns; refuses to know how
 * answers get here.
 */
import { StorageError } from "../../storage/error.ts";
import {
  InvalidBatchError,
  readBatchHeader,
} from "../../storage/log/record_batch.ts";
import {
  type LeaderEpoch,
  leaderEpoch,
  offset,
} from "../../storage/log/types.ts";
import type { ErrorCode } from "../../contract/errors.ts";
import type { FetchAnswer } from "./fetch_source.ts";
import { truncationPoint } from "./in_sync_rules.ts";
import type { ReplicaParts } from "./replica_parts.ts";
import type { SafeEnd } from "./safe_end.ts";

/** The leader that a follower follows, in one epoch. */
export interface Following {
  readonly leader: number;
  readonly leaderEpoch: LeaderEpoch;
}

/** Where a follower asks from. */
export interface FetchPosition {
  readonly fetchOffset: number;
  /** -1: it has no record. */
  readonly lastFetchedEpoch: number;
  readonly logStartOffset: number;
}

/** What an answer did. */
export type Applied =
  | { readonly kind: "appended"; readonly sizeBytes: number }
  /** The log differed from the leader's, and does not any more. */
  | { readonly kind: "truncated" }
  | { readonly kind: "nothing" }
  /** It belongs to another epoch than this replica follows in now. */
  | { readonly kind: "stale" }
  /** The leader refused, or the disk did; ask again later. */
  | { readonly kind: "failed"; readonly code: ErrorCode };

export class FollowerRole implements Following {
  readonly leader: number;
  readonly leaderEpoch: LeaderEpoch;
  readonly #parts: ReplicaParts;
  readonly #safeEnd: SafeEnd;
  /** As the leader said last; -1: not yet. */
  #leaderHighWatermark = -1;

  constructor(options: {
    parts: ReplicaParts;
    safeEnd: SafeEnd;
    leader: number;
    leaderEpoch: LeaderEpoch;
  }) {
    this.leader = options.leader;
    this.leaderEpoch = options.leaderEpoch;
    this.#parts = options.parts;
    this.#safeEnd = options.safeEnd;
  }

  /**
   * Undefined: not all that the log holds is as safe as its level wants, which
   * is what asking from its end would say; or the disk failed or is full.
   */
  position(): FetchPosition | undefined {
    const { log, isFull } = this.#parts;
    const isSafe = this.#safeEnd.value >= log.logEndOffset;
    if (log.isOffline || isFull || !isSafe) return undefined;
    return {
      fetchOffset: log.logEndOffset,
      lastFetchedEpoch: log.lastRecordEpoch,
      logStartOffset: log.logStartOffset,
    };
  }

  /** A log that is offline learns nothing more: nobody need wait for that. */
  lookAtDisk(): void {
    const { log, highWatermark } = this.#parts;
    if (log.isOffline) highWatermark.fail(this.#parts.offline());
  }

  /** Does to the log what the leader's answer means. */
  apply(answer: FetchAnswer): Applied {
    try {
      const applied = this.#apply(answer);
      this.#parts.assertOrder();
      return applied;
    } catch (fault) {
      return this.#failure(fault);
    }
  }

  /** What the leader said is known to be safe here, up to the own safe end. */
  learnHighWatermark(): void {
    const { highWatermark, log } = this.#parts;
    const learned = Math.max(
      log.logStartOffset,
      Math.min(this.#leaderHighWatermark, this.#safeEnd.value),
    );
    if (learned > highWatermark.value) {
      highWatermark.advanceTo(offset(learned));
    }
  }

  #apply(answer: FetchAnswer): Applied {
    switch (answer.kind) {
      case "records":
        return this.#append(answer);
      case "diverged":
        return this.#truncate(answer.epoch, answer.endOffset);
      case "outOfRange":
        return this.#enterRange(answer);
      case "refused":
        return { kind: "failed", code: answer.code };
    }
  }

  #append(answer: FetchAnswer & { kind: "records" }): Applied {
    const { log, highWatermark } = this.#parts;
    const { bytes } = answer;
    if (bytes.length > 0) {
      this.#parts.prepare();
      this.#beginInside(bytes);
      log.appendReplicated(bytes, this.#parts.environment.clock.nowMs());
      this.#parts.noteWritten();
    }
    this.#leaderHighWatermark = answer.highWatermark;
    this.learnHighWatermark();
    if (answer.isSettled) highWatermark.failCutOff(this.#parts.gone());
    this.#followLogStart(answer.logStartOffset);
    return bytes.length > 0
      ? { kind: "appended", sizeBytes: bytes.length }
      : { kind: "nothing" };
  }

  /**
   * A log that is empty asks from the leader's log start, which may lie inside
   * a batch: batches are whole, so it begins where that one does.
   */
  #beginInside(bytes: Uint8Array): void {
    const { log } = this.#parts;
    if (log.logStartOffset < log.logEndOffset) return;
    const { baseOffset, lastOffset } = readBatchHeader(bytes);
    if (baseOffset >= log.logEndOffset || lastOffset < log.logEndOffset) return;
    this.#startOver(baseOffset);
  }

  /** Records below the leader's log start are gone for good, where durable. */
  #followLogStart(leaderLogStart: number): void {
    const { log, highWatermark } = this.#parts;
    const start = Math.min(leaderLogStart, highWatermark.value);
    if (start > log.logStartOffset) log.advanceLogStart(offset(start));
  }

  #truncate(epoch: number, endOffset: number): Applied {
    const { log } = this.#parts;
    const ownEnd = log.epochEndOffset(leaderEpoch(epoch))?.endOffset ??
      log.logEndOffset;
    return this.#cut(truncationPoint(ownEnd, endOffset));
  }

  #enterRange(
    { logStartOffset, logEndOffset }: FetchAnswer & { kind: "outOfRange" },
  ): Applied {
    const { log } = this.#parts;
    const hasNothing = log.logEndOffset < logStartOffset ||
      log.logStartOffset > logEndOffset;
    if (!hasNothing) return this.#cut(logEndOffset);
    this.#parts.prepare();
    this.#startOver(logStartOffset);
    return { kind: "truncated" };
  }

  #cut(end: number): Applied {
    const { log, highWatermark } = this.#parts;
    // The leader and this log agree, and yet it refused: nothing to act upon.
    if (end >= log.logEndOffset) {
      return { kind: "failed", code: "OFFSET_OUT_OF_RANGE" };
    }
    this.#say("A replica's log is cut where it differs from its leader's", end);
    log.truncateTo(offset(Math.max(end, log.logStartOffset)));
    // Gone from here, for good: the cut is on the disk. But another in-sync
    // replica may hold the same, and lead before this leader has heard of it.
    highWatermark.cutTo(log.logEndOffset);
    return { kind: "truncated" };
  }

  #startOver(start: number): void {
    const { log, highWatermark } = this.#parts;
    if (log.logStartOffset < log.logEndOffset) {
      this.#say("A replica's log begins anew where its leader's begins", start);
    }
    log.truncateFullyAndStartAt(offset(start));
    // What was here may have been committed, and deleted by age, in between.
    highWatermark.fail(this.#parts.notLeader());
    highWatermark.reset(offset(start));
  }

  #say(message: string, to: number): void {
    const { log, topic, partition, highWatermark, logger } = this.#parts;
    const fields = {
      topic,
      partition,
      leader: this.leader,
      leaderEpoch: this.leaderEpoch,
      from: log.logEndOffset,
      to,
      highWatermark: highWatermark.value,
    };
    if (to >= highWatermark.value) return logger.info(message, fields);
    logger.error("A replica gives up records that were committed", fields);
  }

  #failure(fault: unknown): Applied {
    if (fault instanceof InvalidBatchError) {
      const { topic, partition, logger } = this.#parts;
      logger.error("A leader sent what does not fit to its follower's log", {
        topic,
        partition,
        leader: this.leader,
        cause: fault.message,
      });
      return { kind: "failed", code: "CORRUPT_MESSAGE" };
    }
    if (!(fault instanceof StorageError)) throw fault;
    this.#parts.noteBroken(fault);
    this.lookAtDisk();
    return { kind: "failed", code: "KAFKA_STORAGE_ERROR" };
  }
}
