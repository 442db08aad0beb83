/**
 * Tells the producers that are active on partitions (KIP-664).
 */
import { api } from "../codec/api.ts";
import { array } from "../codec/array.ts";
import { int16, int32, int64, string } from "../codec/primitives.ts";
import { field } from "../codec/schema.ts";
import { struct } from "../codec/struct.ts";

export const describeProducersApi = api({
  key: 61,
  name: "DescribeProducers",
  versions: "0",
  firstFlexible: 0,
  request: struct({
    topics: field(array(struct({
      name: field(string),
      partitionIndexes: field(array(int32)),
    }))),
  }),
  response: struct({
    throttleTimeMs: field(int32, { optional: true }),
    topics: field(array(struct({
      name: field(string),
      partitions: field(array(struct({
        partitionIndex: field(int32),
        errorCode: field(int16),
        errorMessage: field(string, { nullable: "0+", default: null }),
        activeProducers: field(array(struct({
          producerId: field(int64),
          producerEpoch: field(int32),
          lastSequence: field(int32, { default: -1 }),
          lastTimestamp: field(int64, { default: -1 }),
          coordinatorEpoch: field(int32),
          currentTxnStartOffset: field(int64, { default: -1 }),
        }))),
      }))),
    }))),
  }),
});
