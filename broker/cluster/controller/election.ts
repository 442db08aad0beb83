/**
 * Who leads a partition and who counts as in sync, when brokers die, leave and
 * come back: pure rules on one partition's state (DESIGN D6). They look at the
 * state and at who lives, and remember nothing, so that any controller at any
 * time comes to the same answer.
 */
import { withEligible, withoutEligible } from "../eligible.ts";
import type { PartitionFact } from "../facts.ts";

/** What the rules know of the brokers. */
export interface Liveness {
  isAlive(brokerId: number): boolean;
  /** Alive, and about to stop. */
  isLeaving(brokerId: number): boolean;
}

export interface ElectionOptions {
  /** The topic's unclean.leader.election.enable. */
  readonly isUncleanAllowed: boolean;
  /** The topic's min.insync.replicas. */
  readonly minInsyncReplicas: number;
}

/**
 * The state that should be instead of `state`; undefined: it is fine, or nothing
 * can be done. The epoch grows whenever the leader is written anew.
 */
export function elect(
  state: PartitionFact,
  brokers: Liveness,
  options: ElectionOptions,
): PartitionFact | undefined {
  const { leader } = state;
  const inSync = state.isr.filter((id) => brokers.isAlive(id));
  const leads = leader !== null && inSync.includes(leader);
  const relief = inReplicaOrder(state, inSync)
    .find((id) => !brokers.isLeaving(id));
  if (leads && (!brokers.isLeaving(leader) || relief === undefined)) {
    return inSync.length === state.isr.length
      ? undefined
      : withEligible(state, { ...state, isr: inSync }, options);
  }
  for (const isr of [inSync, livingEligible(state, brokers)]) {
    const next = successor(inReplicaOrder(state, isr), brokers);
    if (next === undefined) continue;
    return withEligible(state, led(state, next, isr), options);
  }
  return options.isUncleanAllowed ? electUnclean(state, brokers) : undefined;
}

/** All that was not at the survivor is given up. */
function electUnclean(
  state: PartitionFact,
  brokers: Liveness,
): PartitionFact | undefined {
  const alive = state.replicas.filter((id) => brokers.isAlive(id));
  // One that is only coming may have next to nothing yet.
  const survivor =
    alive.find((id) => !brokers.isLeaving(id) && !state.adding?.includes(id)) ??
      alive.find((id) => !state.adding?.includes(id)) ?? alive[0];
  return survivor === undefined
    ? undefined
    : withoutEligible(led(state, survivor, [survivor]));
}

function livingEligible(
  { eligible = [] }: PartitionFact,
  brokers: Liveness,
): number[] {
  return eligible.filter((id) => brokers.isAlive(id));
}

/** Of those in the order of preference. */
function successor(
  candidates: readonly number[],
  brokers: Liveness,
): number | undefined {
  return candidates.find((id) => !brokers.isLeaving(id)) ?? candidates[0];
}

/** The state with the preferred leader, where it could lead and does not. */
export function preferLeader(
  state: PartitionFact,
  brokers: Liveness,
): PartitionFact | undefined {
  const preferred = state.replicas
    .find((id) => !state.removing?.includes(id));
  const { leader, isr } = state;
  const isDue = leader !== null && preferred !== undefined &&
    preferred !== leader && isr.includes(preferred) &&
    brokers.isAlive(preferred) && !brokers.isLeaving(preferred);
  return isDue ? led(state, preferred, isr) : undefined;
}

function led(
  state: PartitionFact,
  leader: number,
  isr: readonly number[],
): PartitionFact {
  return { ...state, leader, leaderEpoch: state.leaderEpoch + 1, isr };
}

function inReplicaOrder(
  { replicas }: PartitionFact,
  ids: readonly number[],
): number[] {
  return replicas.filter((id) => ids.includes(id));
}
