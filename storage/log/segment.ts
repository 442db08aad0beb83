/**
 * One segment of a log: a file of batches with its three indexes, named after
 * the first offset it may hold. It owns what is in these files and what of it is
 * not yet on the disk; it assigns no offsets and does not know its neighbours.
 */
import type { FileHandle } from "../file_system.ts";
import { CorruptLogError } from "../error.ts";
import { AbortedIndex } from "./aborted_index.ts";
import type { BatchHeader } from "./batch_header.ts";
import { BatchScanner } from "./batch_scanner.ts";
import { OffsetIndex } from "./offset_index.ts";
import type { OpenFiles } from "./open_files.ts";
import type { SparseIndex } from "./sparse_index.ts";
import { type TimeEntry, TimeIndex } from "./time_index.ts";
import { type Offset, offset, position } from "./types.ts";

export const OFFSET_DIGITS = 20;
export const SEGMENT_SUFFIXES = [
  ".log",
  ".index",
  ".timeindex",
  ".txnindex",
] as const;

/** `directory/00000000000000000042`, to which the suffixes are added. */
export function segmentPath(directory: string, baseOffset: number): string {
  return `${directory}/${String(baseOffset).padStart(OFFSET_DIGITS, "0")}`;
}

export interface SegmentOptions {
  files: OpenFiles;
  directory: string;
  baseOffset: Offset;
  indexIntervalBytes: number;
  /** Wall clock, for the age of segments whose records have no time. */
  createdMs: number;
}

export class Segment {
  readonly baseOffset: Offset;
  readonly createdMs: number;
  /** Bytes of good batches; the file may be longer after a failed write. */
  sizeBytes = 0;
  /** Exclusive end: the offset after the last batch. */
  nextOffset: Offset;
  readonly #files: OpenFiles;
  readonly #pathPrefix: string;
  readonly #indexIntervalBytes: number;
  #bytesSinceIndex = 0;
  #index: OffsetIndex | undefined;
  #timeIndex: TimeIndex | undefined;
  #aborted: AbortedIndex | undefined;
  /** undefined: not read from the time index yet. */
  #maxTimestamp: TimeEntry | undefined;
  /** What the time index was told last. */
  #notedTimestamp: TimeEntry | undefined;
  #firstTimestampMs: number | undefined;
  #writes = 0;
  /** How many of the writes are known to be on the disk. */
  #syncedWrites = 0;
  #isPinned = false;
  #isRemoved = false;

  constructor(options: SegmentOptions) {
    this.#files = options.files;
    this.baseOffset = options.baseOffset;
    this.nextOffset = options.baseOffset;
    this.createdMs = options.createdMs;
    this.#indexIntervalBytes = options.indexIntervalBytes;
    this.#pathPrefix = segmentPath(options.directory, options.baseOffset);
  }

  get path(): string {
    return `${this.#pathPrefix}.log`;
  }

  get isDirty(): boolean {
    return this.#writes > this.#syncedWrites;
  }

  get isRemoved(): boolean {
    return this.#isRemoved;
  }

