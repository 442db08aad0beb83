/**
 * Deletes committed offsets of topics that a group no longer reads (KIP-496).
 */
import { api } from "../codec/api.ts";
import { array } from "../codec/array.ts";
import { int16, int32, string } from "../codec/primitives.ts";
import { field } from "../codec/schema.ts";
import { struct } from "../codec/struct.ts";

export const offsetDeleteApi = api({
  key: 47,
  name: "OffsetDelete",
  versions: "0",
  firstFlexible: null,
  request: struct({
    groupId: field(string),
    topics: field(array(struct({
      name: field(string),
      partitions: field(array(struct({
        partitionIndex: field(int32),
      }))),
    }))),
  }),
  response: struct({
    errorCode: field(int16),
    throttleTimeMs: field(int32, { optional: true, ignorable: true }),
    topics: field(array(struct({
      name: field(string),
      partitions: field(array(struct({
        partitionIndex: field(int32),
        errorCode: field(int16),
      }))),
    }))),
  }),
});
