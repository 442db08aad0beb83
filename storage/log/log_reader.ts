/**
 * Reads a log: slices of stored bytes by offset, and lookups by time and by
 * transaction. It changes nothing and decodes only where an answer is inside a
 * batch.
 */
import {
  BATCH_HEADER_BYTES,
  InvalidBatchError,
  readBatchHeader,
} from "./batch_header.ts";
import type { BatchScanner, ScannedBatch } from "./batch_scanner.ts";
import type { LogCore } from "./log_core.ts";
import { decodeRecords } from "./records.ts";
import type { Segment } from "./segment.ts";
import { type LeaderEpoch, type Offset, offset } from "./types.ts";

/** Most bytes of one read, whatever is asked, but for a single larger batch. */
export const MAX_READ_BYTES = 32 * 1024 * 1024;
/** Read along with what is asked, to reach it from the last index entry. */
const SLACK_BYTES = 8 * 1024;

export interface ReadOptions {
  /** At least one batch comes even if it is larger, with `minOneBatch`. */
  maxBytes: number;
  /** Exclusive: no batch that begins or ends beyond it. */
  upperBound: Offset;
  minOneBatch: boolean;
  /** Where the batches are read to; new memory where it is not told. */
  allocate?: (sizeBytes: number) => Uint8Array;
}

export interface ReadResult {
  /** Whole batches, as stored. */
  bytes: Uint8Array;
  /** Where the next read goes on; what was asked when nothing was found. */
  nextOffset: Offset;
}

export interface TimedOffset {
  offset: Offset;
  timestampMs: number;
  leaderEpoch: LeaderEpoch;
}

const NOTHING = new Uint8Array(0);

export class LogReader {
  readonly #core: LogCore;

  constructor(core: LogCore) {
    this.#core = core;
  }

  /** Reads nothing for it: within a segment it takes batches for evenly large. */
  bytesFrom(from: Offset): number {
    let bytes = 0;
    for (const { baseOffset, nextOffset, sizeBytes } of this.#core.segments) {
      if (nextOffset <= from || sizeBytes === 0) continue;
      const first = Math.max(from, baseOffset);
      bytes += sizeBytes * (nextOffset - first) / (nextOffset - baseOffset);
    }
    return Math.round(bytes);
  }

  read(from: Offset, options: ReadOptions): ReadResult {
    const { segments } = this.#core;
    const upperBound = Math.min(options.upperBound, this.#core.logEndOffset);
    let index = Math.max(0, this.#core.segmentIndex(from));
    for (; index < segments.length && from < upperBound; index++) {
      const segment = segments[index];
      if (segment.baseOffset >= upperBound) break;
      if (segment.nextOffset <= from || segment.sizeBytes === 0) continue;
      const result = this.#readSegment(segment, from, {
        ...options,
        upperBound: offset(upperBound),
      });
      // Beyond the last batch of a compacted segment the next one goes on.
      if (result !== "after segment") return result;
    }
    return { bytes: NOTHING, nextOffset: from };
  }

  /** The first record at or after `timestampMs`, readable and below the bound. */
  findByTimestamp(
    timestampMs: number,
    upperBound: Offset,
  ): TimedOffset | undefined {
    for (const segment of this.#core.segments) {
      if (segment.baseOffset >= upperBound) return undefined;
      if (segment.nextOffset <= this.#core.logStartOffset) continue;
      const max = segment.maxTimestamp;
      if (max === undefined || max.timestampMs < timestampMs) continue;
      const start = segment.timeIndex.lastBelow(timestampMs)?.offset ??
        segment.baseOffset;
      const scanner = segment.scanFrom(start);
      for (const batch of scanner) {
        if (batch.header.baseOffset >= upperBound) return undefined;
        if (batch.header.maxTimestamp < timestampMs) continue;
        const found = this.#firstInBatch(
          scanner.bytesOf(batch),
          batch,
          (time) => time >= timestampMs,
          upperBound,
        );
        if (found !== undefined) return found;
      }
      this.#assertNoFault(segment, scanner);
    }
    return undefined;
  }

