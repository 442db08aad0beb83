/**
 * Metrics that are read when `/metrics` is: sizes and offsets of partitions, what
 * is open, and the process itself. What is counted as it happens is `metrics.ts`.
 */
import { Gauge, type Registry } from "prom-client";
import type { ProcessFacts } from "./environment.ts";
import type { PartitionReplica } from "./replication/partition_replica.ts";

export interface StateGaugesOptions {
  readonly registry: Registry;
  readonly process: ProcessFacts;
  readonly version: string;
  /** Partitions with gauges of their own. */
  readonly partitionLimit: number;
  replicas(): Iterable<PartitionReplica>;
  kafkaConnections(): number;
}

export function registerStateGauges(options: StateGaugesOptions): void {
  registerPartitions(options);
  const { process, registry, version } = options;
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
    "streamnest_partitions_led",
    "Partitions that this broker leads",
    () => [...options.replicas()].filter(({ isLeader }) => isLeader).length,
  );
  gauge(
    "streamnest_kafka_connections",
    "Open connections of Kafka clients",
    () => options.kafkaConnections(),
  );
  gauge(
    "process_resident_memory_bytes",
    "Resident memory of the process",
    () => process.residentMemoryBytes(),
  );
  gauge(
    "process_heap_bytes",
    "JavaScript heap in use",
    () => process.heapUsedBytes(),
  );
  gauge(
    "process_cpu_seconds_total",
    "User and system time of the process",
    () => process.cpuSeconds(),
  );
  new Gauge({
    name: "streamnest_build_info",
    help: "Always 1; the version is its label",
    labelNames: ["version"],
    registers: [registry],
  }).set({ version }, 1);
}

function registerPartitions(
  { registry, partitionLimit, replicas }: StateGaugesOptions,
): void {
  const gauge = (
    name: string,
    help: string,
    read: (replica: PartitionReplica) => number,
  ) =>
    new Gauge({
      name,
      help: `${help} (the first ${partitionLimit})`,
      labelNames: ["topic", "partition"],
      registers: [registry],
      collect() {
        this.reset();
        let count = 0;
        for (const replica of replicas()) {
          if (count++ >= partitionLimit) break;
          const { topic, partition } = replica;
          this.set({ topic, partition }, read(replica));
        }
      },
    });
  gauge(
    "streamnest_partition_log_end_offset",
    "The offset that the partition's next message will get",
    ({ log }) => log.logEndOffset,
  );
  gauge(
    "streamnest_partition_high_watermark",
    "The offset below which the partition can be read",
    ({ highWatermark }) => highWatermark,
  );
  gauge(
    "streamnest_partition_log_start_offset",
    "The first offset of the partition that can be read",
    ({ log }) => log.logStartOffset,
  );
  gauge(
    "streamnest_partition_size_bytes",
    "Bytes of the partition's log segments",
    ({ log }) => log.sizeBytes,
  );
}
