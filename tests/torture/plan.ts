/**
 * Which faults a torture run makes, and in which order, from its seed: rounds
 * in which each kind comes once, shuffled. Pure; what a fault does to a cluster
 * is `faults.ts`.
 */
import type { Random } from "../e2e/support/random.ts";

/** Each kind, and what it needs beyond processes. */
export const FAULT_KINDS = {
  "kill a broker": "nothing",
  "kill a leader": "nothing",
  "kill the controller": "nothing",
  "kill two brokers": "nothing",
  "kill all brokers": "nothing",
  "kill again and again": "nothing",
  "pause shorter than the lease": "nothing",
  "pause longer than the lease": "nothing",
  "pause the controller": "nothing",
  "pause, then kill": "nothing",
  "pause one, kill another": "nothing",
  "pause two brokers": "nothing",
  "pause all brokers": "nothing",
  "stop and start": "nothing",
  "rolling restart": "nothing",
  "replace a disk": "brokers that stay down",
  "kill the supervisor": "supervisor",
  "kill the supervisor, and start it at once": "supervisor",
  "kill the supervisor with its brokers": "supervisor",
  "kill the supervisor while the metadata store is away": "supervisor",
  "stop the supervisor": "supervisor",
  "metadata store away": "nothing",
  "metadata store killed": "etcd",
  "drain a broker, and use it again": "spare broker",
  "drain a broker, and kill the controller": "spare broker",
  "drain a broker, and kill it": "spare broker",
  "full disk": "small disk",
  "isolated broker": "network",
  "two brokers cut apart": "network",
  "cut one way": "network",
  "slow link": "network",
} as const;

export type FaultKind = keyof typeof FAULT_KINDS;
export type Need = (typeof FAULT_KINDS)[FaultKind];

export interface FaultStep {
  readonly kind: FaultKind;
  /** The victim, from 1, where the kind does not choose by role. */
  readonly broker: number;
  /** Another broker than the victim. */
  readonly other: number;
  /** The slot whose leader is meant, where one is. */
  readonly slot: number;
  /** How long the fault lasts. */
  readonly holdMs: number;
  /** Wait until every replica is in sync again before the next one. */
  readonly mustSettle: boolean;
  /** Between this fault's end and the next one. */
  readonly restMs: number;
}

export interface PlanOptions {
  readonly random: Random;
  readonly kinds: readonly FaultKind[];
  readonly brokers: number;
  readonly slots: number;
  /** Of a fault that lasts; longer than a lease. */
  readonly longestHoldMs: number;
  /** Of a hundred faults, how many come while replicas still catch up. */
  readonly hastePercent: number;
}

const LEASE_MS = 1500;
const SHORTEST_HOLD_MS = 200;
const LONGEST_REST_MS = 2000;

/** Without end. */
export function* plan(options: PlanOptions): Generator<FaultStep, never> {
  const { random, kinds } = options;
  for (;;) {
    for (const kind of shuffled(kinds, random)) yield step(kind, options);
  }
}

function step(kind: FaultKind, options: PlanOptions): FaultStep {
  const { random, brokers, slots, longestHoldMs, hastePercent } = options;
  const broker = random.between(1, brokers);
  const ahead = random.between(1, brokers - 1);
  return {
    kind,
    broker,
    other: 1 + (broker - 1 + ahead) % brokers,
    slot: random.between(0, slots - 1),
    holdMs: kind === "pause shorter than the lease"
      ? random.between(SHORTEST_HOLD_MS, LEASE_MS - SHORTEST_HOLD_MS)
      : random.between(SHORTEST_HOLD_MS + LEASE_MS, longestHoldMs),
    mustSettle: random.between(1, 100) > hastePercent,
    restMs: random.between(
      0,
      Math.round(LONGEST_REST_MS * (1 - hastePercent / 100)),
    ),
  };
}

function shuffled<Item>(items: readonly Item[], random: Random): Item[] {
  const rest = [...items];
  return items.map(() => rest.splice(random.between(0, rest.length - 1), 1)[0]);
}
