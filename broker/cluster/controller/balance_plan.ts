/**
 * Where replicas should be for an even spread, or for an empty broker: a pure
 * rule over the whole cluster. Owns the target; how a partition gets there one
 * safe step at a time is `reassignment.ts`, and how many move at once is
 * `balance_steps.ts`.
 *
 * The target follows from the present state alone, by moves of one replica that
 * each make the spread more even, so that it can be computed anew at any moment
 * and by any controller, and comes to an end.
 */
import type { BalanceFact } from "../facts.ts";

export interface BalancedBroker {
  readonly id: number;
  readonly rack: string | null;
}

/** A partition as it is, or as a move that is under way will leave it. */
export interface BalancedPartition {
  /** `topicId/index`, or any other name: it comes back with the target. */
  readonly key: string;
  /** The preferred leader first. */
  readonly replicas: readonly number[];
  /** How many replicas there should be. */
  readonly replicationFactor: number;
}

export interface BalanceTarget {
  /** Of the partitions whose replicas, or their order, should be others. */
  readonly moves: ReadonlyMap<string, readonly number[]>;
  /** Partitions that stay on a broker that is emptied: there is no other. */
  readonly stuck: readonly string[];
}

/**
 * `brokers`: those that may get replicas. With `limit` only about so many of the
 * moves that come first are looked for, which is quick; leaderships are evened
 * out when no replica has to move any more.
 */
export function balanceTarget(
  partitions: readonly BalancedPartition[],
  brokers: readonly BalancedBroker[],
  intent: Pick<BalanceFact, "kind" | "brokerId">,
  limit = Infinity,
): BalanceTarget {
  const spread = new Spread(partitions, brokers, limit);
  spread.matchFactors();
  const stuck = intent.kind === "drain" && intent.brokerId !== undefined
    ? spread.empty(intent.brokerId)
    : [];
  if (intent.kind === "rebalance") spread.evenReplicas();
  if (limit === Infinity || spread.moveCount === 0) spread.evenLeaders();
  const moves = new Map<string, readonly number[]>();
  for (const { key, replicas } of partitions) {
    const target = spread.replicasOf(key);
    if (!isSame(target, replicas)) moves.set(key, target);
  }
  return { moves, stuck };
}

interface Placed {
  readonly key: string;
  readonly factor: number;
  replicas: number[];
}

class Spread {
  readonly #partitions: readonly Placed[];
  readonly #byKey: ReadonlyMap<string, Placed>;
  readonly #brokers: readonly BalancedBroker[];
  readonly #racks: ReadonlyMap<number, string>;
  /** Replicas, and preferred leaderships, of the brokers that may get some. */
  readonly #load = new Map<number, number>();
  readonly #leads = new Map<number, number>();
  readonly #on = new Map<number, Set<Placed>>();
  readonly #limit: number;
  /** Replicas that were moved so far. */
  moveCount = 0;

