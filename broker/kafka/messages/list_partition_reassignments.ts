/**
 * Tells which partitions' replicas are on their way (KIP-455).
 */
import { api } from "../codec/api.ts";
import { array } from "../codec/array.ts";
import { int16, int32, string } from "../codec/primitives.ts";
import { field } from "../codec/schema.ts";
import { struct } from "../codec/struct.ts";

export const listPartitionReassignmentsApi = api({
  key: 46,
  name: "ListPartitionReassignments",
  versions: "0",
  firstFlexible: 0,
  request: struct({
    timeoutMs: field(int32, { default: 60_000 }),
    topics: field(
      array(struct({
        name: field(string),
        partitionIndexes: field(array(int32)),
      })),
      { nullable: "0+", default: null },
    ),
  }),
  response: struct({
    throttleTimeMs: field(int32, { optional: true }),
    errorCode: field(int16),
    errorMessage: field(string, { nullable: "0+" }),
    topics: field(array(struct({
      name: field(string),
      partitions: field(array(struct({
        partitionIndex: field(int32),
        replicas: field(array(int32)),
        addingReplicas: field(array(int32)),
        removingReplicas: field(array(int32)),
      }))),
    }))),
  }),
});
