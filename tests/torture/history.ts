/**
 * What every client of a torture run saw: which records it sent and what became
 * of each, and what readers were given. Owns the values of records, from which
 * writer and number can be read again; refuses to know how they travel, and
 * judges nothing but what two readers were told of one offset.
 */

/** One partition of one topic; slots count from 0 over all topics. */
export interface Slot {
  readonly topic: string;
  readonly partition: number;
}

/** In place of an offset: acknowledged, but nobody said where. */
export const ACKNOWLEDGED_SOMEWHERE = -1;
/** In place of an offset: it may be stored or not. */
export const UNKNOWN = -2;

/** Bytes of padding vary up to this, so that batches differ in size. */
const LONGEST_PADDING = 600;

/** The records of one writer, by number from 0 on. */
export class WriterHistory {
  /** The slot that each was sent to. */
  readonly slots: number[] = [];
  /** Where each is, or one of the two constants above. */
  readonly outcomes: number[] = [];
  acknowledgedCount = 0;

  constructor(
    /** Without spaces. */
    readonly name: string,
    /** It sends again until it is told, and each must be stored once, in order. */
    readonly isIdempotent: boolean,
  ) {}

  get sentCount(): number {
    return this.slots.length;
  }

  /** A record on its way; returns its number. */
  sent(slot: number): number {
    this.slots.push(slot);
    return this.outcomes.push(UNKNOWN) - 1;
  }

  acknowledged(number: number, offset: number | undefined): void {
    this.outcomes[number] = offset ?? ACKNOWLEDGED_SOMEWHERE;
    this.acknowledgedCount++;
  }

  value(number: number): string {
    return valueOf(this.name, number);
  }
}

/** The value of a record: the same writer and number give the same. */
export function valueOf(writer: string, number: number): string {
  const padding = (number * 7919 + writer.length) % LONGEST_PADDING;
  return `${writer} ${number} ${"x".repeat(padding)}`;
}

/** Undefined: no writer of ours made this. */
export function readValue(
  value: string,
): { readonly writer: string; readonly number: number } | undefined {
  const match = /^(\S+) (\d+) x*$/.exec(value);
  if (match === null) return undefined;
  const number = Number(match[2]);
  const writer = match[1];
  return valueOf(writer, number) === value ? { writer, number } : undefined;
}

export interface Observation {
  readonly reader: string;
  readonly slot: number;
  readonly offset: number;
  readonly value: string;
  /** The reader shares the work with others of this name. */
  readonly group?: string;
}

/** Something that must never happen, for a person to read. */
export interface Violation {
  readonly rule: string;
  readonly detail: string;
}

/** What readers were given, offset by offset. */
export class Readings {
  /** By slot and offset; undefined where nobody read. */
  readonly values: (string | undefined)[][];
  readonly violations: Violation[] = [];
  readonly counts = new Map<string, number>();
  readonly #slots: readonly Slot[];
  /** Where each reader that must see everything in order goes on. */
  readonly #next = new Map<string, number[]>();
  /** By group and slot, the offsets that any of its members was given. */
  readonly #covered = new Map<string, Set<number>[]>();

  constructor(slots: readonly Slot[]) {
    this.#slots = slots;
    this.values = slots.map(() => []);
  }

  /** A reader of a group: what it gets may come again after a rebalance. */
  observe({ reader, slot, offset, value, group }: Observation): void {
    if (group !== undefined) this.coveredBy(group)[slot].add(offset);
    this.counts.set(reader, (this.counts.get(reader) ?? 0) + 1);
    const known = this.values[slot][offset];
    if (known === undefined) this.values[slot][offset] = value;
    else if (known !== value) {
      this.violations.push({
        rule: "what was once readable never changes",
        detail: `${reader} read ${short(value)} at ${
          place(this.#slots[slot], offset)
        }, where ${short(known)} was read before`,
      });
    }
  }

  /** A reader from offset 0 on: every offset, once, in order. */
  observeNext(observation: Observation): void {
    const { reader, slot, offset } = observation;
    const next = this.nextOf(reader);
    if (offset !== next[slot]) {
      this.violations.push({
        rule: "a reader gets every offset once and in order",
        detail: `${reader} expected ${next[slot]} and got ${
          place(this.#slots[slot], offset)
        }`,
      });
    }
    next[slot] = offset + 1;
    this.observe(observation);
  }

  /** By slot, the offsets that a group was given. */
  coveredBy(group: string): readonly Set<number>[] {
    let covered = this.#covered.get(group);
    if (covered === undefined) {
      covered = this.#slots.map(() => new Set());
      this.#covered.set(group, covered);
    }
    return covered;
  }

  /** By slot, where a reader goes on. */
  nextOf(reader: string): number[] {
    let next = this.#next.get(reader);
    if (next === undefined) {
      next = this.#slots.map(() => 0);
      this.#next.set(reader, next);
    }
    return next;
  }
}

export function place({ topic, partition }: Slot, offset: number): string {
  return `${topic}/${partition} offset ${offset}`;
}

/** Without its padding. */
export function short(value: string | undefined): string {
  if (value === undefined) return "nothing";
  return `"${value.replace(/ x*$/, "").slice(0, 60)}"`;
}
