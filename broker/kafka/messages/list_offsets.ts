/**
 * Finds the offset that belongs to a timestamp, or either end of a log. A
 * timestamp of -1 means the end, -2 the start, -3 the largest timestamp.
 */
import { api } from "../codec/api.ts";
import { array } from "../codec/array.ts";
import {
  int16,
  int32,
  int64,
  int64Saturated,
  int8,
  string,
} from "../codec/primitives.ts";
import { field } from "../codec/schema.ts";
import { struct } from "../codec/struct.ts";

export const listOffsetsApi = api({
  key: 2,
  name: "ListOffsets",
  versions: "1-7",
  firstFlexible: 6,
  request: struct({
    replicaId: field(int32),
    isolationLevel: field(int8, { versions: "2+", optional: true }),
    topics: field(array(struct({
      name: field(string),
      partitions: field(array(struct({
        partitionIndex: field(int32),
        currentLeaderEpoch: field(int32, {
          versions: "4+",
          default: -1,
          ignorable: true,
        }),
        timestamp: field(int64Saturated),
      }))),
    }))),
  }),
  response: struct({
    throttleTimeMs: field(int32, {
      versions: "2+",
      optional: true,
      ignorable: true,
    }),
    topics: field(array(struct({
      name: field(string),
      partitions: field(array(struct({
        partitionIndex: field(int32),
        errorCode: field(int16),
        timestamp: field(int64, { default: -1 }),
        offset: field(int64, { default: -1 }),
        leaderEpoch: field(int32, { versions: "4+", default: -1 }),
      }))),
    }))),
  }),
});
