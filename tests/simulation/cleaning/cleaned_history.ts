/**
 * What clients were told of a partition whose log is cleaned: what is stored, and
 * what was asked to be deleted. Owns the rules on what may be gone (Kafka's, NOTES
 * 4.10): a log begins only where an age, a size or a request lets it, what is
 * compacted away has a later record of its key, and no offset is used twice.
 * Refuses to look inside the brokers.
 */
import { type CleanedTopic, isCompacted, isKeptByAge } from "../extras.ts";
import type { World } from "../world.ts";
import type { LatestClock } from "./latest_clock.ts";

export interface KeyedRecord {
  readonly key: string;
  /** Null: a tombstone. */
  readonly value: string | null;
  readonly timestampMs: number;
}

export interface PlacedRecord extends KeyedRecord {
  readonly offset: number;
}

interface Known extends KeyedRecord {
  /** It was first sent then, or later. */
  readonly sentMs: number;
  isAcknowledged: boolean;
}

interface Aborted {
  readonly key: string;
  /** It was first sent then, or later. */
  readonly sentMs: number;
}

/** These were not there, any more, at that time: a reader passed over them. */
interface Passed {
  readonly from: number;
  readonly to: number;
  readonly atMs: number;
  readonly latestWallMs: number;
}

export interface CleanedHistoryOptions {
  readonly world: World;
  readonly clock: LatestClock;
  readonly topic: CleanedTopic;
  /** False when a replica may have missed what was stored since then. */
  isWholeSince(sinceMs: number): boolean;
}

export class CleanedHistory {
  readonly topic: CleanedTopic;
  readonly #options: CleanedHistoryOptions;
  readonly #known = new Map<number, Known>();
  /** When values were first sent. */
  readonly #sentMs = new Map<string, number>();
  readonly #passed: Passed[] = [];
  /** By offset: what is in transactions that were aborted. */
  readonly #aborted = new Map<number, Aborted>();
  /** Deletion up to there was asked for. */
  #mayBeErasedTo = 0;
  /** Deletion up to there was acknowledged. */
  #erasedTo = 0;
  /** Up to there the log was too long. */
  #isTooLongTo = 0;
  /** The largest log start that was found to be right. */
  #rightStart = 0;
  #end = 0;

  constructor(options: CleanedHistoryOptions) {
    this.topic = options.topic;
    this.#options = options;
  }

  get name(): string {
    return `${this.topic.name}-0`;
  }

  /** What is below is deleted for good. */
  get erasedTo(): number {
    return this.#erasedTo;
  }

  /** Where the latest log begins that was seen. */
  get latestStart(): number {
    return this.#rightStart;
  }

  /** The end of what was acknowledged or read. */
  get knownEnd(): number {
    return this.#end;
  }

  sending(values: readonly (string | null)[]): void {
    for (const value of values) {
      if (value !== null) this.#sentMs.set(value, this.#options.world.nowMs);
    }
  }

  acknowledged(record: PlacedRecord, sentMs: number): void {
    this.#note(record, sentMs, true);
  }

  /** In a transaction that its producer aborts from now on: never to be read. */
  aborting(records: readonly PlacedRecord[], sentMs: number): void {
    for (const { offset, key } of records) {
      this.#aborted.set(offset, { key, sentMs });
    }
  }

  isAborted(offset: number): boolean {
    return this.#aborted.has(offset);
  }

  read(record: PlacedRecord): void {
    this.#note(record, this.#sentOf(record), false);
  }

  /** A client asks for the deletion of what is below `before`. */
  erasing(before: number): void {
    this.#mayBeErasedTo = Math.max(this.#mayBeErasedTo, before);
  }

  /** And was told that it is done. */
  erased(before: number): void {
    this.#erasedTo = Math.max(this.#erasedTo, before);
  }

  /** The log was longer than it may be without what is below `end`. */
  tooLong(end: number): void {
    this.#isTooLongTo = Math.max(this.#isTooLongTo, end);
  }

