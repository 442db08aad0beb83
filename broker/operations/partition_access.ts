/**
 * From a topic's name and a partition's number to the replica that serves them,
 * or to the reason why none does. Both doors and all operations ask here.
 */
import { Failure } from "../../contract/errors.ts";
import type { PartitionFact } from "../cluster/facts.ts";
import type { MetadataImage, TopicImage } from "../cluster/metadata_image.ts";
import { hasSuccessor } from "../cluster/hand_over.ts";
import type { MetadataView } from "../cluster/metadata_view.ts";
import type { PartitionReplica } from "../replication/partition_replica.ts";
import type { ReplicaManager } from "../replication/replica_manager.ts";
import { brokerDescription } from "./descriptions.ts";
import { orUnavailable } from "./metadata_failure.ts";
import type { PartitionRoute } from "./operations.ts";
import { endNotKnown } from "./read_bounds.ts";

export interface PartitionAccessOptions {
  readonly view: MetadataView;
  readonly replicas: ReplicaManager;
  readonly brokerId: number;
  /** False once others may have taken over what this broker leads. */
  holdsLease(): boolean;
}

export class PartitionAccess {
  readonly #view: MetadataView;
  readonly #replicas: ReplicaManager;
  readonly #brokerId: number;
  readonly #holdsLease: () => boolean;
  #isHandingOver = false;

  constructor(options: PartitionAccessOptions) {
    this.#view = options.view;
    this.#replicas = options.replicas;
    this.#brokerId = options.brokerId;
    this.#holdsLease = options.holdsLease;
  }

  /** False once others may have taken over what this broker leads. */
  get holdsLease(): boolean {
    return this.#holdsLease();
  }

  /** From now on nothing is appended here that another broker can take. */
  handOver(): void {
    this.#isHandingOver = true;
  }

  /**
   * Why it cannot be said where the readable records end: this broker leads no
   * more, or does not know yet (KIP-207). A stale end would send readers back.
   */
  endNotKnown(replica: PartitionReplica): Failure | undefined {
    return this.#holdsLease() ? endNotKnown(replica) : replica.notLeader();
  }

  /**
   * Before a reader is told that its offset lies beyond the end: it may have read
   * further at a leader that this broker has not heard of. Undefined: this one
   * leads, as the store says now.
   */
  async confirmLeader(replica: PartitionReplica): Promise<Failure | undefined> {
    const [moved] = await this.confirmLeaders([replica]);
    return moved;
  }

  /** The same for each of several, with one look at the store. */
  async confirmLeaders(
    replicas: readonly PartitionReplica[],
  ): Promise<(Failure | undefined)[]> {
    // As they are before what the store says changes any of them.
    const epochs = replicas.map(({ leaderEpoch }) => leaderEpoch);
    const image = await orUnavailable(() => this.#view.catchUp());
    const knows = !(image instanceof Failure) && this.#holdsLease();
    return replicas.map((replica, index) => {
      const epoch = epochs[index];
      const leads = knows && epoch !== undefined &&
        replica.leaderEpoch === epoch;
      return leads ? undefined : replica.notLeader();
    });
  }

  /** What this broker knows now. */
  knownTopic(topic: string): TopicImage | undefined {
    return this.#view.image.topics.get(topic);
  }

  /** Asks the store before it calls a topic unknown: another made it just now. */
  async topic(topic: string): Promise<TopicImage | Failure> {
    return this.knownTopic(topic) ?? await this.#freshTopic(topic);
  }

  /** The replica here, whether it leads or not. */
  replica(topic: string, partition: number): PartitionReplica | undefined {
    return this.#replicas.replica(topic, partition);
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
    const replica = this.#replicas.replica(topic, partition);
    // It has not taken up yet what the metadata gave to it.
    if (replica !== undefined) return replica.notLeader();
    return new Failure(
      "KAFKA_STORAGE_ERROR",
      `Partition ${partition} of topic "${topic}" is offline on broker ${this.#brokerId}: see its log`,
      { retryAfterMs: 1000 },
    );
  }

  /**
   * As `leader`, for what is to be appended: nothing more is once this broker
   * stops and another can take over, so that what was appended before can still
   * be acknowledged. Whoever is refused has written nothing and may go there.
   */
  appender(
    topic: string,
    partition: number,
  ): PartitionReplica | Failure | undefined {
    if (!this.#isHandingOver) return this.leader(topic, partition);
    const { image } = this.#view;
    const state = this.knownTopic(topic)?.partitionStates[partition];
    const isHandedOver = state?.leader === this.#brokerId &&
      hasSuccessor(state, image, this.#brokerId);
    return isHandedOver
      ? new Failure(
        "NOT_LEADER_OR_FOLLOWER",
        `Broker ${this.#brokerId} is about to stop, and another one to lead partition ${partition} of topic "${topic}"`,
        { retryAfterMs: 100 },
      )
      : this.leader(topic, partition);
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

  /** Of a leader that lives, as far as this broker knows. */
  leaderEpoch(topic: string, partition: number): number | undefined {
    const state = this.knownTopic(topic)?.partitionStates[partition];
    const isLed = state !== undefined && state.leader !== null &&
      this.#view.image.isAlive(state.leader);
    return isLed ? state.leaderEpoch : undefined;
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
    const state = topic.partitionStates[partition];
    const leader = state?.leader ?? null;
    const broker = leader === null
      ? undefined
      : this.#view.image.brokers.get(leader);
    const isLocal = leader === this.#brokerId;
    const isThere = isLocal || broker?.incarnation !== undefined;
    if (state === undefined || broker === undefined || !isThere) {
      const why = state === undefined
        ? "it is being made"
        : leaderlessReason(state, this.#view.image);
      return new Failure(
        "LEADER_NOT_AVAILABLE",
        `Partition ${partition} of topic "${topic.name}" has no leader now: ${why}`,
        { retryAfterMs: 1000 },
      );
    }
    const { leaderEpoch } = state;
    return { isLocal, broker: brokerDescription(broker), leaderEpoch };
  }
}

/** Whose return, or which step of the cluster, a leaderless partition awaits. */
function leaderlessReason(state: PartitionFact, image: MetadataImage): string {
  const { isr, leader } = state;
  const down = isr.filter((id) => !image.isAlive(id));
  if (down.length < isr.length) {
    return leader === null
      ? "one is about to be elected"
      : `broker ${leader}, which led it, is down, and another is about to be elected`;
  }
  if (isr.length === 0) {
    return "no broker is known to hold all of its records; see the log of the brokers";
  }
  const [one] = down;
  return down.length === 1
    ? `broker ${one}, which holds its records, is down`
    : `brokers ${down.join(", ")}, which hold its records, are down`;
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
