/**
 * A leader's view of its partition's replicas in one leader epoch: the state in
 * the metadata, how far each follower is, and the change that is asked for. Owns
 * when what was remembered is to be forgotten: what a broker said before it
 * restarted, or before it left the in-sync set, need not be true any more. The
 * rules are `in_sync_rules.ts`; changes are made by `isr_keeper.ts`.
 *
 * A proposed in-sync set counts together with the one in the metadata until it
 * is known which of them holds: whoever may be elected must have what is
 * acknowledged.
 */
import { wholeCopies } from "../cluster/eligible.ts";
import type { PartitionFact } from "../cluster/facts.ts";
import type { PartitionImage } from "../cluster/metadata_image.ts";
import {
  type FollowerProgress,
  laggards,
  maximalIsr,
  mayJoin,
  nextHighWatermark,
  progressAfterFetch,
  unheard,
  withInSync,
  withoutInSync,
} from "./in_sync_rules.ts";

export interface InSyncReplicasOptions {
  readonly brokerId: number;
  readonly state: PartitionImage;
  /** The log's end when this epoch began. */
  readonly epochStartOffset: number;
  /** Monotonic. */
  readonly nowMs: number;
  /** Of a broker's present run; undefined: it is not alive. */
  incarnationOf(brokerId: number): string | undefined;
}

export interface FollowerFetch {
  readonly brokerId: number;
  readonly fetchOffset: number;
  /** Where the follower's own log begins; -1: not told. */
  readonly logStartOffset: number;
  readonly logEndOffset: number;
  readonly nowMs: number;
}

interface Remembered {
  progress: FollowerProgress;
  /** -1: not heard of. */
  logStartOffset: number;
  /** Of the run in which it was heard; undefined: not alive then. */
  incarnation: string | undefined;
}

export class InSyncReplicas {
  readonly epochStartOffset: number;
  readonly #options: InSyncReplicasOptions;
  readonly #remembered = new Map<number, Remembered>();
  #state: PartitionImage;
  #proposed: PartitionFact | undefined;

