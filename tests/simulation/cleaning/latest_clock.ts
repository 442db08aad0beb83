/**
 * How far the brokers' clocks were ever off: what is old is a question of whose
 * clock is asked, and brokers clean by their own. Owns the two extremes.
 */
import type { Cluster } from "../cluster.ts";
import type { World } from "../world.ts";

export class LatestClock {
  readonly #world: World;
  readonly #cluster: Cluster;
  #mostAheadMs = 0;
  #mostBehindMs = 0;

  constructor(world: World, cluster: Cluster) {
    this.#world = world;
    this.#cluster = cluster;
  }

  /** To be called often: a clock may jump and jump back. */
  look(): void {
    for (const { process } of this.#cluster.machines) {
      if (process === undefined) continue;
      // Clocks show whole milliseconds.
      const aheadMs = process.clock.nowMs() - this.#world.wallMs;
      this.#mostAheadMs = Math.max(this.#mostAheadMs, aheadMs);
      this.#mostBehindMs = Math.max(this.#mostBehindMs, -aheadMs);
    }
  }

  /** The latest time of day that any broker may have taken it for by now. */
  get wallMs(): number {
    this.look();
    return this.#world.wallMs + this.#mostAheadMs + 1;
  }

  /** Milliseconds since `sinceMs` to whoever asks two clocks. */
  mostSince(sinceMs: number): number {
    this.look();
    return this.#world.nowMs - sinceMs + this.#mostAheadMs +
      this.#mostBehindMs + 1;
  }
}
