/**
 * What all clients of a torture run share: where the brokers are, what is
 * written and read, when to stop, and how long each partition went without an
 * acknowledgement. Owns no client.
 */
import {
  type Observation,
  Readings,
  type Slot,
  type Violation,
  WriterHistory,
} from "../history.ts";

/** Longer than an answer can be on its way. */
const LONG_AGO_MS = 15_000;

export interface Door {
  /** `host:port`. */
  readonly http: string;
  readonly kafka: string;
}

/** A client at work. */
export interface Load {
  readonly name: string;
  /** Resolves when it has ended, nothing on its way; never rejects. */
  readonly done: Promise<void>;
  /** It reads every offset of these slots, in order. */
  readonly reader?: {
    readonly name: string;
    readonly slots: readonly number[];
  };
}

export interface StageOptions {
  readonly brokers: readonly Door[];
  /** Partitions of each topic. */
  readonly topics: { readonly [topic: string]: number };
  /** Between two sends of one writer. */
  readonly paceMs: number;
  /** Clients of others are told to try for as long as it takes. */
  readonly hasPatientClients: boolean;
  /** A file for what clients of others say of themselves. */
  readonly clientLog: string;
}

export class Stage {
  readonly brokers: readonly Door[];
  readonly topics: readonly string[];
  readonly slots: readonly Slot[];
  readonly paceMs: number;
  readonly hasPatientClients: boolean;
  readonly clientLog: string;
  readonly readings: Readings;
  readonly writers: WriterHistory[] = [];
  readonly violations: Violation[] = [];
  readonly refusals = new Map<string, number>();
  readonly notes = new Map<string, number>();
  readonly #writing = new AbortController();
  readonly #finishing = new AbortController();
  /** What a group had committed at some time, by slot; the oldest first. */
  readonly #committed: { atMs: number; highest: number[] }[] = [];
  readonly #askedCommits = new Set<string>();
  /** By member and slot. */
  readonly #memberNext = new Map<string, number>();
  readonly #lastAckMs: number[];
  readonly #longestGapMs: number[];

  constructor(options: StageOptions) {
    const { brokers, topics, paceMs, hasPatientClients } = options;
    this.hasPatientClients = hasPatientClients;
    this.clientLog = options.clientLog;
    this.brokers = brokers;
    this.topics = Object.keys(topics);
    this.slots = Object.entries(topics).flatMap(([topic, partitions]) =>
      Array.from({ length: partitions }, (_, partition) => ({
        topic,
        partition,
      }))
    );
    this.paceMs = paceMs;
    this.readings = new Readings(this.slots);
    this.#lastAckMs = this.slots.map(() => performance.now());
    this.#longestGapMs = this.slots.map(() => 0);
  }

  /** Aborts when writers must send no more. */
  get signal(): AbortSignal {
    return this.#writing.signal;
  }

  /** Aborts when readers must end. */
  get finish(): AbortSignal {
    return this.#finishing.signal;
  }

  stopWriting(): void {
    this.#writing.abort();
  }

  stopReading(): void {
    this.#finishing.abort();
  }

  /** By partition. */
  slotsOf(topic: string): number[] {
    return this.slots.flatMap((slot, index) =>
      slot.topic === topic ? [index] : []
    );
  }

  writer(
    name: string,
    { isIdempotent }: { isIdempotent: boolean },
  ): WriterHistory {
    const history = new WriterHistory(name, isIdempotent);
    this.writers.push(history);
    return history;
  }

  /** A client that never repeats was told no, for this reason. */
  refused(reason: string): void {
    this.refusals.set(reason, (this.refusals.get(reason) ?? 0) + 1);
  }

  /** Something of a client that is no violation, for the report. */
  noted(what: string): void {
    this.notes.set(what, (this.notes.get(what) ?? 0) + 1);
  }

