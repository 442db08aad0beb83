/**
 * Adds partitions to a producer's open transaction (KIP-98).
 */
import { api } from "../codec/api.ts";
import { array } from "../codec/array.ts";
import { int16, int32, int64, string } from "../codec/primitives.ts";
import { field } from "../codec/schema.ts";
import { struct } from "../codec/struct.ts";

const addPartitionsToTxnTopic = struct({
  name: field(string),
  partitions: field(array(int32)),
});

const addPartitionsToTxnPartitionResult = struct({
  partitionIndex: field(int32),
  partitionErrorCode: field(int16),
});

const addPartitionsToTxnTopicResult = struct({
  name: field(string),
  resultsByPartition: field(array(addPartitionsToTxnPartitionResult)),
});

export const addPartitionsToTxnApi = api({
  key: 24,
  name: "AddPartitionsToTxn",
  versions: "0-3",
  firstFlexible: 3,
  request: struct({
    v3AndBelowTransactionalId: field(string),
    v3AndBelowProducerId: field(int64),
    v3AndBelowProducerEpoch: field(int16),
    v3AndBelowTopics: field(array(addPartitionsToTxnTopic)),
  }),
  response: struct({
    throttleTimeMs: field(int32, { optional: true }),
    resultsByTopicV3AndBelow: field(array(addPartitionsToTxnTopicResult)),
  }),
});
