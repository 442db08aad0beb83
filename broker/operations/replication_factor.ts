/**
 * Whether a topic can have another replication factor. Nothing is moved here: the
 * topic's own key says how many replicas there should be, and the controller
 * brings its partitions there, one after the other (`balance_steps.ts`).
 */
import { Failure } from "../../contract/errors.ts";
import { receivers } from "../cluster/controller/balance_steps.ts";
import { type TopicFact, topicFact } from "../cluster/facts.ts";
import type { MetadataImage, TopicImage } from "../cluster/metadata_image.ts";

/** What the topic's factor becomes; `asked` undefined: it stays. */
export function alteredFactor(
  { replicationFactor }: TopicImage,
  asked: number | undefined,
  image: MetadataImage,
): number | Failure {
  if (asked === undefined) return replicationFactor;
  const most = Math.max(replicationFactor, receivers(image).length);
  const isFine = Number.isInteger(asked) && asked >= 1 && asked <= most;
  return isFine ? asked : new Failure(
    "INVALID_REPLICATION_FACTOR",
    `The replication factor can be from 1 to ${most} now, not ${asked}: replicas go to brokers that are alive, have a Kafka port and were not drained`,
    { field: "replicationFactor" },
  );
}

/** The topic's own key as it is, but for the factor. */
export function withFactor(
  topic: TopicImage,
  replicationFactor: number,
): TopicFact {
  return { ...topicFact(topic), replicationFactor };
}
