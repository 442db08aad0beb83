/**
 * One partition on this broker, to all who use it: its log, its high watermark,
 * and what its present role answers. Owns what outlives a role, and how it ends;
 * the role is `replica_roles.ts`'s, the way of appends to it `appender.ts`'s,
 * that of what was fetched `fetch_sink.ts`'s. Refuses to know topics, schemas
 * and doors.
 */
import type { Failure } from "../../contract/errors.ts";
import type { Log } from "../../storage/log/log.ts";
import type { LeaderEpoch, Offset } from "../../storage/log/types.ts";
import type { PartitionImage } from "../cluster/metadata_image.ts";
import type { Environment } from "../environment.ts";
import type { Logger } from "../logger.ts";
import type { NewRecord } from "../operations/operations.ts";
import type { TopicSettings } from "../topic_config.ts";
import type { AppendBudget, ProducerFields } from "./append_queue.ts";
import { Appender } from "./appender.ts";
import type { AckWait, Appended, AppendOptions } from "./appends.ts";
import { FetchSink } from "./fetch_sink.ts";
import type { Following } from "./follower_role.ts";
import type { FollowerFetch, InSyncReplicas } from "./in_sync_replicas.ts";
import type { LeaderWorld } from "./leader_role.ts";
import type { OneATurn } from "./one_a_turn.ts";
import { ReplicaParts } from "./replica_parts.ts";
import { ReplicaRoles } from "./replica_roles.ts";
import { SafeEnd } from "./safe_end.ts";

export type { AckWait, Appended, AppendOptions } from "./appends.ts";

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
  /** Where its fetcher brings what it got from the leader. */
  readonly fetchSink: FetchSink;
  readonly #parts: ReplicaParts;
  readonly #safeEnd: SafeEnd;
  readonly #appender: Appender;
  readonly #roles: ReplicaRoles;
  #isStopping = false;

  constructor(options: PartitionReplicaOptions) {
    const { environment, log, settings, world, firstAppends } = options;
    this.topic = options.topic;
    this.topicId = options.topicId;
    this.partition = options.partition;
    this.log = log;
    const parts = new ReplicaParts(options);
    const safeEnd = new SafeEnd({
      log,
      settings,
      environment,
      onFlush: options.onFlush,
      onSafe: () => roles.lookAgain(),
      onFault: (fault) => roles.failed(fault),
    });
    const appender = new Appender({
      ...options,
      parts,
      leader: () => roles.leader?.appends,
    });
    const { queue } = appender;
    const roles: ReplicaRoles = new ReplicaRoles({
      parts,
      safeEnd,
      queue,
      world,
    });
    this.fetchSink = new FetchSink({ parts, safeEnd, roles, firstAppends });
    this.#parts = parts;
    this.#safeEnd = safeEnd;
    this.#appender = appender;
    this.#roles = roles;
    parts.highWatermark.reset(log.logStartOffset);
  }

  get highWatermark(): Offset {
    return this.#parts.highWatermark.value;
  }

  get lastStableOffset(): Offset {
    return this.log.lastStableOffset(this.highWatermark);
  }

  get isLeader(): boolean {
    return this.#roles.leader !== undefined;
  }

  /** False once it was stopped or removed. */
  get isOpen(): boolean {
    return !this.#isStopping;
  }

  /** It leads, and nobody who may lead next holds what its log lacks. */
  get isSettled(): boolean {
    return this.#roles.leader?.isSettled ?? false;
  }

  /** It does not lead, and is to tell producers what became of their records. */
  get owesAnswers(): boolean {
    return !this.isLeader && this.#parts.highWatermark.waitCount > 0;
  }

  /** Undefined: this broker does not lead the partition. */
  get leaderEpoch(): LeaderEpoch | undefined {
    return this.#roles.leader?.epoch;
  }

  /** What is known of the replicas, while this one leads. */
  get inSync(): InSyncReplicas | undefined {
    return this.#roles.leader?.inSync;
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
    return this.#roles.follower;
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
    if (isStricter) this.#roles.leader?.becomeStricter();
    this.#parts.settings = settings;
    this.#safeEnd.reconfigure(settings);
    this.log.reconfigure(settings.log);
    if (!this.#isStopping) this.#roles.lookAgain();
  }

  /** As `ReplicaRoles.lead` has it. */
  lead(state: PartitionImage): void {
    this.#roles.lead(state);
  }

  /** As `ReplicaRoles.follow` has it. */
  follow(state: PartitionImage): void {
    this.#roles.follow(state);
  }

  /** As `ReplicaRoles.resign` has it. */
  resign(): void {
    this.#roles.resign();
  }

  /** As `ReplicaRoles.keepNoWaits` has it. */
  keepNoWaits(): void {
    this.#roles.keepNoWaits();
  }

  /** The lease is back, or the level changed: looks again. */
  recheck(): void {
    this.#roles.leader?.recheck();
  }

  /** Now and then, while this broker leads: who is still in sync? */
  lookAround(nowMs: number): void {
    this.#roles.leader?.lookAround(nowMs);
  }

  /** This broker stood still for so long: no fault of its followers. */
  excuse(byMs: number): void {
    this.#roles.leader?.excuse(byMs);
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
    const { leader } = this.#roles;
    if (leader === undefined) return this.notLeader();
    const failure = await leader.deleteBefore(before, timeoutMs);
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
  followerFetched(
    report: Omit<FollowerFetch, "logEndOffset"> & { readonly epoch: number },
  ): void {
    const { leader } = this.#roles;
    if (report.epoch === leader?.epoch) leader.followerFetched(report);
  }

  /**
   * Calls once at the next append, durable or not, and when this broker stops
   * leading in this epoch; returns what takes it back.
   */
  onAppended(callback: () => void): () => void {
    const { leader } = this.#roles;
    if (leader !== undefined) return leader.onAppended(callback);
    this.#parts.environment.timers.soon(callback);
    return () => {};
  }

  /**
   * Writes what is queued and takes no more. Who waits goes on waiting: a flush
   * of the log, and then `close`, give the answer.
   */
  stop(): void {
    this.#isStopping = true;
    this.fetchSink.stop();
    this.keepNoWaits();
    this.#appender.stop();
    this.#safeEnd.stop();
  }

  /** Stops, acknowledges what is safe, ends other waits, closes the log. */
  close(): void {
    this.stop();
    this.#roles.leader?.advance();
    this.resign();
    this.log.close();
  }

  /** Ends all waits: nobody uses it any more. */
  retire(): void {
    this.#isStopping = true;
    this.fetchSink.stop();
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
