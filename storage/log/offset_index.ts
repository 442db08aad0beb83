/**
 * `.index`: where in the segment a batch begins, one entry per
 * `indexIntervalBytes`. Entry: int32 base offset of the batch relative to the
 * segment's, int32 position.
 */
import { readInt32, writeInt32 } from "./bytes.ts";
import type { OpenFiles } from "./open_files.ts";
import { SparseIndex } from "./sparse_index.ts";
import { type Offset, offset, type Position, position } from "./types.ts";

const ENTRY_BYTES = 8;

export interface OffsetEntry {
  offset: Offset;
  position: Position;
}

export class OffsetIndex {
  readonly file: SparseIndex;
  readonly #baseOffset: Offset;

  constructor(files: OpenFiles, path: string, baseOffset: Offset) {
    this.file = new SparseIndex(files, path, ENTRY_BYTES);
    this.#baseOffset = baseOffset;
  }

  append(entry: OffsetEntry): void {
    const bytes = new Uint8Array(ENTRY_BYTES);
    writeInt32(bytes, 0, entry.offset - this.#baseOffset);
    writeInt32(bytes, 4, entry.position);
    this.file.append(bytes);
  }

  /** The last entry at or below `target`. */
  floor(target: Offset): OffsetEntry | undefined {
    const relative = target - this.#baseOffset;
    const count = this.file.partitionPoint((entry) =>
      readInt32(entry, 0) <= relative
    );
    return count === 0 ? undefined : this.#read(count - 1);
  }

  last(): OffsetEntry | undefined {
    const { length } = this.file;
    return length === 0 ? undefined : this.#read(length - 1);
  }

  #read(index: number): OffsetEntry {
    const entry = this.file.entry(index);
    return {
      offset: offset(this.#baseOffset + readInt32(entry, 0)),
      position: position(readInt32(entry, 4)),
    };
  }

  /** Entries for positions before `end`. */
  countBelow(end: number): number {
    return this.file.partitionPoint((entry) => readInt32(entry, 4) < end);
  }
}
