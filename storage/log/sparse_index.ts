/**
 * A file of fixed-size, ascending entries whose newest part is still in memory:
 * the form shared by the offset, time and aborted-transaction indexes. Entries
 * reach the file at checkpoints, rolls and stops, never one by one. It knows
 * nothing of what an entry means.
 */
import type { OpenFiles } from "./open_files.ts";
import { grown } from "./bytes.ts";

export class SparseIndex {
  readonly path: string;
  readonly entryBytes: number;
  readonly #files: OpenFiles;
  /** Entries in the file; undefined: not looked at yet. */
  #fileEntries: number | undefined;
  #tail: Uint8Array<ArrayBuffer> = new Uint8Array(0);
  #tailBytes = 0;
  #changes = 0;
  /** How many of the changes to the file are known to be on the disk. */
  #syncedChanges = 0;
  readonly #scratch: Uint8Array;

  constructor(files: OpenFiles, path: string, entryBytes: number) {
    this.#files = files;
    this.path = path;
    this.entryBytes = entryBytes;
    this.#scratch = new Uint8Array(entryBytes);
  }

  get length(): number {
    return this.#inFile() + this.#tailBytes / this.entryBytes;
  }

  /** True while entries are not known to be on the disk. */
  get needsSync(): boolean {
    return this.#tailBytes > 0 || this.#changes > this.#syncedChanges;
  }

  /** True when the next write makes the file. */
  get isToBeMade(): boolean {
    return this.#tailBytes > 0 && this.#inFile() === 0;
  }

  append(entry: Uint8Array): void {
    const needed = this.#tailBytes + this.entryBytes;
    this.#tail = grown(this.#tail, this.#tailBytes, needed);
    this.#tail.set(entry, this.#tailBytes);
    this.#tailBytes = needed;
  }

  /** Entry `index` of `length`; the view is valid until the next call. */
  entry(index: number): Uint8Array {
    const inFile = this.#inFile();
    if (index >= inFile) {
      const at = (index - inFile) * this.entryBytes;
      return this.#tail.subarray(at, at + this.entryBytes);
    }
    const position = index * this.entryBytes;
    this.#files.open(this.path).readAt(this.#scratch, position);
    return this.#scratch;
  }

  /** Keeps the first `length` entries. */
  truncate(length: number): void {
    const inFile = this.#inFile();
    if (length >= inFile) {
      this.#tailBytes = Math.min(
        this.#tailBytes,
        (length - inFile) * this.entryBytes,
      );
      return;
    }
    this.#tailBytes = 0;
    this.#fileEntries = length;
    this.#changes++;
    this.#files.open(this.path).truncate(length * this.entryBytes);
  }

  /** Writes what is in memory to the file. */
  write(): void {
    if (this.#tailBytes === 0) return;
    const inFile = this.#inFile();
    const handle = this.#files.open(this.path, { create: true });
    handle.writeAt(
      this.#tail.subarray(0, this.#tailBytes),
      inFile * this.entryBytes,
    );
    this.#fileEntries = inFile + this.#tailBytes / this.entryBytes;
    this.#tail = new Uint8Array(0);
    this.#tailBytes = 0;
    this.#changes++;
  }

  /** Writes and waits for the disk. */
  async sync(): Promise<void> {
    this.write();
    const changes = this.#changes;
    if (changes === this.#syncedChanges) return;
    await this.#files.open(this.path).syncData();
    if (changes > this.#syncedChanges) this.#syncedChanges = changes;
  }

  syncNow(): void {
    this.write();
    if (this.#changes === this.#syncedChanges) return;
    this.#files.open(this.path).syncDataSync();
    this.#syncedChanges = this.#changes;
  }

  /** The number of entries for which `isBefore`, which ascends, holds. */
  partitionPoint(isBefore: (entry: Uint8Array) => boolean): number {
    let low = 0;
    let high = this.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (isBefore(this.entry(middle))) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #inFile(): number {
    if (this.#fileEntries === undefined) {
      const { fileSystem } = this.#files;
      this.#fileEntries = fileSystem.exists(this.path)
        ? Math.floor(this.#files.open(this.path).sizeBytes / this.entryBytes)
        : 0;
    }
    return this.#fileEntries;
  }
}
