/**
 * Every metric of a broker, with its help text and the bound of its labels.
 * Counters are plain numbers and bound children, so that counting costs little
 * where the fact happens; what can be read when asked (sizes, offsets, memory)
 * is read when `/metrics` is.
 */
import { Counter, Gauge, Histogram, Registry } from "prom-client";
import { errorCodeOf } from "../contract/errors.ts";
import type { ProcessFacts } from "./environment.ts";
import type { HttpMetrics, HttpObservation } from "./http/server.ts";
import type { KafkaMetrics, KafkaObservation } from "./kafka/metrics.ts";
import type { RecordMetrics } from "./operations/records.ts";
import type { PartitionReplica } from "./replication/partition_replica.ts";

export const METRIC_LIMITS = {
  /** Topics with labels of their own; the rest counts as "other". */
  topics: 200,
  /** Partitions with gauges of their own. */
  partitions: 2000,
} as const;

const LATENCY_BUCKETS = [
  0.0005,
  0.001,
  0.0025,
  0.005,
  0.01,
  0.025,
  0.05,
  0.1,
  0.25,
  0.5,
  1,
  2.5,
  5,
  10,
];

interface TopicCounters {
  readonly producedRecords: Counter.Internal;
  readonly producedBytes: Counter.Internal;
  readonly consumedRecords: Counter.Internal;
  readonly consumedBytes: Counter.Internal;
}

interface RouteMetrics {
  readonly requests: Counter.Internal;
  readonly latency: Histogram.Internal<string>;
}

export interface MetricsSources {
  readonly process: ProcessFacts;
  readonly version: string;
  replicas(): Iterable<PartitionReplica>;
}

export class BrokerMetrics implements RecordMetrics, HttpMetrics, KafkaMetrics {
  readonly #registry = new Registry();
  readonly #topics = new Map<string, TopicCounters>();
  readonly #routes = new Map<string, RouteMetrics>();
  readonly #apis = new Map<string, RouteMetrics>();
  readonly #produced: Counter;
  readonly #consumed: Counter;
  readonly #skipped: Counter;
  readonly #topicRecords: Counter<"topic" | "direction">;
  readonly #topicBytes: Counter<"topic" | "direction">;
  readonly #requests: Counter<"route" | "method" | "status">;
  readonly #latency: Histogram<"route" | "method">;
  readonly #errors: Counter<"code">;
  readonly #flush: Histogram<"topic">;
  readonly #httpBytes: Counter<"direction">;

  readonly #kafkaRequests: Counter<"api" | "version">;
  readonly #kafkaLatency: Histogram<"api">;
  readonly #kafkaBytes: Counter<"direction">;
  readonly #kafkaConnections: Gauge;

