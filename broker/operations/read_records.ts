/**
 * From stored batches to records for a reader, within its bounds. Readers of
 * records see what is committed: they wait for the end of a transaction, and
 * what it aborted is passed over, as control batches are.
 */
import type { SkippedRun } from "../../contract/http.ts";
import {
  type BatchHeader,
  decodeRecords,
  InvalidBatchError,
  iterateBatches,
} from "../../storage/log/record_batch.ts";
import { offset } from "../../storage/log/types.ts";
import { AbortedFilter } from "./aborted_filter.ts";
import type { PartitionReplica } from "../replication/partition_replica.ts";
import type { ReadOptions, ReadResult, StoredRecord } from "./operations.ts";

/** Batches read from the log at a time. */
const CHUNK_BYTES = 256 * 1024;
/** A compressed batch may not unfold to more than this. */
const MAX_BATCH_BYTES = 128 * 1024 * 1024;
/** Bytes passed over in one go: others have their turn before the rest. */
const MAX_HIDDEN_BYTES = 4 * 1024 * 1024;

/** Bytes left out in one answer: judging them holds everybody else up. */
const MAX_SKIPPED_BYTES = 1024 * 1024;
/** What a record counts beyond its key and value, so that empty ones count. */
const RECORD_OVERHEAD_BYTES = 16;

/** Why a value does not conform; undefined: it does. */
export type Validator = (value: Uint8Array | null) => string | undefined;

export function readRecords(
  replica: PartitionReplica,
  options: ReadOptions,
  validate: Validator | undefined,
): ReadResult {
  const reading = new Reading(options, validate);
  const bound = replica.lastStableOffset;
  let filter: AbortedFilter | undefined;
  const hides = (header: BatchHeader) => {
    if (!header.isTransactional) return header.isControl;
    // Asked for only when a transaction is met: most topics have none.
    filter ??= new AbortedFilter(
      replica.log.abortedTransactions(header.baseOffset, bound),
    );
    return filter.hides(header);
  };
  let position = options.offset;
  let hiddenBytes = 0;
  while (
    !reading.isFull && position < bound && hiddenBytes < MAX_HIDDEN_BYTES
  ) {
    const slice = replica.log.read(offset(position), {
      maxBytes: Math.min(CHUNK_BYTES, options.maxBytes),
      upperBound: bound,
      minOneBatch: true,
    });
    if (slice.bytes.length === 0) break;
    for (const { header, bytes } of iterateBatches(slice.bytes)) {
      if (reading.isFull) break;
      if (hides(header)) hiddenBytes += header.sizeBytes;
      else reading.takeBatch(header, bytes);
      if (!reading.isFull) reading.nextOffset = header.lastOffset + 1;
    }
    position = reading.nextOffset;
  }
  return {
    records: reading.records,
    nextOffset: reading.nextOffset,
    logStartOffset: replica.log.logStartOffset,
    // The end for readers of what is committed.
    highWatermark: bound,
    skipped: reading.skipped,
  };
}

class Reading {
  readonly records: StoredRecord[] = [];
  readonly skipped: SkippedRun[] = [];
  nextOffset: number;
  readonly #options: ReadOptions;
  readonly #validate: Validator | undefined;
  #bytes = 0;
  #skippedBytes = 0;
  #isFull = false;

  constructor(options: ReadOptions, validate: Validator | undefined) {
    this.#options = options;
    this.#validate = validate;
    this.nextOffset = options.offset;
  }

  get isFull(): boolean {
    return this.#isFull;
  }

  /** A batch that cannot be decoded is left out, as what it is. */
  takeBatch(header: BatchHeader, bytes: Uint8Array): void {
    try {
      this.#take(decodeRecords(bytes, { maxBytes: MAX_BATCH_BYTES }));
    } catch (fault) {
      if (!(fault instanceof InvalidBatchError)) throw fault;
      this.skipped.push({
        firstOffset: Math.max(header.baseOffset, this.nextOffset),
        lastOffset: header.lastOffset,
        reason: `cannot be decoded: ${fault.message}`,
      });
    }
  }

  #take(records: readonly StoredRecord[]): void {
    for (const record of records) {
      if (record.offset < this.nextOffset) continue;
      const size = (record.key?.length ?? 0) + (record.value?.length ?? 0);
      const isOver = this.records.length >= this.#options.maxRecords ||
        (this.records.length > 0 &&
          this.#bytes + size > this.#options.maxBytes);
      if (isOver) {
        this.#isFull = true;
        return;
      }
      this.nextOffset = record.offset + 1;
      const reason = this.#validate?.(record.value);
      if (reason === undefined) {
        this.#bytes += size;
        this.records.push(record);
      } else {
        this.#skip(record.offset, reason);
        this.#skippedBytes += size + RECORD_OVERHEAD_BYTES;
        this.#isFull = this.#skippedBytes >= MAX_SKIPPED_BYTES;
        if (this.#isFull) return;
      }
    }
    if (this.records.length >= this.#options.maxRecords) this.#isFull = true;
  }

  #skip(at: number, reason: string): void {
    const last = this.skipped.at(-1);
    if (last !== undefined && last.lastOffset === at - 1) last.lastOffset = at;
    else this.skipped.push({ firstOffset: at, lastOffset: at, reason });
  }
}
