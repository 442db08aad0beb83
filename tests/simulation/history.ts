/**
 * What clients were told: which records were acknowledged, and which were read.
 * Owns the rule that none of them is lost or changed; refuses to look inside the
 * brokers.
 *
 * What the page-cache level gives up (DESIGN D4): a record there may be lost once
 * brokers of as many machines as had to hold it for its acknowledgement
 * (`minInSyncOf`) ended uncleanly after it was sent, one of them at least by a
 * loss of power: a broker that comes back cannot tell that from a kill. Nothing
 * else may cost a record, at any level.
 */
import type { Machine } from "./cluster.ts";
import type { World } from "./world.ts";

export interface TopicSpec {
  readonly name: string;
  readonly partitions: number;
  /** The least that it ever had. */
  replicationFactor: number;
  /** `disk`: flush.messages=1. `cache`: acknowledged from the page cache. */
  readonly level: "disk" | "cache";
  /** Written in transactions: not every record is to be read. */
  readonly isTransactional?: boolean;
}

/** How many in-sync replicas an acknowledgement needs. */
export function minInSyncOf(topic: TopicSpec): number {
  return Math.floor(topic.replicationFactor / 2) + 1;
}

interface Known {
  readonly value: string;
  /** It was first sent then. */
  readonly sinceMs: number;
  isAcknowledged: boolean;
}

/** A record of the final reading. */
export interface FoundRecord {
  readonly offset: number;
  readonly value: string;
}

export class PartitionHistory {
  readonly topic: TopicSpec;
  readonly partition: number;
  readonly #world: World;
  readonly #machines: readonly Machine[];
  readonly #known = new Map<number, Known>();
  /** When values were first sent. */
  readonly #sentMs = new Map<string, number>();
  /** How often values may be there, of producers that count that. */
  readonly #mostCopies = new Map<string, number>();
  /** The end of what was acknowledged. */
  #acknowledgedEnd = 0;

  constructor(
    world: World,
    machines: readonly Machine[],
    topic: TopicSpec,
    partition: number,
  ) {
    this.#world = world;
    this.#machines = machines;
    this.topic = topic;
    this.partition = partition;
  }

  get name(): string {
    return `${this.topic.name}-${this.partition}`;
  }

  /** Of records that may not be lost by now. */
  get acknowledgedEnd(): number {
    if (this.topic.level === "disk") return this.#acknowledgedEnd;
    let end = 0;
    for (const [offset, { sinceMs, isAcknowledged }] of this.#known) {
      if (isAcknowledged && !this.#mayBeLost(sinceMs)) {
        end = Math.max(end, offset + 1);
      }
    }
    return end;
  }

  /** From now on it may be stored, and lost where its level allows that. */
  sending(value: string): void {
    this.#sentMs.set(value, this.#world.nowMs);
  }

  /**
   * Of a producer that has no identity, and tells whenever an answer leaves open
   * whether the records are stored: by each of these once more at most.
   */
  counting(value: string): void {
    const before = this.#mostCopies.get(value) ?? 0;
    this.#mostCopies.set(value, before + 1);
  }

