/**
 * What a seed decides besides its plan, with random numbers of its own: logs that
 * are cleaned, clocks that drift, a store that is away and forgets the time,
 * schemas, receipts, flushes by time. A seed's plan stays what it was before
 * these were there. Pure; owns nothing that runs.
 */
import { SeededRandom } from "./random.ts";

/** Which records of a log may go; `both`: compacted, and those that are old. */
export type CleanupPolicy = "compact" | "time" | "size" | "both";

/** A topic of one partition whose log is cleaned while it is written. */
export interface CleanedTopic {
  readonly name: string;
  readonly replicationFactor: number;
  readonly policy: CleanupPolicy;
  readonly segmentBytes: number;
  /** Of `time` and `both`. */
  readonly retentionMs: number;
  /** Of `size`. */
  readonly retentionBytes: number;
  /** Of `compact` and `both`: younger records stay. */
  readonly minCompactionLagMs: number;
  /** Likewise: how long tombstones stay. */
  readonly deleteRetentionMs: number;
  /** How many keys are written at a time. */
  readonly keys: number;
  /** Its producer has an identity. */
  readonly isIdempotent: boolean;
  /** It writes in transactions, some of which it aborts. */
  readonly isTransactional: boolean;
  /** Somebody deletes its oldest records now and then. */
  readonly isErased: boolean;
  readonly readsOver: "http" | "kafka";
}

/** Of a key only the last record has to stay. */
export function isCompacted({ policy }: CleanedTopic): boolean {
  return policy === "compact" || policy === "both";
}

/** What is old may go. */
export function isKeptByAge({ policy }: CleanedTopic): boolean {
  return policy === "time" || policy === "both";
}

export interface CleanerLimits {
  readonly intervalMs: number;
  readonly keyMapBytes: number;
}

export interface Extras {
  readonly cleaned: readonly CleanedTopic[];
  /** How often each broker cleans, and in how much memory; else the product's. */
  readonly cleaner: CleanerLimits | undefined;
  /** Of the brokers' own topics, which are compacted. */
  readonly internalSegmentBytes: number | undefined;
  /** Of the machines in order: how fast their clocks run; 1: right. */
  readonly clockRates: readonly number[];
  /** Mean time from one absence of the metadata store to the next. */
  readonly storeAwayGapMs: number | undefined;
  readonly hasSchemas: boolean;
  readonly hasReceipts: boolean;
  /** Of topics that are acknowledged from the page cache. */
  readonly flushMs: number | undefined;
  /** Who chooses brokers for replicas over the Kafka protocol. */
  readonly reassigners: number;
  /** Brokers go for good and others come under their ids, where four are. */
  readonly hasUndertaker: boolean;
  /** As `cleaned`: compacted, and by age or in transactions besides. */
  readonly mixed: readonly CleanedTopic[];
  /** A topic is deleted and made again while it is used. */
  readonly hasReborn: boolean;
}

/** A seed as it was before there were extras. */
export const NO_EXTRAS: Extras = {
  cleaned: [],
  cleaner: undefined,
  internalSegmentBytes: undefined,
  clockRates: [],
  storeAwayGapMs: undefined,
  hasSchemas: false,
  hasReceipts: false,
  flushMs: undefined,
  reassigners: 0,
  hasUndertaker: false,
  mixed: [],
  hasReborn: false,
};

/** As far as a cheap crystal is off, and further. */
const DRIFT = 0.02;
/** More than there are machines, also late ones. */
const MACHINES = 6;

export function extrasOf(seed: number): Extras {
  const random = new SeededRandom(seed, "extras");
  const isCleaned = random.chance(0.3);
  const drifts = random.chance(0.3);
  return {
    cleaned: isCleaned ? [cleanedTopicOf(random)] : [],
    cleaner: {
      intervalMs: random.pick([100, 250, 700]),
      keyMapBytes: random.pick([400, 1500, 1024 * 1024]),
    },
    internalSegmentBytes: random.chance(0.3) ? 1024 : undefined,
    clockRates: drifts
      ? Array.from({ length: MACHINES }, () => rateOf(random))
      : [],
    storeAwayGapMs: random.chance(0.15) ? random.pick([1500, 4000]) : undefined,
    hasSchemas: random.chance(0.12),
    hasReceipts: random.chance(0.3),
    flushMs: random.chance(0.5) ? random.pick([0, 50, 300]) : undefined,
    reassigners: random.chance(0.15) ? 1 : 0,
    hasUndertaker: random.chance(0.2),
    mixed: random.chance(0.15) ? [mixedTopicOf(random)] : [],
    hasReborn: random.chance(0.15),
  };
}

function rateOf(random: SeededRandom): number {
  return 1 + random.pick([-1, -1, 0, 1, 1]) * DRIFT;
}

function cleanedTopicOf(random: SeededRandom): CleanedTopic {
  const policy = random.pick(["compact", "compact", "time", "size"] as const);
  return {
    name: `cleaned-by-${policy}`,
    replicationFactor: random.pick([2, 3, 3]),
    policy,
    segmentBytes: random.integer(1024, 2048),
    retentionMs: random.pick([400, 1000]),
    retentionBytes: random.pick([1500, 4000]),
    minCompactionLagMs: random.pick([0, 0, 800]),
    deleteRetentionMs: random.pick([60_000, 60_000, 100]),
    keys: random.pick([3, 10, 40]),
    isIdempotent: random.chance(0.6),
    isTransactional: false,
    isErased: policy !== "compact" && random.chance(0.7),
    readsOver: random.pick(["http", "kafka"]),
  };
}

/**
 * Compacted and more: kept by age as well, or written in transactions. What is
 * superseded by a record that nobody was told of, and that is too old by now,
 * could not be told from what is lost: so its producer has an identity.
 */
export function mixedTopicOf(random: SeededRandom): CleanedTopic {
  const policy = random.pick(["both", "both", "compact"] as const);
  const isTransactional = policy === "compact" || random.chance(0.4);
  return {
    ...cleanedTopicOf(random),
    name: `mixed-by-${policy}`,
    policy,
    isIdempotent: true,
    isTransactional,
    isErased: policy === "both" && random.chance(0.3),
  };
}

/** The settings by which the brokers know of it. */
export function settingsOf(topic: CleanedTopic): Record<string, string> {
  const bySize = { "retention.bytes": String(topic.retentionBytes) };
  const byAge = {
    "retention.ms": String(topic.retentionMs),
    "segment.ms": "200",
  };
  const byKey = {
    "cleanup.policy": isKeptByAge(topic) ? "compact,delete" : "compact",
    "min.cleanable.dirty.ratio": "0.1",
    "min.compaction.lag.ms": String(topic.minCompactionLagMs),
    "delete.retention.ms": String(topic.deleteRetentionMs),
  };
  return {
    "segment.bytes": String(topic.segmentBytes),
    ...topic.policy === "size" ? bySize : {},
    ...isKeptByAge(topic) ? byAge : {},
    ...isCompacted(topic) ? byKey : {},
  };
}
