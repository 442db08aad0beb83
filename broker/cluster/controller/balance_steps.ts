/**
 * What the controller does next about a rebalance or a drain: a few partitions
 * at a time towards `balance_plan.ts`'s target. Pure: computed anew from the
 * image at every step, so that it goes on under another controller, and after
 * any interruption, where it was.
 */
import type { PartitionFact } from "../facts.ts";
import type {
  BrokerImage,
  MetadataImage,
  PartitionImage,
  TopicImage,
} from "../metadata_image.ts";
import { canReplicate } from "../placement_candidates.ts";
import {
  type BalancedPartition,
  type BalanceTarget,
  balanceTarget,
} from "./balance_plan.ts";
import {
  cancelMove,
  isMoving,
  moveReplicas,
  targetOf,
} from "./reassignment.ts";

export const BALANCE_LIMITS = {
  /** Partitions with replicas on their way at a time. */
  movesAtOnce: 8,
  /** Changes that copy nothing, in one step. */
  changesPerStep: 100,
} as const;

/** One partition, with the state that it is in. */
export interface BalancedState {
  readonly topic: TopicImage;
  readonly partition: number;
  readonly state: PartitionImage;
}

export interface BalanceStep extends BalancedState {
  readonly next: PartitionFact;
}

export interface BalanceSteps {
  readonly steps: readonly BalanceStep[];
  /** Nothing is left to do, and nothing moves. */
  readonly isDone: boolean;
}

export interface BalanceProgress {
  /** Partitions whose replicas are on their way. */
  readonly moving: readonly BalancedState[];
  /** Partitions that have not begun to move. */
  readonly waiting: number;
  /** Partitions that cannot leave the broker: there is no other one. */
  readonly stuck: readonly BalancedState[];
}

/** Nothing without an intent. */
export function balanceSteps(image: MetadataImage): BalanceSteps {
  const intent = image.balance;
  if (intent === undefined) return { steps: [], isDone: false };
  const states = statesOf(image);
  const moving = [...states.values()].filter(({ state }) => isMoving(state));
  const lost = moving.filter(({ state }) =>
    state.adding?.some((id) => !image.isAlive(id)) ?? false
  );
  if (lost.length > 0) {
    const steps = lost.map((one) => ({ ...one, next: cancelMove(one.state) }));
    return { steps, isDone: false };
  }
  const target = targetIn(image, states, intent, BALANCE_LIMITS.movesAtOnce);
  let room = BALANCE_LIMITS.movesAtOnce - moving.length;
  const steps: BalanceStep[] = [];
  for (const [key, replicas] of target.moves) {
    if (steps.length >= BALANCE_LIMITS.changesPerStep) break;
    const one = states.get(key);
    if (one === undefined || isMoving(one.state)) continue;
    const next = moveReplicas(one.state, replicas);
    if (isMoving(next) && room-- <= 0) continue;
    steps.push({ ...one, next });
  }
  const isDone = target.moves.size === 0 && moving.length === 0 &&
    target.stuck.length === 0;
  return { steps, isDone };
}

/** How far it is; also what an intent would lead to that is not there yet. */
export function balanceProgress(
  image: MetadataImage,
  intent: Pick<NonNullable<MetadataImage["balance"]>, "kind" | "brokerId">,
): BalanceProgress {
  const states = statesOf(image);
  const moving = [...states.values()].filter(({ state }) => isMoving(state));
  const { moves, stuck } = targetIn(image, states, intent);
  const waiting = [...moves.keys()]
    .filter((key) => !isMoving(states.get(key)!.state));
  return {
    moving,
    waiting: waiting.length,
    stuck: stuck.map((key) => states.get(key)!),
  };
}

function targetIn(
  image: MetadataImage,
  states: ReadonlyMap<string, BalancedState>,
  intent: Pick<NonNullable<MetadataImage["balance"]>, "kind" | "brokerId">,
  limit?: number,
): BalanceTarget {
  const partitions: BalancedPartition[] = [];
  for (const [key, { topic, state }] of states) {
    const { replicationFactor } = topic;
    partitions.push({ key, replicas: targetOf(state), replicationFactor });
  }
  const brokers = receivers(image).filter(({ id }) =>
    intent.kind !== "drain" || id !== intent.brokerId
  );
  return balanceTarget(partitions, brokers, intent, limit);
}

/** Brokers that may get replicas. */
export function receivers(image: MetadataImage): BrokerImage[] {
  return image.aliveBrokers().filter((broker) =>
    canReplicate(broker) && !broker.isLeaving && !image.drained.has(broker.id)
  );
}

function statesOf(image: MetadataImage): Map<string, BalancedState> {
  const states = new Map<string, BalancedState>();
  const topics = [...image.topics.values()]
    .sort((a, b) => a.createRevision - b.createRevision);
  for (const topic of topics) {
    for (let partition = 0; partition < topic.partitions; partition++) {
      const state = topic.partitionStates[partition];
      if (state === undefined) continue;
      const key = `${topic.topicId}/${partition}`;
      states.set(key, { topic, partition, state });
    }
  }
  return states;
}
