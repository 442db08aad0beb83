/**
 * Metrics of the controller's office and of this broker's own place in the
 * cluster. What is counted over all partitions is counted where the office is
 * held, so that a sum over brokers is right.
 */
import { Gauge, type Registry } from "prom-client";
import { isMoving } from "./cluster/controller/reassignment.ts";
import type { Change } from "./cluster/controller/plan.ts";
import type { MetadataImage } from "./cluster/metadata_image.ts";
import { type Tally, TallyCounter } from "./tallies.ts";

export interface ControllerMetricsOptions {
  readonly registry: Registry;
  image(): MetadataImage;
  isController(): boolean;
  holdsLease(): boolean;
}

const KINDS = ["clean", "unclean", "preferred", "reassignment"] as const;
type Kind = typeof KINDS[number];

const KIND_OF: Readonly<Record<Change["reason"], Kind>> = {
  liveness: "clean",
  unclean: "unclean",
  preferred: "preferred",
  reassignment: "reassignment",
  balance: "reassignment",
};

export class ControllerMetrics {
  readonly #elections: ReadonlyMap<Kind, Tally>;

  constructor(options: ControllerMetricsOptions) {
    const elections = new TallyCounter({
      registry: options.registry,
      name: "streamnest_leader_elections_total",
      help:
        "Partitions that this broker, as the controller, gave a new leader, by why; unclean: to a replica that was not in sync",
      labelNames: ["kind"],
    });
    this.#elections = new Map(
      KINDS.map((kind) => [kind, elections.tally({ kind })]),
    );
    registerGauges(options);
  }

  elected(partitions: number, reason: Change["reason"]): void {
    const tally = this.#elections.get(KIND_OF[reason]);
    if (tally !== undefined) tally.value += partitions;
  }
}

function registerGauges(
  { registry, image, isController, holdsLease }: ControllerMetricsOptions,
): void {
  const gauge = (name: string, help: string, read: () => number) =>
    new Gauge({
      name,
      help,
      registers: [registry],
      collect() {
        this.set(read());
      },
    });
  gauge(
    "streamnest_active_controller",
    "1 on the broker that is the controller: the sum over all brokers is 1",
    () => Number(isController()),
  );
  gauge(
    "streamnest_lease_held",
    "1 while this broker holds its lease; without it the broker acknowledges nothing",
    () => Number(holdsLease()),
  );
  gauge(
    "streamnest_offline_partitions",
    "Partitions of the cluster without a live leader; told by the controller, 0 elsewhere",
    () => isController() ? offlinePartitions(image()) : 0,
  );
  gauge(
    "streamnest_preferred_replica_imbalance",
    "Partitions of the cluster that another than the preferred replica leads; told by the controller, 0 elsewhere",
    () => isController() ? imbalance(image()) : 0,
  );
  gauge(
    "streamnest_reassigning_partitions",
    "Partitions of the cluster whose replicas are being moved; told by the controller, 0 elsewhere",
    () => isController() ? reassigning(image()) : 0,
  );
  gauge(
    "streamnest_live_brokers",
    "Brokers that hold their lease, as this broker sees it",
    () => image().aliveBrokers().length,
  );
}

function offlinePartitions(image: MetadataImage): number {
  let count = 0;
  for (const { partitions, partitionStates } of image.topics.values()) {
    for (let index = 0; index < partitions; index++) {
      const leader = partitionStates[index]?.leader ?? null;
      if (leader === null || !image.isAlive(leader)) count++;
    }
  }
  return count;
}

function reassigning({ topics }: MetadataImage): number {
  let count = 0;
  for (const { partitionStates } of topics.values()) {
    for (const state of partitionStates) {
      if (state !== undefined && isMoving(state)) count++;
    }
  }
  return count;
}

function imbalance(image: MetadataImage): number {
  let count = 0;
  for (const { partitions, partitionStates } of image.topics.values()) {
    for (let index = 0; index < partitions; index++) {
      const state = partitionStates[index];
      if (state === undefined || state.leader === null) continue;
      if (state.leader !== state.replicas[0]) count++;
    }
  }
  return count;
}
