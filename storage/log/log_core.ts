/**
 * The state of one log that its parts share: segments in order, offsets, epochs,
 * producers, and whether the disk still keeps its word. It holds and checks this
 * state; appending, reading, flushing, recovering and cleaning are elsewhere.
 */
import { invariant } from "../assert.ts";
import { CorruptLogError, DiskFullError, StorageError } from "../error.ts";
import type { BatchHeader } from "./batch_header.ts";
import { type Checkpoint, CheckpointFile } from "./checkpoint.ts";
import { EpochCache } from "./epoch_cache.ts";
import type { LogConfig } from "./log_config.ts";
import type { OpenFiles } from "./open_files.ts";
import { encodeProducers } from "./producer_snapshot.ts";
import { type Marker, ProducerState } from "./producer_state.ts";
import { Segment } from "./segment.ts";
import { OFFSET_DIGITS } from "./segment.ts";
import { type Offset, offset } from "./types.ts";

export const EPOCH_FILE = "leader-epoch-checkpoint";
/** Producer snapshots kept, so that truncating a little replays a little. */
const SNAPSHOTS_KEPT = 3;

export interface LogCoreOptions {
  files: OpenFiles;
  directory: string;
  config: LogConfig;
  nowMs: number;
}

export class LogCore {
  readonly files: OpenFiles;
  readonly directory: string;
  readonly checkpoints: CheckpointFile;
  readonly epochs = new EpochCache();
  readonly producers = new ProducerState();
  config: LogConfig;
  /** By base offset, without overlap; the last one is active. */
  segments: Segment[] = [];
  logStartOffset: Offset = offset(0);
  /** Exclusive. */
  logEndOffset: Offset = offset(0);
  /** Exclusive: all below is on the disk. */
  flushedOffset: Offset = offset(0);
  /** Of the newest checkpoint. */
  recoveryPoint: Offset = offset(0);
  /** The segment that the newest checkpoint needs; -1: none. */
  checkpointBase = -1;
  /** First offset that compaction has not looked at. */
  compactedUpTo: Offset = offset(0);
  sizeBytes = 0;
  /** Appended since the newest checkpoint. */
  bytesSinceCheckpoint = 0;
  /** A segment was begun since the newest checkpoint. */
  hasRolled = false;
  /** Recovery found more, or less, than the checkpoint says. */
  hasRecovered = false;
  directoryExists = false;
  /** Names in the directory have changed and are not on the disk. */
  directoryNeedsSync = false;
  /** Counts truncations and checkpoints: a flush begun before one is void. */
  generation = 0;
  isClosed = false;
  isCompacting = false;
  /** The latest wall clock that a caller has told. */
  nowMs: number;
  /** Offsets of the snapshot files, ascending. */
  snapshots: Offset[] = [];
  #failure: StorageError | undefined;

  constructor(options: LogCoreOptions) {
    this.files = options.files;
    this.directory = options.directory;
    this.config = options.config;
    this.nowMs = options.nowMs;
    this.checkpoints = new CheckpointFile(options.files, options.directory);
  }

  get active(): Segment | undefined {
    return this.segments.at(-1);
  }

  /** Why the log is offline; undefined while it is not. */
  get failure(): StorageError | undefined {
    return this.#failure;
  }

