/**
 * A cluster's replicas and preferred leaders as counts that moves change: what
 * `balance_plan.ts` works on. Owns the single move and the search for it; what
 * is wanted is the plan's.
 */
import type { BalancedBroker, BalancedPartition } from "./balance_plan.ts";
import { Racks } from "./racks.ts";
import { Tallies } from "./tallies.ts";

interface Placed {
  readonly key: string;
  readonly topic: string;
  readonly partition: BalancedPartition;
  replicas: readonly number[];
}

/** One of the moves that make a way from a full broker to an empty one. */
interface Hop {
  readonly from: number;
  readonly to: number;
  readonly placed: Placed;
}

export class Spread {
  readonly #placed: readonly Placed[];
  readonly #roles: ReadonlyMap<number, BalancedBroker["role"]>;
  /** Brokers that may get replicas, in id order. */
  readonly #takers: readonly number[];
  readonly #racks: Racks;
  readonly #replicas = new Tallies<Placed>();
  /** By preferred leader. */
  readonly #leads = new Tallies<Placed>();
  readonly #limit: number;
  /** Replicas that were moved so far. */
  moveCount = 0;

  constructor(
    partitions: readonly BalancedPartition[],
    brokers: readonly BalancedBroker[],
    limit: number,
  ) {
    this.#limit = limit;
    this.#roles = new Map(brokers.map(({ id, role }) => [id, role]));
    this.#takers = brokers.filter(({ role }) => role === "takes")
      .map(({ id }) => id).sort((a, b) => a - b);
    this.#racks = new Racks(
      brokers.map(({ id, rack, role }) => ({
        id,
        rack,
        counts: role === "takes",
      })),
    );
    this.#placed = partitions.map((partition) => {
      const { key, topic, replicas } = partition;
      return { key, topic, partition, replicas };
    });
    for (const placed of this.#placed) this.#count(placed);
  }

  /** Of the partitions that are not as they were. */
  moves(): Map<string, readonly number[]> {
    const moves = new Map<string, readonly number[]>();
    for (const { key, replicas, partition } of this.#placed) {
      if (!isSame(replicas, partition.replicas)) moves.set(key, replicas);
    }
    return moves;
  }

  /** Gives each partition as many replicas as it should have. */
  matchFactors(): void {
    for (const placed of this.#placed) {
      if (this.#isEnough) return;
      const { replicationFactor, isFixed } = placed.partition;
      if (isFixed) continue;
      while (placed.replicas.length < replicationFactor) {
        const id = this.#bestFor(placed, placed.replicas);
        if (id === undefined) break;
        this.#move(placed, [...placed.replicas, id]);
      }
      while (placed.replicas.length > replicationFactor) {
        const goes = this.#leastNeeded(placed);
        this.#move(placed, placed.replicas.filter((id) => id !== goes));
      }
    }
  }

  /** Returns the partitions for which there is no other broker. */
  emptyBrokers(): string[] {
    const stuck: string[] = [];
    for (const placed of this.#placed) {
      if (placed.partition.isFixed) {
        if (this.#isStuckLater(placed)) stuck.push(placed.key);
        continue;
      }
      for (const [at, from] of placed.replicas.entries()) {
        if (this.#roles.get(from) !== "empties") continue;
        const others = placed.replicas.filter((id) => id !== from);
        const to = this.#bestFor(placed, others, placed.replicas, at === 0);
        if (to === undefined) stuck.push(placed.key);
        else if (!this.#isEnough) {
          this.#move(placed, placed.replicas.with(at, to));
        }
      }
    }
    return [...new Set(stuck)];
  }

  /** Too few could take what it will need, once it moves, to leave a broker. */
  #isStuckLater({ replicas, partition }: Placed): boolean {
    const stay = replicas.filter((id) => this.#roles.get(id) !== "empties");
    const others = this.#takers.filter((id) => !replicas.includes(id));
    return stay.length < replicas.length &&
      partition.replicationFactor - stay.length > others.length;
  }

  /** Spreads the replicas of each partition over the racks. */
  useRacks(): void {
    for (const placed of this.#placed) {
      while (!this.#isEnough && !placed.partition.isFixed) {
        const better = this.#lessCrowded(placed);
        if (better === undefined) break;
        this.#move(placed, better);
      }
    }
  }

  #lessCrowded({ replicas }: Placed): readonly number[] | undefined {
    let least = this.#racks.crowding(replicas);
    if (least === 0) return undefined;
    let best: readonly number[] | undefined;
    let bestGain = -Infinity;
    for (const [at, from] of replicas.entries()) {
      if (this.#roles.get(from) !== "takes") continue;
      for (const to of this.#takers) {
        if (replicas.includes(to)) continue;
        const moved = replicas.with(at, to);
        const crowding = this.#racks.crowding(moved);
        const gain = this.#replicas.of(from) - this.#replicas.of(to);
        const isBetter = crowding < least ||
          best !== undefined && crowding === least && gain > bestGain;
        if (!isBetter) continue;
        [least, best, bestGain] = [crowding, moved, gain];
      }
    }
    return best;
  }

  /** From the fullest broker to the emptiest, while that makes a difference. */
  evenReplicas(): void {
    while (!this.#isEnough) {
      const isMoved = this.#even(
        this.#replicas,
        (from, to) => this.#movable(from, to),
        (placed, from, to) =>
          this.#move(
            placed,
            placed.replicas.map((id) => id === from ? to : id),
          ),
      );
      if (!isMoved) return;
    }
  }

  /** Another of a partition's own replicas comes first. Nothing is copied. */
  evenLeaders(): void {
    const lead = (placed: Placed, _: number, to: number) =>
      this.#change(placed, [to, ...placed.replicas.filter((id) => id !== to)]);
    while (
      this.#even(this.#leads, (from, to) => this.#leadable(from, to), lead)
    );
  }

  /**
   * One off the count of a broker and one more for another that has at least two
   * less, over others between them where racks leave no straight way.
   */
  #even(
    tallies: Tallies<Placed>,
    find: (from: number, to: number) => Placed | undefined,
    apply: (placed: Placed, from: number, to: number) => void,
  ): boolean {
    const emptiestFirst = this.#takers.toSorted((a, b) =>
      tallies.of(a) - tallies.of(b) || a - b
    );
    for (const from of emptiestFirst.toReversed()) {
      const isLess = (to: number) => tallies.of(from) - tallies.of(to) >= 2;
      if (!isLess(emptiestFirst[0])) return false;
      const path = this.#path(from, emptiestFirst, isLess, find);
      if (path === undefined) continue;
      const before: [Placed, readonly number[]][] = [];
      for (const { from, to, placed: found } of path) {
        // What was found first still holds before anything has moved.
        const placed = before.length === 0 ? found : find(from, to);
        if (placed === undefined) break;
        before.push([placed, placed.replicas]);
        apply(placed, from, to);
      }
      if (before.length === path.length) return true;
      // One move stood in the way of the next: as if nothing had been.
      for (const [placed, replicas] of before.reverse()) {
        this.#change(placed, replicas);
      }
    }
    return false;
  }

  /** The shortest way, its end first; the emptiest ends are tried first. */
  #path(
    start: number,
    emptiestFirst: readonly number[],
    isEnd: (id: number) => boolean,
    find: (from: number, to: number) => Placed | undefined,
  ): readonly Hop[] | undefined {
    const cameBy = new Map<number, Hop | undefined>([[start, undefined]]);
    for (const from of cameBy.keys()) {
      for (const to of emptiestFirst) {
        if (cameBy.has(to)) continue;
        const placed = find(from, to);
        if (placed === undefined) continue;
        cameBy.set(to, { from, to, placed });
        if (!isEnd(to)) continue;
        const path: Hop[] = [];
        for (let hop = cameBy.get(to); hop; hop = cameBy.get(hop.from)) {
          path.push(hop);
        }
        return path;
      }
    }
    return undefined;
  }

  /** One that may move, of the topic whose replicas crowd most at `from`. */
  #movable(from: number, to: number): Placed | undefined {
    for (const group of this.#replicas.mostCrowded(from, to)) {
      for (const placed of group) {
        const { replicas, partition } = placed;
        if (partition.isFixed || replicas.includes(to)) continue;
        const moved = replicas.map((id) => id === from ? to : id);
        const crowding = this.#racks.crowding(replicas);
        if (this.#racks.crowding(moved) <= crowding) return placed;
      }
    }
    return undefined;
  }

  #leadable(from: number, to: number): Placed | undefined {
    for (const group of this.#leads.mostCrowded(from, to)) {
      for (const placed of group) {
        if (placed.partition.isFixed) continue;
        if (placed.replicas.includes(to)) return placed;
      }
    }
    return undefined;
  }

  /** Where one more replica goes: over the racks, then where there are fewest. */
  #bestFor(
    { topic }: Placed,
    others: readonly number[],
    excluded: readonly number[] = others,
    leads = false,
  ): number | undefined {
    let best: number | undefined;
    let bestCost: readonly number[] = [];
    for (const id of this.#takers) {
      if (excluded.includes(id)) continue;
      const cost = [
        this.#racks.crowding([...others, id]),
        this.#replicas.of(id),
        leads ? this.#leads.of(id) : 0,
        this.#replicas.ofTopic(id, topic),
      ];
      if (best === undefined || isBefore(cost, bestCost)) {
        [best, bestCost] = [id, cost];
      }
    }
    return best;
  }

  /** Which replica goes when there are too many. */
  #leastNeeded({ replicas, partition }: Placed): number {
    const costOf = (id: number, at: number) => [
      this.#roles.get(id) === "empties" ? 0 : 1,
      this.#roles.get(id) === "takes" ? 1 : 0,
      partition.leader === id ? 1 : 0,
      partition.isr.includes(id) ? 1 : 0,
      this.#racks.crowding(replicas.toSpliced(at, 1)),
      -this.#replicas.of(id),
      -at,
    ];
    return replicas.reduce((least, id, at) =>
      isBefore(costOf(id, at), costOf(least, replicas.indexOf(least)))
        ? id
        : least
    );
  }

  get #isEnough(): boolean {
    return this.moveCount >= this.#limit;
  }

  #move(placed: Placed, replicas: readonly number[]): void {
    this.moveCount++;
    this.#change(placed, replicas);
  }

  #change(placed: Placed, replicas: readonly number[]): void {
    for (const id of placed.replicas) this.#replicas.remove(id, placed);
    this.#leads.remove(placed.replicas[0], placed);
    placed.replicas = replicas;
    this.#count(placed);
  }

  #count(placed: Placed): void {
    for (const id of placed.replicas) this.#replicas.add(id, placed);
    this.#leads.add(placed.replicas[0], placed);
  }
}

function isBefore(one: readonly number[], other: readonly number[]): boolean {
  const at = one.findIndex((value, index) => value !== other[index]);
  return at >= 0 && one[at] < other[at];
}

function isSame(one: readonly number[], other: readonly number[]): boolean {
  return one.length === other.length &&
    one.every((id, index) => id === other[index]);
}
