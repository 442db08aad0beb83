/**
 * `.txnindex`: the aborted transactions whose marker is in this segment, in the
 * order of their markers. Entry (Kafka's): int16 version 0, int64 producerId,
 * int64 firstOffset, int64 lastOffset (the marker's), int64 lastStableOffset.
 */
import { readInt64, writeInt64 } from "./bytes.ts";
import type { OpenFiles } from "./open_files.ts";
import { SparseIndex } from "./sparse_index.ts";
import type { Offset } from "./types.ts";

const ENTRY_BYTES = 34;

export interface AbortedTransaction {
  producerId: number;
  firstOffset: Offset;
  /** Of the marker, inclusive. */
  lastOffset: Offset;
  /** Of the log once the transaction had ended. */
  lastStableOffset: Offset;
}

export class AbortedIndex {
  readonly #files: OpenFiles;
  #file: SparseIndex;

  constructor(files: OpenFiles, path: string) {
    this.#files = files;
    this.#file = new SparseIndex(files, path, ENTRY_BYTES);
  }

  get file(): SparseIndex {
    return this.#file;
  }

  append(entry: AbortedTransaction): void {
    this.file.append(encode(entry));
  }

  /**
   * Forgets those whose marker, by its offset, is one of `markers`: all or none,
   * and durably. The others are on the disk already.
   *
   * @throws StorageError when nothing is forgotten.
   */
  forget(markers: ReadonlySet<number>): void {
    const all = [...this.endingFrom(0 as Offset)];
    const kept = all.filter(({ lastOffset }) => !markers.has(lastOffset));
    if (kept.length === all.length) return;
    const { path } = this.file;
    const bytes = new Uint8Array(kept.length * ENTRY_BYTES);
    kept.forEach((entry, i) => bytes.set(encode(entry), i * ENTRY_BYTES));
    this.#files.fileSystem.writeFileAtomic(path, bytes);
    // What is open is the file that was there before.
    this.#files.close(path);
    this.#file = new SparseIndex(this.#files, path, ENTRY_BYTES);
  }

  /** Those whose marker is at or after `from`. */
  *endingFrom(from: Offset): Generator<AbortedTransaction> {
    let index = this.file.partitionPoint((entry) =>
      readInt64(entry, 18) < from
    );
    for (; index < this.file.length; index++) {
      const entry = this.file.entry(index);
      yield {
        producerId: readInt64(entry, 2),
        firstOffset: readInt64(entry, 10) as Offset,
        lastOffset: readInt64(entry, 18) as Offset,
        lastStableOffset: readInt64(entry, 26) as Offset,
      };
    }
  }

  /** Transactions whose marker is before `end`. */
  countBelow(end: Offset): number {
    return this.file.partitionPoint((entry) => readInt64(entry, 18) < end);
  }
}

function encode(entry: AbortedTransaction): Uint8Array {
  const bytes = new Uint8Array(ENTRY_BYTES);
  writeInt64(bytes, 2, entry.producerId);
  writeInt64(bytes, 10, entry.firstOffset);
  writeInt64(bytes, 18, entry.lastOffset);
  writeInt64(bytes, 26, entry.lastStableOffset);
  return bytes;
}
