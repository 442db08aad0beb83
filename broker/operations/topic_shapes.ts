/**
 * What a topic is asked to be, and whether that can be: numbers and settings by
 * themselves. What the cluster has room for is `new_replicas.ts`.
 */
import { Failure } from "../../contract/errors.ts";
import type { TopicConfigInput } from "../../contract/http.ts";
import { CONTRACT_LIMITS } from "../../contract/limits.ts";
import type { TopicImage } from "../cluster/metadata_image.ts";
import {
  isTopicSetting,
  normalSettingText,
  type TopicConfig,
  topicSettingFault,
} from "../topic_config.ts";

/** Faults of settings named in one answer. */
const MAX_FAULTS = 20;

/** A topic as it was asked for; what was left out is undefined. */
export interface AskedTopic {
  readonly partitions: number;
  readonly replicationFactor: number | undefined;
  readonly config: TopicConfig;
}

export function partitionCountFault(partitions: number): Failure | undefined {
  const most = CONTRACT_LIMITS.partitionsPerTopic;
  const isFine = Number.isInteger(partitions) && partitions >= 1 &&
    partitions <= most;
  return isFine ? undefined : new Failure(
    "INVALID_PARTITIONS",
    `A topic has from 1 to ${most} partitions, not ${partitions}`,
    { field: "partitions" },
  );
}

/** `changes` on top of `config`; null takes a setting out. */
export function mergedConfig(
  config: TopicConfig,
  changes: TopicConfigInput,
): TopicConfig | Failure {
  const merged: { [name: string]: string } = { ...config };
  const faults: string[] = [];
  for (const [name, value] of Object.entries(changes)) {
    const isRemoval = value === null && isTopicSetting(name);
    const fault = isRemoval ? undefined : topicSettingFault(name, `${value}`);
    if (isRemoval) delete merged[name];
    else if (fault === undefined && isTopicSetting(name)) {
      merged[name] = normalSettingText(name, `${value}`);
    } else if (faults.length < MAX_FAULTS && fault !== undefined) {
      faults.push(fault);
    }
  }
  return faults.length === 0
    ? merged
    : new Failure("INVALID_CONFIG", faults.join("; "), { field: "config" });
}

export function compareShapes(
  existing: TopicImage,
  asked: AskedTopic,
): { status: "exists" } | Failure {
  const text = (config: TopicConfig) =>
    JSON.stringify(Object.entries(config).sort());
  const isSame = existing.partitions === asked.partitions &&
    (asked.replicationFactor ?? existing.replicationFactor) ===
      existing.replicationFactor &&
    text(existing.config) === text(asked.config);
  return isSame ? { status: "exists" } : new Failure(
    "TOPIC_ALREADY_EXISTS",
    `Topic "${existing.name}" exists with ${existing.partitions} partitions, replication factor ${existing.replicationFactor} and settings ${
      JSON.stringify(existing.config)
    }`,
    { field: "topic" },
  );
}