  /** From now on every append and flush throws. The first reason stays. */
  goOffline(cause: unknown): StorageError {
    this.#failure ??= new StorageError(
      "use",
      this.directory,
      `the log is offline after a failure of the disk: ${
        cause instanceof Error ? cause.message : String(cause)
      }`,
      { cause },
    );
    return this.#failure;
  }

  /** Stored bytes are wrong: the log goes offline and says where. */
  corrupt(segment: Segment, reason: string, at: number): CorruptLogError {
    const error = new CorruptLogError("read", segment.path, reason, {
      position: at,
    });
    this.goOffline(error);
    return error;
  }

  assertWritable(): void {
    if (this.#failure !== undefined) throw this.#failure;
    invariant(!this.isClosed, `The log in "${this.directory}" is closed`);
  }

  /** A change to the files that fails half way leaves nobody to trust them. */
  changeFiles(change: () => void): void {
    try {
      change();
    } catch (cause) {
      // A full disk shows before anything is changed.
      if (cause instanceof DiskFullError) throw cause;
      throw this.goOffline(cause);
    }
    this.assertOrder();
  }

  /** Index of the last segment that begins at or below `target`; -1: none. */
  segmentIndex(target: Offset): number {
    const { segments } = this;
    let low = 0;
    let high = segments.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (segments[middle].baseOffset <= target) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  newSegment(baseOffset: Offset, nowMs: number): Segment {
    return new Segment({
      files: this.files,
      directory: this.directory,
      baseOffset,
      indexIntervalBytes: this.config.indexIntervalBytes,
      createdMs: nowMs,
    });
  }

  ensureDirectory(): void {
    if (this.directoryExists) return;
    this.files.fileSystem.createDirectory(this.directory);
    this.directoryExists = true;
  }

  /** Begins a segment whose file has been made, and closes the active one. */
  addSegment(segment: Segment): void {
    const { active } = this;
    if (active !== undefined) {
      active.noteMaxTimestamp();
      this.hasRolled = true;
    }
    this.segments.push(segment);
    this.directoryNeedsSync = true;
  }

  /** Records a batch that was written at the end of the active segment. */
  noteBatch(header: BatchHeader): void {
    this.active!.note(header);
    // From the log's end on, also over a gap that compaction left: whoever has
    // more of the epoch before than this log has differs from it.
    this.epochs.assign(header.leaderEpoch, this.logEndOffset);
    this.logEndOffset = offset(header.lastOffset + 1);
    this.sizeBytes += header.sizeBytes;
    this.bytesSinceCheckpoint += header.sizeBytes;
  }

  /** Records in the producer state what a batch means for it. */
  noteProducer(
    header: BatchHeader,
    marker: Marker | undefined,
    nowMs: number,
    segment: Segment,
  ): void {
    const ended = this.producers.update(header, marker, nowMs);
    if (ended === undefined || marker?.type !== "abort") return;
    segment.aborted.append({
      ...ended,
      lastStableOffset: this.producers.firstOpenOffset() ??
        offset(ended.lastOffset + 1),
    });
  }

  /**
   * Before a segment's indexes are written. The other two are made anew where
   * they are lost: a checkpoint vouches for this one, so its name must last.
   */
  noteIndexFiles({ aborted }: Segment): void {
    if (aborted.file.isToBeMade) this.directoryNeedsSync = true;
  }

  syncDirectory(): void {
    if (!this.directoryNeedsSync) return;
    this.files.fileSystem.syncDirectory(this.directory);
    this.directoryNeedsSync = false;
  }

  /** A checkpoint that says that everything up to now is on the disk. */
  captureCheckpoint(): Checkpoint {
    const { active } = this;
    active?.noteMaxTimestamp();
    return {
      recoveryPoint: this.logEndOffset,
      logStartOffset: this.logStartOffset,
      segmentBaseOffset: active?.baseOffset ?? -1,
      segmentBytes: active?.sizeBytes ?? 0,
      offsetEntries: active?.index.file.length ?? 0,
      timeEntries: active?.timeIndex.file.length ?? 0,
      abortedEntries: active?.aborted.file.length ?? 0,
      hasProducerSnapshot: !this.producers.isEmpty,
      compactedUpTo: this.compactedUpTo,
    };
  }

  /** Bytes of the snapshot that a checkpoint captured now needs. */
  captureProducers(): Uint8Array | undefined {
    return this.producers.isEmpty ? undefined : encodeProducers(this.producers);
  }

  snapshotPath(at: Offset): string {
    return `${this.directory}/${
      String(at).padStart(OFFSET_DIGITS, "0")
    }.snapshot`;
  }

  /** Durable when it returns. */
  writeSnapshot(at: Offset, bytes: Uint8Array): void {
    this.files.fileSystem.writeFileAtomic(this.snapshotPath(at), bytes);
    if (!this.snapshots.includes(at)) this.snapshots.push(at);
    this.snapshots.sort((one, other) => one - other);
  }

  writeEpochs(): void {
    if (!this.epochs.isDirty) return;
    this.files.fileSystem.writeFileAtomic(
      `${this.directory}/${EPOCH_FILE}`,
      this.epochs.encode(),
    );
    this.epochs.isDirty = false;
  }

  /** Called once a checkpoint is on the disk. */
  checkpointSaved(checkpoint: Checkpoint, coveredBytes: number): void {
    this.recoveryPoint = checkpoint.recoveryPoint;
    this.checkpointBase = checkpoint.segmentBaseOffset;
    this.bytesSinceCheckpoint -= coveredBytes;
    while (this.snapshots.length > SNAPSHOTS_KEPT) {
      this.files.fileSystem.remove(this.snapshotPath(this.snapshots.shift()!));
    }
  }

  /** Forgets the snapshots that `isGone` names. */
  dropSnapshots(isGone: (at: Offset) => boolean): void {
    for (const at of this.snapshots.filter(isGone)) {
      this.files.fileSystem.remove(this.snapshotPath(at));
    }
    this.snapshots = this.snapshots.filter((at) => !isGone(at));
  }

  /** What must hold between calls (DESIGN section 5). */
  assertOrder(): void {
    invariant(
      this.logStartOffset <= this.logEndOffset &&
        this.flushedOffset <= this.logEndOffset &&
        this.recoveryPoint <= this.logEndOffset,
      `Offsets of "${this.directory}" are out of order: start ${this.logStartOffset}, flushed ${this.flushedOffset}, recovery point ${this.recoveryPoint}, end ${this.logEndOffset}`,
    );
  }
}