  /** A client's work; its failure is a violation. */
  load(name: string, done: Promise<void>, reader?: Load["reader"]): Load {
    const settled = done.catch((error) => this.violation(name, `${error}`));
    return { name, done: settled, reader };
  }

  violation(rule: string, detail: string): void {
    this.violations.push({ rule, detail });
  }

  /** A member of a client that is not ours asked for this commit itself. */
  memberCommitted(slot: number, offset: number): void {
    this.#askedCommits.add(`${slot} ${offset}`);
  }

  hasMemberCommitted(slot: number, offset: number): boolean {
    return this.#askedCommits.has(`${slot} ${offset}`);
  }

  /** From here on a member may go on lower, since one has committed that. */
  wentBack(slot: number, offset: number): void {
    for (const { highest } of this.#committed) {
      highest[slot] = Math.min(highest[slot], offset);
    }
  }

  /** What the group has committed, by slot; -1: nothing. */
  committed(highest: readonly number[]): void {
    this.#committed.push({ atMs: performance.now(), highest: [...highest] });
  }

  /**
   * A member of the group was given a record: one of which it was told again
   * must not lie below what was committed long before.
   */
  memberObserves(observation: Observation & { group: string }): void {
    const { reader, slot, offset } = observation;
    const key = `${reader} ${slot}`;
    const next = this.#memberNext.get(key);
    this.#memberNext.set(key, offset + 1);
    this.readings.observe(observation);
    if (next === offset) return;
    const floor = this.#committedLongAgo(slot);
    if (offset >= floor) return;
    const { topic, partition } = this.slots[slot];
    this.violation(
      "a member goes on where the group has committed",
      `${reader} was given ${topic}/${partition} offset ${offset}, ` +
        `long after ${floor} was committed`,
    );
  }

  #committedLongAgo(slot: number): number {
    const beforeMs = performance.now() - LONG_AGO_MS;
    while (this.#committed.length > 1 && this.#committed[1].atMs < beforeMs) {
      this.#committed.shift();
    }
    const [oldest] = this.#committed;
    return oldest === undefined || oldest.atMs > beforeMs
      ? 0
      : oldest.highest[slot];
  }

  /** Something was stored in a slot just now. */
  acknowledged(slot: number): void {
    const nowMs = performance.now();
    const gapMs = nowMs - this.#lastAckMs[slot];
    this.#lastAckMs[slot] = nowMs;
    this.#longestGapMs[slot] = Math.max(this.#longestGapMs[slot], gapMs);
  }

  /** Whether every slot took a record since then. */
  hasEachTakenSince(momentMs: number): boolean {
    return this.#lastAckMs.every((ackMs) => ackMs > momentMs);
  }

  /** Slots that took nothing since then. */
  silentSince(momentMs: number): Slot[] {
    return this.slots.filter((_, slot) => this.#lastAckMs[slot] <= momentMs);
  }

  /** Forgets the gaps so far. */
  beginGaps(): void {
    this.#longestGapMs.fill(0);
  }

  /** The longest time that a slot went without, since `beginGaps`. */
  get longestGapMs(): number {
    const nowMs = performance.now();
    const open = this.#lastAckMs.map((ackMs) => nowMs - ackMs);
    return Math.max(...this.#longestGapMs, ...open);
  }

  /** The offset after the last one that a client was told of. */
  knownEnd(slot: number): number {
    let end = this.readings.values[slot].length;
    for (const { slots, outcomes } of this.writers) {
      for (const [number, outcome] of outcomes.entries()) {
        if (slots[number] === slot) end = Math.max(end, outcome + 1);
      }
    }
    return end;
  }

  get acknowledgedCount(): number {
    return this.writers.reduce(
      (sum, { acknowledgedCount }) => sum + acknowledgedCount,
      0,
    );
  }
}

/** Resolves after a time, or at once when the signal aborts. */
export function pause(durationMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, durationMs);
    signal.addEventListener("abort", end);
  });
}
