/**
 * A replica while it leads, in one leader epoch: from an append to its
 * acknowledgement, and what followers have. Owns the queue of appends, the waits
 * for acknowledgements, the followers' progress, and which changes of the
 * in-sync set are wanted; refuses to write metadata (`isr_keeper.ts`).
 *
 * Without the broker's lease it appends and acknowledges nothing: another may
 * lead by then.
 */
import { Failure } from "../../contract/errors.ts";
import { StorageError } from "../../storage/error.ts";
import type { AppendOutcome } from "../../storage/log/log.ts";
import { setLogAppendTime } from "../../storage/log/record_batch.ts";
import {
  type LeaderEpoch,
  leaderEpoch,
  type Offset,
  offset,
} from "../../storage/log/types.ts";
import {
  neededInSync,
  withEligible,
  withoutEligible,
} from "../cluster/eligible.ts";
import { type PartitionFact, partitionFact } from "../cluster/facts.ts";
import type { PartitionImage } from "../cluster/metadata_image.ts";
import {
  APPEND_LIMITS,
  type AppendQueue,
  type QueuedBatch,
} from "./append_queue.ts";
import { AppendWaits } from "./append_waits.ts";
import {
  type AckWait,
  type Appended,
  failAll,
  type Waiter,
} from "./appends.ts";
import { wakeAll } from "./high_watermark.ts";
import { type FollowerFetch, InSyncReplicas } from "./in_sync_replicas.ts";
import { handedOver, isHeldBack, keepsEligible } from "./in_sync_rules.ts";
import { overloaded, tooFewInSync, withoutLease } from "./refusals.ts";
import { LogStart } from "./log_start.ts";
import type { ReplicaParts } from "./replica_parts.ts";
import type { SafeEnd } from "./safe_end.ts";

/** What a leader knows of, and asks from, the rest of its broker. */
export interface LeaderWorld {
  readonly brokerId: number;
  /** Whether this broker's lease has not ended. */
  holdsLease(): boolean;
  /** Of a broker's present run; undefined: it is not alive. */
  incarnationOf(brokerId: number): string | undefined;
  /** Alive, and not about to stop. */
  mayServe(brokerId: number): boolean;
  /**
   * Asks for `next` in place of `base`. What became of it shows in the image,
   * whose state is another than `base` then.
   */
  propose(base: PartitionImage, next: PartitionFact): void;
}

export interface LeaderRoleOptions {
  readonly parts: ReplicaParts;
  readonly safeEnd: SafeEnd;
  readonly queue: AppendQueue<Waiter>;
  readonly world: LeaderWorld;
  readonly state: PartitionImage;
}

export class LeaderRole {
  readonly epoch: LeaderEpoch;
  readonly inSync: InSyncReplicas;
  readonly #parts: ReplicaParts;
  readonly #safeEnd: SafeEnd;
  readonly #queue: AppendQueue<Waiter>;
  readonly #world: LeaderWorld;
  /** Who waits for the leader's own disk only. */
  readonly #ownWaits: AppendWaits;
  readonly #logStart: LogStart;
  readonly #onAppended = new Set<() => void>();
  /** The log's end when the replicas that are eligible now became so. */
  #endAtEligible: number;
  #isSettled = false;
  #isEnded = false;

  constructor(options: LeaderRoleOptions) {
    const { parts, state, world } = options;
    const { clock, timers } = parts.environment;
    this.#parts = parts;
    this.#safeEnd = options.safeEnd;
    this.#queue = options.queue;
    this.#world = world;
    this.epoch = leaderEpoch(state.leaderEpoch);
    this.inSync = new InSyncReplicas({
      brokerId: world.brokerId,
      state,
      epochStartOffset: parts.log.logEndOffset,
      nowMs: clock.monotonicMs(),
      incarnationOf: (id) => world.incarnationOf(id),
    });
    this.#endAtEligible = parts.log.logEndOffset;
    this.#ownWaits = new AppendWaits(timers, () => clock.monotonicMs());
    this.#logStart = new LogStart(parts, this.inSync);
    parts.log.startEpoch(this.epoch);
    this.recheck();
    if (parts.log.isOffline) this.#handOver();
  }