  constructor(sources: MetricsSources) {
    const registers = [this.#registry];
    this.#produced = new Counter({
      name: "streamnest_messages_produced_total",
      help: "Messages stored by this broker, through any door",
      registers,
    });
    this.#consumed = new Counter({
      name: "streamnest_messages_consumed_total",
      help: "Messages handed out by this broker, through any door",
      registers,
    });
    this.#skipped = new Counter({
      name: "streamnest_messages_skipped_total",
      help:
        "Stored messages left out because they do not conform to the schema",
      registers,
    });
    this.#topicRecords = new Counter({
      name: "streamnest_topic_messages_total",
      help:
        `Messages per topic (the first ${METRIC_LIMITS.topics}, then "other") and direction`,
      labelNames: ["topic", "direction"],
      registers,
    });
    this.#topicBytes = new Counter({
      name: "streamnest_topic_bytes_total",
      help: "Bytes of keys and values per topic and direction",
      labelNames: ["topic", "direction"],
      registers,
    });
    this.#requests = new Counter({
      name: "streamnest_http_requests_total",
      help: "HTTP requests by route, method and status",
      labelNames: ["route", "method", "status"],
      registers,
    });
    this.#latency = new Histogram({
      name: "streamnest_http_request_seconds",
      help: "Time from a request to its answer, waits included",
      labelNames: ["route", "method"],
      buckets: LATENCY_BUCKETS,
      registers,
    });
    this.#errors = new Counter({
      name: "streamnest_errors_total",
      help: "Requests answered with an error, by Kafka's name of it",
      labelNames: ["code"],
      registers,
    });
    this.#flush = new Histogram({
      name: "streamnest_flush_seconds",
      help: "Time of an fdatasync of a partition's log, by topic",
      labelNames: ["topic"],
      buckets: LATENCY_BUCKETS,
      registers,
    });
    this.#httpBytes = new Counter({
      name: "streamnest_http_body_bytes_total",
      help: "Bytes of HTTP bodies by direction",
      labelNames: ["direction"],
      registers,
    });
    this.#kafkaRequests = new Counter({
      name: "streamnest_kafka_requests_total",
      help: "Requests of Kafka clients by API and version",
      labelNames: ["api", "version"],
      registers,
    });
    this.#kafkaLatency = new Histogram({
      name: "streamnest_kafka_request_seconds",
      help: "Time from a Kafka request to its answer, waits included",
      labelNames: ["api"],
      buckets: LATENCY_BUCKETS,
      registers,
    });
    this.#kafkaBytes = new Counter({
      name: "streamnest_kafka_bytes_total",
      help: "Bytes of Kafka frames by direction",
      labelNames: ["direction"],
      registers,
    });
    this.#kafkaConnections = new Gauge({
      name: "streamnest_kafka_connections",
      help: "Open connections of Kafka clients",
      registers,
    });
    this.#registerReadOnScrape(sources);
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** The Prometheus text exposition. */
  text(): Promise<string> {
    return this.#registry.metrics();
  }

  produced(topic: string, records: number, bytes: number): void {
    const counters = this.#topic(topic);
    this.#produced.inc(records);
    counters.producedRecords.inc(records);
    counters.producedBytes.inc(bytes);
  }

  consumed(topic: string, records: number, bytes: number): void {
    if (records === 0) return;
    const counters = this.#topic(topic);
    this.#consumed.inc(records);
    counters.consumedRecords.inc(records);
    counters.consumedBytes.inc(bytes);
  }

  skipped(_topic: string, records: number): void {
    this.#skipped.inc(records);
  }

  flushed(topic: string, seconds: number): void {
    this.#flush.observe({ topic: this.#label(topic) }, seconds);
  }

  observe(observation: HttpObservation | KafkaObservation): void {
    if ("api" in observation) this.#observeKafka(observation);
    else this.#observeHttp(observation);
  }

  connections(open: number): void {
    this.#kafkaConnections.set(open);
  }

  #observeKafka(observation: KafkaObservation): void {
    const { api, version, seconds, errorCode } = observation;
    const key = `${version} ${api}`;
    let metrics = this.#apis.get(key);
    if (metrics === undefined) {
      metrics = {
        requests: this.#kafkaRequests.labels({ api, version: `${version}` }),
        latency: this.#kafkaLatency.labels({ api }),
      };
      this.#apis.set(key, metrics);
    }
    metrics.requests.inc();
    metrics.latency.observe(seconds);
    this.#kafkaBytes.inc({ direction: "in" }, observation.bytesIn);
    this.#kafkaBytes.inc({ direction: "out" }, observation.bytesOut);
    if (errorCode !== undefined) {
      this.#errors.inc({ code: errorCodeOf(errorCode) });
    }
  }

  #observeHttp(observation: HttpObservation): void {
    const { route, method, status, seconds, errorCode } = observation;
    const key = `${method} ${status} ${route}`;
    let metrics = this.#routes.get(key);
    if (metrics === undefined) {
      metrics = {
        requests: this.#requests.labels({ route, method, status }),
        latency: this.#latency.labels({ route, method }),
      };
      this.#routes.set(key, metrics);
    }
    metrics.requests.inc();
    metrics.latency.observe(seconds);
    this.#httpBytes.inc({ direction: "in" }, observation.bytesIn);
    this.#httpBytes.inc({ direction: "out" }, observation.bytesOut);
    if (errorCode !== undefined) this.#errors.inc({ code: errorCode });
  }

  #label(topic: string): string {
    return this.#topics.has(topic) ? topic : "other";
  }

  #topic(topic: string): TopicCounters {
    const known = this.#topics.get(topic);
    if (known !== undefined) return known;
    const isFull = this.#topics.size >= METRIC_LIMITS.topics;
    if (isFull && topic !== "other") return this.#topic("other");
    const counters = {
      producedRecords: this.#topicRecords
        .labels({ topic, direction: "produced" }),
      producedBytes: this.#topicBytes.labels({ topic, direction: "produced" }),
      consumedRecords: this.#topicRecords
        .labels({ topic, direction: "consumed" }),
      consumedBytes: this.#topicBytes.labels({ topic, direction: "consumed" }),
    };
    this.#topics.set(topic, counters);
    return counters;
  }

  #registerReadOnScrape(sources: MetricsSources): void {
    this.#partitionGauge(sources, {
      name: "streamnest_partition_log_end_offset",
      help: "The offset that the partition's next message will get",
      read: (replica) => replica.log.logEndOffset,
    });
    this.#partitionGauge(sources, {
      name: "streamnest_partition_high_watermark",
      help: "The offset below which the partition can be read",
      read: (replica) => replica.highWatermark,
    });
    this.#partitionGauge(sources, {
      name: "streamnest_partition_log_start_offset",
      help: "The first offset of the partition that can be read",
      read: (replica) => replica.log.logStartOffset,
    });
    this.#partitionGauge(sources, {
      name: "streamnest_partition_size_bytes",
      help: "Bytes of the partition's log segments",
      read: (replica) => replica.log.sizeBytes,
    });
    this.#gauge(
      "streamnest_partitions_led",
      "Partitions that this broker leads",
      () => [...sources.replicas()].filter(({ isLeader }) => isLeader).length,
    );
    const { process } = sources;
    this.#gauge(
      "process_resident_memory_bytes",
      "Resident memory of the process",
      () => process.residentMemoryBytes(),
    );
    this.#gauge(
      "process_heap_bytes",
      "JavaScript heap in use",
      () => process.heapUsedBytes(),
    );
    this.#gauge(
      "process_cpu_seconds_total",
      "User and system time of the process",
      () => process.cpuSeconds(),
    );
    new Gauge({
      name: "streamnest_build_info",
      help: "Always 1; the version is its label",
      labelNames: ["version"],
      registers: [this.#registry],
    }).set({ version: sources.version }, 1);
  }

  #gauge(name: string, help: string, read: () => number): void {
    new Gauge({
      name,
      help,
      registers: [this.#registry],
      collect() {
        this.set(read());
      },
    });
  }

  #partitionGauge(
    sources: MetricsSources,
    options: {
      name: string;
      help: string;
      read(replica: PartitionReplica): number;
    },
  ): void {
    new Gauge({
      name: options.name,
      help: `${options.help} (the first ${METRIC_LIMITS.partitions})`,
      labelNames: ["topic", "partition"],
      registers: [this.#registry],
      collect() {
        this.reset();
        let count = 0;
        for (const replica of sources.replicas()) {
          if (count++ >= METRIC_LIMITS.partitions) break;
          const { topic, partition } = replica;
          this.set({ topic, partition }, options.read(replica));
        }
      },
    });
  }
}
