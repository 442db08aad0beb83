/**
 * Metrics of replication, of the partitions that this broker leads and of what
 * passes between it and the others. How many partitions have gauges of their own
 * is bounded as for all metrics (`metrics.ts`).
 */
import { Gauge, type Registry } from "prom-client";
import { neededInSync } from "./cluster/eligible.ts";
import { isUnderReplicated } from "./operations/partition_health.ts";
import type { PartitionReplica } from "./replication/partition_replica.ts";
import { TallyCounter } from "./tallies.ts";

export interface ReplicationMetricsOptions {
  readonly registry: Registry;
  readonly brokerId: number;
  replicas(): Iterable<PartitionReplica>;
  /** Partitions with gauges of their own. */
  readonly partitionLimit: number;
}

export class ReplicationMetrics {
  readonly #bytesIn;
  readonly #bytesOut;
  readonly #shrinks;
  readonly #expands;

  constructor(options: ReplicationMetricsOptions) {
    const { registry } = options;
    const bytes = new TallyCounter({
      registry,
      name: "streamnest_replication_bytes_total",
      help:
        "Bytes of record batches fetched from leaders (in) and handed to followers (out)",
      labelNames: ["direction"],
    });
    this.#bytesIn = bytes.tally({ direction: "in" });
    this.#bytesOut = bytes.tally({ direction: "out" });
    const counter = (name: string, help: string) =>
      new TallyCounter({ registry, name, help, labelNames: [] }).tally();
    this.#shrinks = counter(
      "streamnest_isr_shrinks_total",
      "Times that this broker, as a leader, took replicas out of sync",
    );
    this.#expands = counter(
      "streamnest_isr_expands_total",
      "Times that this broker, as a leader, took replicas in again",
    );
    this.#registerStates(options);
    registerLag(options);
  }

  /** From a leader. */
  fetched(bytes: number): void {
    this.#bytesIn.value += bytes;
  }

  /** To a follower. */
  served(bytes: number): void {
    this.#bytesOut.value += bytes;
  }

  isrChanged(direction: "shrunk" | "grown"): void {
    if (direction === "shrunk") this.#shrinks.value++;
    else this.#expands.value++;
  }

  #registerStates({ registry, replicas }: ReplicationMetricsOptions): void {
    const gauge = (
      name: string,
      help: string,
      is: (replica: PartitionReplica) => boolean,
    ) =>
      new Gauge({
        name,
        help,
        registers: [registry],
        collect() {
          let count = 0;
          for (const replica of replicas()) if (is(replica)) count++;
          this.set(count);
        },
      });
    gauge(
      "streamnest_under_replicated_partitions",
      "Partitions led by this broker of which not every replica is in sync",
      ({ inSync }) =>
        inSync !== undefined && isUnderReplicated(inSync.state, inSync.isr),
    );
    gauge(
      "streamnest_under_min_isr_partitions",
      "Partitions led by this broker with fewer replicas in sync than min.insync.replicas: acks=all is refused",
      ({ inSync, settings }) =>
        inSync !== undefined &&
        inSync.isr.length <
          neededInSync(settings.minInsyncReplicas, inSync.state),
    );
  }
}

function registerLag(
  options: ReplicationMetricsOptions,
): void {
  const { brokerId, registry, replicas, partitionLimit } = options;
  new Gauge({
    name: "streamnest_replica_lag_records",
    help:
      `Records of a partition led by this broker that a follower does not have yet (the first ${partitionLimit} partitions)`,
    labelNames: ["topic", "partition", "follower"],
    registers: [registry],
    collect() {
      this.reset();
      let count = 0;
      for (const { topic, partition, log, inSync } of replicas()) {
        if (inSync === undefined || inSync.state.replicas.length < 2) continue;
        if (count++ >= partitionLimit) break;
        for (const follower of inSync.state.replicas) {
          if (follower === brokerId) continue;
          const has = inSync.safeEndOf(follower) ?? log.logStartOffset;
          const lag = Math.max(0, log.logEndOffset - has);
          this.set({ topic, partition, follower }, lag);
        }
      }
    },
  });
}
