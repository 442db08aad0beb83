/**
 * The last step of moving a partition's replicas (KIP-455): when all that come
 * are in sync, those that go are let go. A pure rule on one partition's state.
 */
import type { PartitionFact } from "../facts.ts";
import type { Liveness } from "./election.ts";

/** The state after the move; undefined: none, or not there yet. */
export function completeReassignment(
  state: PartitionFact,
  brokers: Liveness,
): PartitionFact | undefined {
  const { adding = [], removing = [], ...rest } = state;
  if (adding.length + removing.length === 0) return undefined;
  if (!adding.every((id) => state.isr.includes(id))) return undefined;
  const stays = (id: number) => !removing.includes(id);
  const replicas = state.replicas.filter(stays);
  const isr = state.isr.filter(stays);
  const { leader, leaderEpoch } = state;
  if (leader !== null && stays(leader)) return { ...rest, replicas, isr };
  const next = replicas.find((id) => isr.includes(id) && brokers.isAlive(id));
  if (next === undefined) return undefined;
  return { ...rest, replicas, isr, leader: next, leaderEpoch: leaderEpoch + 1 };
}