  constructor(
    partitions: readonly BalancedPartition[],
    brokers: readonly BalancedBroker[],
    limit: number,
  ) {
    this.#limit = limit;
    this.#brokers = brokers.toSorted((a, b) => a.id - b.id);
    this.#racks = new Map(
      brokers.map(({ id, rack }) => [id, rack ?? `broker ${id}`]),
    );
    for (const { id } of this.#brokers) {
      this.#load.set(id, 0);
      this.#leads.set(id, 0);
    }
    this.#partitions = partitions.map(
      ({ key, replicas, replicationFactor }) => ({
        key,
        factor: replicationFactor,
        replicas: [...replicas],
      }),
    );
    this.#byKey = new Map(this.#partitions.map((each) => [each.key, each]));
    for (const placed of this.#partitions) this.#count(placed, 1);
  }

  get #isEnough(): boolean {
    return this.moveCount >= this.#limit;
  }

  replicasOf(key: string): readonly number[] {
    return this.#byKey.get(key)?.replicas ?? [];
  }

  /** Replicas come, the least loaded broker first, or go, the last one first. */
  matchFactors(): void {
    for (const placed of this.#partitions) {
      if (this.#isEnough) return;
      while (placed.replicas.length < placed.factor) {
        const id = this.#bestFor(placed.replicas);
        if (id === undefined) break;
        this.#move(placed, [...placed.replicas, id]);
      }
      if (placed.replicas.length > placed.factor) {
        this.#move(placed, placed.replicas.slice(0, placed.factor));
      }
    }
  }

  /** Resolves the partitions for which there is no other broker. */
  empty(brokerId: number): string[] {
    const stuck: string[] = [];
    for (const placed of this.#partitions) {
      const at = placed.replicas.indexOf(brokerId);
      if (at < 0 || this.#isEnough) continue;
      const others = placed.replicas.filter((id) => id !== brokerId);
      const id = this.#bestFor(others, placed.replicas);
      if (id === undefined) stuck.push(placed.key);
      else this.#move(placed, placed.replicas.with(at, id));
    }
    return stuck;
  }

  /** From the fullest broker to the emptiest, while that makes a difference. */
  evenReplicas(): void {
    while (!this.#isEnough) {
      const order = this.#brokers.map(({ id }) => id)
        .sort((a, b) => this.#loadOf(b) - this.#loadOf(a) || a - b);
      if (!this.#moveOne(order)) return;
    }
  }

  #moveOne(fullestFirst: readonly number[]): boolean {
    for (const from of fullestFirst) {
      for (const to of fullestFirst.toReversed()) {
        if (this.#loadOf(from) - this.#loadOf(to) < 2) break;
        const placed = this.#movable(from, to);
        if (placed === undefined) continue;
        const at = placed.replicas.indexOf(from);
        this.#move(placed, placed.replicas.with(at, to));
        return true;
      }
    }
    return false;
  }

  /** A partition that may move without standing in fewer racks. */
  #movable(from: number, to: number): Placed | undefined {
    for (const placed of this.#on.get(from) ?? []) {
      const { replicas } = placed;
      if (replicas.includes(to)) continue;
      const moved = replicas.map((id) => id === from ? to : id);
      if (this.#rackCount(moved) >= this.#rackCount(replicas)) return placed;
    }
    return undefined;
  }

  /** Another of a partition's own replicas comes first. Nothing is copied. */
  evenLeaders(): void {
    for (let isChanged = true; isChanged;) {
      isChanged = false;
      for (const placed of this.#partitions) {
        const to = this.#betterLeader(placed);
        if (to === undefined) continue;
        const rest = placed.replicas.filter((id) => id !== to);
        this.#change(placed, [to, ...rest]);
        isChanged = true;
      }
    }
  }

  #betterLeader({ replicas }: Placed): number | undefined {
    const leads = (id: number) => this.#leads.get(id) ?? Infinity;
    const [leader, ...others] = replicas;
    const least = others.toSorted((a, b) => leads(a) - leads(b) || a - b)[0];
    if (least === undefined || !this.#leads.has(least)) return undefined;
    return leads(leader) - leads(least) >= 2 ? least : undefined;
  }

  /** The broker with the fewest replicas, in a rack of its own if there is one. */
  #bestFor(
    others: readonly number[],
    excluded: readonly number[] = others,
  ): number | undefined {
    const taken = new Set(others.map((id) => this.#rackOf(id)));
    const crowding = (id: number) => taken.has(this.#rackOf(id)) ? 1 : 0;
    return this.#brokers.map(({ id }) => id)
      .filter((id) => !excluded.includes(id))
      .sort((a, b) =>
        crowding(a) - crowding(b) || this.#loadOf(a) - this.#loadOf(b) || a - b
      )[0];
  }

  #move(placed: Placed, replicas: number[]): void {
    this.moveCount++;
    this.#change(placed, replicas);
  }

  #change(placed: Placed, replicas: number[]): void {
    this.#count(placed, -1);
    placed.replicas = replicas;
    this.#count(placed, 1);
  }

  #count(placed: Placed, one: 1 | -1): void {
    for (const [index, id] of placed.replicas.entries()) {
      const on = this.#on.get(id) ?? new Set<Placed>();
      if (one > 0) on.add(placed);
      else on.delete(placed);
      this.#on.set(id, on);
      const load = this.#load.get(id);
      if (load !== undefined) this.#load.set(id, load + one);
      const leads = this.#leads.get(id);
      if (index === 0 && leads !== undefined) this.#leads.set(id, leads + one);
    }
  }

  #loadOf(id: number): number {
    return this.#load.get(id) ?? 0;
  }

  #rackOf(id: number): string {
    return this.#racks.get(id) ?? `broker ${id}`;
  }

  #rackCount(replicas: readonly number[]): number {
    return new Set(replicas.map((id) => this.#rackOf(id))).size;
  }
}

function isSame(one: readonly number[], other: readonly number[]): boolean {
  return one.length === other.length &&
    one.every((id, index) => id === other[index]);
}
