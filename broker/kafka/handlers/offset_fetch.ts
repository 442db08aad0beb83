/**
 * OffsetFetch 1-8: committed offsets of a group, of several from version 8 on
 * (KIP-709). An error is also on every partition that was asked for: some
 * clients look only there (librdkafka#5586).
 */
import type { OffsetFetchResponse } from "../../group/messages.ts";
import type { Groups } from "../../operations/groups.ts";
import { kafkaCode } from "../answers.ts";
import { serve } from "../handler.ts";
import { offsetFetchApi } from "../messages/offset_fetch.ts";

const FIRST_VERSION_OF_MANY = 8;

interface WireTopic {
  readonly name: string;
  readonly partitionIndexes: readonly number[];
}

export function offsetFetchHandler(groups: Groups) {
  const read = async (
    groupId: string,
    topics: readonly WireTopic[] | null,
    requireStable: boolean,
  ) =>
    describe(
      await groups.request("offsetFetch", {
        groupId,
        topics: topics?.map(({ name, partitionIndexes }) => ({
          topic: name,
          partitions: partitionIndexes,
        })) ?? null,
        requireStable,
      }),
    );
  return serve(offsetFetchApi, async (request, { apiVersion }) => {
    const { requireStable } = request;
    if (apiVersion < FIRST_VERSION_OF_MANY) {
      return await read(request.groupId, request.topics, requireStable);
    }
    return {
      groups: await Promise.all(
        request.groups.map(async ({ groupId, topics }) => ({
          groupId,
          ...await read(groupId, topics, requireStable),
        })),
      ),
    };
  });
}

function describe({ error, topics }: OffsetFetchResponse) {
  return {
    errorCode: kafkaCode(error ?? undefined),
    topics: topics.map(({ topic, partitions }) => ({
      name: topic,
      partitions: partitions.map((one) => ({
        partitionIndex: one.partition,
        committedOffset: one.offset,
        committedLeaderEpoch: one.leaderEpoch,
        metadata: one.metadata,
        errorCode: kafkaCode(one.error ?? undefined),
      })),
    })),
  };
}
