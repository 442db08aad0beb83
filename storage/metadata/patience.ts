/**
 * Waiting without blocking: for the lock of a file that another process holds.
 * It owns the delays and their end when the store is closed.
 */
import { isBusy } from "./sqlite_session.ts";

const DELAY_MAX_MS = 16;

/** The part of the environment's clock that the store needs. */
export interface MetadataClock {
  /** Milliseconds since the Unix epoch; may jump. */
  nowMs(): number;
  /** Milliseconds from some start, with fractions; never goes back. */
  monotonicMs(): number;
}

/** The part of the environment's timers that the store needs. */
export interface MetadataTimers {
  after(delayMs: number, callback: () => void): { cancel(): void };
  /** Calls once at the end of this turn of the event loop. */
  soon(callback: () => void): void;
}

export class Patience {
  readonly #clock: MetadataClock;
  readonly #timers: MetadataTimers;
  readonly #waiting = new Set<() => void>();

  constructor(clock: MetadataClock, timers: MetadataTimers) {
    this.#clock = clock;
    this.#timers = timers;
  }

  /**
   * Calls `body` until it meets no lock, for `timeoutMs` at the most; then, or
   * when it throws anything else, that is thrown.
   */
  async retry<T>(timeoutMs: number, body: () => T): Promise<T> {
    const deadlineMs = this.#clock.monotonicMs() + timeoutMs;
    for (let attempt = 0;; attempt++) {
      try {
        return body();
      } catch (error) {
        const late = this.#clock.monotonicMs() >= deadlineMs;
        if (!isBusy(error) || late) throw error;
      }
      await this.wait(attempt);
    }
  }

  /** Grows with the attempts, and differs between processes in lockstep. */
  wait(attempt: number): Promise<void> {
    const jitter = (this.#clock.monotonicMs() * 1_000) % 1;
    const delayMs = 1 + jitter * Math.min(DELAY_MAX_MS, 2 ** attempt);
    return new Promise((resolve) => {
      const wake = () => {
        timer.cancel();
        this.#waiting.delete(wake);
        resolve();
      };
      const timer = this.#timers.after(delayMs, wake);
      this.#waiting.add(wake);
    });
  }

  /** Ends all waits at once. */
  wakeAll(): void {
    for (const wake of this.#waiting) wake();
  }
}