  /** Somewhere a log begins at `start`, as `who` says: may it? */
  startsAt(start: number, who: string): void {
    if (start <= this.#rightStart) return;
    const granted = Math.max(this.#mayBeErasedTo, this.#isTooLongTo);
    for (const [offset, known] of this.#known) {
      if (offset < this.#rightStart || offset >= start) continue;
      if (offset < granted || this.#isOld(known)) continue;
      // It may have been compacted away before what was around it went.
      if (isCompacted(this.topic)) {
        this.#gone(offset, offset + 1);
        continue;
      }
      this.#violated(
        `the log of ${who} begins at ${start}, and record ${offset} ` +
          `("${known.value}") may not be gone`,
      );
    }
    this.#rightStart = start;
  }

  /** A reader at `from`, above the log start, got the record at `to` next. */
  passedOver(from: number, to: number): void {
    if (from >= to) return;
    if (isCompacted(this.topic)) return this.#gone(from, to);
    this.#violated(`a reader at ${from} got ${to} next`);
  }

  /** Whether that is right will be known once all is that was stored. */
  #gone(from: number, to: number): void {
    const { world, clock } = this.#options;
    const at = { atMs: world.nowMs, latestWallMs: clock.wallMs };
    this.#passed.push({ from, to, ...at });
  }

  /** `found`: all that is readable in the end, from `start` to the end. */
  checkAll(found: readonly PlacedRecord[], start: number): void {
    this.startsAt(start, "the leader in the end");
    const there = new Map(found.map((record) => [record.offset, record]));
    for (const record of found) {
      this.read(record);
      if (record.offset >= this.#erasedTo) continue;
      this.#violated(
        `offset ${record.offset} is read in the end, and all below ` +
          `${this.#erasedTo} was deleted`,
      );
    }
    for (const [offset, known] of this.#known) {
      if (offset < start || there.has(offset)) continue;
      this.#checkGone(offset, known, Infinity);
    }
    for (const { from, to, atMs, latestWallMs } of this.#passed) {
      for (let offset = from; offset < to; offset++) {
        const known = this.#known.get(offset);
        if (known === undefined) continue;
        this.#checkGone(offset, known, atMs, latestWallMs);
      }
    }
    if (isCompacted(this.topic)) this.#checkLastValues(found);
    this.#checkOnce(found);
  }

  #note(record: PlacedRecord, sentMs: number, isAcknowledged: boolean): void {
    const { offset, key, value, timestampMs } = record;
    const aborted = this.#aborted.get(offset);
    if (aborted !== undefined) {
      if (this.#isMarkerMissed(aborted)) return;
      return this.#violated(
        `offset ${offset} is read as "${value}", of a transaction that is aborted`,
      );
    }
    const known = this.#known.get(offset);
    this.#end = Math.max(this.#end, offset + 1);
    if (known === undefined) {
      const is = { key, value, timestampMs, sentMs, isAcknowledged };
      this.#known.set(offset, is);
      this.#checkNewlyKnown(offset, is);
      return;
    }
    known.isAcknowledged ||= isAcknowledged;
    if (known.key === key && known.value === value) return;
    this.#violated(
      `offset ${offset} was "${known.key}" "${known.value}" and is now ` +
        `"${key}" "${value}"`,
    );
  }

  /** It may be gone already: then rightly. */
  #checkNewlyKnown(offset: number, known: Known): void {
    const granted = Math.max(this.#mayBeErasedTo, this.#isTooLongTo);
    if (offset >= this.#rightStart || offset < granted) return;
    if (this.#isOld(known)) return;
    if (isCompacted(this.topic)) return this.#gone(offset, offset + 1);
    this.#violated(
      `record ${offset} ("${known.value}") was acknowledged or read, and a ` +
        `log begins at ${this.#rightStart}`,
    );
  }

  #isOld(
    { timestampMs }: KeyedRecord,
    latestWallMs = this.#options.clock.wallMs,
  ): boolean {
    return isKeptByAge(this.topic) &&
      latestWallMs - timestampMs > this.topic.retentionMs;
  }

