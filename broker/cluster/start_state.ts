/**
 * What a broker that starts changes of its partitions' states before anybody can
 * count on it: a pure rule. It may hold less than its last run did: a tail that
 * was not flushed, and that followers have, is gone; at the page-cache levels,
 * after a loss of power, also what it had acknowledged; on a new disk, all.
 */
import type { PartitionFact } from "./facts.ts";

export interface StartCondition {
  readonly brokerId: number;
  /** Everything that the last run had written is there. */
  readonly wasStoppedCleanly: boolean;
  /** The folder was never this broker's: its disk was replaced. */
  readonly isNewDisk: boolean;
  /** The topic acknowledges only what is on the disk. */
  readonly flushesFirst: boolean;
  /** The partition's files could be opened. */
  readonly isUsable: boolean;
}

/** Undefined: the state may stay. */
export function stateAtStart(
  state: PartitionFact,
  condition: StartCondition,
): PartitionFact | undefined {
  const { brokerId, isNewDisk } = condition;
  if (state.replicas.length === 1 || !state.replicas.includes(brokerId)) {
    return undefined;
  }
  const mayHaveLost = isNewDisk || !condition.isUsable ||
    (!condition.flushesFirst && !condition.wasStoppedCleanly);
  const others = state.isr.filter((id) => id !== brokerId);
  const leavesIsr = state.isr.includes(brokerId) && mayHaveLost &&
    (others.length > 0 || isNewDisk);
  const led = state.leader === brokerId;
  if (!leavesIsr && !led) return undefined;
  const isr = leavesIsr ? others : state.isr;
  const isAlone = isr.length === 1 && isr[0] === brokerId;
  return {
    ...state,
    isr,
    leader: led ? (isAlone ? brokerId : null) : state.leader,
    leaderEpoch: state.leaderEpoch + (led ? 1 : 0),
  };
}