  constructor(options: InSyncReplicasOptions) {
    this.#options = options;
    this.epochStartOffset = options.epochStartOffset;
    this.#state = options.state;
    for (const id of options.state.isr) {
      const progress = unheard(options.nowMs);
      this.#remembered.set(id, {
        progress,
        logStartOffset: -1,
        incarnation: undefined,
      });
    }
  }

  get state(): PartitionImage {
    return this.#state;
  }

  /** In sync as the metadata has it. */
  get isr(): readonly number[] {
    return this.#state.isr;
  }

  /** Whether others than those in sync may be elected (KIP-966). */
  get hasEligible(): boolean {
    return this.#state.eligible !== undefined;
  }

  /** What is asked for in place of `state`. */
  get proposed(): PartitionFact | undefined {
    return this.#proposed;
  }

  propose(next: PartitionFact): void {
    this.#proposed = next;
  }

  /** What the metadata says now, in the same epoch; it settles a proposal. */
  update(state: PartitionImage): void {
    if (state.modRevision === this.#state.modRevision) return;
    for (const id of this.#remembered.keys()) {
      const hasLeft = this.isr.includes(id) && !state.isr.includes(id);
      if (hasLeft || !state.replicas.includes(id)) this.#remembered.delete(id);
    }
    this.#state = state;
    this.#proposed = undefined;
  }

  /** Exclusive; undefined: not heard of in its present run. */
  safeEndOf(brokerId: number): number | undefined {
    const remembered = this.#remembered.get(brokerId);
    if (remembered === undefined) return undefined;
    const now = this.#options.incarnationOf(brokerId);
    // One whose lease has ended has lost nothing by that.
    const isSame = now === undefined || now === remembered.incarnation;
    return isSame ? remembered.progress.safeEnd : undefined;
  }

  /** The level is a stricter one: what was safe enough until now may not be. */
  forgetSafeEnds(): void {
    for (const remembered of this.#remembered.values()) {
      remembered.progress = { ...remembered.progress, safeEnd: undefined };
    }
  }

  /** Who may be elected, now or once what is proposed is written. */
  get #mayLead(): readonly number[] {
    const isr = maximalIsr(this.isr, this.#proposed?.isr);
    return wholeCopies({ ...this.#state, isr });
  }

  /** Whether each one that may be elected has fetched in this epoch. */
  get hasHeardAll(): boolean {
    const { brokerId } = this.#options;
    return this.#mayLead.every((id) =>
      id === brokerId || this.safeEndOf(id) !== undefined
    );
  }

  /** Milliseconds since it last had everything; undefined: not heard of. */
  lagMsOf(brokerId: number, nowMs: number): number | undefined {
    const progress = this.#remembered.get(brokerId)?.progress;
    return progress && Math.max(0, nowMs - progress.caughtUpMs);
  }

  /** A replica has everything below `fetchOffset`; true: that is news. */
  fetched(report: FollowerFetch): boolean {
    const { brokerId, nowMs } = report;
    const before = this.safeEndOf(brokerId);
    const remembered = this.#remembered.get(brokerId);
    this.#remembered.set(brokerId, {
      progress: progressAfterFetch(
        remembered?.progress ?? unheard(nowMs),
        report,
      ),
      logStartOffset: report.logStartOffset,
      incarnation: this.#options.incarnationOf(brokerId) ??
        remembered?.incarnation,
    });
    return before !== report.fetchOffset;
  }

  /** The least log start of who may lead: nobody of them brings back what is below. */
  lowWatermark(ownLogStart: number): number {
    const { brokerId } = this.#options;
    return Math.min(
      ownLogStart,
      ...this.#mayLead.map((id) =>
        id === brokerId
          ? ownLogStart
          : this.#remembered.get(id)?.logStartOffset ?? -1
      ),
    );
  }

  highWatermark(current: number, ownSafeEnd: number): number {
    const { brokerId } = this.#options;
    const members = maximalIsr(this.isr, this.#proposed?.isr);
    return nextHighWatermark(
      current,
      members.map((id) => id === brokerId ? ownSafeEnd : this.safeEndOf(id)),
    );
  }

  /**
   * The state with who has just fetched in sync, when it belongs there. One whose
   * log begins earlier than the leader's would bring back what was deleted.
   */
  grownBy(
    { brokerId, fetchOffset, logStartOffset, nowMs }: FollowerFetch,
    leader: { readonly highWatermark: number; readonly logStartOffset: number },
  ): PartitionFact | undefined {
    const { epochStartOffset } = this;
    const state = this.#state;
    const canJoin = this.#proposed === undefined &&
      logStartOffset >= leader.logStartOffset &&
      mayJoin(brokerId, fetchOffset, {
        state,
        highWatermark: leader.highWatermark,
        epochStartOffset,
      });
    const remembered = this.#remembered.get(brokerId);
    if (!canJoin || remembered === undefined) return undefined;
    // It is about to be counted: its time runs from now on.
    remembered.progress = { ...remembered.progress, caughtUpMs: nowMs };
    return withInSync(state, brokerId);
  }

  /** The state without who has fallen behind, when somebody has. */
  shrunk(nowMs: number): PartitionFact | undefined {
    if (this.#proposed !== undefined) return undefined;
    const behind = laggards(
      this.isr,
      this.#options.brokerId,
      (id) => this.#remembered.get(id)?.progress,
      nowMs,
    );
    return behind.length === 0 ? undefined : withoutInSync(this.#state, behind);
  }

  /** The leader itself stood still for so long: no fault of its followers. */
  excuse(byMs: number): void {
    for (const remembered of this.#remembered.values()) {
      const { progress } = remembered;
      const caughtUpMs = progress.caughtUpMs + byMs;
      remembered.progress = { ...progress, caughtUpMs };
    }
  }
}
