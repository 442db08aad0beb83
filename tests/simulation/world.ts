/**
 * The one scheduler of a simulation: what happens, and when. Nothing runs but by
 * an event of its queue; after each event everything that it started runs to its
 * end, so that the order of events is the order of everything. Owns time and
 * order; knows neither machines nor networks.
 */
import { setImmediate } from "node:timers";
import { SeededRandom } from "./random.ts";
import { Trace } from "./trace.ts";

/** 2023-11-14: any day does. */
const EPOCH_MS = 1_700_000_000_000;

export interface Scheduled {
  cancel(): void;
}

interface Event {
  readonly atMs: number;
  readonly sequence: number;
  run: (() => void) | null;
}

export interface WorldOptions {
  readonly seed: number;
  /** Keeps every line of the trace, not only the last ones. */
  readonly keepsTrace?: boolean;
}

/** A rule was broken: the simulation ends, and says which. */
export class Violation extends Error {
  override readonly name = "Violation";
}

export class World {
  readonly seed: number;
  readonly trace: Trace;
  #nowMs = 0;
  #sequence = 0;
  #events = 0;
  readonly #queue: Event[] = [];
  #violation: Violation | undefined;
  /** A process died in the event that runs: what it throws is nobody's. */
  hadDeath = false;

  constructor({ seed, keepsTrace = false }: WorldOptions) {
    this.seed = seed;
    this.trace = new Trace({ keepsAll: keepsTrace });
  }

  /** Milliseconds since the simulation began. */
  get nowMs(): number {
    return this.#nowMs;
  }

  /** The true time of day. */
  get wallMs(): number {
    return EPOCH_MS + this.#nowMs;
  }

  /** Events that have run. */
  get events(): number {
    return this.#events;
  }

  /** The first rule that was broken. */
  get violation(): Violation | undefined {
    return this.#violation;
  }

  random(stream: string): SeededRandom {
    return new SeededRandom(this.seed, stream);
  }

  say(who: string, what: string): void {
    this.trace.add(this.#nowMs, who, what);
  }

  /** The first one counts: what follows may follow from it. */
  violated(rule: string): void {
    if (this.#violation !== undefined) return;
    this.say("CHECK", `VIOLATION: ${rule}`);
    this.#violation = new Violation(rule);
  }

  schedule(delayMs: number, run: () => void): Scheduled {
    const event: Event = {
      atMs: this.#nowMs + Math.max(delayMs, 0),
      sequence: this.#sequence++,
      run,
    };
    this.#push(event);
    return { cancel: () => void (event.run = null) };
  }

  sleep(delayMs: number): Promise<void> {
    return new Promise((resolve) => this.schedule(delayMs, resolve));
  }

  /** Runs events until `isDone`, a violation, or `untilMs`: then false. */
  async run(untilMs: number, isDone: () => boolean): Promise<boolean> {
    await turn();
    while (!isDone()) {
      if (this.#violation !== undefined) return false;
      const event = this.#pop();
      if (event === undefined || event.atMs > untilMs) {
        if (event !== undefined) this.#push(event);
        this.#nowMs = Math.max(this.#nowMs, untilMs);
        return false;
      }
      const { run } = event;
      if (run === null) continue;
      this.#nowMs = Math.max(this.#nowMs, event.atMs);
      this.#events++;
      this.hadDeath = false;
      try {
        run();
      } catch (fault) {
        if (!this.hadDeath) throw fault;
      }
      await turn();
    }
    return true;
  }

  #push(event: Event): void {
    const queue = this.#queue;
    let at = queue.length;
    queue.push(event);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isBefore(event, queue[parent])) break;
      queue[at] = queue[parent];
      at = parent;
    }
    queue[at] = event;
  }

  #pop(): Event | undefined {
    const queue = this.#queue;
    const first = queue[0];
    const last = queue.pop();
    if (last === undefined || queue.length === 0) return first;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= queue.length) break;
      if (
        child + 1 < queue.length && isBefore(queue[child + 1], queue[child])
      ) {
        child++;
      }
      if (!isBefore(queue[child], last)) break;
      queue[at] = queue[child];
      at = child;
    }
    queue[at] = last;
    return first;
  }
}

function isBefore(one: Event, other: Event): boolean {
  return one.atMs < other.atMs ||
    (one.atMs === other.atMs && one.sequence < other.sequence);
}

/** Lets everything run that waits for no event. */
function turn(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}
