/**
 * Appends batches to a log: decides about producers, assigns offsets, writes,
 * and only then records. A failed write leaves the log as it was. It never looks
 * into a batch beyond its header, but for markers of transactions.
 */
import { invariant } from "../assert.ts";
import {
  type BatchHeader,
  InvalidBatchError,
  iterateBatches,
  readBatchHeader,
  stampBatch,
  verifyBatchCrc,
} from "./batch_header.ts";
import { MAX_SEGMENT_BYTES } from "./log_config.ts";
import type { LogCore } from "./log_core.ts";
import type { LogFlusher } from "./log_flusher.ts";
import type { Marker, ProducerRejection } from "./producer_state.ts";
import { readControlRecord } from "./records.ts";
import type { Segment } from "./segment.ts";
import { type LeaderEpoch, type Offset, offset } from "./types.ts";

/** From this size on a batch is written by itself, without being copied. */
const DIRECT_WRITE_BYTES = 64 * 1024;
const MAX_RELATIVE_OFFSET = 2 ** 31 - 1;

export interface AppendInfo {
  baseOffset: Offset;
  /** Inclusive. */
  lastOffset: Offset;
  maxTimestamp: number;
  /** -1 unless the batch has LogAppendTime. */
  appendTimeMs: number;
}

/** What became of one batch of an append. */
export type AppendOutcome =
  | { kind: "appended" } & AppendInfo
  /** It had been appended before, with these offsets; nothing was written. */
  | { kind: "duplicate" } & AppendInfo
  /** The producer's state forbids it; nothing was written. */
  | ProducerRejection;

interface PlannedBatch {
  header: BatchHeader;
  bytes: Uint8Array;
  marker: Marker | undefined;
}

interface PlannedWrite {
  segment: Segment;
  isNew: boolean;
  batches: PlannedBatch[];
}

export class LogAppender {
  readonly #core: LogCore;
  readonly #flusher: LogFlusher;

  constructor(core: LogCore, flusher: LogFlusher) {
    this.#core = core;
    this.#flusher = flusher;
  }

  /** The leader's append: dense offsets from the log's end on. */
  append(
    batches: readonly Uint8Array[],
    options: { leaderEpoch: LeaderEpoch; nowMs: number },
  ): AppendOutcome[] {
    const core = this.#core;
    core.assertWritable();
    const { leaderEpoch, nowMs } = options;
    const outcomes: AppendOutcome[] = [];
    const planned: PlannedBatch[] = [];
    let next = core.logEndOffset;
    for (const bytes of batches) {
      const header = readBatchHeader(bytes);
      invariant(
        header.sizeBytes === bytes.length,
        "append takes whole batches",
      );
      const marker = header.isControl ? readControlRecord(bytes) : undefined;
      const verdict = core.producers.check(header, marker);
      if (verdict.kind !== "append") {
        outcomes.push(
          verdict.kind === "rejected"
            ? verdict
            : { ...verdict, maxTimestamp: header.maxTimestamp },
        );
        continue;
      }
      header.baseOffset = next;
      header.lastOffset = offset(next + header.lastOffsetDelta);
      header.leaderEpoch = leaderEpoch;
      stampBatch(bytes, next, leaderEpoch);
      // Later batches of the same call must see this one.
      if (header.producerId >= 0 && batches.length > 1) {
        core.producers.update(header, marker, nowMs);
      }
      planned.push({ header, bytes, marker });
      outcomes.push(appended(header));
      next = offset(header.lastOffset + 1);
    }
    core.producers.rollback();
    this.#write(planned, nowMs);
    return outcomes;
  }

  /**
   * The follower's append: whole batches with offsets and epochs, as the leader
   * has them.
   *
   * @throws InvalidBatchError when the bytes are not such batches; nothing is
   * written then.
   */
  appendReplicated(bytes: Uint8Array, nowMs: number): void {
    const core = this.#core;
    core.assertWritable();
    const planned: PlannedBatch[] = [];
    let next = core.logEndOffset;
    let epoch = core.epochs.latestBelow(next);
    for (const { header, bytes: batch } of iterateBatches(bytes)) {
      if (!verifyBatchCrc(batch)) {
        throw new InvalidBatchError(
          `The record batch at offset ${header.baseOffset} does not match its CRC`,
        );
      }
      if (header.baseOffset < next) {
        throw new InvalidBatchError(
          `The record batch at offset ${header.baseOffset} is behind the end of the log, ${next}`,
        );
      }
      if (header.leaderEpoch < epoch) {
        throw new InvalidBatchError(
          `The record batch at offset ${header.baseOffset} is of leader epoch ${header.leaderEpoch}, older than ${epoch} before it`,
        );
      }
      const marker = header.isControl ? readControlRecord(batch) : undefined;
      planned.push({ header, bytes: batch, marker });
      next = offset(header.lastOffset + 1);
      epoch = header.leaderEpoch;
    }
    core.epochs.truncateFromEnd(core.logEndOffset);
    this.#write(planned, nowMs);
  }

  /** Closes the active segment when it holds anything. */
  roll(nowMs: number): void {
    const core = this.#core;
    core.assertWritable();
    if (core.active === undefined || core.active.sizeBytes === 0) return;
    core.nowMs = nowMs;
    if (!core.checkpoints.exists) this.#flusher.checkpointNow();
    const segment = core.newSegment(core.logEndOffset, nowMs);
    segment.create();
    core.addSegment(segment);
    this.#flusher.flushIfMuch();
  }