  #sentOf({ value }: KeyedRecord): number {
    const sentMs = value === null ? undefined : this.#sentMs.get(value);
    return sentMs ?? this.#options.world.nowMs;
  }

  /** It is not there: a later record of its key was, at `atMs`. */
  #checkGone(
    offset: number,
    known: Known,
    atMs: number,
    latestWallMs = this.#options.clock.wallMs,
  ): void {
    const what = known.isAcknowledged ? "acknowledged" : "read";
    const record = `record ${offset} ("${known.key}" "${known.value}")`;
    if (!isCompacted(this.topic)) {
      return this.#violated(`${record} was ${what} and is lost`);
    }
    // By age all of a stretch goes, from the start of the log.
    const isBelowStart = offset < this.#rightStart;
    if (isBelowStart && offset < this.#mayBeErasedTo) return;
    if (isBelowStart && this.#isOld(known, latestWallMs)) return;
    if (known.value === null && this.#mayForget(known)) return;
    const { minCompactionLagMs } = this.topic;
    if (latestWallMs - known.timestampMs <= minCompactionLagMs) {
      return this.#violated(`${record} is compacted away too early`);
    }
    for (const [later, { key, sentMs }] of this.#known) {
      if (later > offset && key === known.key && sentMs <= atMs) return;
    }
    if (this.#isTakenForSuperseded(known.key, offset)) return;
    this.#violated(
      `${record} was ${what} and is gone, with no later record of its key`,
    );
  }

  /** A tombstone that may be gone by somebody's clock. */
  #mayForget({ sentMs }: Pick<Known, "sentMs">): boolean {
    return this.#options.clock.mostSince(sentMs) > this.topic.deleteRetentionMs;
  }

  /**
   * Whether the record may be missing at one replica and not at another: a
   * tombstone of its key, or it is one, may be gone by now. A replica that was
   * away for as long never sees that tombstone (delete.retention.ms bounds it).
   */
  mayBeForgotten(key: string, from: number): boolean {
    for (const [offset, known] of this.#known) {
      if (offset < from || known.key !== key || known.value !== null) continue;
      if (this.#mayForget(known)) return true;
    }
    return this.#isTakenForSuperseded(key, from);
  }

  /**
   * A replica that was away for longer than markers stay (delete.retention.ms)
   * does not learn that a transaction was aborted that it has a part of.
   */
  #isMarkerMissed(aborted: Aborted): boolean {
    return this.#mayForget(aborted) &&
      !this.#options.isWholeSince(aborted.sentMs);
  }

  /** By such a replica, which may lead and be copied by now. */
  #isTakenForSuperseded(key: string, from: number): boolean {
    for (const [offset, aborted] of this.#aborted) {
      if (offset < from || aborted.key !== key) continue;
      if (this.#isMarkerMissed(aborted)) return true;
    }
    return false;
  }

  /** What a reader from the start on ends up with is what was stored last. */
  #checkLastValues(found: readonly PlacedRecord[]): void {
    const last = new Map(found.map((record) => [record.key, record]));
    const stored = new Map<string, [number, Known]>();
    for (const [offset, known] of this.#known) {
      const before = stored.get(known.key);
      if (before === undefined || before[0] < offset) {
        stored.set(known.key, [offset, known]);
      }
    }
    for (const [key, [offset, known]] of stored) {
      const record = last.get(key);
      if (record !== undefined && record.offset >= offset) continue;
      const hasGone = offset < this.#rightStart && record === undefined;
      if (hasGone) continue;
      const isForgotten = known.value === null && this.#mayForget(known);
      if (isForgotten && record === undefined) continue;
      // A replica that was away for longer than tombstones stay missed it.
      const isMissed = isForgotten &&
        !this.#options.isWholeSince(known.sentMs);
      if (isMissed || this.#isTakenForSuperseded(key, offset)) continue;
      this.#violated(
        `the last record of key "${key}" is ${offset} ("${known.value}"), and ` +
          `readers end up with ${record?.offset} ("${record?.value}")`,
      );
    }
  }

  /** What a producer with an identity sent is there once, and in order. */
  #checkOnce(found: readonly PlacedRecord[]): void {
    const last = new Map<string, number>();
    for (const { offset, value } of found) {
      if (value === null || !value.startsWith("idempotent")) continue;
      const [producer, number] = value.split(":");
      const before = last.get(producer) ?? 0;
      if (Number(number) <= before) {
        this.#violated(
          `"${value}" of an idempotent producer comes after ${before}, at ` +
            `offset ${offset}`,
        );
      }
      last.set(producer, Number(number));
    }
  }

  #violated(rule: string): void {
    this.#options.world.violated(`${this.name}: ${rule}`);
  }
}
