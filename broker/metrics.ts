/**
 * Every metric of a broker, with its help text and the bound of its labels.
 * Counters are plain numbers and bound children, so that counting costs little
 * where the fact happens; what can be read when asked (sizes, offsets, memory)
 * is read when `/metrics` is.
 */
import { Registry } from "prom-client";
import { errorCodeOf } from "../contract/errors.ts";
import type { ProcessFacts } from "./environment.ts";
import type { HttpMetrics, HttpObservation } from "./http/server.ts";
import type { KafkaMetrics, KafkaObservation } from "./kafka/metrics.ts";
import type { MetadataImage } from "./cluster/metadata_image.ts";
import type { RecordMetrics } from "./operations/records.ts";
import { ControllerMetrics } from "./controller_metrics.ts";
import type { PartitionReplica } from "./replication/partition_replica.ts";
import { ReplicationMetrics } from "./replication_metrics.ts";
import { registerStateGauges } from "./state_gauges.ts";
import {
  type BucketTally,
  type Tally,
  TallyCounter,
  TallyHistogram,
} from "./tallies.ts";

export const METRIC_LIMITS = {
  /** Topics with labels of their own; the rest counts as "other". */
  topics: 200,
  /** Partitions with gauges of their own. */
  partitions: 2000,
  /** Partitions with a histogram of flush times of their own. */
  flushedPartitions: 200,
} as const;

/** The label of what is past a bound. */
const OTHER = "other";

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

interface TopicTallies {
  readonly producedRecords: Tally;
  readonly producedBytes: Tally;
  readonly consumedRecords: Tally;
  readonly consumedBytes: Tally;
}

/** Of one route and status, or of one API and version. */
interface RequestTallies {
  readonly requests: Tally;
  readonly latency: BucketTally;
}

export interface MetricsSources {
  readonly process: ProcessFacts;
  readonly version: string;
  readonly brokerId: number;
  replicas(): Iterable<PartitionReplica>;
  image(): MetadataImage;
  isController(): boolean;
  holdsLease(): boolean;
}

