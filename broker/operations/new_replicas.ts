/**
 * How many replicas a topic gets and where new partitions go, or why that cannot
 * be: the rules of placement on one picture of the cluster. Writes nothing.
 */
import { Failure } from "../../contract/errors.ts";
import type { PartitionFact } from "../cluster/facts.ts";
import type { MetadataImage } from "../cluster/metadata_image.ts";
import { placePartitions } from "../cluster/placement.ts";
import {
  canReplicate,
  mostReplicas,
  placementCandidates,
  usualReplicationFactor,
} from "../cluster/placement_candidates.ts";
import type { TopicConfig } from "../topic_config.ts";

/** Replicas by partition, the preferred leader first. */
export type Assignments = readonly (readonly number[])[];

/** `asked` undefined: `usual`; that null: as many as D6 says. */
export function replicationFactorOf(
  asked: number | undefined,
  usual: number | null,
  image: MetadataImage,
): number | Failure {
  const factor = asked ?? usual ?? usualReplicationFactor(image);
  if (!Number.isInteger(factor) || factor < 1) {
    return replicationFault(
      `A partition has at least 1 replica, not ${factor}`,
    );
  }
  const most = mostReplicas(image);
  if (factor <= most) return factor;
  const alive = image.aliveBrokers();
  const deaf = alive.filter((broker) => !canReplicate(broker));
  const reason = deaf.length === 0
    ? `${counted(alive.length, "broker")} alive`
    : `${
      counted(alive.length, "broker")
    } alive, of which ${deaf.length} without a Kafka port, which replication needs`;
  return replicationFault(
    `A replication factor of ${factor} cannot be had now: at most ${most} (${reason})`,
  );
}

/** States of the partitions from `first` on. */
export function placeNew(
  image: MetadataImage,
  options: {
    readonly brokerId: number;
    readonly replicationFactor: number;
    readonly first: number;
    readonly count: number;
  },
): PartitionFact[] | Failure {
  const { replicationFactor, first, count } = options;
  if (count === 0) return [];
  const brokers = placementCandidates(image, replicationFactor);
  if (brokers.length < replicationFactor) {
    return new Failure(
      "BROKER_NOT_AVAILABLE",
      `${replicationFactor} live brokers are needed, ${brokers.length} are there now`,
      { retryAfterMs: 1000 },
    );
  }
  return placePartitions({
    brokers,
    firstBroker: options.brokerId,
    firstPartition: first,
    count,
    replicationFactor,
  }).map((replicas) => stateOf(replicas, replicas));
}

/** States of partitions whose replicas a client chose. */
export function placeAsAssigned(
  image: MetadataImage,
  assignments: Assignments,
): PartitionFact[] | Failure {
  const states: PartitionFact[] = [];
  for (const [partition, replicas] of assignments.entries()) {
    const fault = assignmentFault(image, replicas, assignments[0].length);
    const alive = replicas.filter((id) => image.isAlive(id));
    if (fault !== undefined || alive.length === 0) {
      return new Failure(
        "INVALID_REPLICA_ASSIGNMENT",
        `Partition ${partition} cannot be on brokers ${replicas.join(", ")}: ${
          fault ?? "none of them is alive"
        }`,
      );
    }
    states.push(stateOf(replicas, alive));
  }
  return states;
}

function assignmentFault(
  image: MetadataImage,
  replicas: readonly number[],
  factor: number,
): string | undefined {
  if (replicas.length > 0 && replicas.length !== factor) {
    return `there are ${replicas.length}, and ${factor} of the first partition`;
  }
  return replicasFault(image, replicas);
}

/** Why a partition cannot have its replicas on just these brokers. */
export function replicasFault(
  image: MetadataImage,
  replicas: readonly number[],
): string | undefined {
  if (replicas.length === 0) return "it needs at least one";
  if (new Set(replicas).size < replicas.length) return "one is named twice";
  for (const id of replicas) {
    const broker = image.brokers.get(id);
    if (broker === undefined) return `there is no broker ${id}`;
    if (replicas.length > 1 && !canReplicate(broker)) {
      return `broker ${id} has no Kafka port, which replication needs`;
    }
  }
  return undefined;
}

/** What `config` itself asks for and the replicas cannot give. */
export function minInsyncFault(
  config: TopicConfig,
  replicationFactor: number,
): Failure | undefined {
  const wanted = Number(config["min.insync.replicas"] ?? 1);
  return wanted <= replicationFactor ? undefined : new Failure(
    "INVALID_CONFIG",
    `"min.insync.replicas" is ${wanted}, more than the ${
      counted(replicationFactor, "replica")
    } of a partition: nothing could be written with acks=all`,
    { field: "config" },
  );
}

function stateOf(
  replicas: readonly number[],
  isr: readonly number[],
): PartitionFact {
  return { leader: isr[0], leaderEpoch: 0, replicas, isr };
}

function replicationFault(detail: string): Failure {
  return new Failure("INVALID_REPLICATION_FACTOR", detail, {
    field: "replicationFactor",
  });
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}
