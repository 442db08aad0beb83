/**
 * The seam to the disk: everything `storage` does to files goes through
 * {@linkcode FileSystem}, so that the same code runs on Deno's files and on the
 * in-memory, fault-injecting twin in `tests/support`.
 *
 * Calls are synchronous, because a page-cache read or write costs less than a
 * turn of the event loop (DESIGN D3); only waiting for the platter is
 * asynchronous. Every failure is thrown as a `StorageError` that names the
 * operation and the path. Paths are opaque to this seam but for `/`.
 */

/** An open file. Positions and sizes are in bytes, from the file's start. */
export interface FileHandle {
  readonly path: string;
  /** The size now, as a successful write or truncate left it. */
  readonly sizeBytes: number;
  /**
   * Fills `into` from `position` on; returns how many bytes were read, fewer
   * than asked only at the end of the file.
   */
  readAt(into: Uint8Array, position: number): number;
  /** Writes all of `bytes` at `position`, or throws. */
  writeAt(bytes: Uint8Array, position: number): void;
  /** Cuts or extends (with zeros) the file. */
  truncate(sizeBytes: number): void;
  /** fdatasync: resolves when all written so far is on the disk. */
  syncData(): Promise<void>;
  /** The same, blocking: for start and stop, never on a hot path. */
  syncDataSync(): void;
  /** Idempotent. */
  close(): void;
}

/** What a directory holds. */
export interface DirectoryEntry {
  readonly name: string;
  readonly isDirectory: boolean;
}

/** A tree of files. */
export interface FileSystem {
  /** Opens for reading and writing; with `create`, makes a missing file. */
  open(path: string, options?: { create?: boolean }): FileHandle;
  exists(path: string): boolean;
  /** The whole content; throws `StorageError` when there is no such file. */
  readFile(path: string): Uint8Array;
  /**
   * Replaces the whole content so that after a crash either the old or the new
   * content is there: temporary file, fdatasync, rename, sync of the directory.
   */
  writeFileAtomic(path: string, bytes: Uint8Array): void;
  /** Sorted by name. */
  readDirectory(path: string): DirectoryEntry[];
  /** Recursive; no error when it is there. Durable when it returns. */
  createDirectory(path: string): void;
  /** Makes the creations, renames and removals in a directory durable. */
  syncDirectory(path: string): void;
  rename(from: string, to: string): void;
  /** Removes a file, or a directory with all it holds; no error when absent. */
  remove(path: string): void;
}