  get index(): OffsetIndex {
    return this.#index ??= new OffsetIndex(
      this.#files,
      `${this.#pathPrefix}.index`,
      this.baseOffset,
    );
  }

  get timeIndex(): TimeIndex {
    return this.#timeIndex ??= new TimeIndex(
      this.#files,
      `${this.#pathPrefix}.timeindex`,
      this.baseOffset,
    );
  }

  get aborted(): AbortedIndex {
    return this.#aborted ??= new AbortedIndex(
      this.#files,
      `${this.#pathPrefix}.txnindex`,
    );
  }

  /** The largest timestamp; undefined when no record has one. */
  get maxTimestamp(): TimeEntry | undefined {
    if (this.#maxTimestamp === undefined && this.sizeBytes > 0) {
      if (this.index.file.length === 0) this.rebuildIndexes();
      this.#maxTimestamp = this.timeIndex.last();
    }
    return this.#maxTimestamp;
  }

  /** The largest timestamp of the first batch; undefined when empty. */
  get firstTimestampMs(): number | undefined {
    if (this.#firstTimestampMs === undefined && this.sizeBytes > 0) {
      const first = this.scan({ from: 0, verify: false }).next();
      this.#firstTimestampMs = first?.header.maxTimestamp;
    }
    return this.#firstTimestampMs;
  }

  file(): FileHandle {
    return this.#files.open(this.path);
  }

  /** Makes the file, which must not hold anything of worth. */
  create(): void {
    const handle = this.#files.open(this.path, { create: true });
    if (handle.sizeBytes > 0) handle.truncate(0);
  }

  /**
   * Writes batches after `end`, which is not below `sizeBytes`. What they are is
   * recorded by `note`. A write that fails may leave bytes behind `end`: undo it
   * with `cutFile`.
   *
   * @param flush syncs this segment when the pool of open files is under pressure.
   */
  write(bytes: Uint8Array, end: number, flush: () => void): void {
    const handle = this.file();
    // What recovery found unsynced is not pinned: no handle of ours wrote it.
    if (!this.#isPinned) this.#files.pin(this.path, flush);
    this.#isPinned = true;
    this.#writes++;
    handle.writeAt(bytes, end);
  }

  /** What is in the file may be in the page cache only. */
  markUnsynced(): void {
    this.#writes++;
  }

  /** Takes the batch that begins at the current end into account. */
  note(header: BatchHeader): void {
    const at = position(this.sizeBytes);
    const { baseOffset, maxTimestamp } = header;
    if (at === 0) this.#firstTimestampMs = maxTimestamp;
    const max = this.#maxTimestamp;
    if (
      maxTimestamp >= 0 && (max === undefined || maxTimestamp > max.timestampMs)
    ) {
      this.#maxTimestamp = { timestampMs: maxTimestamp, offset: baseOffset };
    }
    if (
      this.#bytesSinceIndex >= this.#indexIntervalBytes ||
      this.index.file.length === 0
    ) {
      this.index.append({ offset: baseOffset, position: at });
      this.noteMaxTimestamp();
      this.#bytesSinceIndex = 0;
    }
    this.#bytesSinceIndex += header.sizeBytes;
    this.sizeBytes = at + header.sizeBytes;
    this.nextOffset = offset(header.lastOffset + 1);
  }

  /** Brings the time index up to the end of the segment. */
  noteMaxTimestamp(): void {
    const max = this.#maxTimestamp;
    // Most batches bring no larger one: the index would look into its file.
    if (max === undefined || max === this.#notedTimestamp) return;
    this.timeIndex.append(max);
    this.#notedTimestamp = max;
  }

  /** Makes the file end at `sizeBytes`, whatever was recorded. */
  cutFile(sizeBytes: number): void {
    this.file().truncate(sizeBytes);
  }

  /** Removes all batches at or after `end`, which begins at `endPosition`. */
  truncateTo(end: Offset, endPosition: number): void {
    this.cutFile(endPosition);
    this.index.file.truncate(this.index.countBelow(endPosition));
    this.timeIndex.file.truncate(this.timeIndex.countBelow(end));
    this.aborted.file.truncate(this.aborted.countBelow(end));
    this.resume(end, endPosition);
  }

  /**
   * Takes over a file that is good up to `sizeBytes` and whose indexes hold
   * nothing beyond it. Reads only what follows the last index entry.
   */
  resume(nextOffset: Offset, sizeBytes: number): void {
    const last = this.index.last();
    const from = last?.position ?? 0;
    this.#maxTimestamp = this.timeIndex.last();
    this.#firstTimestampMs = undefined;
    const first = this.scan({ from, to: sizeBytes, verify: false }).peek();
    if (last !== undefined && first?.header.baseOffset !== last.offset) {
      this.rebuildIndexes(sizeBytes);
    } else {
      this.#noteAll(from, sizeBytes);
    }
    this.nextOffset = nextOffset;
  }

  /** Takes over a closed segment without reading it. */
  adopt(nextOffset: Offset, sizeBytes: number): void {
    this.nextOffset = nextOffset;
    this.sizeBytes = sizeBytes;
  }

  /** Reads all headers again and makes the offset and time indexes anew. */
  rebuildIndexes(sizeBytes: number = this.sizeBytes): void {
    const { nextOffset } = this;
    this.index.file.truncate(0);
    this.timeIndex.file.truncate(0);
    this.#maxTimestamp = undefined;
    this.#noteAll(0, sizeBytes);
    this.noteMaxTimestamp();
    this.nextOffset = nextOffset;
  }

  #noteAll(from: number, to: number): void {
    this.sizeBytes = from;
    this.nextOffset = this.baseOffset;
    this.#bytesSinceIndex = 0;
    const scanner = this.scan({ from, to, verify: false });
    for (const { header } of scanner) this.note(header);
    this.sizeBytes = to;
    if (scanner.fault !== undefined) {
      throw this.#corrupt(scanner.fault, scanner.position);
    }
  }

  /** Batches from a position of a batch to the end. */
  scan(
    options: {
      from: number;
      to?: number;
      verify: boolean;
      chunkBytes?: number;
    },
  ): BatchScanner {
    return new BatchScanner({
      file: () => this.file(),
      to: this.sizeBytes,
      ...options,
    });
  }

  /**
   * Batches from the last indexed one at or below `target`. An index that does
   * not point at a batch is made anew.
   */
  scanFrom(target: Offset, chunkBytes?: number): BatchScanner {
    if (this.sizeBytes > 0 && this.index.file.length === 0) {
      this.rebuildIndexes();
    }
    const entry = this.index.floor(target);
    if (entry === undefined) {
      return this.scan({ from: 0, verify: false, chunkBytes });
    }
    const from = entry.position;
    const scanner = this.scan({ from, verify: false, chunkBytes });
    if (scanner.peek()?.header.baseOffset === entry.offset) return scanner;
    this.rebuildIndexes();
    return this.scan({
      from: this.index.floor(target)?.position ?? 0,
      verify: false,
      chunkBytes,
    });
  }

  /** fdatasync of the batches written up to now. */
  async sync(): Promise<void> {
    const writes = this.#writes;
    await this.file().syncData();
    this.#synced(writes);
  }

  syncNow(): void {
    this.file().syncDataSync();
    this.#synced(this.#writes);
  }

  /** True while index entries are not known to be on the disk. */
  get indexesNeedSync(): boolean {
    return this.#indexFiles().some((file) => file.needsSync);
  }

  /** Writes the indexes and waits for the disk. */
  async syncIndexes(): Promise<void> {
    await Promise.all(this.#indexFiles().map((file) => file.sync()));
  }

  syncIndexesNow(): void {
    for (const file of this.#indexFiles()) file.syncNow();
  }

  /** Removes the files; batches first, so that no index is left to mislead. */
  remove(): void {
    this.#isRemoved = true;
    this.#synced(this.#writes);
    for (const suffix of SEGMENT_SUFFIXES) {
      const path = this.#pathPrefix + suffix;
      this.#files.close(path);
      this.#files.fileSystem.remove(path);
    }
  }

  #synced(writes: number): void {
    if (writes > this.#syncedWrites) this.#syncedWrites = writes;
    if (this.isDirty || !this.#isPinned) return;
    this.#files.unpin(this.path);
    this.#isPinned = false;
  }

  #indexFiles(): SparseIndex[] {
    return [this.#index?.file, this.#timeIndex?.file, this.#aborted?.file]
      .filter((file) => file !== undefined);
  }

  #corrupt(reason: string, at: number): CorruptLogError {
    return new CorruptLogError("read", this.path, reason, { position: at });
  }
}