  #write(planned: readonly PlannedBatch[], nowMs: number): void {
    if (planned.length === 0) return;
    const core = this.#core;
    core.nowMs = nowMs;
    core.ensureDirectory();
    const writes = this.#plan(planned);
    this.#checkpointBeforeSecondSegment(writes);
    this.#perform(writes);
    for (const { segment, isNew, batches } of writes) {
      if (isNew) core.addSegment(segment);
      for (const { header, marker } of batches) {
        core.noteBatch(header);
        if (header.producerId >= 0) {
          core.noteProducer(header, marker, nowMs, segment);
        }
      }
    }
    core.producers.commit();
    this.#flusher.flushIfMuch();
  }

  /**
   * Without a checkpoint, recovery takes a log for one that never had more than
   * its first segment.
   */
  #checkpointBeforeSecondSegment(writes: readonly PlannedWrite[]): void {
    const core = this.#core;
    const count = core.segments.length +
      writes.filter(({ isNew }) => isNew).length;
    if (count > 1 && !core.checkpoints.exists) this.#flusher.checkpointNow();
  }

  /** Which batches go to which segment. */
  #plan(planned: readonly PlannedBatch[]): PlannedWrite[] {
    const core = this.#core;
    const writes: PlannedWrite[] = [];
    let segment = core.active;
    let end: Offset = core.logEndOffset;
    let sizeBytes = segment?.sizeBytes ?? 0;
    let firstTimestampMs = segment?.firstTimestampMs;
    for (const batch of planned) {
      const { header } = batch;
      if (
        segment === undefined ||
        (sizeBytes > 0 &&
          this.#mustRoll(segment, sizeBytes, firstTimestampMs, header))
      ) {
        // Named after the end of what is before, even over a gap, so that
        // recovery can tell a gap from a lost tail.
        segment = core.newSegment(end, core.nowMs);
        sizeBytes = 0;
        writes.push({ segment, isNew: true, batches: [] });
      } else if (writes.length === 0) {
        writes.push({ segment, isNew: false, batches: [] });
      }
      if (header.lastOffset - segment.baseOffset > MAX_RELATIVE_OFFSET) {
        throw new InvalidBatchError(
          `The record batch at offset ${header.baseOffset} is too far from the start of the segment, ${segment.baseOffset}`,
        );
      }
      if (sizeBytes === 0) firstTimestampMs = header.maxTimestamp;
      sizeBytes += header.sizeBytes;
      end = offset(header.lastOffset + 1);
      writes.at(-1)!.batches.push(batch);
    }
    return writes;
  }

  #mustRoll(
    segment: Segment,
    sizeBytes: number,
    firstTimestampMs: number | undefined,
    header: BatchHeader,
  ): boolean {
    const { segmentBytes, segmentMs } = this.#core.config;
    const limit = Math.min(segmentBytes, MAX_SEGMENT_BYTES);
    if (sizeBytes + header.sizeBytes > limit) return true;
    if (header.lastOffset - segment.baseOffset > MAX_RELATIVE_OFFSET) {
      return true;
    }
    return firstTimestampMs !== undefined && firstTimestampMs >= 0 &&
      header.maxTimestamp - firstTimestampMs > segmentMs;
  }

  /** Writes all or, after a failure, nothing. */
  #perform(writes: readonly PlannedWrite[]): void {
    const core = this.#core;
    const flush = () => this.#flusher.flushDataNow();
    let begun = 0;
    try {
      for (const { segment, isNew, batches } of writes) {
        begun++;
        if (isNew) segment.create();
        let end = isNew ? 0 : segment.sizeBytes;
        for (const bytes of gather(batches)) {
          segment.write(bytes, end, flush);
          end += bytes.length;
        }
      }
    } catch (error) {
      this.#undo(writes.slice(0, begun), error);
      throw core.failure ?? error;
    }
  }

  #undo(writes: readonly PlannedWrite[], cause: unknown): void {
    try {
      for (const { segment, isNew } of writes) {
        if (isNew) segment.remove();
        else segment.cutFile(segment.sizeBytes);
      }
    } catch {
      // Bytes that nobody acknowledged may follow the end of the log.
      this.#core.goOffline(cause);
    }
  }
}

function appended(header: BatchHeader): AppendOutcome {
  return {
    kind: "appended",
    baseOffset: header.baseOffset,
    lastOffset: header.lastOffset,
    maxTimestamp: header.maxTimestamp,
    appendTimeMs: header.isLogAppendTime ? header.maxTimestamp : -1,
  };
}

/** The bytes to write, small batches copied together. */
function* gather(batches: readonly PlannedBatch[]): Generator<Uint8Array> {
  let index = 0;
  while (index < batches.length) {
    const first = index;
    let sizeBytes = 0;
    while (
      index < batches.length &&
      batches[index].bytes.length < DIRECT_WRITE_BYTES
    ) sizeBytes += batches[index++].bytes.length;
    if (index - first === 1) {
      yield batches[first].bytes;
    } else if (index > first) {
      const joined = new Uint8Array(sizeBytes);
      let at = 0;
      for (const { bytes } of batches.slice(first, index)) {
        joined.set(bytes, at);
        at += bytes.length;
      }
      yield joined;
    }
    if (index < batches.length) yield batches[index++].bytes;
  }
}
