/**
 * The in-memory twin of the disk: every file remembers what has been synced and
 * what has not, and so does every directory. `crash()` gives the file system
 * that a machine finds after a loss of power, with whichever unsynced changes
 * the test decides to keep. Faults are injected through `fault`,
 * `freeBytes` and `holdSyncs`.
 */
import { DiskFullError, StorageError } from "../../storage/error.ts";
import type {
  DirectoryEntry,
  FileHandle,
  FileSystem,
} from "../../storage/file_system.ts";

/** One thing asked of the disk, as `fault` sees it. */
export interface DiskOperation {
  kind:
    | "open"
    | "read"
    | "write"
    | "truncate"
    | "sync"
    | "syncDirectory"
    | "rename"
    | "remove"
    | "createDirectory";
  path: string;
  /** Of a write: how many bytes. */
  sizeBytes: number;
  /** Counts from 0 all operations that change something. */
  number: number;
}

/** What happens instead of success. */
export type Fault =
  /** The operation fails; of a write, the first `writtenBytes` arrive. */
  | { kind: "disk-full" | "error"; writtenBytes?: number }
  /** The process dies here: this and all later operations throw. */
  | { kind: "crash"; writtenBytes?: number };

/** The process of the test died: nothing may catch this but the test. */
export class SimulatedCrash extends Error {
  override readonly name = "SimulatedCrash";
}

/** A change that was not synced when the power went. */
export interface UnsyncedChange {
  kind: "write" | "truncate" | "create" | "remove" | "rename";
  path: string;
  sizeBytes: number;
}

/**
 * Decides about one unsynced change: true keeps it, false loses it, a number
 * keeps that many bytes of a write.
 */
export type KeepChange = (change: UnsyncedChange) => boolean | number;

type FileChange =
  & { sequence: number }
  & (
    | { kind: "write"; position: number; bytes: Uint8Array }
    | { kind: "truncate"; sizeBytes: number }
  );

class Content {
  #bytes = new Uint8Array(0);
  sizeBytes = 0;

  view(): Uint8Array {
    return this.#bytes.subarray(0, this.sizeBytes);
  }

  write(bytes: Uint8Array, position: number): void {
    const end = position + bytes.length;
    if (end > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(end, this.#bytes.length * 2, 64));
      grown.set(this.view());
      this.#bytes = grown;
    }
    this.#bytes.set(bytes, position);
    if (end > this.sizeBytes) this.sizeBytes = end;
  }

  truncate(sizeBytes: number): void {
    if (sizeBytes < this.sizeBytes) this.#bytes.fill(0, sizeBytes);
    else this.write(new Uint8Array(0), sizeBytes);
    this.sizeBytes = sizeBytes;
  }

  copy(): Content {
    const copy = new Content();
    copy.write(this.view(), 0);
    return copy;
  }
}

function applyChange(content: Content, change: FileChange): void {
  if (change.kind === "write") content.write(change.bytes, change.position);
  else content.truncate(change.sizeBytes);
}

class MemoryFile {
  current = new Content();
  durable = new Content();
  unsynced: FileChange[] = [];
  #sequence = 0;

  get sequence(): number {
    return this.#sequence;
  }

  write(bytes: Uint8Array, position: number): void {
    this.current.write(bytes, position);
    this.unsynced.push({
      sequence: ++this.#sequence,
      kind: "write",
      position,
      bytes: bytes.slice(),
    });
  }

  truncate(sizeBytes: number): void {
    this.current.truncate(sizeBytes);
    this.unsynced.push({
      sequence: ++this.#sequence,
      kind: "truncate",
      sizeBytes,
    });
  }

  /** What was written up to `sequence` is on the disk. */
  syncTo(sequence: number): void {
    while (
      this.unsynced.length > 0 && this.unsynced[0].sequence <= sequence
    ) {
      applyChange(this.durable, this.unsynced.shift()!);
    }
  }
}

type DirectoryChange =
  | { kind: "create"; path: string; file: MemoryFile }
  | { kind: "remove"; path: string }
  | { kind: "rename"; path: string; to: string; file: MemoryFile };

function parentOf(path: string): string {
  const slash = path.lastIndexOf("/");
  if (slash < 0) return ".";
  return slash === 0 ? "/" : path.slice(0, slash);
}

function applyDirectoryChange(
  files: Map<string, MemoryFile>,
  change: DirectoryChange,
): void {
  if (change.kind === "create") files.set(change.path, change.file);
  if (change.kind === "remove") files.delete(change.path);
  if (change.kind === "rename") {
    if (files.get(change.path) === change.file) files.delete(change.path);
    files.set(change.to, change.file);
  }
}

class MemoryFileHandle implements FileHandle {
  readonly path: string;
  readonly #disk: MemoryFileSystem;
  readonly #file: MemoryFile;
  #closed = false;

