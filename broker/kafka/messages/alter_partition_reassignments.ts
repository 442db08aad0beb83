/**
 * Chooses the brokers of partitions' replicas (KIP-455). Null replicas take back
 * the move that is under way.
 */
import { api } from "../codec/api.ts";
import { array } from "../codec/array.ts";
import { bool, int16, int32, string } from "../codec/primitives.ts";
import { field } from "../codec/schema.ts";
import { struct } from "../codec/struct.ts";

export const alterPartitionReassignmentsApi = api({
  key: 45,
  name: "AlterPartitionReassignments",
  versions: "0-1",
  firstFlexible: 0,
  request: struct({
    timeoutMs: field(int32, { default: 60_000 }),
    allowReplicationFactorChange: field(bool, {
      versions: "1+",
      default: true,
    }),
    topics: field(array(struct({
      name: field(string),
      partitions: field(array(struct({
        partitionIndex: field(int32),
        replicas: field(array(int32), { nullable: "0+", default: null }),
      }))),
    }))),
  }),
  response: struct({
    throttleTimeMs: field(int32, { optional: true }),
    allowReplicationFactorChange: field(bool, {
      versions: "1+",
      default: true,
      ignorable: true,
    }),
    errorCode: field(int16),
    errorMessage: field(string, { nullable: "0+" }),
    responses: field(array(struct({
      name: field(string),
      partitions: field(array(struct({
        partitionIndex: field(int32),
        errorCode: field(int16),
        errorMessage: field(string, { nullable: "0+" }),
      }))),
    }))),
  }),
});
