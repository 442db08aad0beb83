/**
 * The local copy of a partition: a sequence of record batches in segments. This
 * is the only door to a log; each thing behind it has its own file. It knows
 * nothing of leaders, high watermarks or clients: who asks says what is allowed.
 *
 * Calls are synchronous but for `flush`, and never interleave.
 */
import { invariant } from "../assert.ts";
import type { FileSystem } from "../file_system.ts";
import {
  type CompactionOptions,
  type CompactionResult,
  compactLog,
  isCompactionDue,
} from "./compaction.ts";
import { type AppendOutcome, LogAppender } from "./log_appender.ts";
import type { LogConfig } from "./log_config.ts";
import { LogCore } from "./log_core.ts";
import { LogFlusher } from "./log_flusher.ts";
import {
  LogReader,
  type ReadOptions,
  type ReadResult,
  type TimedOffset,
} from "./log_reader.ts";
import { LogStart } from "./log_start.ts";
import { LogTruncation } from "./log_truncation.ts";
import type { OpenFiles } from "./open_files.ts";
import type { ProducerEntry } from "./producer_state.ts";
import { recoverLog } from "./recovery.ts";
import type { ProducerSequence } from "./refused_sequences.ts";
import { Retention } from "./retention.ts";
import { type LeaderEpoch, type Offset, offset } from "./types.ts";

export { DEFAULT_LOG_CONFIG, type LogConfig } from "./log_config.ts";
export type { AppendInfo, AppendOutcome } from "./log_appender.ts";
export type { ReadOptions, ReadResult, TimedOffset } from "./log_reader.ts";
export type { CompactionOptions, CompactionResult } from "./compaction.ts";
export { OpenFiles } from "./open_files.ts";

export interface LogOptions {
  fileSystem: FileSystem;
  /** The pool of handles, shared by all logs of the same file system. */
  openFiles: OpenFiles;
  /** Made by the first append; only this log's files, and `partition.json`. */
  directory: string;
  config: LogConfig;
  /** Wall clock, milliseconds. */
  nowMs: number;
}

export class Log {
  readonly #core: LogCore;
  readonly #flusher: LogFlusher;
  readonly #appender: LogAppender;
  readonly #reader: LogReader;
  readonly #truncation: LogTruncation;
  readonly #logStart: LogStart;
  readonly #retention: Retention;

  private constructor(core: LogCore) {
    const flusher = new LogFlusher(core);
    const appender = new LogAppender(core, flusher);
    const start = new LogStart(core, flusher);
    this.#core = core;
    this.#flusher = flusher;
    this.#appender = appender;
    this.#reader = new LogReader(core);
    this.#truncation = new LogTruncation(core, flusher);
    this.#logStart = start;
    this.#retention = new Retention(core, { appender, start });
  }

  /**
   * Opens a log and recovers it if need be; without a directory it is empty.
   * What a crash, or a stop that wrote no checkpoint, may have left in the page
   * cache only lies above `flushedOffset`: `flush` before anybody is offered it.
   *
   * @throws CorruptLogError when bytes are wrong that had been made durable: the
   * partition must stay offline until somebody looks.
   */
  static open(options: LogOptions): Log {
    invariant(
      options.openFiles.fileSystem === options.fileSystem,
      "The pool of open files is of another file system",
    );
    const core = new LogCore({ files: options.openFiles, ...options });
    recoverLog(core, options.nowMs);
    const log = new Log(core);
    if (core.hasRecovered) log.#settleRecovered();
    core.assertOrder();
    return log;
  }

  get config(): LogConfig {
    return this.#core.config;
  }

  /** First readable offset. */
  get logStartOffset(): Offset {
    return this.#core.logStartOffset;
  }

  /** The offset of the next record. */
  get logEndOffset(): Offset {
    return this.#core.logEndOffset;
  }

  /** Exclusive: all below is on the disk. */
  get flushedOffset(): Offset {
    return this.#core.flushedOffset;
  }

  get sizeBytes(): number {
    return this.#core.sizeBytes;
  }

  /** About how many bytes hold the records from `from` on. */
  bytesFrom(from: Offset): number {
    return this.#reader.bytesFrom(from);
  }

  get segmentCount(): number {
    return this.#core.segments.length;
  }

  /**
   * The newest that a record has or a leader began here; `NO_LEADER_EPOCH` when
   * none is known.
   */
  get latestEpoch(): LeaderEpoch {
    return this.#core.epochs.latest;
  }

  /** Of the last record; `NO_LEADER_EPOCH` when the log holds none. */
  get lastRecordEpoch(): LeaderEpoch {
    return this.#core.epochs.latestBelow(this.#core.logEndOffset);
  }

  /**
   * The disk failed: appends and flushes throw from now on; reads go on. It
   * stays so until the log is opened again.
   */
  get isOffline(): boolean {
    return this.#core.failure !== undefined;
  }

  /** Takes effect at once. */
  reconfigure(config: LogConfig): void {
    this.#core.config = config;
  }

  /**
   * The leader's append. Checks each batch against its producer's state, those
   * before it in the same call included; writes those that pass with one write;
   * sets their base offsets and epoch in place.
   *
   * @returns per batch, in order, what became of it.
   * @throws DiskFullError and leaves the log as it was; StorageError when the log
   * is or goes offline; InvalidBatchError for a header that no batch can have.
   */
  append(
    batches: readonly Uint8Array[],
    options: { leaderEpoch: LeaderEpoch; nowMs: number },
  ): AppendOutcome[] {
    return this.#appender.append(batches, options);
  }

