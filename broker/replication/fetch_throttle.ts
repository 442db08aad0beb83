/**
 * Holds the copying of new replicas to a rate, so that it leaves the disks and
 * the network to producers and consumers. One for all fetchers of a broker. It
 * counts what came and makes the next ask wait for it: a burst is at most one
 * answer.
 */
export class FetchThrottle {
  readonly #monotonicMs: () => number;
  readonly #bytesPerSecond: () => number | null;
  #freeAtMs = -Infinity;

  /** `bytesPerSecond`: the rate that holds now; null: none does. */
  constructor(
    monotonicMs: () => number,
    bytesPerSecond: () => number | null,
  ) {
    this.#monotonicMs = monotonicMs;
    this.#bytesPerSecond = bytesPerSecond;
  }

  /** Not before then, monotonic, may more be asked for. */
  get freeAtMs(): number {
    return this.#bytesPerSecond() === null ? -Infinity : this.#freeAtMs;
  }

  spend(bytes: number): void {
    const rate = this.#bytesPerSecond();
    if (rate === null) return;
    const fromMs = Math.max(this.#monotonicMs(), this.#freeAtMs);
    this.#freeAtMs = fromMs + bytes / rate * 1000;
  }
}
