/**
 * Many waits of one length with one timer: entries stand in the order of their
 * deadlines, and a sweep looks only at those that are due. A timer per request
 * would cost more than the request; so would reading the clock, which is why
 * time is counted in sweeps.
 */
import type { Timers } from "../environment.ts";

/** A wait that was not ended yet, linked to those before and after it. */
export interface Deadline {
  /** The sweep that ends it. */
  readonly dueSweep: number;
  /** Undefined: it has ended. */
  expire: (() => void) | undefined;
  previous: Deadline | undefined;
  next: Deadline | undefined;
}

/** Time between sweeps: how much later than its length a wait may end. */
export const SWEEP_MS = 500;

export class DeadlineQueue {
  readonly #timers: Timers;
  readonly #sweeps: number;
  /** In the order of their deadlines, since all waits are as long. */
  #first: Deadline | undefined;
  #last: Deadline | undefined;
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
    const previous = this.#last;
    const deadline: Deadline = {
      dueSweep: this.#sweep + this.#sweeps,
      expire,
      previous,
      next: undefined,
    };
    if (previous === undefined) this.#first = deadline;
    else previous.next = deadline;
    this.#last = deadline;
    this.#size++;
    if (!this.#isArmed) this.#arm();
    return deadline;
  }

  /** Idempotent. */
  remove(deadline: Deadline): void {
    if (deadline.expire === undefined) return;
    deadline.expire = undefined;
    const { previous, next } = deadline;
    if (previous === undefined) this.#first = next;
    else previous.next = next;
    if (next === undefined) this.#last = previous;
    else next.previous = previous;
    deadline.previous = deadline.next = undefined;
    this.#size--;
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
      const deadline = this.#first;
      if (deadline === undefined || deadline.dueSweep > this.#sweep) return;
      const { expire } = deadline;
      this.remove(deadline);
      expire?.();
    }
  }
}
