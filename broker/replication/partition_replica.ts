/**
 * One partition on this broker: its log, its high watermark, and the role that
 * it has now. Owns what outlives a role; appends and acknowledgements are the
 * leader role's, fetched batches the follower role's. Refuses to know topics,
 * schemas and doors.
 */
import type { Failure } from "../../contract/errors.ts";
import { StorageError } from "../../storage/error.ts";
import type { Log } from "../../storage/log/log.ts";
import {
  type LeaderEpoch,
  leaderEpoch as epochOf,
  type Offset,
  offset,
} from "../../storage/log/types.ts";
import type { PartitionImage } from "../cluster/metadata_image.ts";
import type { Environment } from "../environment.ts";
import type { Logger } from "../logger.ts";
import type { NewRecord } from "../operations/operations.ts";
import type { TopicSettings } from "../topic_config.ts";
import type { AppendBudget, ProducerFields } from "./append_queue.ts";
import { Appender } from "./appender.ts";
import type { AckWait, Appended, AppendOptions } from "./appends.ts";
import type { FetchAnswer } from "./fetch_source.ts";
import {
  type Applied,
  type FetchPosition,
  FollowerRole,
} from "./follower_role.ts";
import type { InSyncReplicas } from "./in_sync_replicas.ts";
import { LeaderRole, type LeaderWorld } from "./leader_role.ts";
import type { OneATurn } from "./one_a_turn.ts";
import { ReplicaParts } from "./replica_parts.ts";
import { SafeEnd } from "./safe_end.ts";

export type { AckWait, Appended, AppendOptions } from "./appends.ts";
export type { Applied, FetchPosition } from "./follower_role.ts";

/** The leader that a follower follows, in one epoch. */
export interface Following {
  readonly leader: number;
  readonly leaderEpoch: LeaderEpoch;
}

/** Whole batches on their way out. */
export interface BatchSlice {
  readonly bytes: Uint8Array;
  readonly nextOffset: number;
}

export interface PartitionReplicaOptions {
  readonly topic: string;
  readonly topicId: string;
  readonly partition: number;
  readonly log: Log;
  readonly settings: TopicSettings;
  readonly environment: Environment;
  readonly logger: Logger;
  readonly world: LeaderWorld;
  /** Shared by the partitions of a broker. */
  readonly budget: AppendBudget;
  /** Likewise: the first append of a partition is slow. */
  readonly firstAppends: OneATurn;
  /** Seconds that an fdatasync took. */
  onFlush(seconds: number): void;
  /** Called once, before the first write of this run. */
  prepare(): void;
}

export class PartitionReplica {
  readonly topic: string;
  readonly topicId: string;
  readonly partition: number;
  readonly log: Log;
  readonly #parts: ReplicaParts;
  readonly #safeEnd: SafeEnd;
  readonly #appender: Appender;
  readonly #world: LeaderWorld;
  readonly #firstAppends: OneATurn;
  #leader: LeaderRole | undefined;
  #follower: FollowerRole | undefined;
  #isStopping = false;
  #keepsWaits = true;

