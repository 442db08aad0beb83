/**
 * One partition on this broker: its log, its role, its high watermark. Owns the
 * path from an append to its acknowledgement, and what a role may do; refuses to
 * know topics, schemas and doors. What followers have is `in_sync_replicas.ts`,
 * what a follower does with what it fetched `replicated_log.ts`.
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
  leaderEpoch,
  type Offset,
  offset,
} from "../../storage/log/types.ts";
import type { PartitionImage } from "../cluster/metadata_image.ts";
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
import type { FetchAnswer } from "./fetch_source.ts";
import { HighWatermark } from "./high_watermark.ts";
import { InSyncReplicas } from "./in_sync_replicas.ts";
import type { OneATurn } from "./one_a_turn.ts";
import { applyFetched } from "./replicated_log.ts";

/** Where records went. */
export interface Appended {
  readonly baseOffset: number;
  readonly leaderEpoch: number;
  readonly appendTimeMs: number;
  readonly logAppendTime: boolean;
}

type Done = (result: Appended | Failure) => void;

/**
 * What an acknowledgement waits for: that all in-sync replicas have the records
 * as safely as the topic's level says (Kafka's acks=all), that this one has
 * (acks=1), or the append alone.
 */
export type AckWait = "inSync" | "leader" | "append";

interface Waiter {
  readonly timeoutMs: number;
  readonly wait: AckWait;
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

/** What a follower follows. */
export interface Following {
  readonly leader: number;
  readonly leaderEpoch: LeaderEpoch;
}

/** Where a follower's log goes on. */
export interface FetchPosition {
  readonly fetchOffset: number;
  readonly lastFetchedEpoch: number;
  readonly logStartOffset: number;
}

/** Everything below `fetchOffset` is safe at that broker. */
export interface FollowerProgressReport {
  readonly brokerId: number;
  readonly fetchOffset: number;
  readonly epoch: number;
  readonly nowMs: number;
}

export interface PartitionReplicaOptions {
  readonly topic: string;
  readonly topicId: string;
  readonly partition: number;
  readonly brokerId: number;
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
  /** False: others may have taken over; nothing is acknowledged. */
  holdsLease(): boolean;
  /** The metadata should have this ISR. */
  onIsrChange(replica: PartitionReplica, isr: readonly number[]): void;
  /** This leader's disk cannot take anything: somebody else should lead. */
  onLeaderUnfit(replica: PartitionReplica): void;
}

export class PartitionReplica {
  readonly topic: string;
  readonly topicId: string;
  readonly partition: number;
  readonly log: Log;
  readonly #options: PartitionReplicaOptions;
  #settings: TopicSettings;
  readonly #environment: Environment;
  readonly #logger: Logger;
  readonly #onFlush: (seconds: number) => void;
  readonly #prepare: () => void;
  #isPrepared = false;
  readonly #queue: AppendQueue<Waiter>;
  readonly #highWatermark: HighWatermark;
  /** Waits for this replica alone. */
  readonly #ownSafeEnd: HighWatermark;
  /** Undefined: this broker does not lead the partition. */
  #inSync: InSyncReplicas | undefined;
  #leaderEpoch: LeaderEpoch | undefined;
  #following: Following | undefined;
  readonly #appendWaits = new Set<() => void>();
  #isStopping = false;
  /** Kind of the failure that was logged last, until an append succeeds. */
  #saidBroken: string | undefined;
  #flushing = false;
  #flushTimer: Timer | undefined;

