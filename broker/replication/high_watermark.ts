/**
 * A partition's high watermark on its leader, and all who wait for it: producers
 * for their records to become durable, consumers for records to read. Owns the
 * number and the waits; refuses to know what makes records safe.
 */
import { invariant } from "../../storage/assert.ts";
import { type Offset, offset } from "../../storage/log/types.ts";
import type { Timer, Timers } from "../environment.ts";
import { Failure } from "../../contract/errors.ts";

/** Undefined: the high watermark is there. */
type Settle = (failure: Failure | undefined) => void;

interface ProduceWait {
  /** Exclusive end of what was appended. */
  readonly endOffset: number;
  readonly deadlineMs: number;
  readonly settle: Settle;
}

/** How often produce deadlines are looked at; they are as precise as this. */
const DEADLINE_SWEEP_MS = 250;

export class HighWatermark {
  #value: Offset = offset(0);
  /** Ascending by end offset from `#produceHead` on. */
  #produceWaits: ProduceWait[] = [];
  #produceHead = 0;
  readonly #readWaits = new Set<() => void>();
  readonly #timers: Timers;
  readonly #monotonicMs: () => number;
  #sweep: Timer | undefined;

  constructor(timers: Timers, monotonicMs: () => number) {
    this.#timers = timers;
    this.#monotonicMs = monotonicMs;
  }

  /** Exclusive: consumers read below it. */
  get value(): Offset {
    return this.#value;
  }

  /** What a replica starts with, or is set back to when it stops leading. */
  reset(value: Offset): void {
    this.#value = value;
  }

  advanceTo(value: Offset): void {
    invariant(
      value >= this.#value,
      `a leader's high watermark went from ${this.#value} to ${value}`,
    );
    if (value === this.#value) return;
    this.#value = value;
    const waits = this.#produceWaits;
    let head = this.#produceHead;
    while (head < waits.length && waits[head].endOffset <= value) {
      waits[head].settle(undefined);
      head++;
    }
    this.#produceHead = head;
    this.#trim();
    this.wakeReaders();
  }

  /** Producers that wait. */
  get waitCount(): number {
    return this.#produceWaits.length - this.#produceHead;
  }

  /** Calls back when the high watermark reaches `endOffset`, or never does. */
  waitForAppended(
    endOffset: number,
    timeoutMs: number,
    settle: Settle,
  ): void {
    if (endOffset <= this.#value) return settle(undefined);
    const deadlineMs = this.#monotonicMs() + timeoutMs;
    const waits = this.#produceWaits;
    let at = waits.length;
    // A duplicate of what still waits ends before what came after that.
    while (at > this.#produceHead && waits[at - 1].endOffset > endOffset) at--;
    const wait = { endOffset, deadlineMs, settle };
    if (at === waits.length) waits.push(wait);
    else waits.splice(at, 0, wait);
    this.#armSweep();
  }

  /** Ends every producer's wait with `failure`; readers look again. */
  fail(failure: Failure): void {
    const waits = this.#produceWaits.slice(this.#produceHead);
    this.#produceWaits = [];
    this.#produceHead = 0;
    this.#sweep?.cancel();
    this.#sweep = undefined;
    for (const wait of waits) wait.settle(failure);
    this.wakeReaders();
  }

  /** Calls once when there may be more to read; returns what takes it back. */
  onChange(callback: () => void): () => void {
    this.#readWaits.add(callback);
    return () => this.#readWaits.delete(callback);
  }

  wakeReaders(): void {
    if (this.#readWaits.size === 0) return;
    const waits = [...this.#readWaits];
    this.#readWaits.clear();
    for (const wake of waits) wake();
  }

  #trim(): void {
    if (this.#produceHead < this.#produceWaits.length) {
      if (this.#produceHead < 1024) return;
      this.#produceWaits = this.#produceWaits.slice(this.#produceHead);
    } else this.#produceWaits = [];
    this.#produceHead = 0;
  }

  /** Left running when all waits end: a timer per append costs more. */
  #armSweep(): void {
    this.#sweep ??= this.#timers.after(DEADLINE_SWEEP_MS, () => {
      this.#sweep = undefined;
      this.#expire();
      if (this.#produceWaits.length > 0) this.#armSweep();
    });
  }

  #expire(): void {
    const nowMs = this.#monotonicMs();
    const waiting = this.#produceWaits.slice(this.#produceHead);
    this.#produceHead = 0;
    this.#produceWaits = waiting.filter((wait) => wait.deadlineMs > nowMs);
    for (const wait of waiting) {
      if (wait.deadlineMs <= nowMs) {
        wait.settle(
          new Failure(
            "REQUEST_TIMED_OUT",
            "The records are written, but were not durable in time: they may or may not be kept",
            { retryAfterMs: 1000 },
          ),
        );
      }
    }
  }
}
