/**
 * A clock and timers that stand still until a test moves them. They fire in the
 * order of their times; what a timer starts has its microtasks run before the
 * next one fires.
 */
interface Waiting {
  atMs: number;
  sequence: number;
  callback: () => void;
}

export class ManualTime {
  #elapsedMs = 0;
  #wallOffsetMs = 1_700_000_000_000;
  #sequence = 0;
  readonly #waiting = new Set<Waiting>();

  nowMs(): number {
    return Math.floor(this.#wallOffsetMs + this.#elapsedMs);
  }

  monotonicMs(): number {
    return this.#elapsedMs;
  }

  after(delayMs: number, callback: () => void): { cancel(): void } {
    const waiting = {
      atMs: this.#elapsedMs + delayMs,
      sequence: this.#sequence++,
      callback,
    };
    this.#waiting.add(waiting);
    return { cancel: () => void this.#waiting.delete(waiting) };
  }

  soon(callback: () => void): void {
    queueMicrotask(callback);
  }

  /** Sets the wall clock forward or back; the monotonic one does not notice. */
  jumpWallClock(byMs: number): void {
    this.#wallOffsetMs += byMs;
  }

  /** Timers that have not fired. */
  get pending(): number {
    return this.#waiting.size;
  }

  async elapse(byMs: number): Promise<void> {
    const untilMs = this.#elapsedMs + byMs;
    await settle();
    for (;;) {
      const next = [...this.#waiting]
        .filter((waiting) => waiting.atMs <= untilMs)
        .sort((a, b) => a.atMs - b.atMs || a.sequence - b.sequence)[0];
      if (next === undefined) break;
      this.#waiting.delete(next);
      this.#elapsedMs = Math.max(this.#elapsedMs, next.atMs);
      next.callback();
      await settle();
    }
    this.#elapsedMs = untilMs;
  }

  /** Passes time without letting anything run: the process was stopped. */
  freeze(forMs: number): void {
    this.#elapsedMs += forMs;
  }
}

/** Runs the microtasks that wait, and those that they start. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
}
