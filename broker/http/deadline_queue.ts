/**
 * Many waits of one length with one timer: entries stand in the order of their
 * deadlines, and a sweep looks only at those that are due. A timer per request
 * would cost more than the request; so would reading the clock, which is why
 * time is counted in sweeps.
 */
import type { Timers } from "../environment.ts";

export interface Deadline {
  /** The sweep that ends it. */
  readonly dueSweep: number;
  readonly expire: () => void;
}

/** Time between sweeps: how much later than its length a wait may end. */
export const SWEEP_MS = 500;

export class DeadlineQueue {
  readonly #timers: Timers;
  readonly #sweeps: number;
  /** Insertion order is the order of deadlines: all waits are as long. */
  readonly #deadlines = new Set<Deadline>();
  #sweep = 0;
  #isArmed = false;

  constructor(options: { timers: Timers; lengthMs: number }) {
    this.#timers = options.timers;
    // The sweep that comes next may be due at once.
    this.#sweeps = Math.ceil(options.lengthMs / SWEEP_MS) + 1;
  }

  get size(): number {
    return this.#deadlines.size;
  }

  /** Calls `expire` once, from 0 to 500 ms after the length has passed. */
  add(expire: () => void): Deadline {
    const deadline = { dueSweep: this.#sweep + this.#sweeps, expire };
    this.#deadlines.add(deadline);
    if (!this.#isArmed) this.#arm();
    return deadline;
  }

  /** Idempotent. */
  remove(deadline: Deadline): void {
    this.#deadlines.delete(deadline);
  }

  #arm(): void {
    this.#isArmed = true;
    this.#timers.after(SWEEP_MS, () => {
      this.#isArmed = false;
      this.#sweep++;
      for (const deadline of this.#deadlines) {
        if (deadline.dueSweep > this.#sweep) break;
        this.#deadlines.delete(deadline);
        deadline.expire();
      }
      if (this.#deadlines.size > 0) this.#arm();
    });
  }
}
