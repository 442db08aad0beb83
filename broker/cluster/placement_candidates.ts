/**
 * Which brokers new replicas may go to. Owns who is willing; where each replica
 * then stands is `placement.ts`.
 */
import type { BrokerImage, MetadataImage } from "./metadata_image.ts";

/** Replicas of a topic whose creator does not say, where there are enough. */
const USUAL_REPLICAS = 3;

/** What replicas need beyond the first: followers fetch over Kafka's protocol. */
export function canReplicate(broker: BrokerImage): boolean {
  return broker.kafkaPort !== null;
}

/** Whether the broker is one that is there to stay. */
export function isStaying(broker: BrokerImage, image: MetadataImage): boolean {
  return !image.drained.has(broker.id);
}

/** D6: min(3, brokers), of the brokers that are alive and stay. */
export function usualReplicationFactor(image: MetadataImage): number {
  const able = image.aliveBrokers().filter((broker) =>
    canReplicate(broker) && isStaying(broker, image)
  );
  return Math.max(1, Math.min(USUAL_REPLICAS, able.length));
}

/** Most replicas that a topic can have now. */
export function mostReplicas(image: MetadataImage): number {
  const able = image.aliveBrokers().filter(canReplicate).length;
  return Math.max(able, Math.min(1, image.aliveBrokers().length));
}

/**
 * In id order: the live brokers that new replicas go to. One that is about to
 * leave or is being emptied is among them only when there are too few others.
 */
export function placementCandidates(
  image: MetadataImage,
  replicationFactor: number,
): BrokerImage[] {
  const able = image.aliveBrokers().filter((broker) =>
    replicationFactor === 1 || canReplicate(broker)
  );
  const reluctance = (broker: BrokerImage) =>
    (isStaying(broker, image) ? 0 : 2) + (broker.isLeaving ? 1 : 0);
  const willing = able.filter((broker) => reluctance(broker) === 0);
  if (willing.length >= Math.max(1, replicationFactor)) return willing;
  return able.toSorted((a, b) => reluctance(a) - reluctance(b))
    .slice(0, Math.max(1, replicationFactor))
    .sort((a, b) => a.id - b.id);
}
