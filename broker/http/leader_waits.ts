/**
 * Requests that wait for a leader: of a partition, or of the partition that
 * coordinates their group. Owns their count, how long each may take, when
 * another try is worth it, and when an answer of one who led is waited for no
 * longer; knows neither routes nor what is tried.
 */
import type { Environment, Timer } from "../environment.ts";
import type { ClusterOperations } from "../operations/operations.ts";
import type { HttpLimits } from "./limits.ts";

export interface LeaderWaitsOptions {
  readonly cluster: Pick<ClusterOperations, "onChange">;
  readonly environment: Pick<Environment, "clock" | "timers">;
  readonly limits: HttpLimits;
  /** Aborted when the door closes. */
  readonly closing: AbortSignal;
}

export interface SearchOptions {
  /** Longest time for all of the search, unless the limit is shorter. */
  readonly timeoutMs: number;
  /** Aborted when nobody waits for the answer any longer. */
  readonly signal?: AbortSignal;
  /** Of whoever leads now and lives; undefined: nobody does. */
  epoch(): number | undefined;
  /** That one is about to stop: only who leads next can do better. */
  isLeaving?(): boolean;
}

/** Counts what waits, over all requests of a door. */
export class LeaderWaits {
  readonly options: LeaderWaitsOptions;
  #count = 0;

  constructor(options: LeaderWaitsOptions) {
    this.options = options;
  }

  get count(): number {
    return this.#count;
  }

  search(options: SearchOptions): LeaderSearch {
    return new LeaderSearch(this, options);
  }

  /**
   * Aborts the signal it gives `work` `graceMs` after another leads than the one
   * that was asked: a broker that is asked and stands still, or is cut off, says
   * nothing of that itself. `outer` aborts it as well.
   */
  async whileLeading<Result>(
    { hasMoved, graceMs, outer }: {
      hasMoved: () => boolean;
      /** Asked when it has moved. */
      graceMs?: () => number;
      outer?: AbortSignal;
    },
    work: (signal: AbortSignal) => Promise<Result>,
  ): Promise<Result> {
    const { cluster, environment, limits } = this.options;
    const abort = new AbortController();
    const onAbort = () => abort.abort();
    let timer: Timer | undefined;
    const stopListening = cluster.onChange(() => {
      if (timer !== undefined || !hasMoved()) return;
      const afterMs = graceMs?.() ?? limits.deposedGraceMs;
      timer = environment.timers.after(afterMs, onAbort);
    });
    outer?.addEventListener("abort", onAbort);
    if (outer?.aborted) abort.abort();
    try {
      return await work(abort.signal);
    } finally {
      stopListening();
      timer?.cancel();
      outer?.removeEventListener("abort", onAbort);
    }
  }

  /** False: as many wait as may. */
  enter(): boolean {
    if (this.#count >= this.options.limits.leaderWaits) return false;
    this.#count++;
    return true;
  }

  leave(): void {
    this.#count--;
  }
}

/** One request's search for whoever leads. */
export class LeaderSearch {
  readonly #waits: LeaderWaits;
  readonly #options: SearchOptions;
  #deadlineMs: number | undefined;
  #tries = 0;

  constructor(waits: LeaderWaits, options: SearchOptions) {
    this.#waits = waits;
    this.#options = options;
  }

  /**
   * Resolves when another try is worth it: somebody leads whose epoch is not
   * `triedEpoch`, or the same one may have got over what hindered it. False:
   * time is up, too many wait, or nobody wants the answer any longer.
   */
  async next(triedEpoch: number | undefined): Promise<boolean> {
    const { clock } = this.#waits.options.environment;
    const { leaderWaitMs, leaderTries } = this.#waits.options.limits;
    const nowMs = clock.monotonicMs();
    this.#deadlineMs ??= nowMs +
      Math.min(this.#options.timeoutMs, leaderWaitMs);
    const leftMs = this.#deadlineMs - nowMs;
    this.#tries++;
    if (leftMs <= 0 || this.#tries > leaderTries || this.#isOver) return false;
    if (this.#isOther(triedEpoch)) return true;
    if (!this.#waits.enter()) return false;
    try {
      return await this.#wait(triedEpoch, leftMs);
    } finally {
      this.#waits.leave();
    }
  }

  get #isOver(): boolean {
    return this.#waits.options.closing.aborted ||
      this.#options.signal?.aborted === true;
  }

  #isOther(triedEpoch: number | undefined): boolean {
    const epoch = this.#options.epoch();
    return epoch !== undefined && epoch !== triedEpoch;
  }

  #wait(triedEpoch: number | undefined, leftMs: number): Promise<boolean> {
    const { cluster, environment, limits, closing } = this.#waits.options;
    const { signal } = this.#options;
    const pauseMs = Math.min(
      limits.leaderRetryMs * 2 ** Math.min(this.#tries - 1, 10),
      limits.longestLeaderRetryMs,
    );
    let tried = triedEpoch;
    return new Promise((resolve) => {
      const end = (isWorthIt: boolean) => {
        stopListening();
        deadline.cancel();
        retry?.cancel();
        closing.removeEventListener("abort", onAbort);
        signal?.removeEventListener("abort", onAbort);
        resolve(isWorthIt);
      };
      const onAbort = () => end(false);
      const stopListening = cluster.onChange(() => {
        if (this.#isOther(tried)) return end(true);
        // Who died and comes back in the same epoch is worth a try again.
        if (this.#options.epoch() === undefined) tried = undefined;
      });
      const deadline = environment.timers.after(leftMs, () => end(false));
      // The image may be ahead of the broker that it names, which may also
      // lack its lease for a moment: no change here tells when that is over.
      const retry: Timer | undefined = pauseMs < leftMs
        ? environment.timers.after(pauseMs, () => {
          const { epoch, isLeaving } = this.#options;
          if (epoch() !== undefined && isLeaving?.() !== true) end(true);
        })
        : undefined;
      closing.addEventListener("abort", onAbort, { once: true });
      signal?.addEventListener("abort", onAbort, { once: true });
    });
  }
}
