/**
 * The settings of a topic: one table with Kafka's names, types, defaults and
 * words, read by topic creation, by descriptions of both doors, and by the
 * README's check. Owns names and ranges; what they do is the log's.
 */
import {
  DEFAULT_LOG_CONFIG,
  type LogConfig,
} from "../storage/log/log_config.ts";

interface SettingRow {
  readonly kind: "number" | "list" | "choice";
  /** Undefined: unset. */
  readonly default: string | undefined;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly choices?: readonly string[];
  readonly documentation: string;
}

const INT32 = 2 ** 31 - 1;
const SAFE = Number.MAX_SAFE_INTEGER;

function number(
  defaultValue: number | undefined,
  minimum: number,
  maximum: number,
  documentation: string,
): SettingRow {
  return {
    kind: "number",
    default: defaultValue?.toString(),
    minimum,
    maximum,
    documentation,
  };
}

export const TOPIC_SETTINGS = {
  "cleanup.policy": {
    kind: "list",
    default: "delete",
    choices: ["delete", "compact"],
    documentation:
      "delete removes old segments by time and size; compact keeps the last record of each key; both may be given",
  },
  "compression.type": {
    kind: "choice",
    default: "producer",
    choices: ["producer"],
    documentation: "producer stores batches compressed as they were sent",
  },
  "delete.retention.ms": number(
    DEFAULT_LOG_CONFIG.deleteRetentionMs,
    0,
    SAFE,
    "How long a tombstone of a compacted topic can still be read",
  ),
  "flush.messages": number(
    1,
    1,
    SAFE,
    "Records after which the log is flushed to disk: 1 flushes before every acknowledgement, more acknowledges from the page cache",
  ),
  "flush.ms": number(
    undefined,
    0,
    INT32,
    "Longest time that a record stays only in the page cache, where flush.messages does not flush it sooner",
  ),
  "index.interval.bytes": number(
    DEFAULT_LOG_CONFIG.indexIntervalBytes,
    1,
    INT32,
    "Bytes of records per entry of the offset index",
  ),
  "max.compaction.lag.ms": number(
    DEFAULT_LOG_CONFIG.maxCompactionLagMs,
    1,
    SAFE,
    "Age at which a record is compacted whatever the dirty ratio",
  ),
  "max.message.bytes": number(
    1_048_588,
    1,
    100 * 1024 * 1024,
    "Largest message over HTTP, and largest record batch of a Kafka client, in bytes as stored",
  ),
  "message.timestamp.after.max.ms": number(
    3_600_000,
    0,
    SAFE,
    "How far in the future a record's own timestamp may be",
  ),
  "message.timestamp.before.max.ms": number(
    SAFE,
    0,
    SAFE,
    "How far in the past a record's own timestamp may be",
  ),
  "message.timestamp.type": {
    kind: "choice",
    default: "CreateTime",
    choices: ["CreateTime", "LogAppendTime"],
    documentation:
      "Whether a record keeps its producer's timestamp or gets the broker's",
  },
  "min.cleanable.dirty.ratio": {
    ...number(
      DEFAULT_LOG_CONFIG.minCleanableDirtyRatio,
      0,
      1,
      "Share of a compacted log that must be new before it is compacted again",
    ),
  },
  "min.compaction.lag.ms": number(
    DEFAULT_LOG_CONFIG.minCompactionLagMs,
    0,
    SAFE,
    "Age below which a record is not compacted",
  ),
  "min.insync.replicas": number(
    undefined,
    1,
    INT32,
    "In-sync replicas that a record must reach before it is acknowledged; by default the majority of the topic's replicas",
  ),
  "retention.bytes": number(
    DEFAULT_LOG_CONFIG.retentionBytes,
    -1,
    SAFE,
    "Size of a partition above which its oldest segments are deleted; -1: unlimited",
  ),
  "retention.ms": number(
    DEFAULT_LOG_CONFIG.retentionMs,
    -1,
    SAFE,
    "Age above which a partition's segments are deleted; -1: never",
  ),
  "segment.bytes": number(
    DEFAULT_LOG_CONFIG.segmentBytes,
    1024,
    INT32,
    "Size at which a segment is closed and the next begun",
  ),
  "segment.ms": number(
    DEFAULT_LOG_CONFIG.segmentMs,
    1,
    SAFE,
    "Age at which a segment is closed and the next begun",
  ),
  "unclean.leader.election.enable": {
    kind: "choice",
    default: "false",
    choices: ["true", "false"],
    documentation:
      "Whether a replica that is not in sync may lead when no in-sync one is left, at the price of acknowledged records",
  },
} as const satisfies Record<string, SettingRow>;

export type TopicSettingName = keyof typeof TOPIC_SETTINGS;

/** A topic's settings as the broker uses them. */
export interface TopicSettings {
  readonly log: LogConfig;
  readonly flushMessages: number;
  readonly flushMs: number | undefined;
  readonly maxMessageBytes: number;
  readonly minInsyncReplicas: number;
  readonly uncleanLeaderElection: boolean;
  readonly logAppendTime: boolean;
  readonly timestampBeforeMaxMs: number;
  readonly timestampAfterMaxMs: number;
}

/** Only the settings that differ from the defaults, as text. */
export type TopicConfig = { readonly [name: string]: string };

