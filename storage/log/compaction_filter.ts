/**
 * What compaction keeps of one batch (NOTES 4.10): decides and encodes, touches
 * no file. Must see the batches of a log in order, from its start.
 */
import {
  BATCH_HEADER_BYTES,
  type BatchHeader,
  DELETE_HORIZON_BIT,
  InvalidBatchError,
  writeBatchHeader,
} from "./batch_header.ts";
import { compress } from "./compression.ts";
import type { OffsetMap } from "./offset_map.ts";
import { RecordBatchBuilder } from "./record_batch_builder.ts";
import { decodeRecords, type LogRecord } from "./records.ts";
import type { Offset } from "./types.ts";

const CODEC_BITS = 0x07;

export interface FilterOptions {
  latest: OffsetMap;
  /** Exclusive: what lies beyond is kept as it is. */
  end: Offset;
  nowMs: number;
  deleteRetentionMs: number;
  /** Last offsets of batches that must stay, if empty, for their producer. */
  producerOffsets: ReadonlySet<number>;
  isAborted: (header: BatchHeader) => boolean;
}

/** undefined when a client compressed what nobody can decompress. */
export function tryDecode(batch: Uint8Array): LogRecord[] | undefined {
  try {
    return decodeRecords(batch);
  } catch (error) {
    if (error instanceof InvalidBatchError) return undefined;
    throw error;
  }
}

export class CompactionFilter {
  readonly #options: FilterOptions;
  /** Producers with data kept since their last marker. */
  readonly #withData = new Set<number>();
  readonly #goneMarkers = new Set<number>();
  #recordsRemoved = 0;

  constructor(options: FilterOptions) {
    this.#options = options;
  }

  get recordsRemoved(): number {
    return this.#recordsRemoved;
  }

  /**
   * Offsets of markers that are no more. Who left out what was aborted up to
   * one of them would now leave out all that its producer wrote since.
   */
  get goneMarkers(): ReadonlySet<number> {
    return this.#goneMarkers;
  }

  /**
   * The batch as it should be: `bytes` itself when unchanged, undefined when it
   * goes. `mustStay`: if nothing is left of it, its empty shell stays.
   */
  apply(
    header: BatchHeader,
    bytes: Uint8Array,
    mustStay: boolean,
  ): Uint8Array | undefined {
    const { end, isAborted, producerOffsets } = this.#options;
    if (header.lastOffset >= end) {
      this.#noteKept(header);
      return bytes;
    }
    const stays = mustStay || producerOffsets.has(header.lastOffset);
    if (header.isControl) return this.#applyMarker(header, bytes, stays);
    if (header.recordCount === 0) return stays ? bytes : undefined;
    const records = isAborted(header) ? [] : tryDecode(bytes);
    if (records === undefined) {
      this.#noteKept(header);
      return bytes;
    }
    const isPastHorizon = this.#isPastHorizon(header);
    const kept = records.filter((record) => this.#keeps(record, isPastHorizon));
    this.#recordsRemoved += header.recordCount - kept.length;
    if (kept.length === 0) return stays ? emptyShell(header) : undefined;
    this.#noteKept(header);
    const needsHorizon = !header.hasDeleteHorizon &&
      kept.some(({ value }) => value === null);
    if (kept.length === header.recordCount && !needsHorizon) return bytes;
    return this.#encode(header, kept, needsHorizon);
  }

  /** A marker stays while its transaction has data, and the horizon long. */
  #applyMarker(
    header: BatchHeader,
    bytes: Uint8Array,
    stays: boolean,
  ): Uint8Array | undefined {
    const hasData = this.#withData.delete(header.producerId);
    if (hasData || header.recordCount === 0) return bytes;
    if (this.#isPastHorizon(header)) {
      this.#recordsRemoved += header.recordCount;
      this.#goneMarkers.add(header.lastOffset);
      return stays ? emptyShell(header) : undefined;
    }
    if (header.hasDeleteHorizon) return bytes;
    const records = tryDecode(bytes);
    return records === undefined ? bytes : this.#encode(header, records, true);
  }

  #keeps(record: LogRecord, isPastHorizon: boolean): boolean {
    if (record.key === null) return false;
    const latest = this.#options.latest.get(record.key);
    if (latest !== undefined && record.offset < latest) return false;
    return record.value !== null || !isPastHorizon;
  }

  /** With the horizon set, the base timestamp holds it (KIP-534). */
  #isPastHorizon(header: BatchHeader): boolean {
    return header.hasDeleteHorizon &&
      header.baseTimestamp <= this.#options.nowMs;
  }

  #noteKept(header: BatchHeader): void {
    if (header.isControl) this.#withData.delete(header.producerId);
    else if (header.isTransactional) this.#withData.add(header.producerId);
  }

  #encode(
    header: BatchHeader,
    records: readonly LogRecord[],
    needsHorizon: boolean,
  ): Uint8Array {
    const { nowMs, deleteRetentionMs } = this.#options;
    const baseTimestamp = needsHorizon
      ? nowMs + deleteRetentionMs
      : header.baseTimestamp;
    const builder = new RecordBatchBuilder({ initialBytes: header.sizeBytes });
    let maxTimestamp = -1;
    for (const record of records) {
      const offsetDelta = record.offset - header.baseOffset;
      builder.addAt(record, { offsetDelta, baseTimestamp });
      maxTimestamp = Math.max(maxTimestamp, record.timestampMs);
    }
    const payload = compress(header.codec, builder.takeRecords());
    const batch = new Uint8Array(BATCH_HEADER_BYTES + payload.length);
    batch.set(payload, BATCH_HEADER_BYTES);
    writeBatchHeader(batch, {
      ...header,
      attributes: header.attributes | (needsHorizon ? DELETE_HORIZON_BIT : 0),
      baseTimestamp,
      maxTimestamp: header.isLogAppendTime ? header.maxTimestamp : maxTimestamp,
      recordCount: records.length,
    });
    return batch;
  }
}

/** The header alone: offsets, epoch, producer and sequence stay known. */
function emptyShell(header: BatchHeader): Uint8Array {
  const batch = new Uint8Array(BATCH_HEADER_BYTES);
  writeBatchHeader(batch, {
    ...header,
    attributes: header.attributes & ~(CODEC_BITS | DELETE_HORIZON_BIT),
    baseTimestamp: -1,
    maxTimestamp: -1,
    recordCount: 0,
  });
  return batch;
}
