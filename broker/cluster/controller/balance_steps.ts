/**
 * What the controller does next about a rebalance, a drain, or a topic whose
 * replication factor was changed: a few partitions at a time towards
 * `balance_plan.ts`'s target. Pure: computed anew from the image at every step,
 * so that it goes on under another controller, and after any interruption, where
 * it was.
 */
import type { BalanceFact, PartitionFact } from "../facts.ts";
import type {
  BrokerImage,
  MetadataImage,
  PartitionImage,
  TopicImage,
} from "../metadata_image.ts";
import { canReplicate } from "../placement_candidates.ts";
import {
  type BalancedBroker,
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

/** A partition that does not move yet and where it should be. */
export interface PlannedMove extends BalancedState {
  readonly target: readonly number[];
}

export interface BalanceProgress {
  /** Partitions whose replicas are on their way. */
  readonly moving: readonly BalancedState[];
  readonly planned: readonly PlannedMove[];
  /** Partitions that cannot leave an emptied broker: there is no other one. */
  readonly stuck: readonly BalancedState[];
  /** Partitions on an emptied broker that nobody leads: nothing can be copied. */
  readonly leaderless: readonly BalancedState[];
  /** Partitions that another broker leads in the end. */
  readonly leadershipsToMove: number;
}

export interface BalanceView {
  readonly intent: Pick<BalanceFact, "kind"> | undefined;
  readonly drained: ReadonlySet<number>;
  /** Dead brokers that are not waited for. */
  readonly gone: ReadonlySet<number>;
  /** Replication factors that topics are about to have, by topic. */
  readonly factors?: ReadonlyMap<string, number>;
}

/** Topics whose partitions were found as many replicas as they should have. */
const inFactor = new WeakSet<TopicImage>();

/**
 * Without an intent replicas come and go only where there are more or fewer than
 * the topic's replication factor says. `gone` as in `BalanceView`.
 */
export function balanceSteps(
  image: MetadataImage,
  gone: ReadonlySet<number> = deadBrokers(image),
): BalanceSteps {
  const { balance: intent, drained } = image;
  if (intent === undefined && areInFactor(image)) {
    return { steps: [], isDone: true };
  }
  const states = statesOf(image);
  const moving = [...states.values()].filter(({ state }) => isMoving(state));
  const lost = moving.filter(({ state }) =>
    isHeldUp(state, drained) ||
    (state.adding ?? []).some((id) =>
      gone.has(id) || drained.has(id) || !image.brokers.has(id)
    )
  );
  if (lost.length > 0) {
    const steps = lost.map((one) => ({ ...one, next: cancelMove(one.state) }));
    return { steps, isDone: false };
  }
  // What nobody leads stands still and should not hold up the others.
  const room = BALANCE_LIMITS.movesAtOnce -
    moving.filter(({ state }) => isLed(state, image)).length;
  if (room <= 0) return { steps: [], isDone: false };
  const view = { intent, drained, gone };
  const target = targetIn(image, states, view, BALANCE_LIMITS.movesAtOnce);
  const steps = beginMoves(image, states, target, room);
  const isDone = target.moves.size === 0 && moving.length === 0 &&
    (intent?.kind !== "drain" || isEmpty(states, intent.brokerId));
  return { steps, isDone };
}

/**
 * All have come, and those that go wait for one that stays, lacks records, and is
 * to be emptied itself: it may never have them. From where the move began, the
 * one that is emptied is let go instead.
 */
function isHeldUp(state: PartitionFact, drained: ReadonlySet<number>): boolean {
  const { adding = [], isr } = state;
  return adding.every((id) => isr.includes(id)) &&
    targetOf(state).some((id) => drained.has(id) && !isr.includes(id));
}

function beginMoves(
  image: MetadataImage,
  states: ReadonlyMap<string, BalancedState>,
  target: BalanceTarget,
  room: number,
): BalanceStep[] {
  let left = room;
  const steps: BalanceStep[] = [];
  for (const [key, replicas] of target.moves) {
    if (steps.length >= BALANCE_LIMITS.changesPerStep) break;
    const one = states.get(key)!;
    const next = moveReplicas(one.state, replicas);
    if (!(next.adding ?? []).every((id) => isReady(id, image))) continue;
    if (isMoving(next) && left-- <= 0) continue;
    steps.push({ ...one, next });
  }
  return steps;
}

/** How far it is; also what an intent would lead to that is not there yet. */
export function balanceProgress(
  image: MetadataImage,
  view: BalanceView = {
    intent: image.balance,
    drained: image.drained,
    gone: deadBrokers(image),
  },
): BalanceProgress {
  const states = statesOf(image);
  const { moves, stuck } = targetIn(image, states, view);
  return {
    moving: [...states.values()].filter(({ state }) => isMoving(state)),
    planned: [...moves].map(([key, target]) => ({
      ...states.get(key)!,
      target,
    })),
    stuck: stuck.map((key) => states.get(key)!),
    leaderless: [...states.values()].filter(({ state }) =>
      !isLed(state, image) &&
      state.replicas.some((id) => view.drained.has(id))
    ),
    leadershipsToMove: states.entries().reduce((sum, [key, { state }]) => {
      const [preferred] = moves.get(key) ?? targetOf(state);
      return sum + (state.leader === preferred ? 0 : 1);
    }, 0),
  };
}

function targetIn(
  image: MetadataImage,
  states: ReadonlyMap<string, BalancedState>,
  view: BalanceView,
  limit?: number,
): BalanceTarget {
  const partitions: BalancedPartition[] = [];
  for (const [key, { topic, state }] of states) {
    partitions.push({
      key,
      topic: topic.name,
      replicas: targetOf(state),
      replicationFactor: view.factors?.get(topic.name) ??
        topic.replicationFactor,
      leader: state.leader,
      isr: state.isr,
      isFixed: isMoving(state) || !isLed(state, image),
    });
  }
  const isEvened = view.intent?.kind === "rebalance";
  const brokers = [...image.brokers.values()].map(
    (broker): BalancedBroker => ({
      id: broker.id,
      rack: broker.rack,
      role: roleOf(broker, view, isEvened),
    }),
  );
  return balanceTarget(partitions, { brokers, isEvened, limit });
}

/**
 * An even spread counts on a broker that is just restarting; what has to find a
 * place does not wait for it.
 */
function roleOf(
  broker: BrokerImage,
  { drained, gone }: BalanceView,
  isEvened: boolean,
): BalancedBroker["role"] {
  if (drained.has(broker.id)) return "empties";
  const isThere = broker.incarnation !== undefined && !broker.isLeaving;
  const isCountedOn = isEvened ? !gone.has(broker.id) : isThere;
  return isCountedOn && canReplicate(broker) ? "takes" : "keeps";
}

/** Brokers that may get replicas now. */
export function receivers(image: MetadataImage): BrokerImage[] {
  return image.aliveBrokers().filter((broker) =>
    canReplicate(broker) && !image.drained.has(broker.id)
  );
}

export function deadBrokers(image: MetadataImage): Set<number> {
  return new Set(
    [...image.brokers.keys()].filter((id) => !image.isAlive(id)),
  );
}

function isReady(brokerId: number, image: MetadataImage): boolean {
  const broker = image.brokers.get(brokerId);
  return broker?.incarnation !== undefined && !broker.isLeaving;
}

export function isLed({ leader }: PartitionFact, image: MetadataImage) {
  return leader !== null && image.isAlive(leader);
}

function isEmpty(
  states: ReadonlyMap<string, BalancedState>,
  brokerId: number | undefined,
): boolean {
  return brokerId === undefined ||
    states.values().every(({ state }) => !state.replicas.includes(brokerId));
}

function areInFactor(image: MetadataImage): boolean {
  let areAll = true;
  for (const topic of image.topics.values()) {
    if (inFactor.has(topic)) continue;
    const isIn = topic.partitionStates.every((state) =>
      state === undefined || !isMoving(state) &&
        state.replicas.length === topic.replicationFactor
    );
    if (isIn) inFactor.add(topic);
    else areAll = false;
  }
  return areAll;
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
