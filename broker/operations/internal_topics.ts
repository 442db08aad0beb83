/**
 * The topics that are the brokers' own: what they hold is written by the
 * coordinators alone. Clients may read them.
 */
import { Failure } from "../../contract/errors.ts";
import { OFFSETS_TOPIC } from "../group/group_partition.ts";
import { TRANSACTIONS_TOPIC } from "../transaction/records.ts";

/** Whether only the brokers may make, write and remove topics of this name. */
export function isInternalTopic(topic: string): boolean {
  return topic === OFFSETS_TOPIC || topic === TRANSACTIONS_TOPIC;
}

/** Why a client may not change what the topic holds, when it may not. */
export function internalTopicFault(topic: string): Failure | undefined {
  return isInternalTopic(topic)
    ? new Failure(
      "INVALID_TOPIC_EXCEPTION",
      `Topic "${topic}" belongs to the brokers: clients can only read it`,
      { field: "topic" },
    )
    : undefined;
}

/** Why its partitions can be neither more nor fewer. */
export function internalGrowthFault(
  { name, partitions }: { name: string; partitions: number },
): Failure {
  return new Failure(
    "INVALID_PARTITIONS",
    `Topic "${name}" keeps its ${partitions} partitions: who coordinates a group or a transaction follows from their number`,
    { field: "partitions" },
  );
}
