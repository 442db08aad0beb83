/**
 * A machine's disk, as its processes see it: slow, full, failing, and without
 * power at the worst moment, as faults say. Owns what happens to operations; the
 * bytes, and which of them survive, are `tests/support/memory_file_system.ts`.
 */
import type {
  DirectoryEntry,
  FileHandle,
  FileSystem,
} from "../../storage/file_system.ts";
import {
  type DiskOperation,
  type Fault,
  type KeepChange,
  MemoryFileSystem,
  SimulatedCrash,
} from "../support/memory_file_system.ts";
import type { DeathKind, SimulatedProcess } from "./process.ts";
import type { SeededRandom } from "./random.ts";
import type { World } from "./world.ts";

/** How long an fdatasync takes at least, and what comes on top on average. */
const SYNC_LEAST_MS = 0.3;
const SYNC_MEAN_MS = 0.7;

export type FileChange = "truncate" | "rename" | "remove";

export class MachineDisk {
  readonly #world: World;
  readonly #random: SeededRandom;
  #files = new MemoryFileSystem();
  /** How many times slower than usual. */
  slowness = 1;
  /** Until then a sync is under way that began while the disk was slow. */
  slowUntilMs = 0;
  /** The part of writes and syncs that fail, as a bad disk's do. */
  errors = 0;
  /** The process dies in so many operations, this one half done. */
  diesAfter: { operations: number; kind: DeathKind } | undefined;
  process: SimulatedProcess | undefined;
  /** Is told of files that are about to be cut, to be renamed, or to go. */
  onChange: ((kind: FileChange, path: string) => void) | undefined;

  constructor(world: World, name: string) {
    this.#world = world;
    this.#random = world.random(`disk of ${name}`);
    this.#prepare();
  }

  get files(): MemoryFileSystem {
    return this.#files;
  }

  set freeBytes(freeBytes: number) {
    this.#files.freeBytes = freeBytes;
  }

  /** What was not synced is lost, in part or in whole. */
  losePower(): void {
    const keep = this.#whatSurvives();
    this.#files = this.#files.crash(keep);
    this.#prepare();
  }

  /** An empty one takes its place. */
  replace(): void {
    this.#files = new MemoryFileSystem();
    this.#prepare();
  }

  #prepare(): void {
    this.#files.fault = (operation) => this.#fault(operation);
    this.#files.syncPause = (path) => this.#pause(path);
  }

  #fault(operation: DiskOperation): Fault | undefined {
    if (operation.kind === "read") return undefined;
    const { kind, path, sizeBytes } = operation;
    if (kind === "rename" || kind === "remove" || kind === "truncate") {
      this.onChange?.(kind, path);
    }
    const part = () => Math.floor(this.#random.float() * (sizeBytes + 1));
    const { diesAfter } = this;
    if (diesAfter !== undefined && diesAfter.operations-- <= 0) {
      this.diesAfter = undefined;
      const writtenBytes = part();
      // Not a fault of the file system: it outlives the process.
      this.process?.die(diesAfter.kind);
      return { kind: "error", writtenBytes };
    }
    if (kind !== "write" && kind !== "sync") return;
    if (this.errors > 0 && this.#random.chance(this.errors)) {
      return { kind: "error", writtenBytes: part() };
    }
    return undefined;
  }

  #pause(_path: string): Promise<void> {
    const { process } = this;
    if (process === undefined) return Promise.resolve();
    const delayMs = this.slowness *
      (SYNC_LEAST_MS + this.#random.exponential(SYNC_MEAN_MS));
    if (this.slowness > 1) {
      const untilMs = this.#world.nowMs + delayMs;
      this.slowUntilMs = Math.max(this.slowUntilMs, untilMs);
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    // The disk goes on while the process is paused, and when it is killed.
    this.#world.schedule(delayMs, () => process.enter(resolve));
    return promise;
  }

  /** One of the ways in which disks lose what was not synced. */
  #whatSurvives(): KeepChange {
    const random = this.#random;
    const way = random.integer(0, 3);
    if (way === 0) return () => false;
    if (way === 1) return () => true;
    const probability = random.float();
    return ({ kind, sizeBytes }) => {
      if (kind === "write" && way === 3 && random.chance(0.3)) {
        return random.integer(0, sizeBytes);
      }
      return random.chance(probability);
    };
  }
}

/** The disk to one process: nothing that is dead touches it. */
export class ProcessFileSystem implements FileSystem {
  readonly #disk: MachineDisk;
  readonly #process: SimulatedProcess;

  constructor(disk: MachineDisk, process: SimulatedProcess) {
    this.#disk = disk;
    this.#process = process;
  }

  open(path: string, options?: { create?: boolean }): FileHandle {
    const handle = this.#use((files) => files.open(path, options));
    return new ProcessFileHandle(handle, this.#process);
  }

  exists(path: string): boolean {
    return this.#use((files) => files.exists(path));
  }

  readFile(path: string): Uint8Array {
    return this.#use((files) => files.readFile(path));
  }

  writeFileAtomic(path: string, bytes: Uint8Array): void {
    this.#use((files) => files.writeFileAtomic(path, bytes));
  }

  readDirectory(path: string): DirectoryEntry[] {
    return this.#use((files) => files.readDirectory(path));
  }

  createDirectory(path: string): void {
    this.#use((files) => files.createDirectory(path));
  }

  syncDirectory(path: string): void {
    this.#use((files) => files.syncDirectory(path));
  }

  rename(from: string, to: string): void {
    this.#use((files) => files.rename(from, to));
  }

  remove(path: string): void {
    this.#use((files) => files.remove(path));
  }

  #use<T>(work: (files: MemoryFileSystem) => T): T {
    return alive(this.#process, () => work(this.#disk.files));
  }
}

class ProcessFileHandle implements FileHandle {
  readonly #handle: FileHandle;
  readonly #process: SimulatedProcess;

  constructor(handle: FileHandle, process: SimulatedProcess) {
    this.#handle = handle;
    this.#process = process;
  }

  get path(): string {
    return this.#handle.path;
  }

  get sizeBytes(): number {
    return this.#handle.sizeBytes;
  }

  readAt(into: Uint8Array, position: number): number {
    return alive(this.#process, () => this.#handle.readAt(into, position));
  }

  writeAt(bytes: Uint8Array, position: number): void {
    alive(this.#process, () => this.#handle.writeAt(bytes, position));
  }

  truncate(sizeBytes: number): void {
    alive(this.#process, () => this.#handle.truncate(sizeBytes));
  }

  syncData(): Promise<void> {
    return alive(this.#process, () => this.#handle.syncData());
  }

  syncDataSync(): void {
    alive(this.#process, () => this.#handle.syncDataSync());
  }

  close(): void {
    this.#handle.close();
  }
}

/** A process that dies within an operation does not learn how it ended. */
function alive<T>(process: SimulatedProcess, work: () => T): T {
  if (!process.isAlive) throw new SimulatedCrash("the process is dead");
  try {
    return work();
  } finally {
    if (!process.isAlive) {
      // deno-lint-ignore no-unsafe-finally
      throw new SimulatedCrash("the process died here");
    }
  }
}
