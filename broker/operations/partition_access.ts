/**
 * From a topic's name and a partition's number to the replica that serves them,
 * or to the reason why none does. Both doors and all operations ask here.
 */
import { Failure } from "../../contract/errors.ts";
import type { TopicImage } from "../cluster/metadata_image.ts";
import type { MetadataView } from "../cluster/metadata_view.ts";
import type { PartitionReplica } from "../replication/partition_replica.ts";
import type { ReplicaManager } from "../replication/replica_manager.ts";
import { brokerDescription } from "./descriptions.ts";
import { orUnavailable } from "./metadata_failure.ts";
import type { PartitionRoute } from "./operations.ts";

export class PartitionAccess {
  readonly #view: MetadataView;
  readonly #replicas: ReplicaManager;
  readonly #brokerId: number;

  constructor(
    view: MetadataView,
    replicas: ReplicaManager,
    brokerId: number,
  ) {
    this.#view = view;
    this.#replicas = replicas;
    this.#brokerId = brokerId;
  }

  /** What this broker knows now. */
  knownTopic(topic: string): TopicImage | undefined {
    return this.#view.image.topics.get(topic);
  }

  /** Asks the store before it calls a topic unknown: another made it just now. */
  async topic(topic: string): Promise<TopicImage | Failure> {
    return this.knownTopic(topic) ?? await this.#freshTopic(topic);
  }

  /** The replica that leads here, when the image has it. */
  leader(topic: string, partition: number): PartitionReplica | undefined {
    const replica = this.#replicas.replica(topic, partition);
    return replica?.isLeader ? replica : undefined;
  }

  /** The same, after a second look at the store, or why there is none. */
  async requireLeader(
    topic: string,
    partition: number,
  ): Promise<PartitionReplica | Failure> {
    const known = this.leader(topic, partition);
    if (known !== undefined) return known;
    const image = hasPartition(this.knownTopic(topic), partition) ??
      await this.#freshTopic(topic);
    if (image instanceof Failure) return image;
    const found = this.leader(topic, partition);
    if (found !== undefined) return found;
    const route = this.#routeIn(image, partition);
    if (route instanceof Failure) return route;
    if (!route.isLocal) {
      return new Failure(
        "NOT_LEADER_OR_FOLLOWER",
        `Partition ${partition} of topic "${topic}" is led by broker ${route.broker.id}, not by this one`,
        { retryAfterMs: 100 },
      );
    }
    return new Failure(
      "KAFKA_STORAGE_ERROR",
      `Partition ${partition} of topic "${topic}" is offline on broker ${this.#brokerId}: see its log`,
      { retryAfterMs: 1000 },
    );
  }

  route(
    topic: string,
    partition: number,
  ): PartitionRoute | Failure | Promise<PartitionRoute | Failure> {
    const image = hasPartition(this.knownTopic(topic), partition);
    return image === undefined
      ? this.#freshRoute(topic, partition)
      : this.#routeIn(image, partition);
  }

  async #freshRoute(
    topic: string,
    partition: number,
  ): Promise<PartitionRoute | Failure> {
    const image = await this.#freshTopic(topic);
    return image instanceof Failure ? image : this.#routeIn(image, partition);
  }

  async #freshTopic(topic: string): Promise<TopicImage | Failure> {
    const image = await orUnavailable(() => this.#view.catchUp());
    return image instanceof Failure
      ? image
      : image.topics.get(topic) ?? unknownTopic(topic);
  }

  #routeIn(topic: TopicImage, partition: number): PartitionRoute | Failure {
    if (hasPartition(topic, partition) === undefined) {
      return new Failure(
        "UNKNOWN_TOPIC_OR_PARTITION",
        `Topic "${topic.name}" has no partition ${partition}: it has ${topic.partitions}, from 0 to ${
          topic.partitions - 1
        }`,
        { field: "partition" },
      );
    }
    const leader = topic.partitionStates[partition]?.leader ?? null;
    const broker = leader === null
      ? undefined
      : this.#view.image.brokers.get(leader);
    if (broker === undefined) {
      return new Failure(
        "LEADER_NOT_AVAILABLE",
        `Partition ${partition} of topic "${topic.name}" has no leader now`,
        { retryAfterMs: 1000 },
      );
    }
    const isLocal = leader === this.#brokerId;
    if (!isLocal && broker.incarnation === undefined) {
      return new Failure(
        "LEADER_NOT_AVAILABLE",
        `Partition ${partition} of topic "${topic.name}" is led by broker ${leader}, which is down`,
        { retryAfterMs: 1000 },
      );
    }
    return { isLocal, broker: brokerDescription(broker) };
  }
}

/** The topic, when it has that partition. */
function hasPartition(
  topic: TopicImage | undefined,
  partition: number,
): TopicImage | undefined {
  return topic !== undefined && partition >= 0 && partition < topic.partitions
    ? topic
    : undefined;
}

export function unknownTopic(topic: string): Failure {
  return new Failure(
    "UNKNOWN_TOPIC_OR_PARTITION",
    `There is no topic "${topic}"`,
    { field: "topic" },
  );
}
