/** How balancing is told to operators. */
import {
  BALANCE_LIST_LIMIT,
  type BalanceAnswer,
  type BalancePlanAnswer,
  type BrokerLoad,
  type MovingPartition,
  type RunningBalance,
  type StuckPartitions,
} from "../../contract/balance.ts";
import {
  type BalancedState,
  type BalanceProgress,
  isLed,
} from "../cluster/controller/balance_steps.ts";
import { targetOf } from "../cluster/controller/reassignment.ts";
import type {
  MetadataImage,
  PartitionImage,
} from "../cluster/metadata_image.ts";

export function balanceAnswer(
  image: MetadataImage,
  progress: BalanceProgress,
): BalanceAnswer {
  const { moving, planned } = progress;
  return {
    running: running(image),
    moving: moving.slice(0, BALANCE_LIST_LIMIT)
      .map((one) => movingPartition(one, image)),
    waitingPartitions: planned.length,
    replicasToCopy: copies(planned) + moving.reduce(
      (sum, { state: { adding = [], isr } }) =>
        sum + adding.filter((id) => !isr.includes(id)).length,
      0,
    ),
    leadershipsToMove: progress.leadershipsToMove,
    stuck: stuckPartitions(progress),
    brokers: loads(image),
  };
}

export function balancePlan(progress: BalanceProgress): BalancePlanAnswer {
  const { planned } = progress;
  return {
    dryRun: true,
    partitions: planned.length,
    replicasToCopy: copies(planned),
    moves: planned.slice(0, BALANCE_LIST_LIMIT)
      .map(({ topic, partition, state, target }) => ({
        topic: topic.name,
        partition,
        before: targetOf(state),
        after: [...target],
      })),
    stuck: stuckPartitions(progress),
  };
}

function running({ balance }: MetadataImage): RunningBalance | null {
  return balance === undefined ? null : {
    kind: balance.kind,
    brokerId: balance.brokerId ?? null,
    throttleBytesPerSecond: balance.throttleBytesPerSecond,
    startedAt: balance.startedAtMs,
  };
}

function movingPartition(
  { topic, partition, state }: BalancedState,
  image: MetadataImage,
): MovingPartition {
  const { leader, adding = [], removing = [], isr } = state;
  const waitsFor = reasonToWait(state, image);
  return {
    topic: topic.name,
    partition,
    leader,
    target: targetOf(state),
    adding: [...adding],
    removing: [...removing],
    isr: [...isr],
    ...(waitsFor === undefined ? {} : { waitsFor }),
  };
}

function reasonToWait(
  state: PartitionImage,
  image: MetadataImage,
): string | undefined {
  const { adding = [], isr } = state;
  if (!isLed(state, image)) return "a leader: no replica in sync is alive";
  const down = adding.filter((id) => !image.isAlive(id));
  if (down.length > 0) return `broker ${down.join(", ")}, which is down`;
  if (!adding.every((id) => isr.includes(id))) return undefined;
  // All have come: so that enough copies stay, another one must be whole again.
  const behind = targetOf(state).filter((id) => !isr.includes(id));
  return behind.length === 0
    ? undefined
    : `broker ${behind.join(", ")}, which is not in sync`;
}

function copies(planned: BalanceProgress["planned"]): number {
  return planned.reduce(
    (sum, { state, target }) =>
      sum + target.filter((id) => !state.replicas.includes(id)).length,
    0,
  );
}

function stuckPartitions(
  { stuck, leaderless }: BalanceProgress,
): StuckPartitions {
  const told = (reason: string) => ({ topic, partition }: BalancedState) => ({
    topic: topic.name,
    partition,
    reason,
  });
  const noLeader = leaderless.filter(({ topic, partition }) =>
    !stuck.some((one) => one.topic === topic && one.partition === partition)
  );
  const all = [
    ...stuck.map(told("there is no other broker that could take it")),
    ...noLeader.map(told("nobody leads it: no replica in sync is alive")),
  ];
  return { count: all.length, partitions: all.slice(0, BALANCE_LIST_LIMIT) };
}

function loads(image: MetadataImage): BrokerLoad[] {
  const loads = new Map<number, BrokerLoad>();
  for (const id of [...image.brokers.keys()].sort((a, b) => a - b)) {
    loads.set(id, {
      id,
      alive: image.isAlive(id),
      drained: image.drained.has(id),
      replicas: 0,
      leaders: 0,
    });
  }
  for (const { partitionStates } of image.topics.values()) {
    for (const state of partitionStates) {
      for (const id of state?.replicas ?? []) {
        const load = loads.get(id);
        if (load !== undefined) load.replicas++;
      }
      const leads = loads.get(state?.leader ?? -1);
      if (leads !== undefined) leads.leaders++;
    }
  }
  return [...loads.values()];
}
