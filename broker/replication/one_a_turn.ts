/**
 * Work that holds the event loop up, such as the first write of a partition,
 * which makes its folder durable: one piece a turn, so that a request that
 * touches thousands of partitions keeps neither other requests nor the
 * broker's lease waiting.
 */
import type { Timers } from "../environment.ts";

export class OneATurn {
  readonly #timers: Timers;
  #waiting: (() => void)[] = [];
  #next = 0;

  constructor(timers: Timers) {
    this.#timers = timers;
  }

  /** Runs `work` in a later turn, after all that was added before it. */
  add(work: () => void): void {
    this.#waiting.push(work);
    if (this.#waiting.length - this.#next === 1) {
      this.#timers.soon(() => this.#run());
    }
  }

  #run(): void {
    const work = this.#waiting[this.#next];
    try {
      work();
    } finally {
      this.#next++;
      if (this.#next < this.#waiting.length) {
        this.#timers.soon(() => this.#run());
      } else {
        this.#waiting = [];
        this.#next = 0;
      }
    }
  }
}
