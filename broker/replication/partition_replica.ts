/**
 * One partition on this broker: its log, its role, its high watermark. Owns the
 * path from an append to its acknowledgement; refuses to know topics, schemas
 * and doors.
 *
 * A replica counts toward the high watermark only up to what its durability
 * level calls safe (DESIGN D4): the flushed end when every append is flushed
 * before its acknowledgement, the log's end otherwise.
 */
import { Failure } from "../../contract/errors.ts";
import { DiskFullError, StorageError } from "../../storage/error.ts";
import type { AppendOutcome, Log } from "../../storage/log/log.ts";
import {
  InvalidBatchError,
  setLogAppendTime,
} from "../../storage/log/record_batch.ts";
import {
  type LeaderEpoch,
  type Offset,
  offset,
} from "../../storage/log/types.ts";
import type { Environment, Timer } from "../environment.ts";
import type { Logger } from "../logger.ts";
import type { NewRecord } from "../operations/operations.ts";
import type { TopicSettings } from "../topic_config.ts";
import {
  APPEND_LIMITS,
  type AppendBudget,
  AppendQueue,
  type ProducerFields,
  type QueuedBatch,
} from "./append_queue.ts";
import { HighWatermark } from "./high_watermark.ts";
import type { OneATurn } from "./one_a_turn.ts";

/** Where records went. */
export interface Appended {
  readonly baseOffset: number;
  readonly leaderEpoch: number;
  readonly appendTimeMs: number;
  readonly logAppendTime: boolean;
}

type Done = (result: Appended | Failure) => void;

interface Waiter {
  readonly timeoutMs: number;
  /** Wait for the high watermark; else the append itself is enough. */
  readonly waitForDurable: boolean;
  /** What records that brought no timestamp got. */
  readonly queuedAtMs: number;
  /** Told once the records are in the log; not for a duplicate. */
  readonly onStored: (() => void) | undefined;
  readonly done: Done;
}

export interface AppendOptions {
  /** Longest wait for the durability that was asked for. */
  readonly timeoutMs: number;
  /** Called when the records are in the log, however the wait ends. */
  readonly onStored?: () => void;
}

/** Whole batches on their way out. */
export interface BatchSlice {
  readonly bytes: Uint8Array;
  readonly nextOffset: number;
}

export interface PartitionReplicaOptions {
  readonly topic: string;
  readonly partition: number;
  readonly log: Log;
  readonly settings: TopicSettings;
  readonly environment: Environment;
  readonly logger: Logger;
  /** Shared by the partitions of a broker. */
  readonly budget: AppendBudget;
  /** Likewise: the first append of a partition is slow. */
  readonly firstAppends: OneATurn;
  /** Seconds that an fdatasync took. */
  onFlush(seconds: number): void;
  /** Called once, before the first append of this run. */
  prepare(): void;
}

export class PartitionReplica {
  readonly topic: string;
  readonly partition: number;
  readonly log: Log;
  #settings: TopicSettings;
  readonly #environment: Environment;
  readonly #logger: Logger;
  readonly #onFlush: (seconds: number) => void;
  readonly #prepare: () => void;
  #isPrepared = false;
  readonly #queue: AppendQueue<Waiter>;
  readonly #highWatermark: HighWatermark;
  /** Undefined: this broker does not lead the partition. */
  #leaderEpoch: LeaderEpoch | undefined;
  #isStopping = false;
  /** Kind of the failure that was logged last, until an append succeeds. */
  #saidBroken: string | undefined;
  #flushing = false;
  #flushTimer: Timer | undefined;

