/** CreatePartitions 0-3. */
import { Failure } from "../../../contract/errors.ts";
import type { TopicOperations } from "../../operations/operations.ts";
import { errorFields } from "../answers.ts";
import { serve } from "../handler.ts";
import { createPartitionsApi } from "../messages/create_partitions.ts";

export function createPartitionsHandler(topics: TopicOperations) {
  return serve(createPartitionsApi, async (request) => {
    const results = [];
    for (const { name, count, assignments } of request.topics) {
      results.push({
        name,
        ...errorFields(
          await grow(topics, name, count, {
            hasAssignments: assignments !== null,
            validateOnly: request.validateOnly,
          }),
        ),
      });
    }
    return { results };
  });
}

async function grow(
  topics: TopicOperations,
  name: string,
  count: number,
  options: { hasAssignments: boolean; validateOnly: boolean },
): Promise<unknown> {
  if (options.hasAssignments) {
    return new Failure(
      "INVALID_REPLICA_ASSIGNMENT",
      "Replicas are placed by the brokers: leave the assignment out",
    );
  }
  const known = await topics.describe(name);
  if (known instanceof Failure) return known;
  if (count <= known.partitions.length) {
    return new Failure(
      "INVALID_PARTITIONS",
      `Topic "${name}" has ${known.partitions.length} partitions already`,
    );
  }
  return topics.alter(name, { partitions: count }, options);
}