  /**
   * The follower's append: whole batches as the leader has them, starting at the
   * log's end or, over a gap left by compaction, later. Epochs that an earlier
   * leader began here at the log's end, and that hold no record, are forgotten:
   * older ones may go on there.
   *
   * @throws InvalidBatchError when they are not; nothing is written then.
   */
  appendReplicated(bytes: Uint8Array, nowMs: number): void {
    this.#appender.appendReplicated(bytes, nowMs);
  }

  /**
   * Whole stored batches from the one that contains `from`, or the next over a
   * gap, of one segment.
   *
   * @throws CorruptLogError and takes the log offline when stored bytes are
   * wrong.
   */
  read(from: Offset, options: ReadOptions): ReadResult {
    return this.#reader.read(from, options);
  }

  /**
   * Makes everything appended so far durable (fdatasync, group-committed) and
   * resolves the new flushed offset. A failure takes the log offline.
   */
  flush(): Promise<Offset> {
    return this.#flusher.flush();
  }

  /** The same, blocking. */
  flushSync(): Offset {
    return this.#flusher.flushSync();
  }

  /**
   * The first record with a timestamp at or after `timestampMs`, from the log
   * start on and below `upperBound`; undefined when there is none.
   */
  findByTimestamp(
    timestampMs: number,
    upperBound: Offset,
  ): TimedOffset | undefined {
    return this.#reader.findByTimestamp(timestampMs, upperBound);
  }

  /** The first record with the largest timestamp below `upperBound`. */
  maxTimestamp(upperBound: Offset): TimedOffset | undefined {
    return this.#reader.maxTimestamp(upperBound);
  }

  /**
   * Raises the log start to `to`, at most the log's end, and deletes the whole
   * segments below. Durable when it returns; never lowers.
   */
  advanceLogStart(to: Offset): void {
    this.#logStart.advanceTo(to);
  }

  /** Removes everything at or after `end`. Durable when it returns. */
  truncateTo(end: Offset): void {
    this.#truncation.truncateTo(end);
  }

  /** Removes everything; the next record gets `start`. */
  truncateFullyAndStartAt(start: Offset): void {
    this.#truncation.truncateFullyAndStartAt(start);
  }

  /**
   * Closes the active segment when it is old, and deletes old closed segments by
   * time and size, all below `deletableBelow`. Forgets idle producers.
   *
   * @returns how many segments went.
   */
  enforceRetention(nowMs: number, deletableBelow: Offset): number {
    return this.#retention.enforce(nowMs, deletableBelow);
  }

  /** Whether `compact` would be worth its while (dirty ratio, lag). */
  isCompactionDue(options: { nowMs: number; below: Offset }): boolean {
    return isCompactionDue(this.#core, options);
  }

  /**
   * Keeps the last record of each key in closed segments below the bound. Reads
   * and appends go on meanwhile; truncation, a raised log start or `close` end
   * it early, without harm. One at a time.
   *
   * @throws DiskFullError and leaves the log as it was.
   */
  compact(options: CompactionOptions): Promise<CompactionResult> {
    return compactLog(this.#core, options);
  }

  /** Closes the active segment when it holds anything. */
  roll(nowMs: number): void {
    this.#appender.roll(nowMs);
  }

  /**
   * The largest known epoch at or below `epoch` and its end (exclusive), as
   * OffsetForLeaderEpoch answers it; undefined when `epoch` is not known.
   */
  epochEndOffset(
    epoch: LeaderEpoch,
  ): { epoch: LeaderEpoch; endOffset: Offset } | undefined {
    return this.#core.epochs.endOffset(epoch, this.#core.logEndOffset);
  }

  /** A new leader's epoch begins at the log's end. */
  startEpoch(epoch: LeaderEpoch): void {
    this.#core.epochs.assign(epoch, this.#core.logEndOffset);
  }

  /**
   * A batch was refused before or by `append`, whatever the reason: what its
   * producer sent right behind it must not be taken in its place.
   */
  noteRefused(batch: ProducerSequence): void {
    this.#core.producers.noteRefused(batch);
  }

  /** What is remembered of each producer, by its id. */
  get producers(): ReadonlyMap<number, ProducerEntry> {
    return this.#core.producers.entries;
  }

  /** Exclusive: what readers of committed data may see. */
  lastStableOffset(highWatermark: Offset): Offset {
    const { producers, logStartOffset } = this.#core;
    producers.forgetEndedBelow(highWatermark);
    const stable = producers.lastStableOffset(highWatermark);
    return offset(Math.min(Math.max(stable, logStartOffset), highWatermark));
  }

  /** Aborted transactions that touch [from, upperBound), by first offset. */
  abortedTransactions(
    from: Offset,
    upperBound: Offset,
  ): { producerId: number; firstOffset: Offset }[] {
    return this.#reader.abortedTransactions(from, upperBound);
  }

  /**
   * Makes everything durable and releases the files. Idempotent. Blocks for what
   * is not flushed yet: `flush` before, where many logs close.
   */
  close(): void {
    const core = this.#core;
    if (core.isClosed) return;
    try {
      if (core.failure !== undefined) return;
      if (!this.#flusher.checkpointIfWorthwhile()) this.#flusher.flushSync();
    } finally {
      this.#release();
    }
  }

  /** Closes and removes the directory. */
  delete(): void {
    this.#release();
    this.#core.files.fileSystem.remove(this.#core.directory);
  }

  #settleRecovered(): void {
    const { flushedOffset, logEndOffset } = this.#core;
    const isSettled = this.#flusher.checkpointIfWorthwhile();
    // What was cut away goes for good, also where nothing is left to flush.
    if (!isSettled && flushedOffset === logEndOffset) {
      this.#flusher.flushDataNow();
    }
  }

  #release(): void {
    this.#core.isClosed = true;
    this.#core.generation++;
    this.#core.files.closeUnder(`${this.#core.directory}/`);
  }
}
