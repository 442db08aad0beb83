/**
 * What is not well with a partition, and how many are not well over the whole
 * cluster: pure functions of one picture of it. What lives counts, not what the
 * states still say of brokers that have died since.
 */
import type { PartitionState } from "../../contract/http.ts";
import type {
  MetadataImage,
  PartitionImage,
} from "../cluster/metadata_image.ts";
import { neededInSync } from "../cluster/eligible.ts";
import type { PartitionFact } from "../cluster/facts.ts";
import { readTopicSettings, type TopicConfig } from "../topic_config.ts";
import type { PartitionHealth } from "./operations.ts";

export function partitionHealth(
  image: MetadataImage,
  topicDefaults: TopicConfig,
): PartitionHealth {
  const health = {
    topics: 0,
    partitions: 0,
    withoutLeader: 0,
    underMinIsr: 0,
    underReplicated: 0,
  };
  for (const topic of image.topics.values()) {
    if (!topic.isInternal) health.topics++;
    const { minInsyncReplicas } = readTopicSettings(topic, topicDefaults);
    for (let partition = 0; partition < topic.partitions; partition++) {
      const state = topic.partitionStates[partition];
      const ills = illsOf(state, { image, minInsyncReplicas });
      health.partitions++;
      if (ills.isWithoutLeader) health.withoutLeader++;
      if (ills.isUnderMinIsr) health.underMinIsr++;
      if (ills.isUnderReplicated) health.underReplicated++;
    }
  }
  return health;
}

/** Undefined: the metadata do not have it yet. */
export function partitionState(
  state: PartitionImage | undefined,
  rules: HealthRules,
): PartitionState {
  const ills = illsOf(state, rules);
  if (ills.isWithoutLeader) return "no leader";
  if (ills.isUnderMinIsr) return "under min.insync.replicas";
  if (ills.isUnderReplicated) return "under-replicated";
  const { adding = [], removing = [] } = state ?? {};
  return adding.length + removing.length > 0 ? "moving" : "ok";
}

export interface HealthRules {
  readonly image: MetadataImage;
  /** Of the partition's topic. */
  readonly minInsyncReplicas: number;
}

function illsOf(
  state: PartitionImage | undefined,
  { image, minInsyncReplicas }: HealthRules,
) {
  if (state === undefined) {
    return {
      isWithoutLeader: true,
      isUnderMinIsr: false,
      isUnderReplicated: false,
    };
  }
  const inSync = state.isr.filter((id) => image.isAlive(id));
  return {
    isWithoutLeader: state.leader === null || !image.isAlive(state.leader),
    isUnderMinIsr: inSync.length < neededInSync(minInsyncReplicas, state),
    isUnderReplicated: isUnderReplicated(state, inSync),
  };
}

/** Replicas that are being added are not missed yet (KIP-455). */
export function isUnderReplicated(
  { replicas, adding = [] }: Pick<PartitionFact, "replicas" | "adding">,
  inSync: readonly number[],
): boolean {
  return replicas.some((id) => !inSync.includes(id) && !adding.includes(id));
}