  /** After the last record that anybody was told of. */
  get knownEnd(): number {
    return Math.max(0, ...[...this.#known.keys()].map((offset) => offset + 1));
  }

  acknowledged(offset: number, value: string, sentMs: number): void {
    this.#note(offset, value, sentMs, true);
    this.#acknowledgedEnd = Math.max(this.#acknowledgedEnd, offset + 1);
  }

  read(offset: number, value: string): void {
    const sinceMs = this.#sentMs.get(value) ?? this.#world.nowMs;
    this.#note(offset, value, sinceMs, false);
  }

  /** A reader at `offset` was told that there is nothing. */
  mayEndBefore(offset: number): boolean {
    for (const [known, { sinceMs }] of this.#known) {
      if (known >= offset - 1 && !this.#mayBeLost(sinceMs)) return false;
    }
    return this.topic.level === "cache";
  }

  /** All that is readable in the end; every broker would answer the same. */
  checkAll(found: readonly FoundRecord[]): void {
    const values = new Map(found.map(({ offset, value }) => [offset, value]));
    for (const [offset, known] of this.#known) {
      const value = values.get(offset);
      if (value === known.value || this.#mayBeLost(known.sinceMs)) continue;
      const what = known.isAcknowledged ? "acknowledged" : "read";
      this.#world.violated(
        `${this.name}: record ${offset} ("${known.value}") was ${what} and is ${
          value === undefined ? "lost" : `"${value}" in the end`
        }`,
      );
    }
    this.#checkOrder(found);
  }

  #note(
    offset: number,
    value: string,
    sinceMs: number,
    isAcknowledged: boolean,
  ): void {
    const known = this.#known.get(offset);
    if (known === undefined || this.#mayBeLost(known.sinceMs)) {
      this.#known.set(offset, { value, sinceMs, isAcknowledged });
      return;
    }
    known.isAcknowledged ||= isAcknowledged;
    if (known.value === value) return;
    this.#world.violated(
      `${this.name}: offset ${offset} was "${known.value}" and is now "${value}"`,
    );
  }

  #mayBeLost(sinceMs: number): boolean {
    if (this.topic.level === "disk") return false;
    const failed = this.#machines.filter(({ uncleanEnds }) =>
      uncleanEnds.some(({ atMs }) => atMs >= sinceMs)
    );
    return failed.length >= minInSyncOf(this.topic) &&
      failed.some(({ uncleanEnds }) =>
        uncleanEnds.some(({ atMs, kind }) =>
          atMs >= sinceMs && kind === "power"
        )
      );
  }

  /**
   * Values are `<producer>:<number>`, numbered in the order of sending within a
   * partition. A producer with an identity has each once; any producer has the
   * first of each in order, since it sends the next one after the answer.
   */
  #checkOrder(found: readonly FoundRecord[]): void {
    if (this.topic.level === "cache") return;
    const last = new Map<string, number>();
    const copies = new Map<string, number>();
    for (const { offset, value } of found) {
      this.#checkCopies(offset, value, copies);
      const at = value.lastIndexOf(":");
      const producer = value.slice(0, at);
      const number = Number(value.slice(at + 1));
      const before = last.get(producer) ?? 0;
      if (number > before + 1) {
        this.#world.violated(
          `${this.name}: ${producer} sent ${
            before + 1
          } before ${number}, and ` +
            `offset ${offset} has ${number} first`,
        );
      }
      if (number <= before && producer.startsWith("idempotent")) {
        this.#world.violated(
          `${this.name}: "${value}" of an idempotent producer is there twice, ` +
            `again at offset ${offset}`,
        );
      }
      last.set(producer, Math.max(before, number));
    }
  }

  /** What was said to be not stored is not. */
  #checkCopies(
    offset: number,
    value: string,
    copies: Map<string, number>,
  ): void {
    const count = (copies.get(value) ?? 0) + 1;
    copies.set(value, count);
    const most = this.#mostCopies.get(value);
    if (most === undefined || count <= most) return;
    this.#world.violated(
      `${this.name}: "${value}" is there ${count} times, again at offset ` +
        `${offset}, and its producer was left in doubt ${most - 1} times`,
    );
  }
}

export class History {
  readonly partitions: PartitionHistory[] = [];
  readonly #byName = new Map<string, PartitionHistory>();
  readonly #world: World;
  readonly #machines: readonly Machine[];
  acknowledgements = 0;
  reads = 0;

  constructor(world: World, machines: readonly Machine[]) {
    this.#world = world;
    this.#machines = machines;
  }

  add(topic: TopicSpec): void {
    for (let i = 0; i < topic.partitions; i++) {
      const partition = new PartitionHistory(
        this.#world,
        this.#machines,
        topic,
        i,
      );
      this.partitions.push(partition);
      this.#byName.set(partition.name, partition);
    }
  }

  of(topic: string, partition: number): PartitionHistory {
    return this.#byName.get(`${topic}-${partition}`)!;
  }
}
