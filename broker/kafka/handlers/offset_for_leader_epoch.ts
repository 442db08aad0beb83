/** OffsetForLeaderEpoch 2-4 (KIP-101, KIP-320). */
import { Failure } from "../../../contract/errors.ts";
import type { Batches } from "../../operations/batches.ts";
import { kafkaCode } from "../answers.ts";
import { serve } from "../handler.ts";
import { offsetForLeaderEpochApi } from "../messages/offset_for_leader_epoch.ts";

export function offsetForLeaderEpochHandler(batches: Batches) {
  return serve(offsetForLeaderEpochApi, async (request) => ({
    topics: await Promise.all(request.topics.map(async (topic) => ({
      topic: topic.topic,
      partitions: await Promise.all(
        topic.partitions.map(async (asked) => {
          const { partition } = asked;
          const end = await batches.epochEnd(topic.topic, partition, asked);
          return end instanceof Failure
            ? { partition, errorCode: kafkaCode(end.code) }
            : { partition, errorCode: 0, ...end };
        }),
      ),
    }))),
  }));
}
