/** Which moves of replicas can be taken back, and why others cannot: pure. */
import {
  cancelMove,
  isMoving,
  targetOf,
} from "../cluster/controller/reassignment.ts";
import { KEYS, type PartitionFact, partitionFact } from "../cluster/facts.ts";
import type {
  MetadataImage,
  PartitionImage,
  TopicImage,
} from "../cluster/metadata_image.ts";

interface Move {
  readonly key: string;
  readonly topic: TopicImage;
  readonly partition: number;
  readonly state: PartitionImage;
}

export interface Cancellable extends Move {
  readonly next: PartitionFact;
}

export interface SortedMoves {
  readonly back: readonly Cancellable[];
  readonly kept: readonly (Cancellable & { readonly reason: string })[];
}

/** Moves that only let replicas go are at their end: they are in neither list. */
export function sortMoves(image: MetadataImage): SortedMoves {
  const back: Cancellable[] = [];
  const kept: (Cancellable & { reason: string })[] = [];
  for (const topic of image.topics.values()) {
    for (const [partition, state] of topic.partitionStates.entries()) {
      if (state === undefined || !isMoving(state)) continue;
      const { adding = [] } = state;
      if (adding.length === 0) continue;
      const fact = partitionFact(state);
      const next = cancelMove(fact);
      const key = KEYS.partition(topic.topicId, partition);
      const move = { key, topic, partition, state, next };
      const reason = reasonToKeep(topic, state, next);
      if (reason === undefined) back.push(move);
      else kept.push({ ...move, reason });
    }
  }
  return { back, kept };
}

function reasonToKeep(
  topic: TopicImage,
  state: PartitionFact,
  next: PartitionFact,
): string | undefined {
  if (targetOf(next).length !== topic.replicationFactor) {
    return `the replication factor of the topic is ${topic.replicationFactor}`;
  }
  return isOnlyNewInSync(state) ? NONE_IN_SYNC : undefined;
}

export const NONE_IN_SYNC =
  "none of the replicas that were there before is in sync";

/** Going back would count on copies that lack records. */
export function isOnlyNewInSync({ isr, adding = [] }: PartitionFact): boolean {
  return isr.every((id) => adding.includes(id));
}
