/**
 * The committed offsets of one group, and those that wait for the end of a
 * transaction. Changed by replaying records only. Knows neither members nor
 * when to expire what.
 */
import type { OffsetCommitValue } from "./records.ts";

export interface CommittedOffset extends OffsetCommitValue {
  /** Place in the group's history: a later one stands above an earlier. */
  readonly sequence: number;
}

/** Offsets by topic and partition. */
class OffsetTable {
  readonly #topics = new Map<string, Map<number, CommittedOffset>>();

  get isEmpty(): boolean {
    return this.#topics.size === 0;
  }

  get(topic: string, partition: number): CommittedOffset | undefined {
    return this.#topics.get(topic)?.get(partition);
  }

  set(topic: string, partition: number, offset: CommittedOffset): void {
    let partitions = this.#topics.get(topic);
    if (partitions === undefined) {
      partitions = new Map();
      this.#topics.set(topic, partitions);
    }
    partitions.set(partition, offset);
  }

  delete(topic: string, partition: number): void {
    const partitions = this.#topics.get(topic);
    if (partitions?.delete(partition) && partitions.size === 0) {
      this.#topics.delete(topic);
    }
  }

  *entries(): Iterable<[string, number, CommittedOffset]> {
    for (const [topic, partitions] of this.#topics) {
      for (const [partition, offset] of partitions) {
        yield [topic, partition, offset];
      }
    }
  }
}

export class GroupOffsets {
  readonly committed = new OffsetTable();
  /** By producer id: what its open transaction will commit. */
  readonly #pending = new Map<number, OffsetTable>();
  #sequence = 0;

  get isEmpty(): boolean {
    return this.committed.isEmpty && this.#pending.size === 0;
  }

  get hasPending(): boolean {
    return this.#pending.size > 0;
  }

  hasPendingOf(producerId: number): boolean {
    return this.#pending.has(producerId);
  }

  /** An open transaction may change this offset. */
  isUnstable(topic: string, partition: number): boolean {
    for (const table of this.#pending.values()) {
      if (table.get(topic, partition) !== undefined) return true;
    }
    return false;
  }

  /** Topics and partitions with an offset, committed or pending; distinct. */
  all(): [string, number][] {
    const seen = new Map<string, [string, number]>();
    for (const table of [this.committed, ...this.#pending.values()]) {
      for (const [topic, partition] of table.entries()) {
        seen.set(`${partition} ${topic}`, [topic, partition]);
      }
    }
    return [...seen.values()];
  }

  replay(
    topic: string,
    partition: number,
    value: OffsetCommitValue | null,
    producerId: number | null,
  ): void {
    if (value === null) {
      this.committed.delete(topic, partition);
      for (const [pendingId, table] of this.#pending) {
        table.delete(topic, partition);
        if (table.isEmpty) this.#pending.delete(pendingId);
      }
      return;
    }
    const offset = { ...value, sequence: ++this.#sequence };
    if (producerId === null) {
      this.committed.set(topic, partition, offset);
      return;
    }
    let table = this.#pending.get(producerId);
    if (table === undefined) {
      table = new OffsetTable();
      this.#pending.set(producerId, table);
    }
    table.set(topic, partition, offset);
  }

  /**
   * A transaction ended. Its offsets count from where their records stand in
   * the log: one that was committed plainly after them is not moved back.
   */
  endTransaction(producerId: number, committed: boolean): void {
    const table = this.#pending.get(producerId);
    this.#pending.delete(producerId);
    if (table === undefined || !committed) return;
    for (const [topic, partition, offset] of table.entries()) {
      const current = this.committed.get(topic, partition);
      if (current === undefined || current.sequence < offset.sequence) {
        this.committed.set(topic, partition, offset);
      }
    }
  }
}
