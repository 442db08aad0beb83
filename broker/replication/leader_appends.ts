/**
 * What a leader does with appends, in one leader epoch: refuses or admits them,
 * writes what was queued, and tells each producer when its records are as safe
 * as it asked for. Owns the way from the queue to the acknowledgement, and the
 * waits for the leader's own disk; refuses to know how records become safe
 * elsewhere (`leader_role.ts`).
 */
import { Failure } from "../../contract/errors.ts";
import { StorageError } from "../../storage/error.ts";
import type { AppendOutcome } from "../../storage/log/log.ts";
import { setLogAppendTime } from "../../storage/log/record_batch.ts";
import type { LeaderEpoch } from "../../storage/log/types.ts";
import { neededInSync } from "../cluster/eligible.ts";
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
import type { InSyncReplicas } from "./in_sync_replicas.ts";
import type { LeaderWorld } from "./leader_role.ts";
import { overloaded, tooFewInSync, withoutLease } from "./refusals.ts";
import type { ReplicaParts } from "./replica_parts.ts";
import type { SafeEnd } from "./safe_end.ts";

export interface LeaderAppendsOptions {
  readonly parts: ReplicaParts;
  readonly safeEnd: SafeEnd;
  readonly queue: AppendQueue<Waiter>;
  readonly epoch: LeaderEpoch;
  readonly inSync: InSyncReplicas;
  readonly world: Pick<LeaderWorld, "holdsLease">;
  /** There is more in the log. */
  onWritten(): void;
  /** The disk failed, or is full. */
  onDiskFault(): void;
}

export class LeaderAppends {
  readonly #options: LeaderAppendsOptions;
  readonly #parts: ReplicaParts;
  /** Who waits for the leader's own disk only. */
  readonly #ownWaits: AppendWaits;
  #isEnded = false;

  constructor(options: LeaderAppendsOptions) {
    const { clock, timers } = options.parts.environment;
    this.#options = options;
    this.#parts = options.parts;
    this.#ownWaits = new AppendWaits(timers, () => clock.monotonicMs());
  }

  /** Why nothing can be appended just now. */
  refusal(wait: AckWait): Failure | undefined {
    return this.#leaseFault() ??
      (wait === "inSync"
        ? this.#inSyncFault("NOT_ENOUGH_REPLICAS")
        : undefined) ??
      this.#loadFault();
  }

  /** Writes what was queued, in order. */
  append(batches: QueuedBatch<Waiter>[]): void {
    if (batches.length === 0) return;
    const fault = this.#isEnded ? this.#parts.notLeader() : this.#leaseFault();
    if (fault !== undefined) return failAll(batches, fault);
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
        { leaderEpoch: this.#options.epoch, nowMs },
      );
    } catch (fault) {
      failAll(admitted, this.#parts.storageFailure(fault));
      if (fault instanceof StorageError) this.#options.onDiskFault();
      return;
    }
    this.#parts.noteWritten();
    admitted.forEach((batch, index) =>
      this.#settle(batch, outcomes[index], nowMs)
    );
    this.#options.onWritten();
  }

  /** The leader's own log is as safe as the level wants up to here. */
  reachOwn(safeEnd: number): void {
    this.#ownWaits.reach(safeEnd);
  }

  /** The in-sync set is another one: who waits for too few is told so. */
  lookAtInSync(): void {
    const tooFew = this.#inSyncFault("NOT_ENOUGH_REPLICAS_AFTER_APPEND");
    if (tooFew !== undefined) this.#parts.highWatermark.fail(tooFew);
  }

  /** Ends every wait, of either kind, with `failure`. */
  fail(failure: Failure): void {
    this.#ownWaits.fail(failure);
    this.#parts.highWatermark.fail(failure);
  }

  /** Takes nothing any more; waits end, or go on without this leader. */
  end(failure: Failure): void {
    this.#isEnded = true;
    failAll(this.#options.queue.take(), failure);
    this.#parts.highWatermark.endLeadership(this.#ownWaits, failure);
  }

  #leaseFault(): Failure | undefined {
    return this.#options.world.holdsLease()
      ? undefined
      : withoutLease(this.#parts.name);
  }

  #loadFault(): Failure | undefined {
    const waitCount = this.#ownWaits.count +
      this.#parts.highWatermark.waitCount;
    const isFull = this.#options.queue.isFull ||
      waitCount >= APPEND_LIMITS.waitsPerPartition;
    return isFull ? overloaded(this.#parts.name) : undefined;
  }

  #inSyncFault(
    code: "NOT_ENOUGH_REPLICAS" | "NOT_ENOUGH_REPLICAS_AFTER_APPEND",
  ): Failure | undefined {
    // Who waits on when another leads asks for its in-sync set.
    const state = (this.#isEnded ? this.#parts.state : undefined) ??
      this.#options.inSync.state;
    const { isr } = state;
    const needed = neededInSync(this.#parts.settings.minInsyncReplicas, state);
    if (isr.length >= needed) return undefined;
    return tooFewInSync(code, { partition: this.#parts.name, isr, needed });
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
        leaderEpoch: this.#options.epoch,
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
      if (endOffset <= this.#options.safeEnd.value) return done(appended);
      return this.#ownWaits.add(endOffset, {
        timeoutMs,
        outlivesLeader,
        settle: (failure) => done(failure ?? appended),
      });
    }
    this.#parts.highWatermark.waitForAppended(endOffset, {
      timeoutMs,
      outlivesLeader,
      settle: (failure) =>
        done(
          failure ?? this.#inSyncFault("NOT_ENOUGH_REPLICAS_AFTER_APPEND") ??
            appended,
        ),
    });
  }
}
