/**
 * The bytes of answers that all connections together still have to send. Owns
 * the counting and who waits for it to fall; how large an answer becomes, nobody
 * knows before.
 */
import type { Timers } from "../environment.ts";

/**
 * Answers that may be begun in one turn of the event loop. By the next turn most
 * of them count: the bound is kept but for so many answers.
 */
const ANSWERS_PER_TURN = 4;

export class UnsentBudget {
  readonly #limitBytes: number;
  readonly #timers: Timers;
  #bytes = 0;
  /** In the order in which they are let go on. */
  #waiting: (() => void)[] = [];
  #answersLeft = ANSWERS_PER_TURN;
  #isArmed = false;

  constructor(options: { limitBytes: number; timers: Timers }) {
    this.#limitBytes = options.limitBytes;
    this.#timers = options.timers;
  }

  get bytes(): number {
    return this.#bytes;
  }

  change(bytes: number): void {
    this.#bytes += bytes;
    if (this.#waiting.length > 0) this.#letGo();
  }

  /** Resolves when there is room for an answer; null when there is now. */
  room(): Promise<void> | null {
    if (this.#waiting.length === 0 && this.#hasRoom()) {
      this.#begin();
      return null;
    }
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #hasRoom(): boolean {
    return this.#bytes < this.#limitBytes && this.#answersLeft > 0;
  }

  #begin(): void {
    this.#answersLeft--;
    if (this.#isArmed) return;
    this.#isArmed = true;
    this.#timers.soon(() => {
      this.#isArmed = false;
      this.#answersLeft = ANSWERS_PER_TURN;
      this.#letGo();
    });
  }

  #letGo(): void {
    while (this.#waiting.length > 0 && this.#hasRoom()) {
      this.#begin();
      this.#waiting.shift()!();
    }
  }
}
