/**
 * Those who wait for an offset to be reached: producers for what they appended
 * to be safe, at the high watermark or on the leader's own disk. Owns the waits
 * and their deadlines; refuses to know what makes records safe.
 */
import { Failure } from "../../contract/errors.ts";
import type { Timer, Timers } from "../environment.ts";

export interface WaitOptions {
  readonly timeoutMs: number;
  /** It is not over with the leadership in which it began. */
  readonly outlivesLeader?: boolean;
  /** Called once; without a failure, what was waited for is there. */
  readonly settle: (failure: Failure | undefined) => void;
}

interface Wait {
  /** Exclusive end of what was appended. */
  readonly endOffset: number;
  deadlineMs: number;
  readonly outlivesLeader: boolean;
  readonly settle: WaitOptions["settle"];
}

/**
 * How long a wait may outlive its leadership: longer than it takes until a
 * replica that learns of nothing is out of sync, and no longer, because what a
 * client asked for after it is answered after it, too. The HTTP door waits a
 * little longer (`deposedAnswerMs`).
 */
export const LONGEST_OUTLIVING_MS = 7000;

/** How often deadlines are looked at; they are as precise as this. */
const DEADLINE_SWEEP_MS = 250;

const APPENDED_LATE =
  "The records are written, but were not durable in time: they may or may not be kept";

export class AppendWaits {
  /** Ascending by end offset from `#head` on. */
  #waits: Wait[] = [];
  #head = 0;
  readonly #timers: Timers;
  readonly #monotonicMs: () => number;
  #sweep: Timer | undefined;
  /** What is said to who waited for too long. */
  readonly #late: string;

  constructor(
    timers: Timers,
    monotonicMs: () => number,
    { late }: { late: string } = { late: APPENDED_LATE },
  ) {
    this.#late = late;
    this.#timers = timers;
    this.#monotonicMs = monotonicMs;
  }

  get count(): number {
    return this.#waits.length - this.#head;
  }

  /** Settles when all below `endOffset` is reached, or never will be. */
  add(
    endOffset: number,
    { timeoutMs, outlivesLeader = false, settle }: WaitOptions,
  ): void {
    const deadlineMs = this.#monotonicMs() + timeoutMs;
    const waits = this.#waits;
    let at = waits.length;
    // A duplicate of what still waits ends before what came after that.
    while (at > this.#head && waits[at - 1].endOffset > endOffset) at--;
    const wait = { endOffset, deadlineMs, outlivesLeader, settle };
    if (at === waits.length) waits.push(wait);
    else waits.splice(at, 0, wait);
    this.#armSweep();
  }

  /** Takes over from `others` the waits for what is beyond `end`. */
  takeBeyond(end: number, others: AppendWaits): void {
    const waits = others.#waits;
    let at = waits.length;
    while (at > others.#head && waits[at - 1].endOffset > end) at--;
    const taken = waits.splice(at);
    if (taken.length === 0) return;
    others.#trim();
    others.#disarmSweep();
    this.#waits = [...this.#waits.slice(this.#head), ...taken]
      .sort((a, b) => a.endOffset - b.endOffset);
    this.#head = 0;
    this.#armSweep();
  }

  /** All below `end` is reached. */
  reach(end: number): void {
    const waits = this.#waits;
    let head = this.#head;
    while (head < waits.length && waits[head].endOffset <= end) {
      waits[head].settle(undefined);
      head++;
    }
    this.#head = head;
    this.#trim();
  }

  /** Ends every wait with `failure`. */
  fail(failure: Failure): void {
    this.#failWhere(() => true, failure);
  }

  /** Ends with `failure` all waits but those that outlive the leadership. */
  endLeadership(failure: Failure): void {
    this.#failWhere(({ outlivesLeader }) => !outlivesLeader, failure);
    const latestMs = this.#monotonicMs() + LONGEST_OUTLIVING_MS;
    for (const wait of this.#waits) {
      wait.deadlineMs = Math.min(wait.deadlineMs, latestMs);
    }
  }

  #failWhere(isOver: (wait: Wait) => boolean, failure: Failure): void {
    const waits = this.#waits.slice(this.#head);
    this.#waits = waits.filter((wait) => !isOver(wait));
    this.#head = 0;
    this.#disarmSweep();
    for (const wait of waits) if (isOver(wait)) wait.settle(failure);
  }

  #trim(): void {
    if (this.#head < this.#waits.length) {
      if (this.#head < 1024) return;
      this.#waits = this.#waits.slice(this.#head);
    } else this.#waits = [];
    this.#head = 0;
  }

  /** Left running when all waits end: a timer per append costs more. */
  #armSweep(): void {
    this.#sweep ??= this.#timers.after(DEADLINE_SWEEP_MS, () => {
      this.#sweep = undefined;
      this.#expire();
      if (this.#waits.length > 0) this.#armSweep();
    });
  }

  #disarmSweep(): void {
    if (this.#waits.length > 0) return;
    this.#sweep?.cancel();
    this.#sweep = undefined;
  }

  #expire(): void {
    const nowMs = this.#monotonicMs();
    const waiting = this.#waits.slice(this.#head);
    this.#head = 0;
    this.#waits = waiting.filter((wait) => wait.deadlineMs > nowMs);
    for (const wait of waiting) {
      if (wait.deadlineMs <= nowMs) {
        wait.settle(
          new Failure("REQUEST_TIMED_OUT", this.#late, { retryAfterMs: 1000 }),
        );
      }
    }
  }
}
