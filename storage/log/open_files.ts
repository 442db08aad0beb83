/**
 * The open file handles of all logs of a broker: a bounded pool, the least
 * recently used closed first. A file to which bytes were written that are not
 * synced is pinned: closing it could hide the error of their write-back. When
 * pins alone reach the bound, the owner of the oldest is told to flush, so that
 * the bound holds; only a file that is opened for such a flush may be one too
 * many while it runs.
 */
import type { FileHandle, FileSystem } from "../file_system.ts";

interface Entry {
  handle: FileHandle;
  /** Set while pinned: makes the owner flush and unpin. */
  flush: (() => void) | undefined;
}

export class OpenFiles {
  readonly fileSystem: FileSystem;
  readonly #limit: number;
  /** In order of use, the least recent first. */
  readonly #entries = new Map<string, Entry>();
  #latest: { path: string; handle: FileHandle } | undefined;
  #isFlushing = false;

  /** @param options.limit handles kept open, at least 1. */
  constructor(fileSystem: FileSystem, options: { limit: number }) {
    this.fileSystem = fileSystem;
    this.#limit = Math.max(1, options.limit);
  }

  /** Handles open now. */
  get size(): number {
    return this.#entries.size;
  }

  /** The handle of a file; valid until the next call for another file. */
  open(path: string, options: { create?: boolean } = {}): FileHandle {
    if (this.#latest?.path === path) return this.#latest.handle;
    // Making room may flush, and so open this very file.
    if (!this.#entries.has(path)) this.#makeRoom();
    const entry = this.#entries.get(path) ??
      { handle: this.fileSystem.open(path, options), flush: undefined };
    this.#entries.delete(path);
    this.#entries.set(path, entry);
    this.#latest = { path, handle: entry.handle };
    return entry.handle;
  }

  /** Keeps a file open until `unpin`; `flush` must sync and unpin it. */
  pin(path: string, flush: () => void): void {
    this.open(path);
    this.#entries.get(path)!.flush = flush;
  }

  unpin(path: string): void {
    const entry = this.#entries.get(path);
    if (entry !== undefined) entry.flush = undefined;
  }

  /** No error when the file is not open. */
  close(path: string): void {
    const entry = this.#entries.get(path);
    if (entry === undefined) return;
    this.#entries.delete(path);
    if (this.#latest?.path === path) this.#latest = undefined;
    entry.handle.close();
  }

  /** Closes every file whose path begins so. */
  closeUnder(prefix: string): void {
    for (const path of [...this.#entries.keys()]) {
      if (path.startsWith(prefix)) this.close(path);
    }
  }

  closeAll(): void {
    for (const path of [...this.#entries.keys()]) this.close(path);
  }

  #makeRoom(): void {
    while (this.#entries.size >= this.#limit) {
      if (this.#closeUnpinned()) continue;
      // The flush that runs would be begun again, and come here again.
      if (this.#isFlushing) return;
      this.#flushOldest();
    }
  }

  /** False: all are pinned. */
  #closeUnpinned(): boolean {
    for (const [path, { flush }] of this.#entries) {
      if (flush !== undefined) continue;
      this.close(path);
      return true;
    }
    return false;
  }

  #flushOldest(): void {
    const [path, { flush }] = this.#entries.entries().next().value!;
    this.#isFlushing = true;
    try {
      flush!();
    } catch {
      // The owner has taken its log offline; who asks for room is not to blame.
    } finally {
      this.#isFlushing = false;
    }
    this.close(path);
  }
}
