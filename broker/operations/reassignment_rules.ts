/**
 * What becomes of partitions whose replicas a client chooses, or takes back
 * (KIP-455), or why that cannot be: pure rules on one picture of the cluster.
 *
 * They leave nothing for the controller to undo. It brings each partition to its
 * topic's replication factor, and lets nothing come to brokers that are drained,
 * or dead for long (`balance_steps.ts`): so that is what is refused here. The
 * factor belongs to the topic. It changes with its partitions, when one request
 * names all of them and gives each the same number of replicas.
 */
import { Failure } from "../../contract/errors.ts";
import {
  cancelMove,
  isMoving,
  moveReplicas,
  targetOf,
} from "../cluster/controller/reassignment.ts";
import { type PartitionFact, partitionFact } from "../cluster/facts.ts";
import type {
  MetadataImage,
  PartitionImage,
  TopicImage,
} from "../cluster/metadata_image.ts";
import { isOnlyNewInSync, NONE_IN_SYNC } from "./balance_cancel.ts";
import { minInsyncFault, replicasFault } from "./new_replicas.ts";

/** Brokers that a refusal names. */
const NAMED = 10;

/** Where one partition's replicas should be. */
export interface WantedReplicas {
  readonly topic: string;
  readonly partition: number;
  /** The preferred leader first; null: take back the move that is under way. */
  readonly replicas: readonly number[] | null;
}

export interface PlannedReassignment {
  readonly wanted: WantedReplicas;
  readonly state: PartitionImage;
  readonly next: PartitionFact;
}

export interface TopicReassignment {
  readonly refused: ReadonlyMap<WantedReplicas, Failure>;
  readonly planned: readonly PlannedReassignment[];
  /** What the topic's becomes, or stays. */
  readonly replicationFactor: number;
}

export interface ReassignmentOptions {
  /** Whether a partition may get more or fewer replicas than it has. */
  readonly mayChangeFactor: boolean;
}

/** `wanted` is all of one request that is about `topic`. */
export function planReassignment(
  image: MetadataImage,
  topic: TopicImage,
  wanted: readonly WantedReplicas[],
  { mayChangeFactor }: ReassignmentOptions,
): TopicReassignment {
  const refused = new Map<WantedReplicas, Failure>();
  const planned: PlannedReassignment[] = [];
  const named = Map.groupBy(wanted, ({ partition }) => partition);
  for (const one of wanted) {
    const next = named.get(one.partition)!.length > 1
      ? new Failure("INVALID_REQUEST", "The partition is named twice")
      : nextState(image, topic, one, mayChangeFactor);
    if (next instanceof Failure) refused.set(one, next);
    else planned.push({ wanted: one, ...next });
  }
  const factor = factorAfter(topic, planned, mayChangeFactor);
  if (factor instanceof Failure) {
    for (const { wanted } of planned) refused.set(wanted, factor);
    const { replicationFactor } = topic;
    return { refused, planned: [], replicationFactor };
  }
  const isRight = ({ next }: PlannedReassignment) =>
    targetOf(next).length === factor;
  for (const one of planned) {
    if (!isRight(one)) refused.set(one.wanted, wrongFactor(topic, one));
  }
  return {
    refused,
    planned: planned.filter(isRight),
    replicationFactor: factor,
  };
}

function nextState(
  image: MetadataImage,
  topic: TopicImage,
  { partition, replicas }: WantedReplicas,
  mayChangeFactor: boolean,
): { state: PartitionImage; next: PartitionFact } | Failure {
  const state = topic.partitionStates[partition];
  if (state === undefined || partition >= topic.partitions) {
    return new Failure(
      "UNKNOWN_TOPIC_OR_PARTITION",
      `Topic "${topic.name}" has no partition ${partition}`,
    );
  }
  const fact = partitionFact(state);
  if (replicas === null) {
    const fault = cancelFault(fact);
    return fault ?? { state, next: cancelMove(fact) };
  }
  const fault = moveFault(image, fact, replicas);
  if (fault !== undefined) {
    return new Failure(
      "INVALID_REPLICA_ASSIGNMENT",
      `The replicas cannot be on brokers ${someOf(replicas)}: ${fault}`,
    );
  }
  const now = targetOf(fact).length;
  if (!mayChangeFactor && replicas.length !== now) {
    return new Failure(
      "INVALID_REPLICATION_FACTOR",
      `The partition has ${now} replicas, and the request does not allow another number than that`,
    );
  }
  return { state, next: moveReplicas(fact, replicas) };
}

/** A client may name a million. */
function someOf(brokerIds: readonly number[]): string {
  const more = brokerIds.length - NAMED;
  return brokerIds.slice(0, NAMED).join(", ") +
    (more > 0 ? ` and ${more} more` : "");
}

function cancelFault(state: PartitionFact): Failure | undefined {
  if (!isMoving(state)) {
    return new Failure(
      "NO_REASSIGNMENT_IN_PROGRESS",
      "The partition's replicas do not move",
    );
  }
  return isOnlyNewInSync(state)
    ? new Failure(
      "INVALID_REPLICA_ASSIGNMENT",
      `The move cannot be taken back: ${NONE_IN_SYNC}`,
    )
    : undefined;
}

function moveFault(
  image: MetadataImage,
  { replicas: present, adding = [] }: PartitionFact,
  replicas: readonly number[],
): string | undefined {
  const fault = replicasFault(image, replicas);
  if (fault !== undefined) return fault;
  for (const id of replicas) {
    if (image.drained.has(id)) return `broker ${id} is drained`;
    const isHeld = present.includes(id) && !adding.includes(id);
    if (isHeld) continue;
    if (!image.isAlive(id)) return `broker ${id} is down`;
    if (image.brokers.get(id)?.kafkaPort === null) {
      return `broker ${id} has no Kafka port, which replication needs`;
    }
  }
  return undefined;
}

/** Another one than now only when all partitions come to it together. */
function factorAfter(
  topic: TopicImage,
  planned: readonly PlannedReassignment[],
  mayChangeFactor: boolean,
): number | Failure {
  const { partitions, replicationFactor, config } = topic;
  const counts = new Set(planned.map(({ next }) => targetOf(next).length));
  const isWhole = planned.length === partitions && counts.size === 1;
  if (!isWhole || !mayChangeFactor) return replicationFactor;
  const [factor] = counts;
  if (factor === replicationFactor) return factor;
  const fault = minInsyncFault(config, factor);
  return fault === undefined
    ? factor
    : new Failure("INVALID_REPLICATION_FACTOR", fault.detail);
}

function wrongFactor(
  { name, replicationFactor, partitions }: TopicImage,
  { next }: PlannedReassignment,
): Failure {
  return new Failure(
    "INVALID_REPLICATION_FACTOR",
    `The partition would have ${
      targetOf(next).length
    } replicas, and topic "${name}" has a replication factor of ${replicationFactor}: ` +
      `it changes for all ${partitions} partitions in one request, or with the topic's own`,
  );
}
