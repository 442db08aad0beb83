/** A clock that is turned by hand, and an internal topic in memory. */
import type { Failure } from "../../../contract/errors.ts";
import type { Clock, Timers } from "../../../broker/environment.ts";
import type {
  LogEntry,
  ProducerStamp,
} from "../../../broker/coordinator/core.ts";
import type { InternalLog } from "../../../broker/coordinator/coordinator_runtime.ts";

export class ManualTime implements Clock, Timers {
  #nowMs = 0;
  readonly pending = new Set<{ atMs: number; callback: () => void }>();

  nowMs(): number {
    return 1_700_000_000_000 + this.#nowMs;
  }

  monotonicMs(): number {
    return this.#nowMs;
  }

  after(delayMs: number, callback: () => void) {
    const timer = { atMs: this.#nowMs + delayMs, callback };
    this.pending.add(timer);
    return { cancel: () => void this.pending.delete(timer) };
  }

  soon(callback: () => void): void {
    this.after(0, callback);
  }

  /** Lets promises settle between timers. */
  async pass(durationMs: number): Promise<void> {
    const endMs = this.#nowMs + durationMs;
    for (;;) {
      await settle();
      const next = [...this.pending].filter(({ atMs }) => atMs <= endMs)
        .sort((a, b) => a.atMs - b.atMs)[0];
      if (next === undefined) break;
      this.pending.delete(next);
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      next.callback();
    }
    this.#nowMs = endMs;
  }
}

/** Enough turns of the microtask queue for every chain in these tests. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 50; i++) await Promise.resolve();
}

export class MemoryLog<Record> implements InternalLog<Record> {
  readonly entries: LogEntry<Record>[] = [];
  /** What the next appends answer or throw instead of storing. */
  readonly failures: (Failure | Error)[] = [];
  /** While set, readAll waits for it. */
  gate: Promise<void> | undefined;

  async append(
    records: readonly Record[],
    producer: ProducerStamp | null,
  ): Promise<Failure | undefined> {
    await Promise.resolve();
    const failure = this.failures.shift();
    if (failure instanceof Error) throw failure;
    if (failure !== undefined) return failure;
    for (const record of records) {
      this.entries.push({ type: "record", record, producer });
    }
    return undefined;
  }

  async *readAll(): AsyncIterable<readonly LogEntry<Record>[]> {
    await this.gate;
    for (const entry of this.entries) yield [entry];
  }
}
