/**
 * Who may lead a partition when nobody in sync is alive: the eligible replicas
 * of KIP-966, as pure rules on a partition's state. One that leaves an in-sync
 * set which is, or thereby gets, smaller than `min.insync.replicas` stays
 * eligible: it has all that was ever acknowledged, because the high watermark
 * stands still for as long as there are eligible ones (`leader_role.ts`).
 *
 * None at all is always a safe answer; it only leaves fewer to choose from.
 */
import type { PartitionFact } from "./facts.ts";

/**
 * In-sync replicas that an acknowledgement of `all` needs. Never those that are
 * only coming: a topic whose replication factor is raised would take nothing
 * until they are copied.
 */
export function neededInSync(
  minInsyncReplicas: number,
  { replicas, adding = [] }: Pick<PartitionFact, "replicas" | "adding">,
): number {
  return Math.min(minInsyncReplicas, replicas.length - adding.length);
}

/** Who has every acknowledged record, and may lead. */
export function wholeCopies(
  { isr, eligible = [] }: Pick<PartitionFact, "isr" | "eligible">,
): number[] {
  return [...isr, ...eligible];
}

/**
 * `next`, which follows upon `before`, with its eligible replicas. `lost`: those
 * that may not have any more what they had.
 */
export function withEligible(
  before: PartitionFact,
  next: PartitionFact,
  { minInsyncReplicas, lost = [] }: {
    minInsyncReplicas: number;
    lost?: readonly number[];
  },
): PartitionFact {
  if (next.isr.length >= neededInSync(minInsyncReplicas, next)) {
    return withoutEligible(next);
  }
  const eligible = wholeCopies(before).filter((id) =>
    !next.isr.includes(id) && !lost.includes(id)
  );
  return stillEligible({ ...next, eligible });
}

/** The state of which those that are no replicas any more are not eligible. */
export function stillEligible(state: PartitionFact): PartitionFact {
  const { replicas, eligible = [] } = state;
  const left = replicas.filter((id) => eligible.includes(id));
  return left.length === 0
    ? withoutEligible(state)
    : { ...state, eligible: left };
}

export function withoutEligible(state: PartitionFact): PartitionFact {
  const { eligible: _, ...rest } = state;
  return rest;
}
