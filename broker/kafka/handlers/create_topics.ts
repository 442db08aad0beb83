/** CreateTopics 2-7. */
import { Failure } from "../../../contract/errors.ts";
import type { MetadataView } from "../../cluster/metadata_view.ts";
import type { TopicOperations } from "../../operations/operations.ts";
import { errorFields, repeated } from "../answers.ts";
import { serve } from "../handler.ts";
import { createTopicsApi } from "../messages/create_topics.ts";

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
        : asked.assignments.length > 0
        ? new Failure(
          "INVALID_REPLICA_ASSIGNMENT",
          "Replicas are placed by the brokers: leave the assignment out",
        )
        : view.image.topics.has(asked.name)
        ? new Failure("TOPIC_ALREADY_EXISTS", `"${asked.name}" exists`)
        : undefined;
      const created = fault ?? await topics.create({
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
      }, { validateOnly: request.validateOnly });
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
