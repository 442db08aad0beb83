/**
 * Where replicas should be for an even spread, or for an empty broker: a pure
 * rule over the whole cluster. Owns the target; how a partition gets there one
 * safe step at a time is `reassignment.ts`, and how many move at once is
 * `balance_steps.ts`.
 *
 * The target follows from the present state alone. Each move repairs something,
 * or makes the counts more even (their sum of squares falls), so that the target
 * can be computed anew at any moment by any controller, and comes to an end.
 */
import { Spread } from "./spread.ts";

export interface BalancedBroker {
  readonly id: number;
  readonly rack: string | null;
  /**
   * `takes`: it may get and lose replicas. `keeps`: it gets none, and what it has
   * stays. `empties`: what it has goes.
   */
  readonly role: "takes" | "keeps" | "empties";
}

/** A partition as it is, or as a move that is under way will leave it. */
export interface BalancedPartition {
  /** `topicId/index`, or any other name: it comes back with the target. */
  readonly key: string;
  readonly topic: string;
  /** The preferred leader first. */
  readonly replicas: readonly number[];
  /** How many replicas there should be. */
  readonly replicationFactor: number;
  /** When replicas have to go, the leader stays before those in sync. */
  readonly leader: number | null;
  readonly isr: readonly number[];
  /** It counts and does not move: it does already, or nobody leads it. */
  readonly isFixed: boolean;
}

export interface BalanceTarget {
  /** Of the partitions whose replicas, or their order, should be others. */
  readonly moves: ReadonlyMap<string, readonly number[]>;
  /** Partitions that stay on a broker that is emptied: there is no other. */
  readonly stuck: readonly string[];
}

export interface BalanceWish {
  readonly brokers: readonly BalancedBroker[];
  /** Even the load out too; else only what has to be done is done. */
  readonly isEvened: boolean;
  /**
   * About so many moves, the first ones, are looked for, which is quick; then
   * leaderships are evened out only when no replica has to move any more.
   */
  readonly limit?: number;
}

export function balanceTarget(
  partitions: readonly BalancedPartition[],
  { brokers, isEvened, limit = Infinity }: BalanceWish,
): BalanceTarget {
  const spread = new Spread(partitions, brokers, limit);
  spread.matchFactors();
  const stuck = spread.emptyBrokers();
  if (isEvened) {
    spread.useRacks();
    spread.evenReplicas();
    if (limit === Infinity || spread.moveCount === 0) spread.evenLeaders();
  }
  return { moves: spread.moves(), stuck };
}
