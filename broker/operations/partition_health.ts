/**
 * How many partitions are not well, over the whole cluster: a pure count over
 * one picture of it. What lives counts, not what the states still say of brokers
 * that have died since.
 */
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
  const isAlive = (id: number) => image.isAlive(id);
  for (const topic of image.topics.values()) {
    if (!topic.isInternal) health.topics++;
    const { minInsyncReplicas } = readTopicSettings(topic, topicDefaults);
    for (let partition = 0; partition < topic.partitions; partition++) {
      const state = topic.partitionStates[partition];
      health.partitions++;
      if (!isLed(state, isAlive)) health.withoutLeader++;
      if (state === undefined) continue;
      const inSync = state.isr.filter(isAlive);
      if (inSync.length < neededInSync(minInsyncReplicas, state)) {
        health.underMinIsr++;
      }
      if (isUnderReplicated(state, inSync)) health.underReplicated++;
    }
  }
  return health;
}

function isLed(
  state: PartitionImage | undefined,
  isAlive: (brokerId: number) => boolean,
): boolean {
  const leader = state?.leader ?? null;
  return leader !== null && isAlive(leader);
}

/** Replicas that are being added are not missed yet (KIP-455). */
export function isUnderReplicated(
  { replicas, adding = [] }: Pick<PartitionFact, "replicas" | "adding">,
  inSync: readonly number[],
): boolean {
  return replicas.some((id) => !inSync.includes(id) && !adding.includes(id));
}