  constructor(disk: MemoryFileSystem, path: string, file: MemoryFile) {
    this.path = path;
    this.#disk = disk;
    this.#file = file;
  }

  get sizeBytes(): number {
    return this.#file.current.sizeBytes;
  }

  readAt(into: Uint8Array, position: number): number {
    this.#use("read");
    const bytes = this.#file.current.view().subarray(
      position,
      position + into.length,
    );
    into.set(bytes);
    return bytes.length;
  }

  writeAt(bytes: Uint8Array, position: number): void {
    this.#assertOpen();
    const growth = Math.max(0, position + bytes.length - this.sizeBytes);
    this.#disk.performWrite(this.path, bytes.length, growth, (count) => {
      this.#file.write(bytes.subarray(0, count), position);
    });
  }

  truncate(sizeBytes: number): void {
    this.#use("truncate");
    this.#disk.release(this.sizeBytes - sizeBytes);
    this.#file.truncate(sizeBytes);
  }

  async syncData(): Promise<void> {
    this.#use("sync");
    const sequence = this.#file.sequence;
    await this.#disk.syncTurn(this.path);
    this.#file.syncTo(sequence);
  }

  syncDataSync(): void {
    this.#use("sync");
    this.#file.syncTo(this.#file.sequence);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#disk.openHandles--;
  }

  #use(kind: DiskOperation["kind"]): void {
    this.#assertOpen();
    this.#disk.perform(kind, this.path);
  }

  #assertOpen(): void {
    if (!this.#closed) return;
    throw new StorageError("use", this.path, "the handle is closed");
  }
}

export class MemoryFileSystem implements FileSystem {
  #files = new Map<string, MemoryFile>();
  /** The paths of the files in each directory. */
  readonly #inDirectory = new Map<string, Set<string>>();
  #durableFiles = new Map<string, MemoryFile>();
  #directories = new Set<string>(["/", "."]);
  #unsyncedEntries = new Map<string, DirectoryChange[]>();
  #operations = 0;
  #dead = false;
  #heldSyncs: { path: string; resolve: () => void; reject: () => void }[] = [];

  /** Called before each operation; what it returns happens instead. */
  fault: ((operation: DiskOperation) => Fault | undefined) | undefined;
  /** How many more bytes files may grow by; a write beyond is cut there. */
  freeBytes = Infinity;
  /** While true, `syncData` waits for `releaseSyncs` or `failSyncs`. */
  holdSyncs = false;
  /** What `syncData` of a path waits for, unless syncs are held. */
  syncPause: ((path: string) => Promise<void>) | undefined;
  /** Handles that were opened and not closed. */
  openHandles = 0;
  /** The most that were open at once. */
  mostOpenHandles = 0;
  /** Calls so far by kind. */
  readonly counts = new Map<DiskOperation["kind"], number>();

  /** Operations so far that change something on the disk. */
  get operations(): number {
    return this.#operations;
  }

  open(path: string, options: { create?: boolean } = {}): FileHandle {
    let file = this.#files.get(path);
    if (file === undefined) {
      this.#assertAlive();
      if (options.create !== true) {
        throw new StorageError("open", path, "no such file");
      }
      if (!this.#directories.has(parentOf(path))) {
        throw new StorageError("open", path, "no such directory");
      }
      if (this.#directories.has(path)) {
        throw new StorageError("open", path, "is a directory");
      }
      this.perform("open", path);
      file = new MemoryFile();
      this.#changeEntry({ kind: "create", path, file });
    } else {
      this.#assertAlive();
    }
    this.openHandles++;
    this.mostOpenHandles = Math.max(this.mostOpenHandles, this.openHandles);
    return new MemoryFileHandle(this, path, file);
  }

  exists(path: string): boolean {
    this.#assertAlive();
    return this.#files.has(path) || this.#directories.has(path);
  }

