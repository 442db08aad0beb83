/**
 * A replica while it leads, in one leader epoch: what its followers have, up to
 * where records are committed by that, and which changes of the partition's
 * state are wanted. Owns the followers' progress and the high watermark's; what
 * it does with appends is `leader_appends.ts`'s. Refuses to write metadata
 * (`isr_keeper.ts`).
 *
 * Without the broker's lease it appends and acknowledges nothing: another may
 * lead by then.
 */
import type { Failure } from "../../contract/errors.ts";
import type { StorageError } from "../../storage/error.ts";
import {
  type LeaderEpoch,
  leaderEpoch,
  type Offset,
  offset,
} from "../../storage/log/types.ts";
import { withEligible, withoutEligible } from "../cluster/eligible.ts";
import { type PartitionFact, partitionFact } from "../cluster/facts.ts";
import type { PartitionImage } from "../cluster/metadata_image.ts";
import type { AppendQueue } from "./append_queue.ts";
import type { Waiter } from "./appends.ts";
import { wakeAll } from "./high_watermark.ts";
import { type FollowerFetch, InSyncReplicas } from "./in_sync_replicas.ts";
import { handedOver, isHeldBack, keepsEligible } from "./in_sync_rules.ts";
import { LeaderAppends } from "./leader_appends.ts";
import { LogStart } from "./log_start.ts";
import { withoutLease } from "./refusals.ts";
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
  readonly appends: LeaderAppends;
  readonly #parts: ReplicaParts;
  readonly #safeEnd: SafeEnd;
  readonly #world: LeaderWorld;
  readonly #logStart: LogStart;
  readonly #onAppended = new Set<() => void>();
  /** The log's end when the replicas that are eligible now became so. */
  #endAtEligible: number;
  #isSettled = false;
  #isEnded = false;

  constructor(options: LeaderRoleOptions) {
    const { parts, safeEnd, queue, state, world } = options;
    this.#parts = parts;
    this.#safeEnd = safeEnd;
    this.#world = world;
    this.epoch = leaderEpoch(state.leaderEpoch);
    this.inSync = new InSyncReplicas({
      brokerId: world.brokerId,
      state,
      epochStartOffset: parts.log.logEndOffset,
      nowMs: parts.environment.clock.monotonicMs(),
      incarnationOf: (id) => world.incarnationOf(id),
    });
    this.#endAtEligible = parts.log.logEndOffset;
    const { epoch, inSync } = this;
    this.appends = new LeaderAppends({
      parts,
      safeEnd,
      queue,
      epoch,
      inSync,
      world,
      onWritten: () => {
        wakeAll(this.#onAppended);
        this.recheck();
      },
      onDiskFault: () => this.#handOver(),
    });
    this.#logStart = new LogStart(parts, this.inSync);
    parts.log.startEpoch(this.epoch);
    this.recheck();
    if (parts.log.isOffline) this.#handOver();
  }

  /** The image has another state of the same epoch. */
  update(state: PartitionImage): void {
    const hadEligible = this.inSync.hasEligible;
    this.inSync.update(state);
    if (!hadEligible) this.#endAtEligible = this.#parts.log.logEndOffset;
    this.#logStart.lookAgain();
    this.appends.lookAtInSync();
    this.recheck();
  }

  /** Stops leading: whoever waits must ask the new leader, or goes on waiting. */
  end(): void {
    this.#isEnded = true;
    const failure = this.#parts.notLeader();
    this.#logStart.fail(failure);
    this.appends.end(failure);
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
    this.appends.reachOwn(this.#safeEnd.value);
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

  /**
   * Raises the log start, for good when it resolves without a failure: whoever
   * may lead next has done so too.
   */
  deleteBefore(
    before: Offset,
    timeoutMs: number,
  ): Promise<Failure | undefined> {
    if (!this.#world.holdsLease()) {
      return Promise.resolve(withoutLease(this.#parts.name));
    }
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
    this.appends.fail(this.#parts.storageFailure(fault));
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
