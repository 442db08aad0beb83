/** How the image's brokers, topics and partitions are described to both doors. */
import type {
  BrokerDescription,
  PartitionLocation,
  TopicConfigEntry,
} from "../../contract/http.ts";
import { formatAddress } from "../address.ts";
import type {
  BrokerImage,
  MetadataImage,
  TopicImage,
} from "../cluster/metadata_image.ts";
import {
  type ConfiguredTopic,
  readTopicSettings,
  TOPIC_SETTINGS,
  type TopicConfig,
  type TopicSettingName,
  topicSettingText,
} from "../topic_config.ts";
import type { TopicView } from "./operations.ts";
import { partitionState } from "./partition_health.ts";

const DESCRIBED = new WeakMap<BrokerImage, BrokerDescription>();

/** The same object for the same image: hot paths ask per request. */
export function brokerDescription(broker: BrokerImage): BrokerDescription {
  let description = DESCRIBED.get(broker);
  if (description === undefined) {
    const { host } = broker;
    description = {
      id: broker.id,
      http: formatAddress({ host, port: broker.httpPort }),
      kafka: broker.kafkaPort === null
        ? null
        : formatAddress({ host, port: broker.kafkaPort }),
      rack: broker.rack,
      alive: broker.incarnation !== undefined,
      ...(broker.isLeaving ? { leaving: true } : {}),
    };
    DESCRIBED.set(broker, description);
  }
  return description;
}

export interface DescriptionOptions {
  readonly image: MetadataImage;
  /** This broker's, for what the topic does not set. */
  readonly topicDefaults: TopicConfig;
}

export function partitionLocations(
  topic: TopicImage,
  { image, topicDefaults }: DescriptionOptions,
): PartitionLocation[] {
  const { minInsyncReplicas } = readTopicSettings(topic, topicDefaults);
  return Array.from({ length: topic.partitions }, (_, partition) => {
    const state = topic.partitionStates[partition];
    const leader = state?.leader ?? null;
    const broker = leader === null ? undefined : image.brokers.get(leader);
    return {
      partition,
      state: partitionState(state, { image, minInsyncReplicas }),
      broker: broker === undefined ? null : brokerDescription(broker).http,
      leader,
      leaderEpoch: state?.leaderEpoch ?? -1,
      replicas: [...state?.replicas ?? []],
      isr: [...state?.isr ?? []],
      ...(state?.eligible === undefined
        ? {}
        : { eligible: [...state.eligible] }),
      ...(state?.adding === undefined ? {} : { adding: [...state.adding] }),
      ...(state?.removing === undefined
        ? {}
        : { removing: [...state.removing] }),
    };
  });
}

/** In the order of the table, which is alphabetical. */
export function configEntries(
  topic: ConfiguredTopic,
  topicDefaults: TopicConfig,
): TopicConfigEntry[] {
  return Object.entries(TOPIC_SETTINGS).map(([name, { documentation }]) => ({
    name,
    value: topicSettingText(name as TopicSettingName, topic, topicDefaults) ??
      null,
    isDefault: topic.config[name] === undefined,
    documentation,
  }));
}

export function topicView(
  topic: TopicImage,
  options: DescriptionOptions,
): TopicView {
  return {
    topic: topic.name,
    topicId: topic.topicId,
    replicationFactor: topic.replicationFactor,
    isInternal: topic.isInternal,
    partitions: partitionLocations(topic, options),
    config: configEntries(topic, options.topicDefaults),
  };
}
