/**
 * What a broker that starts changes of its partitions' states before anybody can
 * count on it: a pure rule. It may hold less than its last run did: a tail that
 * was not flushed, and that followers have, is gone; at the page-cache levels,
 * after a loss of power, also what it had acknowledged; on a new disk, all.
 */
import { withEligible } from "./eligible.ts";
import type { PartitionFact } from "./facts.ts";

export interface StartCondition {
  readonly brokerId: number;
  /** Everything that the last run had written is there. */
  readonly wasStoppedCleanly: boolean;
  /** The folder was never this broker's: its disk was replaced. */
  readonly isNewDisk: boolean;
  /** The topic acknowledges only what is on the disk, and did in the last run. */
  readonly flushesFirst: boolean;
  /** The partition's files could be opened. */
  readonly isUsable: boolean;
  /** The topic's min.insync.replicas. */
  readonly minInsyncReplicas: number;
}

/** Undefined: the state may stay. */
export function stateAtStart(
  state: PartitionFact,
  condition: StartCondition,
): PartitionFact | undefined {
  const { brokerId, isNewDisk, minInsyncReplicas } = condition;
  const { replicas, eligible = [], leader } = state;
  if (replicas.length === 1 || !replicas.includes(brokerId)) return undefined;
  const mayHaveLost = isNewDisk || !condition.isUsable ||
    (!condition.flushesFirst && !condition.wasStoppedCleanly);
  const isr = mayHaveLost
    ? inSyncWithout(state, brokerId, isNewDisk)
    : state.isr;
  const led = leader === brokerId;
  const isCounted = isr !== state.isr ||
    (mayHaveLost && eligible.includes(brokerId));
  if (!isCounted && !led) return undefined;
  const isAlone = isr.length === 1 && isr[0] === brokerId;
  const next = {
    ...state,
    isr,
    leader: led ? (isAlone ? brokerId : null) : leader,
    leaderEpoch: state.leaderEpoch + (led ? 1 : 0),
  };
  const lost = mayHaveLost ? [brokerId] : [];
  return withEligible(state, next, { minInsyncReplicas, lost });
}

/** The others have all that was acknowledged, also those that are eligible. */
function inSyncWithout(
  { isr, eligible = [] }: PartitionFact,
  brokerId: number,
  isNewDisk: boolean,
): readonly number[] {
  if (!isr.includes(brokerId)) return isr;
  const others = isr.filter((id) => id !== brokerId);
  const heirs = eligible.filter((id) => id !== brokerId);
  if (others.length > 0) return others;
  return heirs.length > 0 || isNewDisk ? heirs : isr;
}
