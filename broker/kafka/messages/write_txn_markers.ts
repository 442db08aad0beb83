/**
 * Between brokers: writes the commit or abort marker of a transaction into
 * partitions (KIP-98).
 */
import { api } from "../codec/api.ts";
import { array } from "../codec/array.ts";
import { bool, int16, int32, int64, string } from "../codec/primitives.ts";
import { field } from "../codec/schema.ts";
import { struct } from "../codec/struct.ts";

export const writeTxnMarkersApi = api({
  key: 27,
  name: "WriteTxnMarkers",
  versions: "1",
  firstFlexible: 1,
  request: struct({
    markers: field(array(struct({
      producerId: field(int64),
      producerEpoch: field(int16),
      transactionResult: field(bool),
      topics: field(array(struct({
        name: field(string),
        partitionIndexes: field(array(int32)),
      }))),
      coordinatorEpoch: field(int32),
    }))),
  }),
  response: struct({
    markers: field(array(struct({
      producerId: field(int64),
      topics: field(array(struct({
        name: field(string),
        partitions: field(array(struct({
          partitionIndex: field(int32),
          errorCode: field(int16),
        }))),
      }))),
    }))),
  }),
});
