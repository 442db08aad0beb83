/**
 * A partition's high watermark, and all who wait for it: producers for their
 * records to become durable, consumers for records to read. Owns the number and
 * the waits; what it may be says `in_sync_rules.ts`.
 */
import type { Failure } from "../../contract/errors.ts";
import { invariant } from "../../storage/assert.ts";
import { type Offset, offset } from "../../storage/log/types.ts";
import type { Timers } from "../environment.ts";
import { AppendWaits, type Settle } from "./append_waits.ts";

export class HighWatermark {
  #value: Offset = offset(0);
  readonly #waits: AppendWaits;
  readonly #readers = new Set<() => void>();

  constructor(timers: Timers, monotonicMs: () => number) {
    this.#waits = new AppendWaits(timers, monotonicMs);
  }

  /** Exclusive: consumers read below it. */
  get value(): Offset {
    return this.#value;
  }

  /** What a replica starts with, and what a follower learns or cuts. */
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
    return this.#waits.count;
  }

  /** Calls back when the high watermark reaches `endOffset`, or never does. */
  waitForAppended(
    endOffset: number,
    timeoutMs: number,
    settle: Settle,
  ): void {
    if (endOffset <= this.#value) return settle(undefined);
    this.#waits.add(endOffset, timeoutMs, settle);
  }

  /** Ends every producer's wait with `failure`; readers look again. */
  fail(failure: Failure): void {
    this.#waits.fail(failure);
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
