/**
 * The client's seam to the world (DESIGN D12): standard streams, clock, timers,
 * randomness, signals and `fetch`. `deno_terminal.ts` is the real form; tests
 * have one in memory. Owns no behaviour.
 */

/** The reader of our output has gone (EPIPE): end quietly. */
export class OutputClosed extends Error {
  override readonly name = "OutputClosed";
}

export interface Input {
  readonly isTerminal: boolean;
  /** Bytes read into `into`; null at the end. */
  read(into: Uint8Array): Promise<number | null>;
}

export interface Output {
  readonly isTerminal: boolean;
  /** Writes all of it; rejects with `OutputClosed` when nobody reads. */
  write(bytes: Uint8Array): Promise<void>;
}

export interface Cancellable {
  cancel(): void;
}

/** What the library needs: enough to talk to brokers and to wait. */
export interface ClientWorld {
  fetch(url: string, init: RequestInit): Promise<Response>;
  /** Milliseconds from some start, with fractions; never goes back. */
  monotonicMs(): number;
  /** Calls once after `delayMs`. */
  after(delayMs: number, callback: () => void): Cancellable;
  /** In [0, 1). */
  random(): number;
}

export interface Terminal extends ClientWorld {
  readonly input: Input;
  readonly output: Output;
  readonly error: Output;
  /** The whole text of a file. */
  readTextFile(path: string): Promise<string>;
  /**
   * Calls at Ctrl-C (SIGINT) or SIGTERM until cancelled; while nobody listens,
   * the process ends as the system does it.
   */
  onInterrupt(callback: () => void): Cancellable;
}