  /** Producers that wait, of either kind. */
  get #waitCount(): number {
    return this.#ownWaits.count + this.#parts.highWatermark.waitCount;
  }

  /** The image has another state of the same epoch. */
  update(state: PartitionImage): void {
    const hadEligible = this.inSync.hasEligible;
    this.inSync.update(state);
    if (!hadEligible) this.#endAtEligible = this.#parts.log.logEndOffset;
    this.#logStart.lookAgain();
    const tooFew = this.#inSyncFault("NOT_ENOUGH_REPLICAS_AFTER_APPEND");
    if (tooFew !== undefined) this.#parts.highWatermark.fail(tooFew);
    this.recheck();
  }

  /** Stops leading: whoever waits must ask the new leader, or goes on waiting. */
  end(): void {
    this.#isEnded = true;
    const failure = this.#parts.notLeader();
    failAll(this.#queue.take(), failure);
    this.#logStart.fail(failure);
    this.#parts.highWatermark.endLeadership(this.#ownWaits, failure);
    wakeAll(this.#onAppended);
  }

  /** From now on records must be on the disk: whoever holds them says so anew. */
  becomeStricter(): void {
    this.inSync.forgetSafeEnds();
  }

  /** Looks again at all that may have changed: the lease, the level. */
  recheck(): void {
    this.advance();
    this.#safeEnd.pursue();
  }

  /** Brings what is acknowledged up to what is safe. */
  advance(): void {
    if (this.#isEnded || !this.#world.holdsLease()) return;
    this.#ownWaits.reach(this.#safeEnd.value);
    const { highWatermark } = this.#parts;
    const next = this.inSync.highWatermark(
      highWatermark.value,
      this.#safeEnd.value,
    );
    if (next <= highWatermark.value || this.#isHeldBack) return;
    if (this.inSync.hasEligible) return this.#reconsiderEligible();
    highWatermark.advanceTo(offset(next));
    this.#parts.assertOrder();
  }

  get #isHeldBack(): boolean {
    return isHeldBack(this.inSync.state, this.#parts.settings);
  }

  /** While the high watermark could go on, and must not because of them. */
  #reconsiderEligible(): void {
    const { highWatermark, log, settings } = this.#parts;
    const { state, epochStartOffset } = this.inSync;
    const areKept = keepsEligible(state, {
      minInsyncReplicas: settings.minInsyncReplicas,
      knowsCommitted: highWatermark.value >= epochStartOffset,
      hasNewRecords: log.logEndOffset > this.#endAtEligible,
    });
    if (!areKept) this.#propose(withoutEligible(partitionFact(state)));
  }

  /**
   * Everybody who may be elected in its place was heard of in this epoch: their
   * logs hold nothing that this one lacks, and will not any more. (An unclean
   * election is another matter, as for all that was acknowledged.)
   */
  get isSettled(): boolean {
    return this.#isSettled ||= this.inSync.hasHeardAll;
  }

  /** Why nothing can be appended just now. */
  refusal(wait: AckWait): Failure | undefined {
    return this.#leaseFault() ??
      (wait === "inSync"
        ? this.#inSyncFault("NOT_ENOUGH_REPLICAS")
        : undefined) ??
      this.#loadFault();
  }

  #leaseFault(): Failure | undefined {
    return this.#world.holdsLease()
      ? undefined
      : withoutLease(this.#parts.name);
  }

  #loadFault(): Failure | undefined {
    const isFull = this.#queue.isFull ||
      this.#waitCount >= APPEND_LIMITS.waitsPerPartition;
    return isFull ? overloaded(this.#parts.name) : undefined;
  }

  #inSyncFault(
    code: "NOT_ENOUGH_REPLICAS" | "NOT_ENOUGH_REPLICAS_AFTER_APPEND",
  ): Failure | undefined {
    // Who waits on when another leads asks for its in-sync set.
    const state = (this.#isEnded ? this.#parts.state : undefined) ??
      this.inSync.state;
    const { isr } = state;
    const needed = neededInSync(this.#parts.settings.minInsyncReplicas, state);
    if (isr.length >= needed) return undefined;
    return tooFewInSync(code, { partition: this.#parts.name, isr, needed });
  }

  /** Writes what was queued, in order. */
  append(batches: QueuedBatch<Waiter>[]): void {
    if (batches.length === 0) return;
    const leaseFault = this.#isEnded
      ? this.#parts.notLeader()
      : this.#leaseFault();
    if (leaseFault !== undefined) return failAll(batches, leaseFault);
    const admitted = this.#admitted(batches);
    if (admitted.length === 0) return;
    const { log, settings, environment } = this.#parts;
    const nowMs = environment.clock.nowMs();
    if (settings.logAppendTime) {
      for (const { bytes } of admitted) setLogAppendTime(bytes, nowMs);
    }
    let outcomes: AppendOutcome[];
    try {
      this.#parts.prepare();
      outcomes = log.append(
        admitted.map((batch) => batch.bytes),
        { leaderEpoch: this.epoch, nowMs },
      );
    } catch (fault) {
      failAll(admitted, this.#parts.storageFailure(fault));
      if (fault instanceof StorageError) this.#handOver();
      return;
    }
    this.#parts.noteWritten();
    admitted.forEach((batch, index) =>
      this.#settle(batch, outcomes[index], nowMs)
    );
    wakeAll(this.#onAppended);
    this.recheck();
  }

  /** The in-sync set may have shrunk since they were queued. */
  #admitted(batches: QueuedBatch<Waiter>[]): QueuedBatch<Waiter>[] {
    const fault = this.#inSyncFault("NOT_ENOUGH_REPLICAS");
    if (fault === undefined) return batches;
    // All appends that share a batch ask for the same.
    const needsAll = ({ appends }: QueuedBatch<Waiter>) =>
      appends.some(({ done }) => done.wait === "inSync");
    failAll(batches.filter(needsAll), fault);
    return batches.filter((batch) => !needsAll(batch));
  }

  #settle(
    batch: QueuedBatch<Waiter>,
    outcome: AppendOutcome,
    nowMs: number,
  ): void {
    if (outcome.kind === "rejected") {
      const failure = new Failure(outcome.code, outcome.detail);
      return failAll([batch], failure);
    }
    const { logAppendTime } = this.#parts.settings;
    for (const { index, recordCount, done: waiter } of batch.appends) {
      if (outcome.kind === "appended") waiter.onStored?.();
      this.#wait(waiter, recordCount, {
        baseOffset: outcome.baseOffset + index,
        leaderEpoch: this.epoch,
        appendTimeMs: logAppendTime ? nowMs : waiter.queuedAtMs,
        logAppendTime,
      });
    }
  }

  #wait(waiter: Waiter, recordCount: number, appended: Appended): void {
    const endOffset = appended.baseOffset + recordCount;
    const { timeoutMs, outlivesLeader, done } = waiter;
    if (waiter.wait === "append") return done(appended);
    if (waiter.wait === "leader") {
      if (endOffset <= this.#safeEnd.value) return done(appended);
      this.#ownWaits.add(
        endOffset,
        timeoutMs,
        (failure) => done(failure ?? appended),
        outlivesLeader,
      );
      return;
    }
    this.#parts.highWatermark.waitForAppended(
      endOffset,
      timeoutMs,
      (failure) =>
        done(
          failure ?? this.#inSyncFault("NOT_ENOUGH_REPLICAS_AFTER_APPEND") ??
            appended,
        ),
      outlivesLeader,
    );
  }

  /**
   * Raises the log start, for good when it resolves without a failure: whoever
   * may lead next has done so too.
   */
  deleteBefore(
    before: Offset,
    timeoutMs: number,
  ): Promise<Failure | undefined> {
    const fault = this.#leaseFault();
    if (fault !== undefined) return Promise.resolve(fault);
    const raised = this.#logStart.raise(before, timeoutMs);
    // Followers that wait here for records learn of it now.
    wakeAll(this.#onAppended);
    return raised;
  }

  /** Calls once at the next append, and when this broker leads no longer. */
  onAppended(callback: () => void): () => void {
    this.#onAppended.add(callback);
    return () => this.#onAppended.delete(callback);
  }

  /** A follower asks from `fetchOffset` on: all below is safe there. */
  followerFetched(report: Omit<FollowerFetch, "logEndOffset">): void {
    const { brokerId, fetchOffset } = report;
    const { highWatermark, log: { logEndOffset, logStartOffset } } =
      this.#parts;
    const isReplica = this.inSync.state.replicas.includes(brokerId);
    if (!isReplica || fetchOffset > logEndOffset) return;
    const now = { ...report, logEndOffset };
    if (this.inSync.fetched(now)) this.advance();
    this.#logStart.lookAgain();
    if (!this.#world.mayServe(brokerId)) return;
    const next = this.inSync.grownBy(now, {
      highWatermark: highWatermark.value,
      logStartOffset,
    });
    if (next !== undefined) this.#change(next);
  }

  /** Now and then: who lags leaves, and a leader without a disk as well. */
  lookAround(nowMs: number): void {
    if (this.#parts.log.isOffline) this.#handOver();
    const next = this.inSync.shrunk(nowMs);
    if (next !== undefined) this.#change(next);
  }

  /** This broker stood still for so long: no fault of its followers. */
  excuse(byMs: number): void {
    this.inSync.excuse(byMs);
  }

  /** A flush in the background failed. */
  failed(fault: StorageError): void {
    const failure = this.#parts.storageFailure(fault);
    this.#ownWaits.fail(failure);
    this.#parts.highWatermark.fail(failure);
    this.#handOver();
  }

  #handOver(): void {
    const { log, settings: { minInsyncReplicas } } = this.#parts;
    const { brokerId } = this.#world;
    const next = handedOver(
      this.inSync.state,
      { brokerId, minInsyncReplicas, isReadable: !log.isOffline },
      (id) => this.#world.mayServe(id),
    );
    if (next !== undefined) this.#propose(next);
  }

  /** Of the in-sync set. */
  #change(next: PartitionFact): void {
    const { minInsyncReplicas } = this.#parts.settings;
    this.#propose(
      withEligible(this.inSync.state, next, { minInsyncReplicas }),
    );
  }

  /** One at a time; a lease that ended may have made another one leader. */
  #propose(next: PartitionFact): void {
    if (this.inSync.proposed !== undefined || this.#isEnded) return;
    if (!this.#world.holdsLease()) return;
    this.inSync.propose(next);
    this.#world.propose(this.inSync.state, next);
  }
}
