/** OffsetDelete 0: removes offsets of topics that a group no longer reads. */
import type { Groups } from "../../operations/groups.ts";
import { kafkaCode } from "../answers.ts";
import { serve } from "../handler.ts";
import { offsetDeleteApi } from "../messages/offset_delete.ts";

export function offsetDeleteHandler(groups: Groups) {
  return serve(offsetDeleteApi, async (request) => {
    const { error, topics } = await groups.request("offsetDelete", {
      groupId: request.groupId,
      topics: request.topics.map(({ name, partitions }) => ({
        topic: name,
        partitions: partitions.map(({ partitionIndex }) => partitionIndex),
      })),
    });
    return {
      errorCode: kafkaCode(error ?? undefined),
      topics: topics.map(({ topic, partitions }) => ({
        name: topic,
        partitions: partitions.map(({ partition, error }) => ({
          partitionIndex: partition,
          errorCode: kafkaCode(error ?? undefined),
        })),
      })),
    };
  });
}
