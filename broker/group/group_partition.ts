/** The partition of `__consumer_offsets` whose leader coordinates a group. */
import { coordinatorPartition } from "../coordinator/java_hash.ts";

export const OFFSETS_TOPIC = "__consumer_offsets";

/** Kafka's rule: Java's hash of the id, made positive, modulo `partitions`. */
export function groupPartition(groupId: string, partitions: number): number {
  return coordinatorPartition(groupId, partitions);
}