export function isTopicSetting(name: string): name is TopicSettingName {
  return Object.hasOwn(TOPIC_SETTINGS, name);
}

/** What is wrong with a setting, as a sentence without full stop. */
export function topicSettingFault(
  name: string,
  value: string,
): string | undefined {
  if (!isTopicSetting(name)) return `"${brief(name)}" is not a topic setting`;
  const row: SettingRow = TOPIC_SETTINGS[name];
  if (row.kind !== "number") return choiceFault(name, row, value);
  const { minimum = 0, maximum = SAFE } = row;
  const pattern = name === "min.cleanable.dirty.ratio"
    ? /^\d(\.\d{1,9})?$/
    : /^-?\d{1,16}$/;
  const parsed = pattern.test(value) ? Number(value) : NaN;
  return parsed >= minimum && parsed <= maximum
    ? undefined
    : `"${name}" takes a number from ${minimum} to ${maximum}, not "${
      brief(value)
    }"`;
}

function choiceFault(
  name: string,
  row: SettingRow,
  value: string,
): string | undefined {
  const values = row.kind === "list" ? partsOf(value) : [value];
  const odd = values.find((each, index) =>
    !row.choices?.includes(each) || values.indexOf(each) !== index
  );
  return odd === undefined
    ? undefined
    : `"${name}" takes ${row.choices?.join(", ")}, not "${brief(value)}"`;
}

/** One text for all ways to write the same value, which has no fault. */
export function normalSettingText(
  name: TopicSettingName,
  value: string,
): string {
  const { kind } = TOPIC_SETTINGS[name];
  if (kind === "number") return String(Number(value));
  return kind === "list" ? partsOf(value).join(",") : value;
}

function partsOf(list: string): string[] {
  return list.split(",").map((part) => part.trim());
}

/** As much of a user's text as a message quotes. */
function brief(text: string): string {
  return text.length <= 50 ? text : `${text.slice(0, 50)}...`;
}

/** What the settings of a topic follow from. */
export interface ConfiguredTopic {
  readonly config: TopicConfig;
  readonly replicationFactor: number;
}

/** The text of a setting: the topic's, else the broker's, else the default. */
export function topicSettingText(
  name: TopicSettingName,
  topic: ConfiguredTopic,
  brokerDefaults: TopicConfig,
): string | undefined {
  const own = topic.config[name];
  if (own === undefined && name === "min.insync.replicas") {
    return String(defaultMinInsync(topic, brokerDefaults[name]));
  }
  return own ?? brokerDefaults[name] ?? TOPIC_SETTINGS[name].default;
}

/** The broker's default never asks for more replicas than a topic has. */
function defaultMinInsync(
  { replicationFactor }: ConfiguredTopic,
  brokerDefault: string | undefined,
): number {
  return brokerDefault === undefined
    ? Math.floor(replicationFactor / 2) + 1
    : Math.min(Number(brokerDefault), replicationFactor);
}

/** As `readTopicSettings` has it, at a small part of its cost. */
export function minInsyncReplicasOf(
  topic: ConfiguredTopic,
  brokerDefaults: TopicConfig,
): number {
  return Number(topicSettingText("min.insync.replicas", topic, brokerDefaults));
}

/** Whether topics that do not say themselves are flushed before acknowledgement. */
export function flushesByDefault(brokerDefaults: TopicConfig): boolean {
  const topic = { config: {}, replicationFactor: 1 };
  return Number(topicSettingText("flush.messages", topic, brokerDefaults)) ===
    1;
}

/** Neither `topic.config` nor `brokerDefaults` holds faults. */
export function readTopicSettings(
  topic: ConfiguredTopic,
  brokerDefaults: TopicConfig,
): TopicSettings {
  const text = (name: TopicSettingName) =>
    topicSettingText(name, topic, brokerDefaults);
  const value = (name: TopicSettingName) => Number(text(name));
  const policies = partsOf(text("cleanup.policy") ?? "");
  const flushMs = text("flush.ms");
  return {
    log: {
      segmentBytes: value("segment.bytes"),
      segmentMs: value("segment.ms"),
      indexIntervalBytes: value("index.interval.bytes"),
      retentionMs: value("retention.ms"),
      retentionBytes: value("retention.bytes"),
      cleanupPolicy: {
        delete: policies.includes("delete"),
        compact: policies.includes("compact"),
      },
      deleteRetentionMs: value("delete.retention.ms"),
      minCompactionLagMs: value("min.compaction.lag.ms"),
      maxCompactionLagMs: value("max.compaction.lag.ms"),
      minCleanableDirtyRatio: value("min.cleanable.dirty.ratio"),
      producerIdExpirationMs: DEFAULT_LOG_CONFIG.producerIdExpirationMs,
    },
    flushMessages: value("flush.messages"),
    flushMs: flushMs === undefined ? undefined : Number(flushMs),
    maxMessageBytes: value("max.message.bytes"),
    minInsyncReplicas: minInsyncReplicasOf(topic, brokerDefaults),
    uncleanLeaderElection: text("unclean.leader.election.enable") === "true",
    logAppendTime: text("message.timestamp.type") === "LogAppendTime",
    timestampBeforeMaxMs: value("message.timestamp.before.max.ms"),
    timestampAfterMaxMs: value("message.timestamp.after.max.ms"),
  };
}
