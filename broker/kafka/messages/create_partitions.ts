/**
 * Raises the number of partitions of topics.
 */
import { api } from "../codec/api.ts";
import { array } from "../codec/array.ts";
import { bool, int16, int32, string } from "../codec/primitives.ts";
import { field } from "../codec/schema.ts";
import { struct } from "../codec/struct.ts";

export const createPartitionsApi = api({
  key: 37,
  name: "CreatePartitions",
  versions: "0-3",
  firstFlexible: 2,
  request: struct({
    topics: field(array(struct({
      name: field(string),
      count: field(int32),
      assignments: field(
        array(struct({
          brokerIds: field(array(int32)),
        })),
        { nullable: "0+" },
      ),
    }))),
    timeoutMs: field(int32),
    validateOnly: field(bool),
  }),
  response: struct({
    throttleTimeMs: field(int32, { optional: true }),
    results: field(array(struct({
      name: field(string),
      errorCode: field(int16),
      errorMessage: field(string, { nullable: "0+", default: null }),
    }))),
  }),
});
