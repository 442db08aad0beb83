/** A line on standard error that tells how far long work is, when seen. */
import type { Cancellable, Terminal } from "../terminal.ts";
import type { Printer } from "./printer.ts";

const EVERY_MS = 500;
const CLEAR_LINE = "\r\x1b[K";

export class Progress {
  readonly #terminal: Terminal;
  readonly #printer: Printer;
  readonly #startedMs: number;
  readonly #count: () => number;
  #timer: Cancellable | undefined;
  #isShown = false;

  /** Shows something only where standard error is a terminal. */
  constructor(
    options: {
      terminal: Terminal;
      printer: Printer;
      isWanted: boolean;
      /** Messages done so far. */
      count: () => number;
    },
  ) {
    this.#terminal = options.terminal;
    this.#printer = options.printer;
    this.#count = options.count;
    this.#startedMs = this.#terminal.monotonicMs();
    if (options.isWanted && this.#terminal.error.isTerminal) this.#arm();
  }

  /** "1000000 messages, 3.1 s, 322581 messages/s" */
  get summary(): string {
    const seconds = (this.#terminal.monotonicMs() - this.#startedMs) / 1000;
    const count = this.#count();
    const rate = seconds > 0 ? Math.round(count / seconds) : count;
    return `${counted(count, "message")}, ${
      seconds.toFixed(1)
    } s, ${rate} messages/s`;
  }

  async end(): Promise<void> {
    this.#timer?.cancel();
    this.#timer = undefined;
    if (this.#isShown) await this.#printer.error(CLEAR_LINE);
    this.#isShown = false;
  }

  #arm(): void {
    this.#timer = this.#terminal.after(EVERY_MS, () => {
      this.#isShown = true;
      this.#printer.error(CLEAR_LINE + this.summary);
      this.#arm();
    });
  }
}

/** "1 message", "2 messages". */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}