  /** The first record with the largest timestamp below the bound. */
  maxTimestamp(upperBound: Offset): TimedOffset | undefined {
    let best:
      | { segment: Segment; timestampMs: number; offset: Offset }
      | undefined;
    for (const segment of this.#core.segments) {
      if (segment.baseOffset >= upperBound) break;
      const max = segment.nextOffset <= upperBound
        ? segment.maxTimestamp
        : this.#maxBelow(segment, upperBound);
      if (
        max !== undefined &&
        (best === undefined || max.timestampMs > best.timestampMs)
      ) best = { segment, ...max };
    }
    if (best === undefined) return undefined;
    const scanner = best.segment.scanFrom(best.offset);
    for (const batch of scanner) {
      if (batch.header.baseOffset < best.offset) continue;
      const { timestampMs } = best;
      return this.#firstInBatch(
        scanner.bytesOf(batch),
        batch,
        (time) => time >= timestampMs,
        upperBound,
      );
    }
    return undefined;
  }

  /** Those that touch [from, upperBound), by first offset (NOTES 4.9). */
  abortedTransactions(
    from: Offset,
    upperBound: Offset,
  ): { producerId: number; firstOffset: Offset }[] {
    const found: { producerId: number; firstOffset: Offset }[] = [];
    const { segments } = this.#core;
    const first = Math.max(0, this.#core.segmentIndex(from));
    for (let index = first; index < segments.length; index++) {
      let isPast = false;
      for (const entry of segments[index].aborted.endingFrom(from)) {
        const { producerId, firstOffset, lastStableOffset } = entry;
        if (firstOffset < upperBound) found.push({ producerId, firstOffset });
        // Whatever ends later began at or after this, hence beyond the bound.
        if (lastStableOffset >= upperBound) isPast = true;
      }
      if (isPast) break;
    }
    return found.sort((one, other) => one.firstOffset - other.firstOffset);
  }

  #readSegment(
    segment: Segment,
    from: Offset,
    options: ReadOptions,
  ): ReadResult | "after segment" {
    const first = this.#seek(segment, from);
    if (first === undefined) return "after segment";
    const nothing = { bytes: NOTHING, nextOffset: from };
    if (first.header.lastOffset >= options.upperBound) return nothing;
    const wanted = Math.min(Math.max(0, options.maxBytes), MAX_READ_BYTES);
    if (first.header.sizeBytes > wanted && !options.minOneBatch) return nothing;
    const sizeBytes = Math.min(
      Math.max(wanted, first.header.sizeBytes),
      segment.sizeBytes - first.position,
    );
    const buffer = options.allocate?.(sizeBytes) ?? new Uint8Array(sizeBytes);
    const count = segment.file().readAt(buffer, first.position);
    let end = 0;
    let nextOffset: number = from;
    while (count - end >= BATCH_HEADER_BYTES) {
      const header = this.#headerAt(segment, buffer, first.position, end);
      if (end + header.sizeBytes > count) break;
      if (header.lastOffset >= options.upperBound) break;
      end += header.sizeBytes;
      nextOffset = header.lastOffset + 1;
    }
    if (end === 0) return nothing;
    return { bytes: buffer.subarray(0, end), nextOffset: offset(nextOffset) };
  }

  /** The first batch of a segment that ends at or after `from`. */
  #seek(segment: Segment, from: Offset): ScannedBatch | undefined {
    const scanner = segment.scanFrom(from, SLACK_BYTES);
    for (const batch of scanner) {
      if (batch.header.lastOffset >= from) return batch;
    }
    this.#assertNoFault(segment, scanner);
    return undefined;
  }

  #headerAt(
    segment: Segment,
    buffer: Uint8Array,
    position: number,
    at: number,
  ): ReturnType<typeof readBatchHeader> {
    try {
      return readBatchHeader(buffer, at);
    } catch (error) {
      if (!(error instanceof InvalidBatchError)) throw error;
      throw this.#core.corrupt(segment, error.message, position + at);
    }
  }

  #maxBelow(
    segment: Segment,
    upperBound: Offset,
  ): { timestampMs: number; offset: Offset } | undefined {
    let best: { timestampMs: number; offset: Offset } | undefined;
    for (const { header } of segment.scan({ from: 0, verify: false })) {
      if (header.lastOffset >= upperBound) break;
      if (
        header.maxTimestamp >= 0 &&
        (best === undefined || header.maxTimestamp > best.timestampMs)
      ) {
        best = { timestampMs: header.maxTimestamp, offset: header.baseOffset };
      }
    }
    return best;
  }

  #firstInBatch(
    bytes: Uint8Array,
    { header }: ScannedBatch,
    matches: (timestampMs: number) => boolean,
    upperBound: Offset,
  ): TimedOffset | undefined {
    const { leaderEpoch } = header;
    let records;
    try {
      records = decodeRecords(bytes);
    } catch (error) {
      if (!(error instanceof InvalidBatchError)) throw error;
      // A client compressed what nobody can decompress: the batch must do.
      return {
        offset: header.baseOffset,
        timestampMs: header.maxTimestamp,
        leaderEpoch,
      };
    }
    const record = records.find((record) =>
      record.offset >= this.#core.logStartOffset && matches(record.timestampMs)
    );
    if (record === undefined || record.offset >= upperBound) return undefined;
    const { offset, timestampMs } = record;
    return { offset, timestampMs, leaderEpoch };
  }

  #assertNoFault(segment: Segment, scanner: BatchScanner): void {
    if (scanner.fault === undefined) return;
    throw this.#core.corrupt(segment, scanner.fault, scanner.position);
  }
}
