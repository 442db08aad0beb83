/**
 * Holds the copying of new replicas to a rate, so that it leaves the disks and
 * the network to producers and consumers. One for all fetchers of a broker. It
 * counts what came and makes the next ask wait for it: a burst is at most one
 * answer. It counts bytes, not time, so that a rate that is changed holds at once.
 */
export class FetchThrottle {
  readonly #monotonicMs: () => number;
  readonly #bytesPerSecond: () => number | null;
  /** Bytes that came before their time, when they were last counted. */
  #early = 0;
  #countedAtMs = -Infinity;

  /** `bytesPerSecond`: the rate that holds now; null: none does. */
  constructor(
    monotonicMs: () => number,
    bytesPerSecond: () => number | null,
  ) {
    this.#monotonicMs = monotonicMs;
    this.#bytesPerSecond = bytesPerSecond;
  }

  /** Not before then, monotonic, at the rate that holds now, may more be asked for. */
  get freeAtMs(): number {
    const rate = this.#bytesPerSecond();
    return rate === null
      ? -Infinity
      : this.#countedAtMs + this.#early / rate * 1000;
  }

  spend(bytes: number): void {
    const rate = this.#bytesPerSecond();
    const nowMs = this.#monotonicMs();
    const passedMs = nowMs - this.#countedAtMs;
    this.#countedAtMs = nowMs;
    this.#early = rate === null
      ? 0
      : Math.max(0, this.#early - rate * passedMs / 1000) + bytes;
  }
}
