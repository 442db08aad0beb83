/**
 * Makes a log durable: group-committed fdatasync, and the checkpoints that
 * follow from it. A failed fdatasync takes the log offline and is never retried,
 * because the system may have dropped the pages and call them clean.
 */
import type { Checkpoint } from "./checkpoint.ts";
import { CHECKPOINT_INTERVAL_BYTES } from "./log_config.ts";
import type { LogCore } from "./log_core.ts";
import type { Offset } from "./types.ts";
import { DiskFullError } from "../error.ts";

/**
 * A checkpoint costs several syncs: when a thousand logs open or close, one is
 * not worth it for a little that the next opening reads again.
 */
const BYTES_WORTH_CHECKPOINT = 4 * 1024 * 1024;

interface DueCheckpoint {
  checkpoint: Checkpoint;
  producers: Uint8Array | undefined;
  coveredBytes: number;
}

export class LogFlusher {
  readonly #core: LogCore;
  #running: Promise<Offset> | undefined;
  /** What the running sync covers, unless the log was truncated since. */
  #runningTo = -1;
  #runningGeneration = -1;
  #next: Promise<Offset> | undefined;

  constructor(core: LogCore) {
    this.#core = core;
  }

  /** Resolves the new flushed offset, at least the log's end as of this call. */
  flush(): Promise<Offset> {
    const core = this.#core;
    if (core.failure !== undefined) return Promise.reject(core.failure);
    if (core.flushedOffset >= core.logEndOffset && !this.#isCheckpointDue()) {
      return Promise.resolve(core.flushedOffset);
    }
    if (this.#next !== undefined) return this.#next;
    if (this.#running === undefined) return this.#start();
    if (
      this.#runningTo >= core.logEndOffset &&
      this.#runningGeneration === core.generation
    ) return this.#running;
    this.#next = this.#running.then(() => this.#start(), () => this.#start());
    return this.#next;
  }

  /** Syncs the batches, where any are not, and blocks; no checkpoint. */
  flushSync(): Offset {
    const core = this.#core;
    if (core.flushedOffset < core.logEndOffset) this.flushDataNow();
    return core.flushedOffset;
  }

  /** Syncs all that is not synced, names in the directory too, and blocks. */
  flushDataNow(): void {
    const core = this.#core;
    core.assertWritable();
    try {
      for (const segment of core.segments) {
        if (segment.isDirty) segment.syncNow();
      }
      // After the files, whose syncs make most of this one's work.
      core.syncDirectory();
    } catch (cause) {
      throw core.goOffline(cause);
    }
    core.flushedOffset = core.logEndOffset;
  }

  /**
   * Everything on the disk, a checkpoint included, when it returns.
   *
   * @throws DiskFullError when only the checkpoint could not be written.
   */
  checkpointNow(): void {
    const core = this.#core;
    if (!core.directoryExists) return;
    this.flushDataNow();
    core.generation++;
    const due = this.#captureDue();
    try {
      this.#writeParts(due);
      for (const segment of core.segments) {
        core.noteIndexFiles(segment);
        if (segment.indexesNeedSync) segment.syncIndexesNow();
      }
      core.syncDirectory();
      core.checkpoints.save(due.checkpoint);
    } catch (cause) {
      core.hasRolled = true;
      throw cause instanceof DiskFullError ? cause : core.goOffline(cause);
    }
    core.checkpointSaved(due.checkpoint, due.coveredBytes);
  }

  /**
   * Where the next opening would have much to read. Everything is on the disk
   * when it returns true; without room for it the older checkpoint stays.
   */
  checkpointIfWorthwhile(): boolean {
    const { hasRolled, bytesSinceCheckpoint } = this.#core;
    const isWorthwhile = hasRolled ||
      bytesSinceCheckpoint > BYTES_WORTH_CHECKPOINT;
    if (!isWorthwhile) return false;
    try {
      this.checkpointNow();
    } catch (error) {
      if (!(error instanceof DiskFullError)) throw error;
    }
    return true;
  }

  /** Flushes in the background when much has gathered; failures are kept. */
  flushIfMuch(): void {
    if (!this.#isCheckpointDue()) return;
    this.flush().catch(() => {
      // The log is offline by now, or the disk is full and the next flush will
      // try the checkpoint again: whoever needs to know finds out there.
    });
  }

  #isCheckpointDue(): boolean {
    const core = this.#core;
    return core.directoryExists && core.failure === undefined &&
      (core.hasRolled ||
        core.bytesSinceCheckpoint >= CHECKPOINT_INTERVAL_BYTES);
  }

  #start(): Promise<Offset> {
    this.#next = undefined;
    const core = this.#core;
    if (core.failure !== undefined) return Promise.reject(core.failure);
    this.#runningTo = core.logEndOffset;
    this.#runningGeneration = core.generation;
    this.#running = this.#run().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async #run(): Promise<Offset> {
    const core = this.#core;
    const { generation, logEndOffset } = core;
    const due = this.#isCheckpointDue() ? this.#captureDue() : undefined;
    const segments = core.segments.filter((segment) => segment.isDirty);
    try {
      core.syncDirectory();
      await Promise.all(segments.map((segment) => segment.sync()));
    } catch (cause) {
      if (segments.every((segment) => segment.isRemoved)) {
        return core.flushedOffset;
      }
      throw core.goOffline(cause);
    }
    if (core.generation !== generation) return core.flushedOffset;
    if (logEndOffset > core.flushedOffset) core.flushedOffset = logEndOffset;
    if (due !== undefined) await this.#saveCheckpoint(due, generation);
    return core.flushedOffset;
  }

  async #saveCheckpoint(
    due: DueCheckpoint,
    generation: number,
  ): Promise<void> {
    const core = this.#core;
    try {
      this.#writeParts(due);
      for (const segment of core.segments) {
        core.noteIndexFiles(segment);
        if (segment.indexesNeedSync) await segment.syncIndexes();
        if (core.generation !== generation) return;
      }
      core.syncDirectory();
      await core.checkpoints.saveLater(due.checkpoint);
      if (core.generation !== generation) return;
      core.checkpointSaved(due.checkpoint, due.coveredBytes);
    } catch (cause) {
      // Without room the older checkpoint stays, and recovery reads more.
      if (cause instanceof DiskFullError) {
        core.hasRolled = true;
        return;
      }
      if (core.generation === generation) throw core.goOffline(cause);
    }
  }

  #captureDue(): DueCheckpoint {
    const core = this.#core;
    core.hasRolled = false;
    return {
      checkpoint: core.captureCheckpoint(),
      producers: core.captureProducers(),
      coveredBytes: core.bytesSinceCheckpoint,
    };
  }

  #writeParts({ checkpoint, producers }: DueCheckpoint): void {
    const core = this.#core;
    core.writeEpochs();
    if (producers === undefined) return;
    core.writeSnapshot(checkpoint.recoveryPoint, producers);
  }
}
