/**
 * How a partition's replicas should stand over the racks: a pure rule. In each
 * rack as many as in any other, give or take one, as far as its brokers go; a
 * broker without a rack is a rack of its own.
 */
interface RackBrokers {
  readonly id: number;
  readonly rack: string | null;
  /** Whether the rack's share counts on it. */
  readonly counts: boolean;
}

export class Racks {
  readonly #rackOf = new Map<number, string>();
  readonly #sizes = new Map<string, number>();
  /** Replicas that each rack has beside at most one more, by their number. */
  readonly #levels = new Map<number, number>();
  readonly #isFlat: boolean;

  constructor(brokers: readonly RackBrokers[]) {
    for (const { id, rack, counts } of brokers) {
      // No rack's name begins like this.
      const name = rack === null ? `broker ${id}` : `rack ${rack}`;
      this.#rackOf.set(id, name);
      if (counts) this.#sizes.set(name, (this.#sizes.get(name) ?? 0) + 1);
    }
    this.#isFlat = new Set(this.#rackOf.values()).size === this.#rackOf.size;
  }

  /** Replicas that stand where they should not; 0: the spread is right. */
  crowding(replicas: readonly number[]): number {
    if (this.#isFlat) return 0;
    const counts = new Map<string, number>();
    for (const id of replicas) {
      const rack = this.#rackOf.get(id);
      if (rack !== undefined) counts.set(rack, (counts.get(rack) ?? 0) + 1);
    }
    const level = this.#levelOf(replicas.length);
    let crowding = 0;
    for (const [rack, size] of this.#sizes) {
      const count = counts.get(rack) ?? 0;
      crowding += Math.max(0, count - Math.min(size, level + 1)) +
        Math.max(0, Math.min(size, level) - count);
    }
    return crowding;
  }

  #levelOf(count: number): number {
    const known = this.#levels.get(count);
    if (known !== undefined) return known;
    const sizes = [...this.#sizes.values()];
    const most = Math.max(1, ...sizes);
    const roomAt = (each: number) =>
      sizes.reduce((sum, size) => sum + Math.min(size, each), 0);
    let level = 0;
    while (level + 1 < most && roomAt(level + 1) < count) level++;
    this.#levels.set(count, level);
    return level;
  }
}