  constructor(options: PartitionReplicaOptions) {
    const { environment } = options;
    this.#options = options;
    this.topic = options.topic;
    this.topicId = options.topicId;
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
    const monotonicMs = () => environment.clock.monotonicMs();
    this.#highWatermark = new HighWatermark(environment.timers, monotonicMs);
    this.#ownSafeEnd = new HighWatermark(environment.timers, monotonicMs);
    // What others have is not known; it is told by the leader, or by followers.
    this.#highWatermark.reset(this.log.logStartOffset);
    this.#ownSafeEnd.reset(this.log.flushedOffset);
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

  /** What is known of the replicas, while this one leads. */
  get inSync(): InSyncReplicas | undefined {
    return this.#inSync;
  }

  get following(): Following | undefined {
    return this.#following;
  }

  /**
   * False on a new leader that does not know yet how far its predecessor's
   * records were committed (KIP-207).
   */
  get knowsCommitted(): boolean {
    const inSync = this.#inSync;
    return inSync === undefined ||
      this.#highWatermark.value >= inSync.epochStartOffset;
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
  lead(state: PartitionImage): void {
    const epoch = leaderEpoch(state.leaderEpoch);
    if (this.#leaderEpoch === epoch) {
      this.#inSync?.update(state);
      return this.#makeSafe();
    }
    this.resign();
    this.#following = undefined;
    this.#leaderEpoch = epoch;
    this.log.startEpoch(epoch);
    this.#inSync = new InSyncReplicas({
      brokerId: this.#options.brokerId,
      state,
      epochStartOffset: this.log.logEndOffset,
      nowMs: this.#environment.clock.monotonicMs(),
    });
    this.#makeSafe();
  }

  /** Takes what `leader` has, from now on. */
  follow(leader: number, epoch: LeaderEpoch): void {
    const now = this.#following;
    if (now?.leader === leader && now.leaderEpoch === epoch) return;
    this.resign();
    this.log.forgetEmptyEpochs();
    this.#following = { leader, leaderEpoch: epoch };
  }

