/**
 * Many waits of one length with one timer: entries stand in the order of their
 * deadlines, and a sweep looks only at those that are due. A timer per request
 * would cost more than the request.
 */
import type { Clock, Timers } from "../environment.ts";

export interface Deadline {
  readonly dueMs: number;
  readonly expire: () => void;
}

/** How late a deadline may fire: the time between sweeps. */
const SWEEP_MS = 500;

export class DeadlineQueue {
  readonly #clock: Clock;
  readonly #timers: Timers;
  readonly #lengthMs: number;
  /** Insertion order is the order of deadlines: all waits are as long. */
  readonly #deadlines = new Set<Deadline>();
  #sweepArmed = false;

  constructor(options: { clock: Clock; timers: Timers; lengthMs: number }) {
    this.#clock = options.clock;
    this.#timers = options.timers;
    this.#lengthMs = options.lengthMs;
  }

  get size(): number {
    return this.#deadlines.size;
  }

  /** Calls `expire` once, from 0 to 500 ms after the length has passed. */
  add(expire: () => void): Deadline {
    const deadline = {
      dueMs: this.#clock.monotonicMs() + this.#lengthMs,
      expire,
    };
    this.#deadlines.add(deadline);
    if (!this.#sweepArmed) this.#arm();
    return deadline;
  }

  /** Idempotent. */
  remove(deadline: Deadline): void {
    this.#deadlines.delete(deadline);
  }

  #arm(): void {
    this.#sweepArmed = true;
    this.#timers.after(SWEEP_MS, () => {
      this.#sweepArmed = false;
      const nowMs = this.#clock.monotonicMs();
      for (const deadline of this.#deadlines) {
        if (deadline.dueMs > nowMs) break;
        this.#deadlines.delete(deadline);
        deadline.expire();
      }
      if (this.#deadlines.size > 0) this.#arm();
    });
  }
}
