/**
 * What the metadata store holds for a cluster: its keys and the JSON under them.
 * Owns names, shapes and their reading; refuses to know how they change.
 *
 * A value that does not have its shape was written by a newer version or by
 * hand: reading it throws `FactError`, and the broker says which key it was.
 */

/** `/brokers/<id>`: stays after the broker is gone. */
export interface BrokerFact {
  readonly id: number;
  readonly host: string;
  readonly httpPort: number;
  readonly kafkaPort: number | null;
  readonly rack: string | null;
  /** HTTP addresses of the only brokers it may connect to; absent: any. */
  readonly confinedTo?: readonly string[];
}

/** `/live/<id>`: lives by the broker's lease. */
export interface LiveFact {
  /** New at every start, so that two runs of a broker are told apart. */
  readonly incarnation: string;
  /** It is about to stop: it leads what nobody else can lead, and no more. */
  readonly isLeaving?: boolean;
}

/** As it stands in the store, so that others can compare it. */
export function liveValue({ incarnation, isLeaving }: LiveFact): string {
  return JSON.stringify({
    incarnation,
    ...(isLeaving ? { isLeaving: true } : {}),
  });
}

/** `/controller`: lives by the lease of the broker that holds the office. */
export interface ControllerFact {
  readonly brokerId: number;
  readonly incarnation: string;
}

/**
 * `/balance`: what an operator asked for and the controller works on, one bounded
 * step after the other, until nothing is left to move. An intent, not a plan: the
 * plan follows from the state of the cluster at every moment.
 */
export interface BalanceFact {
  readonly kind: "rebalance" | "drain";
  /** Of `drain`: the broker that is emptied. */
  readonly brokerId?: number;
  /** Bytes per second that a broker fetches for new replicas; null: all it can. */
  readonly throttleBytesPerSecond: number | null;
  readonly startedAtMs: number;
}

/** `/topics/<name>`. */
export interface TopicFact {
  /** A UUID: a topic made again under the same name has another. */
  readonly topicId: string;
  readonly partitions: number;
  readonly replicationFactor: number;
  /** Only what differs from the broker's defaults, by Kafka's names. */
  readonly config: { readonly [name: string]: string };
  readonly isInternal: boolean;
  /**
   * How often it went over to being flushed before acknowledgement
   * (`flush_periods.ts`); absent: never.
   */
  readonly flushPeriod?: number;
}

/** As it goes into the store, without what an image adds to it. */
export function topicFact(topic: TopicFact): TopicFact {
  const { topicId, partitions, replicationFactor, config, isInternal } = topic;
  const { flushPeriod } = topic;
  return {
    topicId,
    partitions,
    replicationFactor,
    config,
    isInternal,
    ...(flushPeriod === undefined ? {} : { flushPeriod }),
  };
}

/** `/partitions/<topicId>/<index>`: changed only by compare-and-set (D6). */
export interface PartitionFact {
  /** null: nobody leads it. */
  readonly leader: number | null;
  readonly leaderEpoch: number;
  /**
   * All that hold a copy, the preferred leader first; while replicas move
   * (KIP-455) those that come and those that go included.
   */
  readonly replicas: readonly number[];
  /** Of `replicas`: those that have every acknowledged record. */
  readonly isr: readonly number[];
  /**
   * Of `replicas`: those that are not in sync and have every acknowledged record
   * all the same (KIP-966, `eligible.ts`); absent: none.
   */
  readonly eligible?: readonly number[];
  /** Of `replicas`: those that come; they count once they are in sync. */
  readonly adding?: readonly number[];
  /** Of `replicas`: those that go, as soon as all that come are in sync. */
  readonly removing?: readonly number[];
}

/** Likewise. */
export function partitionFact(state: PartitionFact): PartitionFact {
  const { leader, leaderEpoch, replicas, isr, ...rest } = state;
  const { eligible, adding, removing } = rest;
  return {
    leader,
    leaderEpoch,
    replicas,
    isr,
    ...(eligible === undefined ? {} : { eligible }),
    ...(adding === undefined ? {} : { adding }),
    ...(removing === undefined ? {} : { removing }),
  };
}

/** `/schemas/<id>`: one version of one subject. */
export interface SchemaFact {
  readonly id: number;
  readonly subject: string;
  readonly version: number;
  /** The schema as JSON text. */
  readonly schema: string;
}

export const KEYS = {
  root: "/",
  cluster: "/cluster",
  controller: "/controller",
  balance: "/balance",
  nextProducerId: "/next-producer-id",
  nextSchemaId: "/next-schema-id",
  brokers: "/brokers/",
  live: "/live/",
  topics: "/topics/",
  partitions: "/partitions/",
  schemas: "/schemas/",
  drained: "/drained/",
  broker: (id: number) => `/brokers/${id}`,
  liveBroker: (id: number) => `/live/${id}`,
  topic: (name: string) => `/topics/${name}`,
  topicPartitions: (topicId: string) => `/partitions/${topicId}/`,
  partition: (topicId: string, index: number) =>
    `/partitions/${topicId}/${index}`,
  schema: (id: number) => `/schemas/${id}`,
  /** There: the broker was emptied, and gets no replicas. */
  drainedBroker: (id: number) => `/drained/${id}`,
  /** What makes a version of a subject unique: its value is the schema's id. */
  subjectVersion: (subject: string, version: number) =>
    `/subjects/${encodeURIComponent(subject)}/${version}`,
} as const;

/** A key's value cannot be read. */
export class FactError extends Error {
  override readonly name = "FactError";
  constructor(key: string, cause: unknown) {
    super(`Cannot read the metadata under "${key}"`, { cause });
  }
}

/** The JSON under a key that this version or an older one wrote. */
export function readFact<Fact>(key: string, value: string): Fact {
  try {
    return JSON.parse(value) as Fact;
  } catch (cause) {
    throw new FactError(key, cause);
  }
}
