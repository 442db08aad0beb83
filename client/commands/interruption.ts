/**
 * Ctrl-C as something to wait for beside other things. Owns the listener.
 * (Promise.race against one promise that stays pending would keep every result
 * it ever gave in memory.)
 */
import type { Cancellable, Terminal } from "../terminal.ts";

/** The wait ended because of Ctrl-C. */
export class Interrupted {}

export class Interruption {
  readonly #listener: Cancellable;
  readonly #callbacks = new Set<() => void>();
  #isInterrupted = false;

  /** Listens until the first interrupt (the next ends the process) or close. */
  constructor(terminal: Terminal) {
    this.#listener = terminal.onInterrupt(() => {
      this.#listener.cancel();
      this.#isInterrupted = true;
      for (const callback of [...this.#callbacks]) callback();
      this.#callbacks.clear();
    });
  }

  get isInterrupted(): boolean {
    return this.#isInterrupted;
  }

  /** Calls at the interrupt, at once when it has been. */
  onInterrupt(callback: () => void): void {
    if (this.#isInterrupted) callback();
    else this.#callbacks.add(callback);
  }

  /** The work's result, unless the interrupt comes first. */
  either<T>(work: Promise<T>): Promise<T | Interrupted> {
    return new Promise((resolve, reject) => {
      const interrupt = () => resolve(new Interrupted());
      if (this.#isInterrupted) return interrupt();
      this.#callbacks.add(interrupt);
      work.then(resolve, reject)
        .finally(() => this.#callbacks.delete(interrupt));
    });
  }

  close(): void {
    this.#listener.cancel();
  }
}
