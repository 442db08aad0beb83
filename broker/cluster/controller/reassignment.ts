/**
 * Moving a partition's replicas (KIP-455), as pure rules on its state: those that
 * come are added, and when all of them are in sync those that go are let go. At
 * every moment all that were in sync before still are.
 *
 * Whoever is let go ends the leader epoch, as in Kafka: a fetch that it has on
 * its way says how far its copy was, and would be believed if the broker came
 * back to the partition, with nothing, in the same epoch.
 */
import { neededInSync, stillEligible, wholeCopies } from "../eligible.ts";
import type { PartitionFact } from "../facts.ts";
import type { ElectionOptions, Liveness } from "./election.ts";

/** The state that moves towards `target`, whatever moves already. */
export function moveReplicas(
  state: PartitionFact,
  target: readonly number[],
): PartitionFact {
  const { adding: coming = [], removing: _, ...rest } = state;
  const held = state.replicas.filter((id) => !coming.includes(id));
  const adding = target.filter((id) => !held.includes(id));
  // One that was coming and has all records is let go like the others.
  const whole = wholeCopies(state);
  const removing = state.replicas.filter((id) =>
    !target.includes(id) && (held.includes(id) || whole.includes(id))
  );
  const replicas = [...target, ...removing];
  return stillEligible({
    ...rest,
    leaderEpoch: epochWith(replicas, state),
    replicas,
    isr: state.isr.filter((id) => replicas.includes(id)),
    ...(adding.length > 0 ? { adding } : {}),
    ...(removing.length > 0 ? { removing } : {}),
  });
}

/** Where a partition's replicas are, or will be when its move is through. */
export function targetOf({ replicas, removing = [] }: PartitionFact): number[] {
  return replicas.filter((id) => !removing.includes(id));
}

export function isMoving({ adding = [], removing = [] }: PartitionFact) {
  return adding.length + removing.length > 0;
}

/**
 * The state that goes back to what was before the move. Of those that were
 * coming, one that leads is let go as soon as another does.
 */
export function cancelMove(state: PartitionFact): PartitionFact {
  const { adding = [], removing = [] } = state;
  // A move puts each that comes in the place of one that goes.
  const before = targetOf(state).flatMap((id) => {
    const at = adding.indexOf(id);
    return at < 0 ? [id] : removing.slice(at, at + 1);
  });
  const rest = removing.slice(adding.length);
  return moveReplicas({ ...state, adding: [], removing: [] }, [
    ...before,
    ...rest,
  ]);
}

/**
 * The state after the move; undefined: none, or not there yet. With nobody in
 * sync alive nobody goes: who is dead may come back with less, from a new disk.
 * And nobody goes whose copy is one of those that acks=all has promised.
 */
export function completeReassignment(
  state: PartitionFact,
  brokers: Liveness,
  { minInsyncReplicas }: Pick<ElectionOptions, "minInsyncReplicas">,
): PartitionFact | undefined {
  const { adding = [], removing = [], ...rest } = state;
  if (adding.length + removing.length === 0) return undefined;
  if (!adding.every((id) => state.isr.includes(id))) return undefined;
  const stays = (id: number) => !removing.includes(id);
  const replicas = state.replicas.filter(stays);
  const isr = state.isr.filter(stays);
  // No whole copy goes while another one that stays lacks records.
  const copies = wholeCopies(state);
  const old = copies.filter((id) => !adding.includes(id)).length;
  const promised = neededInSync(minInsyncReplicas, { replicas });
  if (isr.length < Math.min(old, replicas.length)) return undefined;
  if (isr.length < Math.min(copies.length, promised)) return undefined;
  const { leader } = state;
  const leaderEpoch = epochWith(replicas, state);
  const moved = stillEligible({ ...rest, leaderEpoch, replicas, isr });
  if (leader !== null && stays(leader) && brokers.isAlive(leader)) return moved;
  const next = replicas.find((id) => isr.includes(id) && brokers.isAlive(id));
  if (next === undefined) return undefined;
  return { ...moved, leader: next, leaderEpoch: state.leaderEpoch + 1 };
}

function epochWith(
  replicas: readonly number[],
  { replicas: before, leaderEpoch }: PartitionFact,
): number {
  const isLetGo = before.some((id) => !replicas.includes(id));
  return leaderEpoch + (isLetGo ? 1 : 0);
}
