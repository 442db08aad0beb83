/**
 * A partition's high watermark, and all who wait for it: producers for their
 * records to become durable, consumers for records to read. Owns the number and
 * the waits; what it may be says `in_sync_rules.ts`.
 */
import type { Failure } from "../../contract/errors.ts";
import { invariant } from "../../storage/assert.ts";
import { type Offset, offset } from "../../storage/log/types.ts";
import type { Timers } from "../environment.ts";
import { AppendWaits, type WaitOptions } from "./append_waits.ts";

export class HighWatermark {
  #value: Offset = offset(0);
  readonly #waits: AppendWaits;
  /** Whose records were cut from this log, and may be in another one. */
  readonly #cutOff: AppendWaits;
  readonly #readers = new Set<() => void>();

  constructor(timers: Timers, monotonicMs: () => number) {
    this.#waits = new AppendWaits(timers, monotonicMs);
    this.#cutOff = new AppendWaits(timers, monotonicMs);
  }

  /** Exclusive: consumers read below it. */
  get value(): Offset {
    return this.#value;
  }

  /** What a replica starts with, also when its log starts over. */
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
    this.#waits.reach(value);
    this.wakeReaders();
  }

  /** Producers that wait. */
  get waitCount(): number {
    return this.#waits.count + this.#cutOff.count;
  }

  /** Calls back when the high watermark reaches `endOffset`, or never does. */
  waitForAppended(endOffset: number, wait: WaitOptions): void {
    if (endOffset <= this.#value) return wait.settle(undefined);
    this.#waits.add(endOffset, wait);
  }

  /**
   * The leadership ends, and with it all waits but those that outlive it; so do
   * the leader's own ones, for nothing less than the high watermark now.
   */
  endLeadership(ownWaits: AppendWaits, failure: Failure): void {
    for (const waits of [ownWaits, this.#waits]) waits.endLeadership(failure);
    this.#waits.takeBeyond(-1, ownWaits);
    this.#waits.reach(this.#value);
    this.wakeReaders();
  }

  /** The log ends at `end` now: what is beyond is not to be reached any more. */
  cutTo(end: Offset): void {
    if (this.#value > end) this.#value = end;
    this.#cutOff.takeBeyond(end, this.#waits);
  }

  /** It is known, or never will be, what became of the records that were cut. */
  failCutOff(failure: Failure): void {
    this.#cutOff.fail(failure);
  }

  /** Ends every producer's wait with `failure`; readers look again. */
  fail(failure: Failure): void {
    this.#waits.fail(failure);
    this.#cutOff.fail(failure);
    this.wakeReaders();
  }

  /** Calls once when there may be more to read; returns what takes it back. */
  onChange(callback: () => void): () => void {
    this.#readers.add(callback);
    return () => this.#readers.delete(callback);
  }

  wakeReaders(): void {
    wakeAll(this.#readers);
  }
}

/** Calls each once, and forgets it: who wants more comes again. */
export function wakeAll(callbacks: Set<() => void>): void {
  if (callbacks.size === 0) return;
  const waiting = [...callbacks];
  callbacks.clear();
  for (const wake of waiting) wake();
}
