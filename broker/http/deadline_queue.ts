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
  /** Undefined: it has ended. */
  expire: (() => void) | undefined;
}

/** Time between sweeps: how much later than its length a wait may end. */
export const SWEEP_MS = 500;
/** Ended entries at the front that are worth moving the others for. */
const COMPACT_ENTRIES = 1024;

export class DeadlineQueue {
  readonly #timers: Timers;
  readonly #sweeps: number;
  /** In the order of their deadlines, since all waits are as long. */
  #deadlines: Deadline[] = [];
  /** All before it have ended. */
  #head = 0;
  #size = 0;
  #sweep = 0;
  #isArmed = false;

  constructor(options: { timers: Timers; lengthMs: number }) {
    this.#timers = options.timers;
    // The sweep that comes next may be due at once.
    this.#sweeps = Math.ceil(options.lengthMs / SWEEP_MS) + 1;
  }

  get size(): number {
    return this.#size;
  }

  /** Calls `expire` once, from 0 to 500 ms after the length has passed. */
  add(expire: () => void): Deadline {
    const deadline = { dueSweep: this.#sweep + this.#sweeps, expire };
    this.#deadlines.push(deadline);
    this.#size++;
    if (!this.#isArmed) this.#arm();
    return deadline;
  }

  /** Idempotent. */
  remove(deadline: Deadline): void {
    if (deadline.expire === undefined) return;
    deadline.expire = undefined;
    this.#size--;
    this.#dropEnded();
  }

  #arm(): void {
    this.#isArmed = true;
    this.#timers.after(SWEEP_MS, () => {
      this.#isArmed = false;
      this.#sweep++;
      this.#expireDue();
      if (this.#size > 0) this.#arm();
    });
  }

  #expireDue(): void {
    for (;;) {
      const deadline = this.#deadlines[this.#head];
      if (deadline === undefined || deadline.dueSweep > this.#sweep) return;
      const { expire } = deadline;
      this.remove(deadline);
      expire?.();
    }
  }

  #dropEnded(): void {
    const deadlines = this.#deadlines;
    let head = this.#head;
    while (head < deadlines.length && deadlines[head].expire === undefined) {
      head++;
    }
    if (head === deadlines.length) {
      deadlines.length = 0;
      head = 0;
    } else if (head >= COMPACT_ENTRIES) {
      this.#deadlines = deadlines.slice(head);
      head = 0;
    }
    this.#head = head;
  }
}