  readFile(path: string): Uint8Array {
    this.perform("read", path);
    const file = this.#files.get(path);
    if (file === undefined) {
      throw new StorageError("read", path, "no such file");
    }
    return file.current.view().slice();
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
      if (!(error instanceof SimulatedCrash)) this.#forget(temporary);
      throw error;
    }
    this.syncDirectory(parentOf(path));
  }

  readDirectory(path: string): DirectoryEntry[] {
    this.#assertAlive();
    if (!this.#directories.has(path)) {
      throw new StorageError("list", path, "no such directory");
    }
    const inside = (name: string) => parentOf(name) === path && name !== path;
    const nameOf = (name: string) => name.slice(name.lastIndexOf("/") + 1);
    return [
      ...this.pathsIn(path).map((name) => ({
        name: nameOf(name),
        isDirectory: false,
      })),
      ...[...this.#directories].filter((name) => name !== "." && inside(name))
        .map((name) => ({ name: nameOf(name), isDirectory: true })),
    ].sort((one, other) => one.name < other.name ? -1 : 1);
  }

  createDirectory(path: string): void {
    if (this.#directories.has(path)) return;
    if (this.#files.has(path)) {
      throw new StorageError("create directory", path, "a file is there");
    }
    const parent = parentOf(path);
    if (parent !== path) this.createDirectory(parent);
    this.perform("createDirectory", path);
    this.#directories.add(path);
  }

  syncDirectory(path: string): void {
    if (!this.#directories.has(path)) {
      throw new StorageError("sync directory", path, "no such directory");
    }
    this.perform("syncDirectory", path);
    for (const change of this.#unsyncedEntries.get(path) ?? []) {
      applyDirectoryChange(this.#durableFiles, change);
    }
    this.#unsyncedEntries.delete(path);
  }

  rename(from: string, to: string): void {
    const file = this.#files.get(from);
    if (file === undefined) {
      throw new StorageError("rename", from, "no such file");
    }
    this.perform("rename", from);
    this.release(this.#files.get(to)?.current.sizeBytes ?? 0);
    this.#changeEntry({ kind: "rename", path: from, to, file });
  }

  remove(path: string): void {
    this.#assertAlive();
    if (this.#directories.has(path)) {
      for (const { name } of this.readDirectory(path)) {
        this.remove(`${path}/${name}`);
      }
      this.perform("remove", path);
      this.#directories.delete(path);
      return;
    }
    const file = this.#files.get(path);
    if (file === undefined) return;
    this.perform("remove", path);
    this.release(file.current.sizeBytes);
    this.#changeEntry({ kind: "remove", path });
  }

  /**
   * The disk after a loss of power: what was synced, and of the rest what
   * `keep` chooses. This file system is dead afterwards.
   */
  crash(keep: KeepChange = () => false): MemoryFileSystem {
    this.#dead = true;
    const after = new MemoryFileSystem();
    after.#directories = new Set(this.#directories);
    const files = new Map(this.#durableFiles);
    for (const changes of this.#unsyncedEntries.values()) {
      for (const change of changes) {
        const kept = keep({
          kind: change.kind,
          path: change.path,
          sizeBytes: 0,
        });
        if (kept !== false) applyDirectoryChange(files, change);
      }
    }
    for (const [path, file] of files) {
      if (!after.#directories.has(parentOf(path))) continue;
      const survivor = new MemoryFile();
      survivor.durable = contentAfterCrash(path, file, keep);
      survivor.current = survivor.durable.copy();
      after.#files.set(path, survivor);
      after.#noteName(path);
      after.#durableFiles.set(path, survivor);
    }
    return after;
  }

  /** The disk after kill -9: the page cache survives the process. */
  kill(): MemoryFileSystem {
    return this.crash(() => true);
  }

  /** What of a file survives a loss of power; undefined: there is none. */
  durableBytes(path: string): Uint8Array | undefined {
    return this.#durableFiles.get(path)?.durable.view();
  }

  /** What of a file is there now, synced or not. */
  currentBytes(path: string): Uint8Array | undefined {
    return this.#files.get(path)?.current.view();
  }

  /** Of the files that are in a directory now, in no order. */
  pathsIn(directory: string): string[] {
    return [...this.#inDirectory.get(directory) ?? []];
  }

  /** Of all files that are there now. */
  get paths(): string[] {
    return [...this.#files.keys()];
  }

  /** The paths of the syncs that wait while `holdSyncs`. */
  get heldSyncs(): string[] {
    return this.#heldSyncs.map(({ path }) => path);
  }

  /** Lets the waiting syncs succeed. */
  releaseSyncs(): void {
    for (const { resolve } of this.#heldSyncs.splice(0)) resolve();
  }

  /** Lets the waiting syncs fail: what they covered stays unsynced. */
  failSyncs(): void {
    for (const { reject } of this.#heldSyncs.splice(0)) reject();
  }

  /** For handles: counts the operation and raises its fault, if any. */
  perform(kind: DiskOperation["kind"], path: string): void {
    const fault = this.#begin(kind, path, 0);
    if (fault !== undefined) this.#raise(fault, kind, path);
  }

  /** For handles: writes as many bytes as faults and room allow. */
  performWrite(
    path: string,
    sizeBytes: number,
    growthBytes: number,
    write: (count: number) => void,
  ): void {
    const fault = this.#begin("write", path, sizeBytes);
    if (fault !== undefined) {
      write(Math.min(sizeBytes, fault.writtenBytes ?? 0));
      this.#raise(fault, "write", path);
    }
    if (growthBytes > this.freeBytes) {
      write(sizeBytes - growthBytes + this.freeBytes);
      this.freeBytes = 0;
      throw new DiskFullError("write", path, "no space left on device");
    }
    this.freeBytes -= growthBytes;
    write(sizeBytes);
  }

  /** For handles: bytes that a truncate gave back. */
  release(sizeBytes: number): void {
    this.freeBytes += sizeBytes;
  }

  /** For handles: resolves when an asynchronous sync may complete. */
  syncTurn(path: string): Promise<void> {
    if (!this.holdSyncs) return this.syncPause?.(path) ?? Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#heldSyncs.push({
        path,
        resolve,
        reject: () =>
          reject(new StorageError("sync", path, "input/output error")),
      });
    });
  }

  #begin(
    kind: DiskOperation["kind"],
    path: string,
    sizeBytes: number,
  ): Fault | undefined {
    this.#assertAlive();
    this.counts.set(kind, (this.counts.get(kind) ?? 0) + 1);
    const number = this.#operations;
    if (kind !== "read") this.#operations++;
    return this.fault?.({ kind, path, sizeBytes, number });
  }

  #raise(fault: Fault, kind: string, path: string): never {
    if (fault.kind === "crash") {
      this.#dead = true;
      throw new SimulatedCrash(`the process died at ${kind} "${path}"`);
    }
    if (fault.kind === "disk-full") {
      throw new DiskFullError(kind, path, "no space left on device");
    }
    throw new StorageError(kind, path, "input/output error");
  }

  #assertAlive(): void {
    if (this.#dead) throw new SimulatedCrash("the process is dead");
  }

  #forget(path: string): void {
    if (this.#files.has(path)) this.#changeEntry({ kind: "remove", path });
  }

  #noteName(path: string): void {
    const directory = parentOf(path);
    const names = this.#inDirectory.get(directory);
    const isThere = this.#files.has(path);
    if (!isThere) names?.delete(path);
    else if (names !== undefined) names.add(path);
    else this.#inDirectory.set(directory, new Set([path]));
  }

  #changeEntry(change: DirectoryChange): void {
    applyDirectoryChange(this.#files, change);
    this.#noteName(change.path);
    if (change.kind === "rename") this.#noteName(change.to);
    const directory = parentOf(change.path);
    const changes = this.#unsyncedEntries.get(directory) ?? [];
    changes.push(change);
    this.#unsyncedEntries.set(directory, changes);
  }
}

function contentAfterCrash(
  path: string,
  file: MemoryFile,
  keep: KeepChange,
): Content {
  const content = file.durable.copy();
  for (const change of file.unsynced) {
    const sizeBytes = change.kind === "write" ? change.bytes.length : 0;
    const kept = keep({ kind: change.kind, path, sizeBytes });
    if (kept === false) continue;
    if (change.kind === "write" && typeof kept === "number") {
      content.write(change.bytes.subarray(0, kept), change.position);
    } else {
      applyChange(content, change);
    }
  }
  return content;
}