  /** Neither leads nor follows: whoever waits must ask the new leader. */
  resign(): void {
    this.#following = undefined;
    if (this.#leaderEpoch === undefined) return;
    this.#leaderEpoch = undefined;
    this.#inSync = undefined;
    const failure = this.notLeader();
    for (const batch of this.#queue.take()) {
      for (const { done } of batch.appends) done.done(failure);
    }
    this.#highWatermark.fail(failure);
    this.#ownSafeEnd.fail(failure);
    this.#wakeFollowers();
  }

  /** The lease is back: what waited for it goes on. */
  recheck(): void {
    if (this.isLeader) this.#makeSafe();
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
      const refusal = this.#refusal("inSync");
      if (refusal !== undefined) return resolve(refusal);
      const queuedAtMs = this.#environment.clock.nowMs();
      this.#queue.addRecords(records, queuedAtMs, options.producer, {
        timeoutMs: options.timeoutMs,
        wait: "inSync",
        queuedAtMs,
        onStored: options.onStored,
        done: resolve,
      });
    });
  }

  /**
   * Appends a batch that was checked before; its offset and epoch are stamped
   * into `bytes`.
   */
  appendBatch(
    bytes: Uint8Array,
    recordCount: number,
    options: AppendOptions & { wait: AckWait },
  ): Promise<Appended | Failure> {
    return new Promise((resolve) => {
      const refusal = this.#refusal(options.wait);
      if (refusal !== undefined) return resolve(refusal);
      const queuedAtMs = this.#environment.clock.nowMs();
      this.#queue.addBatch(bytes, recordCount, {
        timeoutMs: options.timeoutMs,
        wait: options.wait,
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

  /** Calls once when there is more to fetch, or this broker stops leading. */
  onAppended(callback: () => void): () => void {
    this.#appendWaits.add(callback);
    return () => this.#appendWaits.delete(callback);
  }

  #wakeFollowers(): void {
    if (this.#appendWaits.size === 0) return;
    const waits = [...this.#appendWaits];
    this.#appendWaits.clear();
    for (const wake of waits) wake();
  }

  /**
   * A follower, whose log agrees with this one up to `fetchOffset`, has all
   * below as safe as its level wants.
   */
  followerFetched(
    { brokerId, fetchOffset, epoch, nowMs }: FollowerProgressReport,
  ): void {
    const inSync = this.#inSync;
    if (inSync === undefined || epoch !== this.#leaderEpoch) return;
    if (!inSync.isReplica(brokerId)) return;
    inSync.fetched(brokerId, {
      fetchOffset,
      nowMs,
      logEnd: this.log.logEndOffset,
    });
    this.#advance();
    const isr = inSync.grownBy(
      brokerId,
      fetchOffset,
      this.#highWatermark.value,
    );
    if (isr !== undefined) this.#options.onIsrChange(this, isr);
  }

  /** Takes out of the ISR who has been behind for too long. */
  checkLag(): void {
    const inSync = this.#inSync;
    if (inSync === undefined || !this.#options.holdsLease()) return;
    const nowMs = this.#environment.clock.monotonicMs();
    const isr = inSync.shrunk(nowMs, this.log.logEndOffset);
    if (isr !== undefined) this.#options.onIsrChange(this, isr);
  }

  /** Where the follower's log goes on; undefined: it must be flushed first. */
  fetchPosition(): FetchPosition | undefined {
    const { log } = this;
    if (this.#safeEnd < log.logEndOffset) return undefined;
    return {
      fetchOffset: log.logEndOffset,
      lastFetchedEpoch: log.latestEpoch,
      logStartOffset: log.logStartOffset,
    };
  }

  /**
   * Takes what the leader answered in `epoch`; of no effect when that is over.
   * A failure is this broker's disk, or bytes that cannot be appended.
   */
  applyFetched(
    epoch: LeaderEpoch,
    answer: Exclude<FetchAnswer, { kind: "refused" }>,
  ): { appendedBytes: number } | Failure {
    if (this.#following?.leaderEpoch !== epoch || this.#isStopping) {
      return { appendedBytes: 0 };
    }
    const before = this.#highWatermark.value;
    const applied = this.attempt(() => {
      this.#prepareOnce();
      return applyFetched(this.log, answer, {
        highWatermark: before,
        nowMs: this.#environment.clock.nowMs(),
      });
    });
    if (applied instanceof Failure) return applied;
    if (applied.highWatermark < before) this.#sayCut(before, applied);
    this.#highWatermark.reset(applied.highWatermark);
    if (applied.truncatedTo !== undefined) {
      this.#ownSafeEnd.reset(this.log.flushedOffset);
    }
    this.#saidBroken = undefined;
    return { appendedBytes: applied.appendedBytes };
  }

  /** Makes what was fetched as safe as the level wants. */
  async makeFetchedSafe(): Promise<Failure | undefined> {
    if (this.#safeEnd >= this.log.logEndOffset) {
      if (this.log.flushedOffset < this.log.logEndOffset) this.#makeSafe();
      return undefined;
    }
    const startedMs = this.#environment.clock.monotonicMs();
    try {
      await this.log.flush();
    } catch (fault) {
      if (this.#isStopping && fault instanceof StorageError) return undefined;
      return this.#storageFailure(fault);
    }
    const endedMs = this.#environment.clock.monotonicMs();
    this.#onFlush((endedMs - startedMs) / 1000);
    return undefined;
  }

  #sayCut(
    before: Offset,
    { highWatermark }: { readonly highWatermark: Offset },
  ): void {
    this.#logger.error("A replica gave up records that it knew as committed", {
      topic: this.topic,
      partition: this.partition,
      highWatermark: before,
      cutTo: highWatermark,
    });
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
    this.#advance();
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
    if (!this.#options.holdsLease()) return failAll(batches, this.#leaseLost());
    const nowMs = this.#environment.clock.nowMs();
    if (this.#settings.logAppendTime) {
      for (const { bytes } of batches) setLogAppendTime(bytes, nowMs);
    }
    let outcomes: AppendOutcome[];
    try {
      this.#prepareOnce();
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
    this.#wakeFollowers();
    this.#makeSafe();
  }

  #prepareOnce(): void {
    if (!this.#isPrepared) this.#prepare();
    this.#isPrepared = true;
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
      this.#acknowledge(waiter, appended, appended.baseOffset + recordCount);
    }
  }

  /** When, and how, what was appended is acknowledged. */
  #acknowledge(waiter: Waiter, appended: Appended, endOffset: number): void {
    const { wait, timeoutMs, done } = waiter;
    if (wait === "append") return done(appended);
    if (wait === "leader") {
      this.#ownSafeEnd.waitForAppended(
        endOffset,
        timeoutMs,
        (failure) => done(failure ?? appended),
      );
      return;
    }
    this.#highWatermark.waitForAppended(endOffset, timeoutMs, (failure) => {
      const isShort = failure === undefined && this.#isBelowMinimum;
      done(
        isShort
          ? this.#tooFewReplicas(
            "NOT_ENOUGH_REPLICAS_AFTER_APPEND",
            "the records are written, and may or may not be kept",
          )
          : failure ?? appended,
      );
    });
  }

  /** Why nothing can be appended just now. */
  #refusal(wait: AckWait): Failure | undefined {
    if (this.#leaderEpoch === undefined || this.#isStopping) {
      return this.notLeader();
    }
    if (!this.#options.holdsLease()) return this.#leaseLost();
    if (wait === "inSync" && this.#isBelowMinimum) {
      return this.#tooFewReplicas("NOT_ENOUGH_REPLICAS", "nothing was written");
    }
    const waits = this.#highWatermark.waitCount + this.#ownSafeEnd.waitCount;
    const isFull = this.#queue.isFull ||
      waits >= APPEND_LIMITS.waitsPerPartition;
    return isFull
      ? new Failure(
        "THROTTLING_QUOTA_EXCEEDED",
        `More is sent to partition ${this.partition} of topic "${this.topic}" than the disk takes`,
        { retryAfterMs: 100 },
      )
      : undefined;
  }

  get #isBelowMinimum(): boolean {
    const inSync = this.#inSync;
    if (inSync === undefined) return false;
    const { minInsyncReplicas } = this.#settings;
    return inSync.isr.length < minInsyncReplicas;
  }

  #tooFewReplicas(
    code: "NOT_ENOUGH_REPLICAS" | "NOT_ENOUGH_REPLICAS_AFTER_APPEND",
    consequence: string,
  ): Failure {
    const isr = this.#inSync?.isr ?? [];
    return new Failure(
      code,
      `Partition ${this.partition} of topic "${this.topic}" has ${isr.length} in-sync replicas (${
        isr.join(", ")
      }) and needs ${this.#settings.minInsyncReplicas}: ${consequence}`,
      { retryAfterMs: 1000 },
    );
  }

  #leaseLost(): Failure {
    return new Failure(
      "NOT_LEADER_OR_FOLLOWER",
      `This broker cannot renew its lease with the metadata store, so another one may lead partition ${this.partition} of topic "${this.topic}" by now: nothing is acknowledged here`,
      { retryAfterMs: 500 },
    );
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
    this.#advance();
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
        const failure = this.#storageFailure(fault);
        this.#highWatermark.fail(failure);
        this.#ownSafeEnd.fail(failure);
      },
    );
  }

  #advance(): void {
    const inSync = this.#inSync;
    if (inSync === undefined || !this.#options.holdsLease()) return;
    const ownSafeEnd = this.#safeEnd;
    if (ownSafeEnd > this.#ownSafeEnd.value) {
      this.#ownSafeEnd.advanceTo(ownSafeEnd);
    }
    const { value } = this.#highWatermark;
    const to = inSync.highWatermark(value, ownSafeEnd);
    if (to > value) this.#highWatermark.advanceTo(offset(to));
  }

  /** What a broken disk, or a batch that is none, is to a client. */
  #storageFailure(fault: unknown): Failure {
    if (fault instanceof InvalidBatchError) {
      return new Failure("CORRUPT_MESSAGE", fault.message);
    }
    if (!(fault instanceof StorageError)) throw fault;
    this.#sayBroken(fault);
    if (this.isLeader) this.#options.onLeaderUnfit(this);
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
