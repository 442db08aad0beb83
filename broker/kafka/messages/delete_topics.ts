/**
 * Deletes topics, by name or, from version 6 on, by id.
 */
import { api } from "../codec/api.ts";
import { array } from "../codec/array.ts";
import { int16, int32, string, uuid } from "../codec/primitives.ts";
import { field } from "../codec/schema.ts";
import { struct } from "../codec/struct.ts";

export const deleteTopicsApi = api({
  key: 20,
  name: "DeleteTopics",
  versions: "1-6",
  firstFlexible: 4,
  request: struct({
    topics: field(
      array(struct({
        name: field(string, { nullable: "0+", default: null }),
        topicId: field(uuid),
      })),
      { versions: "6+", optional: true },
    ),
    topicNames: field(array(string), {
      versions: "0-5",
      optional: true,
      ignorable: true,
    }),
    timeoutMs: field(int32),
  }),
  response: struct({
    throttleTimeMs: field(int32, { optional: true, ignorable: true }),
    responses: field(array(struct({
      name: field(string, { nullable: "6+" }),
      topicId: field(uuid, { versions: "6+", optional: true, ignorable: true }),
      errorCode: field(int16),
      errorMessage: field(string, {
        versions: "5+",
        nullable: "0+",
        default: null,
        ignorable: true,
      }),
    }))),
  }),
});
