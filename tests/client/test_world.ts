/**
 * The client's world in memory: streams as lists, a clock that jumps to the
 * next timer when nothing else can happen, scripted signals. No real time passes.
 */
import { setImmediate } from "node:timers";
import {
  type Cancellable,
  OutputClosed,
  type Terminal,
} from "../../client/terminal.ts";

interface PendingTimer {
  readonly dueMs: number;
  readonly order: number;
  readonly callback: () => void;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Standard input: chunks that are there, and an end that may come later. */
export class TestInput {
  isTerminal = false;
  readonly #chunks: Uint8Array[] = [];
  #isOver = false;
  #wake: (() => void) | undefined;
  bytesRead = 0;

  give(content: string | Uint8Array): void {
    const bytes = typeof content === "string"
      ? encoder.encode(content)
      : content;
    if (bytes.length > 0) this.#chunks.push(bytes);
    this.#wake?.();
  }

  end(): void {
    this.#isOver = true;
    this.#wake?.();
  }

  async read(into: Uint8Array): Promise<number | null> {
    while (this.#chunks.length === 0) {
      if (this.#isOver) return null;
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
    const chunk = this.#chunks[0];
    const count = Math.min(chunk.length, into.length);
    into.set(chunk.subarray(0, count));
    if (count === chunk.length) this.#chunks.shift();
    else this.#chunks[0] = chunk.subarray(count);
    this.bytesRead += count;
    return count;
  }
}

export class TestOutput {
  isTerminal = false;
  readonly chunks: Uint8Array[] = [];
  /** After so many writes the reader is gone. */
  closesAfterWrites = Infinity;

  // deno-lint-ignore require-await
  async write(bytes: Uint8Array): Promise<void> {
    if (this.chunks.length >= this.closesAfterWrites) {
      throw new OutputClosed("nobody reads the output");
    }
    this.chunks.push(bytes.slice());
  }

  get bytes(): Uint8Array {
    const all: number[] = [];
    for (const chunk of this.chunks) all.push(...chunk);
    return new Uint8Array(all);
  }

  get text(): string {
    return this.chunks.map((chunk) => decoder.decode(chunk)).join("");
  }
}

export class TestWorld implements Terminal {
  readonly input = new TestInput();
  readonly output = new TestOutput();
  readonly error = new TestOutput();
  readonly files = new Map<string, string>();
  answer: (url: URL, init: RequestInit) => Promise<Response> = () =>
    Promise.reject(new TypeError("Connection refused (os error 111)"));
  readonly #timers: PendingTimer[] = [];
  readonly #listeners = new Set<() => void>();
  #nowMs = 0;
  #order = 0;
  #seed = 1;

  fetch(url: string, init: RequestInit): Promise<Response> {
    const { signal } = init;
    if (signal?.aborted) {
      return Promise.reject(new DOMException("aborted", "AbortError"));
    }
    const { promise, resolve, reject } = Promise.withResolvers<Response>();
    signal?.addEventListener(
      "abort",
      () => reject(new DOMException("The request was aborted", "AbortError")),
    );
    this.answer(new URL(url), init).then(resolve, reject);
    return promise;
  }

  monotonicMs(): number {
    return this.#nowMs;
  }

  after(delayMs: number, callback: () => void): Cancellable {
    const timer = {
      dueMs: this.#nowMs + delayMs,
      order: this.#order++,
      callback,
    };
    this.#timers.push(timer);
    return {
      cancel: () => {
        const index = this.#timers.indexOf(timer);
        if (index >= 0) this.#timers.splice(index, 1);
      },
    };
  }

  random(): number {
    this.#seed = (this.#seed * 48_271) % 2_147_483_647;
    return this.#seed / 2_147_483_647;
  }

  readTextFile(path: string): Promise<string> {
    const text = this.files.get(path);
    return text === undefined
      ? Promise.reject(new Error(`No such file (${path})`))
      : Promise.resolve(text);
  }

  onInterrupt(callback: () => void): Cancellable {
    this.#listeners.add(callback);
    return { cancel: () => this.#listeners.delete(callback) };
  }

  get interruptListeners(): number {
    return this.#listeners.size;
  }

  interrupt(): void {
    for (const listener of [...this.#listeners]) listener();
  }

  get pendingTimers(): number {
    return this.#timers.length;
  }

  /** Lets everything that can happen without time passing happen. */
  async settle(): Promise<void> {
    for (let i = 0; i < 3; i++) {
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  /** The result, letting time jump from timer to timer meanwhile. */
  async drive<T>(work: Promise<T>, longestMs = 3_600_000): Promise<T> {
    const limitMs = this.#nowMs + longestMs;
    let outcome: { value: T } | { error: unknown } | undefined;
    work.then(
      (value) => outcome = { value },
      (error) => outcome = { error },
    );
    for (;;) {
      await this.settle();
      if (outcome !== undefined) break;
      if (!this.advance(limitMs)) {
        throw new Error(
          `nothing happens any more at ${this.#nowMs} ms; ` +
            `output: ${this.output.text}; error: ${this.error.text}`,
        );
      }
    }
    if ("error" in outcome) throw outcome.error;
    return outcome.value;
  }

  /** Fires the next timer; false when none is due until the limit. */
  advance(limitMs: number): boolean {
    const [next] = this.#timers.toSorted((a, b) =>
      a.dueMs - b.dueMs || a.order - b.order
    );
    if (next === undefined || next.dueMs > limitMs) return false;
    this.#timers.splice(this.#timers.indexOf(next), 1);
    this.#nowMs = Math.max(this.#nowMs, next.dueMs);
    next.callback();
    return true;
  }
}
