/** DeleteTopics 1-6; by id from version 6 on. */
import { Failure } from "../../../contract/errors.ts";
import type { MetadataView } from "../../cluster/metadata_view.ts";
import { orUnavailable } from "../../operations/metadata_failure.ts";
import type { TopicOperations } from "../../operations/operations.ts";
import { errorFields } from "../answers.ts";
import { ZERO_UUID } from "../codec/primitives.ts";
import { serve } from "../handler.ts";
import { deleteTopicsApi } from "../messages/delete_topics.ts";

export function deleteTopicsHandler(
  topics: TopicOperations,
  view: MetadataView,
) {
  return serve(deleteTopicsApi, async (request, { apiVersion }) => {
    const asked = apiVersion >= 6
      ? request.topics
      : request.topicNames.map((name) => ({ name, topicId: ZERO_UUID }));
    const responses = [];
    for (const { name, topicId } of asked) {
      if (name === null) await orUnavailable(() => view.catchUp());
      const known = name ?? view.image.topicById(topicId)?.name;
      const outcome = known === undefined
        ? new Failure("UNKNOWN_TOPIC_ID", `There is no topic ${topicId}`)
        : await topics.delete(known);
      const shownName = known ?? null;
      responses.push({
        name: apiVersion >= 6 ? shownName : shownName ?? "",
        topicId,
        ...errorFields(outcome),
      });
    }
    return { responses };
  });
}