export class BrokerMetrics implements RecordMetrics, HttpMetrics, KafkaMetrics {
  readonly #registry = new Registry();
  readonly #topics = new Map<string, TopicTallies>();
  readonly #routes = new Map<string, RequestTallies>();
  readonly #apis = new Map<string, RequestTallies>();
  readonly #latencies = new Map<string, BucketTally>();
  readonly #errors = new Map<string, Tally>();
  readonly #flushes = new Map<string, BucketTally>();
  readonly #produced = this.#counter(
    "streamnest_messages_produced_total",
    "Messages stored by this broker, through any door",
  ).tally();
  readonly #consumed = this.#counter(
    "streamnest_messages_consumed_total",
    "Messages handed out by this broker, through any door",
  ).tally();
  readonly #skipped = this.#counter(
    "streamnest_messages_skipped_total",
    "Stored messages left out because they do not conform to the schema",
  ).tally();
  readonly #topicRecords = this.#counter(
    "streamnest_topic_messages_total",
    `Messages per topic (the first ${METRIC_LIMITS.topics}, then "other") and direction`,
    ["topic", "direction"],
  );
  readonly #topicBytes = this.#counter(
    "streamnest_topic_bytes_total",
    "Bytes of keys and values per topic and direction",
    ["topic", "direction"],
  );
  readonly #httpRequests = this.#counter(
    "streamnest_http_requests_total",
    "HTTP requests by route, method and status",
    ["route", "method", "status"],
  );
  readonly #httpLatency = this.#histogram(
    "streamnest_http_request_seconds",
    "Time from a request to its answer, waits included",
    ["route", "method"],
  );
  readonly #httpBytes = this.#counter(
    "streamnest_http_body_bytes_total",
    "Bytes of HTTP bodies by direction",
    ["direction"],
  );
  readonly #httpBytesIn = this.#httpBytes.tally({ direction: "in" });
  readonly #httpBytesOut = this.#httpBytes.tally({ direction: "out" });
  readonly #kafkaRequests = this.#counter(
    "streamnest_kafka_requests_total",
    "Requests of Kafka clients by API and version",
    ["api", "version"],
  );
  readonly #kafkaLatency = this.#histogram(
    "streamnest_kafka_request_seconds",
    "Time from a Kafka request to its answer, waits included",
    ["api"],
  );
  readonly #kafkaBytes = this.#counter(
    "streamnest_kafka_bytes_total",
    "Bytes of Kafka frames by direction",
    ["direction"],
  );
  readonly #kafkaBytesIn = this.#kafkaBytes.tally({ direction: "in" });
  readonly #kafkaBytesOut = this.#kafkaBytes.tally({ direction: "out" });
  readonly #errorCounter = this.#counter(
    "streamnest_errors_total",
    "Requests answered with an error, by Kafka's name of it",
    ["code"],
  );
  readonly #flushHistogram = this.#histogram(
    "streamnest_flush_seconds",
    `Time of an fdatasync of a partition's log (the first ${METRIC_LIMITS.flushedPartitions}, then "other")`,
    ["topic", "partition"],
  );
  #kafkaConnections = 0;

  readonly controller: ControllerMetrics;
  readonly replication: ReplicationMetrics;

  constructor(sources: MetricsSources) {
    this.controller = new ControllerMetrics({
      registry: this.#registry,
      ...sources,
    });
    this.replication = new ReplicationMetrics({
      ...sources,
      registry: this.#registry,
      partitionLimit: METRIC_LIMITS.partitions,
    });
    registerStateGauges({
      ...sources,
      registry: this.#registry,
      partitionLimit: METRIC_LIMITS.partitions,
      kafkaConnections: () => this.#kafkaConnections,
    });
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** The Prometheus text exposition. */
  text(): Promise<string> {
    return this.#registry.metrics();
  }

  produced(topic: string, records: number, bytes: number): void {
    const tallies = this.#topic(topic);
    this.#produced.value += records;
    tallies.producedRecords.value += records;
    tallies.producedBytes.value += bytes;
  }

  consumed(topic: string, records: number, bytes: number): void {
    if (records === 0) return;
    const tallies = this.#topic(topic);
    this.#consumed.value += records;
    tallies.consumedRecords.value += records;
    tallies.consumedBytes.value += bytes;
  }

  skipped(_topic: string, records: number): void {
    this.#skipped.value += records;
  }

  flushed(topic: string, partition: number, seconds: number): void {
    const key = `${topic}_${partition}`;
    const isFull = this.#flushes.size >= METRIC_LIMITS.flushedPartitions;
    const isOther = isFull && !this.#flushes.has(key);
    found(
      this.#flushes,
      isOther ? OTHER : key,
      () =>
        this.#flushHistogram.tally(
          isOther
            ? { topic: OTHER, partition: OTHER }
            : { topic, partition: `${partition}` },
        ),
    ).observe(seconds);
  }

  connections(open: number): void {
    this.#kafkaConnections = open;
  }

  observe(observation: HttpObservation | KafkaObservation): void {
    if ("api" in observation) this.#observeKafka(observation);
    else this.#observeHttp(observation);
  }

  #observeKafka(observation: KafkaObservation): void {
    const { api, version, seconds, errorCode } = observation;
    const tallies = found(this.#apis, `${version} ${api}`, () => ({
      requests: this.#kafkaRequests.tally({ api, version: `${version}` }),
      latency: found(
        this.#latencies,
        `kafka ${api}`,
        () => this.#kafkaLatency.tally({ api }),
      ),
    }));
    tallies.requests.value++;
    tallies.latency.observe(seconds);
    this.#kafkaBytesIn.value += observation.bytesIn;
    this.#kafkaBytesOut.value += observation.bytesOut;
    if (errorCode !== undefined) this.#error(errorCodeOf(errorCode));
  }

  #observeHttp(observation: HttpObservation): void {
    const { route, method, status, seconds, errorCode } = observation;
    const tallies = found(this.#routes, `${status} ${method} ${route}`, () => ({
      requests: this.#httpRequests.tally({
        route,
        method,
        status: `${status}`,
      }),
      latency: found(
        this.#latencies,
        `http ${method} ${route}`,
        () => this.#httpLatency.tally({ route, method }),
      ),
    }));
    tallies.requests.value++;
    tallies.latency.observe(seconds);
    this.#httpBytesIn.value += observation.bytesIn;
    this.#httpBytesOut.value += observation.bytesOut;
    if (errorCode !== undefined) this.#error(errorCode);
  }

  #error(code: string): void {
    found(this.#errors, code, () => this.#errorCounter.tally({ code })).value++;
  }

  #topic(topic: string): TopicTallies {
    const known = this.#topics.get(topic);
    if (known !== undefined) return known;
    const isFull = this.#topics.size >= METRIC_LIMITS.topics;
    if (isFull && topic !== OTHER) return this.#topic(OTHER);
    const produced = { topic, direction: "produced" };
    const consumed = { topic, direction: "consumed" };
    const tallies = {
      producedRecords: this.#topicRecords.tally(produced),
      producedBytes: this.#topicBytes.tally(produced),
      consumedRecords: this.#topicRecords.tally(consumed),
      consumedBytes: this.#topicBytes.tally(consumed),
    };
    this.#topics.set(topic, tallies);
    return tallies;
  }

  #counter(
    name: string,
    help: string,
    labelNames: readonly string[] = [],
  ): TallyCounter {
    const registry = this.#registry;
    return new TallyCounter({ registry, name, help, labelNames });
  }

  #histogram(
    name: string,
    help: string,
    labelNames: readonly string[],
  ): TallyHistogram {
    return new TallyHistogram({
      registry: this.#registry,
      name,
      help,
      labelNames,
      buckets: LATENCY_BUCKETS,
    });
  }
}

/** The value under `key`, made when it is first asked for. */
function found<Value>(
  map: Map<string, Value>,
  key: string,
  make: () => Value,
): Value {
  let value = map.get(key);
  if (value === undefined) map.set(key, value = make());
  return value;
}
