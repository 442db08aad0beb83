/** CreateTopics 2-7. */
import { Failure } from "../../../contract/errors.ts";
import type { MetadataView } from "../../cluster/metadata_view.ts";
import type { TopicOperations } from "../../operations/operations.ts";
import { errorFields, repeated } from "../answers.ts";
import type { RequestOf } from "../codec/api.ts";
import { serve } from "../handler.ts";
import { createTopicsApi } from "../messages/create_topics.ts";

type AskedTopic = RequestOf<typeof createTopicsApi>["topics"][number];

export function createTopicsHandler(
  topics: TopicOperations,
  view: MetadataView,
) {
  return serve(createTopicsApi, async (request) => {
    const answers = [];
    const askedTwice = repeated(request.topics.map(({ name }) => name));
    for (const asked of request.topics) {
      const fault = askedTwice.has(asked.name)
        ? new Failure("INVALID_REQUEST", "The topic is asked for twice")
        : view.image.topics.has(asked.name)
        ? new Failure("TOPIC_ALREADY_EXISTS", `"${asked.name}" exists`)
        : undefined;
      const assignments = fault ?? assignmentsOf(asked);
      const created = assignments instanceof Failure
        ? assignments
        : await topics.create({
          topic: asked.name,
          ...(asked.numPartitions === -1
            ? {}
            : { partitions: asked.numPartitions }),
          ...(asked.replicationFactor === -1
            ? {}
            : { replicationFactor: asked.replicationFactor }),
          config: Object.fromEntries(
            asked.configs.map(({ name, value }) => [name, value]),
          ),
        }, { validateOnly: request.validateOnly, assignments });
      const made = view.image.topics.get(asked.name);
      answers.push({
        name: asked.name,
        ...errorFields(created),
        ...(made === undefined || created instanceof Failure ? {} : {
          topicId: made.topicId,
          numPartitions: made.partitions,
          replicationFactor: made.replicationFactor,
          configs: [],
        }),
      });
    }
    return { topics: answers };
  });
}

/** Broker ids by partition; undefined: the brokers place the replicas. */
function assignmentsOf(
  { assignments, numPartitions, replicationFactor }: AskedTopic,
): readonly (readonly number[])[] | undefined | Failure {
  if (assignments.length === 0) return undefined;
  if (numPartitions !== -1 || replicationFactor !== -1) {
    return new Failure(
      "INVALID_REQUEST",
      "With an assignment of replicas the numbers of partitions and of replicas must be -1",
    );
  }
  const byPartition = new Map(
    assignments.map((each) => [each.partitionIndex, each.brokerIds]),
  );
  const chosen = assignments.map((_, partition) => byPartition.get(partition));
  return chosen.every((brokerIds) => brokerIds !== undefined)
    ? chosen
    : new Failure(
      "INVALID_REPLICA_ASSIGNMENT",
      "An assignment has every partition once, from 0 on without gaps",
    );
}