  constructor(options: PartitionReplicaOptions) {
    const { environment, log, settings } = options;
    this.topic = options.topic;
    this.topicId = options.topicId;
    this.partition = options.partition;
    this.log = log;
    this.#world = options.world;
    this.#firstAppends = options.firstAppends;
    this.#parts = new ReplicaParts(options);
    this.#safeEnd = new SafeEnd({
      log,
      settings,
      environment,
      onFlush: options.onFlush,
      onSafe: () => this.#grownSafer(),
      onFault: (fault) => {
        this.#leader?.failed(fault);
        this.#follower?.lookAtDisk();
      },
    });
    this.#appender = new Appender({
      ...options,
      parts: this.#parts,
      leader: () => this.#leader,
    });
    this.#parts.highWatermark.reset(log.logStartOffset);
  }

  get highWatermark(): Offset {
    return this.#parts.highWatermark.value;
  }

  get lastStableOffset(): Offset {
    return this.log.lastStableOffset(this.highWatermark);
  }

  get isLeader(): boolean {
    return this.#leader !== undefined;
  }

  /** False once it was stopped or removed. */
  get isOpen(): boolean {
    return !this.#isStopping;
  }

  /** It leads, and nobody who may lead next holds what its log lacks. */
  get isSettled(): boolean {
    return this.#leader?.isSettled ?? false;
  }

  /** It does not lead, and is to tell producers what became of their records. */
  get owesAnswers(): boolean {
    return !this.isLeader && this.#parts.highWatermark.waitCount > 0;
  }

  /** Undefined: this broker does not lead the partition. */
  get leaderEpoch(): LeaderEpoch | undefined {
    return this.#leader?.epoch;
  }

  /** What is known of the replicas, while this one leads. */
  get inSync(): InSyncReplicas | undefined {
    return this.#leader?.inSync;
  }

  /**
   * False on a new leader that does not know yet how far its predecessor's
   * records were committed (KIP-207).
   */
  get knowsCommitted(): boolean {
    return this.highWatermark >= (this.inSync?.epochStartOffset ?? 0);
  }

  /** Whom it follows; undefined: it leads, or follows nobody. */
  get following(): Following | undefined {
    return this.#follower;
  }

  /** Its disk is full, or the log offline. */
  get isDiskFailing(): boolean {
    return this.log.isOffline || this.#parts.isFull;
  }

  get settings(): TopicSettings {
    return this.#parts.settings;
  }

  reconfigure(settings: TopicSettings): void {
    const isStricter = settings.flushMessages === 1 &&
      this.settings.flushMessages !== 1;
    if (isStricter) this.#leader?.becomeStricter();
    this.#parts.settings = settings;
    this.#safeEnd.reconfigure(settings);
    this.log.reconfigure(settings.log);
    if (this.#isStopping) return;
    this.#leader?.recheck();
    this.#follower?.learnHighWatermark();
  }

  /** Leads as `state` says, in a new epoch or on in the same one. */
  lead(state: PartitionImage): void {
    this.#begin(state);
    if (this.#leader?.epoch === state.leaderEpoch) {
      return this.#leader.update(state);
    }
    this.resign();
    this.#leader = new LeaderRole({
      parts: this.#parts,
      safeEnd: this.#safeEnd,
      queue: this.#appender.queue,
      world: this.#world,
      state,
    });
  }

  /** Follows the leader that `state` names, if any. */
  follow(state: PartitionImage): void {
    this.#begin(state);
    const { leader, leaderEpoch } = state;
    const now = this.#follower;
    if (now?.leader === leader && now.leaderEpoch === leaderEpoch) return;
    this.resign();
    if (leader === null || leader === this.#world.brokerId) return;
    this.#follower = new FollowerRole({
      parts: this.#parts,
      safeEnd: this.#safeEnd,
      leader,
      leaderEpoch: epochOf(leaderEpoch),
    });
    this.#follower.lookAtDisk();
  }

  /**
   * Has no role any more: whoever waits must ask the leader, but for those whose
   * wait outlives it.
   */
  resign(): void {
    const leader = this.#leader;
    this.#leader = undefined;
    this.#follower = undefined;
    leader?.end();
    const { highWatermark } = this.#parts;
    // Whoever leads next may bring back what was cut.
    highWatermark.failCutOff(this.notLeader());
    if (!this.#keepsWaits) highWatermark.fail(this.notLeader());
  }

  /** No wait outlives its leadership any more: this broker stops. */
  keepNoWaits(): void {
    this.#keepsWaits = false;
    if (!this.isLeader) this.#parts.highWatermark.fail(this.notLeader());
  }

  /**
   * What this run starts from. The only replica knows itself what is safe; one
   * of several learns that from the others.
   */
  #begin(state: PartitionImage): void {
    const hadState = this.#parts.state !== undefined;
    this.#parts.state = state;
    if (hadState) return;
    if (state.replicas.length > 1) return;
    this.#parts.highWatermark.reset(
      offset(Math.max(this.log.logStartOffset, this.log.flushedOffset)),
    );
  }

  /** The lease is back, or the level changed: looks again. */
  recheck(): void {
    this.#leader?.recheck();
  }

  /** Now and then, while this broker leads: who is still in sync? */
  lookAround(nowMs: number): void {
    this.#leader?.lookAround(nowMs);
  }

  /** This broker stood still for so long: no fault of its followers. */
  excuse(byMs: number): void {
    this.#leader?.excuse(byMs);
  }

  #grownSafer(): void {
    this.#leader?.recheck();
    this.#follower?.learnHighWatermark();
  }

  notLeader(): Failure {
    return this.#parts.notLeader();
  }

  /** As `Appender.appendRecords` has it. */
  appendRecords(
    records: readonly NewRecord[],
    options: AppendOptions & { producer?: ProducerFields },
  ): Promise<Appended | Failure> {
    return this.#appender.appendRecords(records, options);
  }

  /** As `Appender.appendBatch` has it. */
  appendBatch(
    bytes: Uint8Array,
    recordCount: number,
    options: AppendOptions & { wait: AckWait },
  ): Promise<Appended | Failure> {
    return this.#appender.appendBatch(bytes, recordCount, options);
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
      return this.#parts.storageFailure(fault);
    }
  }

  /**
   * Deletes what is below `before`, at most the high watermark, on this broker
   * and on all in sync: another leader brings nothing of it back. Resolves with
   * the log start.
   */
  async deleteRecords(
    before: Offset,
    timeoutMs: number,
  ): Promise<Offset | Failure> {
    if (this.#leader === undefined) return this.notLeader();
    const failure = await this.#leader.deleteBefore(before, timeoutMs);
    return failure ?? this.log.logStartOffset;
  }

  /** Calls once when there may be more to read, or this broker stops leading. */
  onReadable(callback: () => void): () => void {
    return this.#parts.highWatermark.onChange(callback);
  }

  /**
   * A follower asks from `fetchOffset` on, and its log agrees with this one up
   * to there: all below is safe at that broker. `nowMs` is monotonic. Nothing
   * when this broker does not lead in `epoch`.
   */
  followerFetched(report: {
    brokerId: number;
    fetchOffset: number;
    logStartOffset: number;
    epoch: number;
    nowMs: number;
  }): void {
    if (report.epoch !== this.#leader?.epoch) return;
    this.#leader.followerFetched(report);
  }

  /**
   * Calls once at the next append, durable or not, and when this broker stops
   * leading in this epoch; returns what takes it back.
   */
  onAppended(callback: () => void): () => void {
    if (this.#leader !== undefined) return this.#leader.onAppended(callback);
    this.#parts.environment.timers.soon(callback);
    return () => {};
  }

  /**
   * Where this follower asks from; undefined when it follows nobody, its log is
   * offline, or `flushFetched` has to make safe what it holds before.
   */
  fetchPosition(): FetchPosition | undefined {
    return this.#isStopping ? undefined : this.#follower?.position();
  }

  /** Does to the log what the leader answered in `epoch`. */
  apply(epoch: number, answer: FetchAnswer): Applied {
    if (this.#isStopping || this.#follower?.leaderEpoch !== epoch) {
      return { kind: "stale" };
    }
    return this.#follower.apply(answer);
  }

  /**
   * Before the first `apply` that writes: its folder is made in a turn of its
   * own. Undefined: that is done.
   */
  prepareToFetch(): Promise<void> | undefined {
    if (this.#parts.isPrepared) return undefined;
    return new Promise((resolve, reject) =>
      this.#firstAppends.add(() => {
        try {
          if (!this.#isStopping) this.#parts.prepare();
          resolve();
        } catch (fault) {
          if (fault instanceof StorageError) this.#parts.noteBroken(fault);
          reject(fault);
        }
      })
    );
  }

  /**
   * Resolves when what the log holds is as safe as its level wants.
   *
   * @throws StorageError when the disk fails: the log is offline.
   */
  async flushFetched(): Promise<void> {
    if (this.#isStopping) return;
    try {
      await this.#safeEnd.reach();
    } catch (fault) {
      if (fault instanceof StorageError) this.#parts.noteBroken(fault);
      this.#follower?.lookAtDisk();
      throw fault;
    }
    this.#grownSafer();
  }

  /**
   * Writes what is queued and takes no more. Who waits goes on waiting: a flush
   * of the log, and then `close`, give the answer.
   */
  stop(): void {
    this.#isStopping = true;
    this.keepNoWaits();
    this.#appender.stop();
    this.#safeEnd.stop();
  }

  /** Stops, acknowledges what is safe, ends other waits, closes the log. */
  close(): void {
    this.stop();
    this.#leader?.advance();
    this.resign();
    this.log.close();
  }

  /** Ends all waits: nobody uses it any more. */
  retire(): void {
    this.#isStopping = true;
    this.keepNoWaits();
    this.#safeEnd.stop();
    this.resign();
  }

  /** Retires it and removes the log. */
  delete(): void {
    this.retire();
    this.log.delete();
  }
}
