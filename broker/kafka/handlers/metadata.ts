/**
 * Metadata 0-12: the brokers and where each partition is led. Makes a topic that
 * is asked for by name and is not there, when client and broker allow it.
 */
import { type ErrorCode, Failure } from "../../../contract/errors.ts";
import type {
  MetadataImage,
  TopicImage,
} from "../../cluster/metadata_image.ts";
import type { MetadataView } from "../../cluster/metadata_view.ts";
import { orUnavailable } from "../../operations/metadata_failure.ts";
import type { TopicOperations } from "../../operations/operations.ts";
import { controllerOf, kafkaBrokers, kafkaCode } from "../answers.ts";
import { ZERO_UUID } from "../codec/primitives.ts";
import { serve } from "../handler.ts";
import { metadataApi } from "../messages/metadata.ts";

/** Topics that one request may make; clients ask for a few. */
export const AUTO_CREATED_PER_REQUEST = 100;

export interface MetadataHandlerOptions {
  readonly view: MetadataView;
  readonly topics: TopicOperations;
  readonly brokerId: number;
  readonly autoCreateTopics: boolean;
}

interface AskedTopic {
  readonly name: string | null;
  readonly topicId: string;
}

export function metadataHandler(options: MetadataHandlerOptions) {
  const { view, brokerId } = options;
  return serve(metadataApi, async (request, { apiVersion, local }) => {
    const mayCreate = options.autoCreateTopics &&
      (apiVersion < 4 || request.allowAutoTopicCreation);
    const creations = { left: mayCreate ? AUTO_CREATED_PER_REQUEST : 0 };
    const wantsAll = request.topics === null ||
      (apiVersion === 0 && request.topics.length === 0);
    const topics = wantsAll
      ? [...view.image.topics.values()]
        .map((topic) => describeTopic(topic, view.image, apiVersion))
      : await Promise.all(
        (request.topics ?? []).map((topic) =>
          oneTopic(options, topic, creations, apiVersion)
        ),
      );
    return {
      brokers: kafkaBrokers(view.image.aliveBrokers(), local)
        .map(({ id, ...broker }) => ({ nodeId: id, ...broker })),
      clusterId: view.image.clusterId,
      controllerId: controllerOf(view.image, brokerId),
      topics,
    };
  });
}

async function oneTopic(
  options: MetadataHandlerOptions,
  asked: AskedTopic,
  creations: { left: number },
  apiVersion: number,
) {
  const { view } = options;
  if (asked.name === null || asked.topicId !== ZERO_UUID) {
    const topic = await looked(view, () => view.image.topicById(asked.topicId));
    return topic === undefined
      ? faultyTopic(asked, "UNKNOWN_TOPIC_ID", apiVersion)
      : describeTopic(topic, view.image, apiVersion);
  }
  const { name } = asked;
  const find = () => looked(view, () => view.image.topics.get(name));
  const known = await find();
  if (known !== undefined) return describeTopic(known, view.image, apiVersion);
  if (creations.left > 0) {
    creations.left--;
    const created = await options.topics.create({ topic: name });
    const topic = await find();
    if (topic !== undefined) {
      return describeTopic(topic, view.image, apiVersion);
    }
    if (created instanceof Failure) {
      return faultyTopic(asked, created.code, apiVersion);
    }
  }
  return faultyTopic(asked, "UNKNOWN_TOPIC_OR_PARTITION", apiVersion);
}

/** What `find` finds, if need be after a second look at the store. */
async function looked(
  view: MetadataView,
  find: () => TopicImage | undefined,
): Promise<TopicImage | undefined> {
  const known = find();
  if (known !== undefined) return known;
  await orUnavailable(() => view.catchUp());
  return find();
}

function faultyTopic(asked: AskedTopic, code: ErrorCode, apiVersion: number) {
  return {
    errorCode: kafkaCode(code),
    name: apiVersion >= 12 ? asked.name : asked.name ?? "",
    topicId: asked.topicId,
    isInternal: false,
    partitions: [],
  };
}

function describeTopic(
  topic: TopicImage,
  image: MetadataImage,
  apiVersion: number,
) {
  return {
    errorCode: 0,
    name: topic.name,
    topicId: topic.topicId,
    isInternal: topic.isInternal,
    partitions: Array.from({ length: topic.partitions }, (_, index) => {
      const state = topic.partitionStates[index];
      const replicas = state?.replicas ?? [];
      const leader = state?.leader ?? -1;
      const hasLeader = leader >= 0 && image.isAlive(leader);
      return {
        errorCode: hasLeader ? 0 : kafkaCode("LEADER_NOT_AVAILABLE"),
        partitionIndex: index,
        leaderId: hasLeader ? leader : -1,
        leaderEpoch: state?.leaderEpoch ?? -1,
        replicaNodes: [...replicas],
        isrNodes: [...state?.isr ?? []],
        offlineReplicas: apiVersion >= 5
          ? replicas.filter((id) => !image.isAlive(id))
          : [],
      };
    }),
  };
}
