/**
 * A leader's view of its partition's replicas in one leader epoch: how far each
 * follower is, who is in sync, and what it wants changed about that. Owns the
 * memory of fetches and of proposals; the rules are `in_sync_rules.ts`, and
 * proposals are carried to the metadata by `isr_keeper.ts`.
 *
 * A proposed ISR counts together with the one in the metadata until it is known
 * which of them holds: whoever may be elected must have what is acknowledged.
 */
import type { PartitionImage } from "../cluster/metadata_image.ts";
import {
  type FollowerProgress,
  highWatermarkBound,
  laggards,
  mayJoin,
  progressAfterFetch,
} from "./in_sync_rules.ts";

export interface InSyncReplicasOptions {
  readonly brokerId: number;
  readonly state: PartitionImage;
  /** The log's end when this epoch began. */
  readonly epochStartOffset: number;
  readonly nowMs: number;
}

export class InSyncReplicas {
  readonly #brokerId: number;
  readonly #epochStartOffset: number;
  readonly #becameLeaderAtMs: number;
  #state: PartitionImage;
  #proposed: readonly number[] | undefined;
  readonly #progress = new Map<number, FollowerProgress>();

  constructor(options: InSyncReplicasOptions) {
    this.#brokerId = options.brokerId;
    this.#epochStartOffset = options.epochStartOffset;
    this.#becameLeaderAtMs = options.nowMs;
    this.#state = options.state;
  }

  get state(): PartitionImage {
    return this.#state;
  }

  get epochStartOffset(): number {
    return this.#epochStartOffset;
  }

  /** In sync as the metadata has it. */
  get isr(): readonly number[] {
    return this.#state.isr;
  }

  get proposed(): readonly number[] | undefined {
    return this.#proposed;
  }

  /** What the metadata says now, in the same epoch; it settles a proposal. */
  update(state: PartitionImage): void {
    if (state.modRevision === this.#state.modRevision) return;
    for (const brokerId of this.#state.isr) {
      // Who comes back may hold less than it did.
      if (!state.isr.includes(brokerId)) this.#progress.delete(brokerId);
    }
    for (const brokerId of this.#progress.keys()) {
      if (!state.replicas.includes(brokerId)) this.#progress.delete(brokerId);
    }
    this.#state = state;
    this.#proposed = undefined;
  }

  propose(isr: readonly number[]): void {
    this.#proposed = isr;
  }

  /** It is known that the proposal did not come to be. */
  withdraw(): void {
    this.#proposed = undefined;
  }

  isReplica(brokerId: number): boolean {
    return this.#state.replicas.includes(brokerId);
  }

  /** A follower holds everything below `fetchOffset`. */
  fetched(
    brokerId: number,
    fetch: { fetchOffset: number; nowMs: number; logEnd: number },
  ): void {
    this.#progress.set(
      brokerId,
      progressAfterFetch(
        this.#progress.get(brokerId),
        fetch,
        this.#becameLeaderAtMs,
      ),
    );
  }

  safeEndOf(brokerId: number): number | undefined {
    return this.#progress.get(brokerId)?.safeEnd;
  }

  progressOf(brokerId: number): FollowerProgress | undefined {
    return this.#progress.get(brokerId);
  }

  highWatermark(current: number, ownSafeEnd: number): number {
    const inSync = new Set([...this.#state.isr, ...this.#proposed ?? []]);
    return highWatermarkBound({
      current,
      ownSafeEnd,
      leader: this.#brokerId,
      inSync,
      safeEndOf: (brokerId) => this.safeEndOf(brokerId),
    });
  }

  /** The ISR with who has just fetched, when that is a change for the better. */
  grownBy(
    brokerId: number,
    fetchOffset: number,
    highWatermark: number,
  ): readonly number[] | undefined {
    const { isr } = this.#state;
    if (this.#proposed !== undefined || isr.includes(brokerId)) {
      return undefined;
    }
    const epochStartOffset = this.#epochStartOffset;
    return mayJoin({ fetchOffset, highWatermark, epochStartOffset })
      ? this.#inReplicaOrder([...isr, brokerId])
      : undefined;
  }

  /** The ISR without who has fallen behind, when somebody has. */
  shrunk(nowMs: number, logEnd: number): readonly number[] | undefined {
    if (this.#proposed !== undefined) return undefined;
    const { isr } = this.#state;
    const behind = laggards({
      isr,
      leader: this.#brokerId,
      nowMs,
      logEnd,
      becameLeaderAtMs: this.#becameLeaderAtMs,
      progressOf: (brokerId) => this.#progress.get(brokerId),
    });
    return behind.length === 0
      ? undefined
      : isr.filter((brokerId) => !behind.includes(brokerId));
  }

  #inReplicaOrder(isr: readonly number[]): number[] {
    return this.#state.replicas.filter((brokerId) => isr.includes(brokerId));
  }
}
