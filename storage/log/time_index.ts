/**
 * `.timeindex`: the largest timestamp so far. Entry: int64 timestamp, int32 base
 * offset of the batch that has it, relative to the segment's. No batch up to the
 * one with which the entry was added has a larger timestamp.
 */
import { readInt32, readInt64, writeInt32, writeInt64 } from "./bytes.ts";
import type { OpenFiles } from "./open_files.ts";
import { SparseIndex } from "./sparse_index.ts";
import { type Offset, offset } from "./types.ts";

const ENTRY_BYTES = 12;

export interface TimeEntry {
  timestampMs: number;
  offset: Offset;
}

export class TimeIndex {
  readonly file: SparseIndex;
  readonly #baseOffset: Offset;

  constructor(files: OpenFiles, path: string, baseOffset: Offset) {
    this.file = new SparseIndex(files, path, ENTRY_BYTES);
    this.#baseOffset = baseOffset;
  }

  /** Does nothing when the timestamp is not larger than the last entry's. */
  append(entry: TimeEntry): void {
    const last = this.last();
    if (last !== undefined && entry.timestampMs <= last.timestampMs) return;
    const bytes = new Uint8Array(ENTRY_BYTES);
    writeInt64(bytes, 0, entry.timestampMs);
    writeInt32(bytes, 8, entry.offset - this.#baseOffset);
    this.file.append(bytes);
  }

  last(): TimeEntry | undefined {
    const { length } = this.file;
    return length === 0 ? undefined : this.#read(length - 1);
  }

  /** The last entry with a timestamp below `timestampMs`. */
  lastBelow(timestampMs: number): TimeEntry | undefined {
    const count = this.file.partitionPoint((entry) =>
      readInt64(entry, 0) < timestampMs
    );
    return count === 0 ? undefined : this.#read(count - 1);
  }

  /** Entries for batches before `end`. */
  countBelow(end: Offset): number {
    const relative = end - this.#baseOffset;
    return this.file.partitionPoint((entry) => readInt32(entry, 8) < relative);
  }

  #read(index: number): TimeEntry {
    const entry = this.file.entry(index);
    return {
      timestampMs: readInt64(entry, 0),
      offset: offset(this.#baseOffset + readInt32(entry, 8)),
    };
  }
}