  constructor(options: PartitionReplicaOptions) {
    const { environment } = options;
    this.topic = options.topic;
    this.partition = options.partition;
    this.log = options.log;
    this.#settings = options.settings;
    this.#environment = environment;
    this.#logger = options.logger;
    this.#onFlush = options.onFlush;
    this.#prepare = options.prepare;
    this.#queue = new AppendQueue({
      soon: (work) =>
        this.#isPrepared
          ? environment.timers.soon(work)
          : options.firstAppends.add(work),
      budget: options.budget,
      drain: (batches) => this.#append(batches),
    });
    this.#highWatermark = new HighWatermark(
      environment.timers,
      () => environment.clock.monotonicMs(),
    );
    this.#highWatermark.reset(this.log.flushedOffset);
  }

  get highWatermark(): Offset {
    return this.#highWatermark.value;
  }

  get lastStableOffset(): Offset {
    return this.log.lastStableOffset(this.#highWatermark.value);
  }

  get isLeader(): boolean {
    return this.#leaderEpoch !== undefined;
  }

  /** False once it was stopped or removed. */
  get isOpen(): boolean {
    return !this.#isStopping;
  }

  get leaderEpoch(): LeaderEpoch | undefined {
    return this.#leaderEpoch;
  }

  get settings(): TopicSettings {
    return this.#settings;
  }

  reconfigure(settings: TopicSettings): void {
    if (settings.flushMs !== this.#settings.flushMs) {
      this.#flushTimer?.cancel();
      this.#flushTimer = undefined;
    }
    this.#settings = settings;
    this.log.reconfigure(settings.log);
    if (this.isLeader) this.#makeSafe();
  }

  /** Begins to lead in a new epoch, or goes on in the same one. */
  lead(epoch: LeaderEpoch): void {
    if (this.#leaderEpoch === epoch) return;
    this.#leaderEpoch = epoch;
    this.log.startEpoch(epoch);
    this.#makeSafe();
  }

  /** Stops leading: whoever waits must ask the new leader. */
  resign(): void {
    if (this.#leaderEpoch === undefined) return;
    this.#leaderEpoch = undefined;
    const failure = this.notLeader();
    for (const batch of this.#queue.take()) {
      for (const { done } of batch.appends) done.done(failure);
    }
    this.#highWatermark.fail(failure);
  }

  notLeader(): Failure {
    return new Failure(
      "NOT_LEADER_OR_FOLLOWER",
      `This broker does not lead partition ${this.partition} of topic "${this.topic}"`,
      { retryAfterMs: 100 },
    );
  }

  /** Resolves when the records are as durable as the topic's level says. */
  appendRecords(
    records: readonly NewRecord[],
    options: AppendOptions & { producer?: ProducerFields },
  ): Promise<Appended | Failure> {
    return new Promise((resolve) => {
      const refusal = this.#refusal();
      if (refusal !== undefined) return resolve(refusal);
      const queuedAtMs = this.#environment.clock.nowMs();
      this.#queue.addRecords(records, queuedAtMs, options.producer, {
        timeoutMs: options.timeoutMs,
        waitForDurable: true,
        queuedAtMs,
        onStored: options.onStored,
        done: resolve,
      });
    });
  }

  /**
   * Appends a batch that was checked before; its offset and epoch are stamped
   * into `bytes`. `waitForDurable` is Kafka's acks=all.
   */
  appendBatch(
    bytes: Uint8Array,
    recordCount: number,
    options: AppendOptions & { waitForDurable: boolean },
  ): Promise<Appended | Failure> {
    return new Promise((resolve) => {
      const refusal = this.#refusal();
      if (refusal !== undefined) return resolve(refusal);
      const queuedAtMs = this.#environment.clock.nowMs();
      this.#queue.addBatch(bytes, recordCount, {
        timeoutMs: options.timeoutMs,
        waitForDurable: options.waitForDurable,
        queuedAtMs,
        onStored: options.onStored,
        done: resolve,
      });
    });
  }

  /**
   * Whole batches from the one that contains `from`, below `upperBound` (the
   * high watermark, or lower).
   */
  read(from: number, maxBytes: number, upperBound: Offset): BatchSlice {
    return this.log.read(offset(from), {
      maxBytes,
      upperBound,
      minOneBatch: true,
    });
  }

  /** Runs `work` on the log; what a broken disk throws is a failure. */
  attempt<Result>(work: () => Result): Result | Failure {
    try {
      return work();
    } catch (fault) {
      return this.#storageFailure(fault);
    }
  }

  /** Calls once when there may be more to read, or this broker stops leading. */
  onReadable(callback: () => void): () => void {
    return this.#highWatermark.onChange(callback);
  }

  /** Resolves when there may be more to read, or the time is up. */
  waitReadable(waitMs: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const finish = () => {
        timer.cancel();
        takeBack();
        signal?.removeEventListener("abort", finish);
        resolve();
      };
      const timer = this.#environment.timers.after(waitMs, finish);
      const takeBack = this.#highWatermark.onChange(finish);
      signal?.addEventListener("abort", finish, { once: true });
      if (signal?.aborted) finish();
    });
  }

  /**
   * Writes what is queued and takes no more. Who waits goes on waiting: a flush
   * of the log, and then `close`, give the answer.
   */
  stop(): void {
    this.#isStopping = true;
    this.#append(this.#queue.take());
    this.#flushTimer?.cancel();
  }

  /** Stops, acknowledges what is safe, ends other waits, closes the log. */
  close(): void {
    this.stop();
    if (this.isLeader) this.#advance(this.#safeEnd);
    this.resign();
    this.log.close();
  }

  /** Ends all waits and removes the log. */
  delete(): void {
    this.#isStopping = true;
    this.#flushTimer?.cancel();
    this.resign();
    this.log.delete();
  }

  #append(batches: QueuedBatch<Waiter>[]): void {
    if (batches.length === 0) return;
    const epoch = this.#leaderEpoch;
    if (epoch === undefined) return failAll(batches, this.notLeader());
    const nowMs = this.#environment.clock.nowMs();
    if (this.#settings.logAppendTime) {
      for (const { bytes } of batches) setLogAppendTime(bytes, nowMs);
    }
    let outcomes: AppendOutcome[];
    try {
      if (!this.#isPrepared) this.#prepare();
      this.#isPrepared = true;
      outcomes = this.log.append(
        batches.map((batch) => batch.bytes),
        { leaderEpoch: epoch, nowMs },
      );
    } catch (fault) {
      return failAll(batches, this.#storageFailure(fault));
    }
    this.#saidBroken = undefined;
    batches.forEach((batch, index) =>
      this.#settle(batch, outcomes[index], epoch, nowMs)
    );
    this.#makeSafe();
  }

  #settle(
    batch: QueuedBatch<Waiter>,
    outcome: AppendOutcome,
    leaderEpoch: LeaderEpoch,
    nowMs: number,
  ): void {
    for (const { index, recordCount, done: waiter } of batch.appends) {
      if (outcome.kind === "rejected") {
        waiter.done(new Failure(outcome.code, outcome.detail));
        continue;
      }
      if (outcome.kind === "appended") waiter.onStored?.();
      const appended: Appended = {
        baseOffset: outcome.baseOffset + index,
        leaderEpoch,
        appendTimeMs: this.#settings.logAppendTime ? nowMs : waiter.queuedAtMs,
        logAppendTime: this.#settings.logAppendTime,
      };
      if (!waiter.waitForDurable) {
        waiter.done(appended);
        continue;
      }
      this.#highWatermark.waitForAppended(
        appended.baseOffset + recordCount,
        waiter.timeoutMs,
        (failure) => waiter.done(failure ?? appended),
      );
    }
  }

  /** Why nothing can be appended just now. */
  #refusal(): Failure | undefined {
    if (this.#leaderEpoch === undefined || this.#isStopping) {
      return this.notLeader();
    }
    const isFull = this.#queue.isFull ||
      this.#highWatermark.waitCount >= APPEND_LIMITS.waitsPerPartition;
    return isFull
      ? new Failure(
        "THROTTLING_QUOTA_EXCEEDED",
        `More is sent to partition ${this.partition} of topic "${this.topic}" than the disk takes`,
        { retryAfterMs: 100 },
      )
      : undefined;
  }

  /** Exclusive: what the topic's durability level calls safe (D4). */
  get #safeEnd(): Offset {
    return this.#settings.flushMessages === 1
      ? this.log.flushedOffset
      : this.log.logEndOffset;
  }

  /** Brings the high watermark up to what is safe, flushing where needed. */
  #makeSafe(): void {
    const { flushMessages } = this.#settings;
    this.#advance(this.#safeEnd);
    const unflushed = this.log.logEndOffset - this.log.flushedOffset;
    if (unflushed >= flushMessages) this.#flush();
    else if (unflushed > 0) this.#armFlush();
  }

  #armFlush(): void {
    const { flushMs } = this.#settings;
    if (flushMs === undefined || this.#isStopping) return;
    this.#flushTimer ??= this.#environment.timers.after(flushMs, () => {
      this.#flushTimer = undefined;
      this.#flush();
    });
  }

  /** One fdatasync at a time; appends gather for the next (D3). */
  #flush(): void {
    if (this.#flushing) return;
    this.#flushing = true;
    const startedMs = this.#environment.clock.monotonicMs();
    this.log.flush().then(
      () => {
        this.#flushing = false;
        const endedMs = this.#environment.clock.monotonicMs();
        this.#onFlush((endedMs - startedMs) / 1000);
        if (this.isLeader) this.#makeSafe();
      },
      (fault: unknown) => {
        this.#flushing = false;
        if (!(fault instanceof StorageError)) throw fault;
        // Of a log that was removed meanwhile nobody waits for anything.
        if (!this.isLeader) return;
        this.#highWatermark.fail(this.#storageFailure(fault));
      },
    );
  }

  #advance(to: Offset): void {
    if (to > this.#highWatermark.value) this.#highWatermark.advanceTo(to);
  }

  /** What a broken disk, or a batch that is none, is to a client. */
  #storageFailure(fault: unknown): Failure {
    if (fault instanceof InvalidBatchError) {
      return new Failure("CORRUPT_MESSAGE", fault.message);
    }
    if (!(fault instanceof StorageError)) throw fault;
    this.#sayBroken(fault);
    return new Failure(
      "KAFKA_STORAGE_ERROR",
      fault instanceof DiskFullError
        ? "The disk of this broker is full: nothing was changed"
        : `Partition ${this.partition} of topic "${this.topic}" is offline: its disk failed`,
      { retryAfterMs: 1000 },
    );
  }

  /** Once, and not for every request that meets the same. */
  #sayBroken(fault: StorageError): void {
    if (this.#saidBroken === fault.name) return;
    this.#saidBroken = fault.name;
    this.#logger.error("The disk of a partition fails", {
      topic: this.topic,
      partition: this.partition,
      cause: fault.message,
    });
  }
}

function failAll(batches: QueuedBatch<Waiter>[], failure: Failure): void {
  for (const batch of batches) {
    for (const { done } of batch.appends) done.done(failure);
  }
}
