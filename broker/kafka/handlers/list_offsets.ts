/** ListOffsets 1-7: the offset of a time, or of either end of the log. */
import { type ErrorCode, Failure } from "../../../contract/errors.ts";
import type { Batches, OffsetTarget } from "../../operations/batches.ts";
import { kafkaCode, repeated } from "../answers.ts";
import { serve } from "../handler.ts";
import { listOffsetsApi } from "../messages/list_offsets.ts";

const READ_COMMITTED = 1;
const FIRST_VERSION_WITH_OFFSET_NOT_AVAILABLE = 5;
const FIRST_VERSION_WITH_MAX_TIMESTAMP = 7;

export function listOffsetsHandler(batches: Batches) {
  return serve(listOffsetsApi, async (request, { apiVersion }) => ({
    topics: await Promise.all(request.topics.map(async (topic) => {
      const askedTwice = repeated(
        topic.partitions.map(({ partitionIndex }) => partitionIndex),
      );
      const partitions = await Promise.all(
        topic.partitions.map(async (partition) => {
          const target = offsetTarget(partition.timestamp, apiVersion);
          const found = askedTwice.has(partition.partitionIndex)
            ? new Failure("INVALID_REQUEST", "A partition is asked for twice")
            : target instanceof Failure
            ? target
            : await batches.findOffset(topic.name, partition.partitionIndex, {
              target,
              readCommitted: request.isolationLevel === READ_COMMITTED,
              currentLeaderEpoch: partition.currentLeaderEpoch,
            });
          const { partitionIndex } = partition;
          if (found instanceof Failure) {
            const errorCode = kafkaCode(codeFor(found.code, apiVersion));
            return { partitionIndex, errorCode };
          }
          return {
            partitionIndex,
            errorCode: 0,
            timestamp: found.timestampMs,
            offset: found.offset,
            ...(apiVersion >= 4 ? { leaderEpoch: found.leaderEpoch } : {}),
          };
        }),
      );
      return { name: topic.name, partitions };
    })),
  }));
}

/** Older clients retry after the one, and do not know the other (KIP-207). */
function codeFor(code: ErrorCode, apiVersion: number): ErrorCode {
  return code === "OFFSET_NOT_AVAILABLE" &&
      apiVersion < FIRST_VERSION_WITH_OFFSET_NOT_AVAILABLE
    ? "LEADER_NOT_AVAILABLE"
    : code;
}

function offsetTarget(
  timestamp: number,
  apiVersion: number,
): OffsetTarget | Failure {
  if (timestamp === -1) return "latest";
  if (timestamp === -2) return "earliest";
  if (timestamp === -3 && apiVersion >= FIRST_VERSION_WITH_MAX_TIMESTAMP) {
    return "maxTimestamp";
  }
  return timestamp >= 0 ? timestamp : new Failure(
    "UNSUPPORTED_VERSION",
    `Timestamp ${timestamp} has no meaning in version ${apiVersion}`,
  );
}
