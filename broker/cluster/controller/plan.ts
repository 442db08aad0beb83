/**
 * What the controller would change of the cluster now: the rules of this folder
 * over all partitions of an image. Pure; elections come first, what can wait
 * comes last and in small portions.
 */
import { type PartitionFact, partitionFact } from "../facts.ts";
import type {
  MetadataImage,
  PartitionImage,
  TopicImage,
} from "../metadata_image.ts";
import {
  minInsyncReplicasOf,
  type TopicConfig,
  topicSettingText,
} from "../../topic_config.ts";
import { wholeCopies } from "../eligible.ts";
import {
  elect,
  type ElectionOptions,
  type Liveness,
  preferLeader,
} from "./election.ts";
import { balanceSteps } from "./balance_steps.ts";
import { completeReassignment } from "./reassignment.ts";

export interface Change {
  readonly topic: string;
  readonly topicId: string;
  readonly partition: number;
  readonly modRevision: number;
  readonly next: PartitionFact;
  readonly reason:
    | "liveness"
    | "unclean"
    | "reassignment"
    | "preferred"
    | "balance";
  /** Not where a leader stays and only begins an epoch, as others were let go. */
  readonly isElection: boolean;
  /** Of `/balance` when it follows from an intent; 0: there is none. */
  readonly intentRevision?: number;
}

/** Leaderships that go back to preferred leaders at a time. */
const PREFERRED_AT_ONCE = 50;

const UNCLEAN = "unclean.leader.election.enable";

/**
 * Topics that were found in order, so that a change of one partition does not
 * cost a look at all of them. It holds for as long as no broker changes.
 */
export class InOrder {
  #brokers: MetadataImage["brokers"] | undefined;
  #topics = new WeakSet<TopicImage>();

  has(topic: TopicImage, { brokers }: MetadataImage): boolean {
    return this.#brokers === brokers && this.#topics.has(topic);
  }

  add(topic: TopicImage, { brokers }: MetadataImage): void {
    if (this.#brokers !== brokers) this.#topics = new WeakSet();
    this.#brokers = brokers;
    this.#topics.add(topic);
  }
}

export interface PlanOptions {
  /** What it remembers only saves work: the answer is the same without. */
  readonly inOrder?: InOrder;
  /** Dead brokers that are not waited for; absent: all of them. */
  readonly gone?: ReadonlySet<number>;
  /** Settings of topics that do not say themselves. */
  readonly topicDefaults?: TopicConfig;
}

export function planChanges(
  image: MetadataImage,
  { inOrder = new InOrder(), gone, topicDefaults = {} }: PlanOptions = {},
): Change[] {
  const brokers = livenessOf(image);
  const urgent: Change[] = [];
  const calm: Change[] = [];
  for (const topic of image.topics.values()) {
    if (inOrder.has(topic, image)) continue;
    let isInOrder = true;
    const rules = electionOptionsOf(topic, topicDefaults);
    for (const [partition, state] of statesOf(topic)) {
      const elected = elect(state, brokers, rules);
      if (elected !== undefined) {
        isInOrder = false;
        const whole = wholeCopies(state);
        const isClean = elected.isr.every((id) => whole.includes(id));
        const reason = isClean ? "liveness" : "unclean";
        urgent.push(changeOf(topic, partition, state, elected, reason));
        continue;
      }
      const moved = completeReassignment(state, brokers, rules);
      if (moved !== undefined) {
        isInOrder = false;
        urgent.push(changeOf(topic, partition, state, moved, "reassignment"));
        continue;
      }
      const preferred = preferLeader(state, brokers);
      if (preferred === undefined) continue;
      isInOrder = false;
      if (calm.length < PREFERRED_AT_ONCE) {
        calm.push(changeOf(topic, partition, state, preferred, "preferred"));
      }
    }
    if (isInOrder) inOrder.add(topic, image);
  }
  if (urgent.length > 0) return urgent;
  return calm.length > 0 ? calm : balanceChanges(image, gone);
}

function electionOptionsOf(
  topic: TopicImage,
  topicDefaults: TopicConfig,
): ElectionOptions {
  return {
    isUncleanAllowed:
      topicSettingText(UNCLEAN, topic, topicDefaults) === "true",
    minInsyncReplicas: minInsyncReplicasOf(topic, topicDefaults),
  };
}

function balanceChanges(
  image: MetadataImage,
  gone?: ReadonlySet<number>,
): Change[] {
  const intentRevision = image.balance?.modRevision ?? 0;
  return balanceSteps(image, gone).steps.map(
    ({ topic, partition, state, next }) => ({
      ...changeOf(topic, partition, state, next, "balance"),
      intentRevision,
    }),
  );
}

export function livenessOf(image: MetadataImage): Liveness {
  return {
    isAlive: (id) => image.isAlive(id),
    isLeaving: (id) => image.brokers.get(id)?.isLeaving ?? false,
  };
}

function* statesOf(topic: TopicImage): Generator<[number, PartitionImage]> {
  for (let index = 0; index < topic.partitions; index++) {
    const state = topic.partitionStates[index];
    if (state !== undefined) yield [index, state];
  }
}

function changeOf(
  { name, topicId }: TopicImage,
  partition: number,
  { modRevision, leader, leaderEpoch }: PartitionImage,
  next: PartitionFact,
  reason: Change["reason"],
): Change {
  return {
    topic: name,
    topicId,
    partition,
    modRevision,
    next: partitionFact(next),
    reason,
    isElection: next.leaderEpoch > leaderEpoch &&
      (reason !== "reassignment" || next.leader !== leader),
  };
}
