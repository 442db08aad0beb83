/**
 * Owns the disk form of the `FileSystem` seam: Deno's synchronous file calls,
 * with every failure turned into a `StorageError`. It decides nothing about
 * what is in a file, and never retries.
 */
import { DiskFullError, StorageError } from "./error.ts";
import type { DirectoryEntry, FileHandle, FileSystem } from "./file_system.ts";

/** No space left, and over quota: both pass when somebody makes room. */
const DISK_FULL_CODES = new Set(["ENOSPC", "EDQUOT"]);
const DISK_FULL_TEXT = /\(os error (28|122)\)/;

function isDiskFull(cause: unknown): boolean {
  if (!(cause instanceof Error)) return false;
  const code = (cause as Error & { code?: string }).code;
  return (code !== undefined && DISK_FULL_CODES.has(code)) ||
    DISK_FULL_TEXT.test(cause.message);
}

function storageError(
  operation: string,
  path: string,
  cause: unknown,
  position?: number,
): StorageError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  const ErrorClass = isDiskFull(cause) ? DiskFullError : StorageError;
  return new ErrorClass(operation, path, reason, { position, cause });
}

function attempt<T>(operation: string, path: string, run: () => T): T {
  try {
    return run();
  } catch (cause) {
    throw storageError(operation, path, cause);
  }
}

function parentOf(path: string): string {
  const slash = path.lastIndexOf("/");
  if (slash < 0) return ".";
  return slash === 0 ? "/" : path.slice(0, slash);
}

class DenoFileHandle implements FileHandle {
  readonly path: string;
  readonly #file: Deno.FsFile;
  #sizeBytes: number;
  /** Where the system's own file pointer stands; saves a seek per append. */
  #pointer = 0;
  #closed = false;

  constructor(path: string, file: Deno.FsFile) {
    this.path = path;
    this.#file = file;
    this.#sizeBytes = file.statSync().size;
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  readAt(into: Uint8Array, position: number): number {
    let done = 0;
    try {
      this.#seek(position);
      while (done < into.length) {
        const count = this.#file.readSync(
          done === 0 ? into : into.subarray(done),
        );
        if (count === null || count === 0) break;
        done += count;
        this.#pointer += count;
      }
    } catch (cause) {
      this.#pointer = -1;
      throw storageError("read", this.path, cause, position + done);
    }
    return done;
  }

  writeAt(bytes: Uint8Array, position: number): void {
    let done = 0;
    try {
      this.#seek(position);
      while (done < bytes.length) {
        const count = this.#file.writeSync(
          done === 0 ? bytes : bytes.subarray(done),
        );
        done += count;
        this.#pointer += count;
      }
    } catch (cause) {
      this.#pointer = -1;
      throw storageError("write", this.path, cause, position + done);
    }
    if (position + done > this.#sizeBytes) this.#sizeBytes = position + done;
  }

  truncate(sizeBytes: number): void {
    try {
      this.#file.truncateSync(sizeBytes);
    } catch (cause) {
      throw storageError("truncate", this.path, cause, sizeBytes);
    }
    this.#sizeBytes = sizeBytes;
  }

  async syncData(): Promise<void> {
    try {
      await this.#file.syncData();
    } catch (cause) {
      throw storageError("sync", this.path, cause);
    }
  }

  syncDataSync(): void {
    attempt("sync", this.path, () => this.#file.syncDataSync());
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#file.close();
  }

  #seek(position: number): void {
    if (this.#pointer === position) return;
    this.#file.seekSync(position, Deno.SeekMode.Start);
    this.#pointer = position;
  }
}

/** Files of the machine this process runs on. */
export class DenoFileSystem implements FileSystem {
  open(path: string, options: { create?: boolean } = {}): FileHandle {
    return attempt("open", path, () => {
      const file = Deno.openSync(path, {
        read: true,
        write: true,
        create: options.create === true,
      });
      try {
        return new DenoFileHandle(path, file);
      } catch (error) {
        file.close();
        throw error;
      }
    });
  }

  exists(path: string): boolean {
    try {
      Deno.lstatSync(path);
      return true;
    } catch (cause) {
      if (cause instanceof Deno.errors.NotFound) return false;
      throw storageError("look at", path, cause);
    }
  }

  readFile(path: string): Uint8Array {
    return attempt("read", path, () => Deno.readFileSync(path));
  }

  writeFileAtomic(path: string, bytes: Uint8Array): void {
    const temporary = `${path}.tmp`;
    try {
      this.remove(temporary);
      const handle = this.open(temporary, { create: true });
      try {
        handle.writeAt(bytes, 0);
        handle.syncDataSync();
      } finally {
        handle.close();
      }
      this.rename(temporary, path);
    } catch (error) {
      this.#removeQuietly(temporary);
      throw error;
    }
    this.syncDirectory(parentOf(path));
  }

  readDirectory(path: string): DirectoryEntry[] {
    const entries = attempt("list", path, () => [...Deno.readDirSync(path)]);
    return entries
      .map(({ name, isDirectory }) => ({ name, isDirectory }))
      .sort((one, other) => one.name < other.name ? -1 : 1);
  }

  createDirectory(path: string): void {
    if (this.exists(path)) {
      const isDirectory = attempt(
        "look at",
        path,
        () => Deno.statSync(path).isDirectory,
      );
      if (isDirectory) return;
      throw new StorageError("create directory", path, "a file is there");
    }
    const parent = parentOf(path);
    if (parent !== path) this.createDirectory(parent);
    attempt("create directory", path, () => {
      Deno.mkdirSync(path, { recursive: true });
    });
    this.syncDirectory(parent);
  }

  syncDirectory(path: string): void {
    attempt("sync directory", path, () => {
      const directory = Deno.openSync(path, { read: true });
      try {
        directory.syncSync();
      } finally {
        directory.close();
      }
    });
  }

  rename(from: string, to: string): void {
    attempt("rename", from, () => Deno.renameSync(from, to));
  }

  remove(path: string): void {
    try {
      Deno.removeSync(path, { recursive: true });
    } catch (cause) {
      if (cause instanceof Deno.errors.NotFound) return;
      throw storageError("remove", path, cause);
    }
  }

  #removeQuietly(path: string): void {
    try {
      this.remove(path);
    } catch {
      // The failure that led here is the one to report; a left-over temporary
      // file is overwritten by the next attempt.
    }
  }
}
