/**
 * Tells the state of transactional ids (KIP-664).
 */
import { api } from "../codec/api.ts";
import { array } from "../codec/array.ts";
import { int16, int32, int64, string } from "../codec/primitives.ts";
import { field } from "../codec/schema.ts";
import { struct } from "../codec/struct.ts";

export const describeTransactionsApi = api({
  key: 65,
  name: "DescribeTransactions",
  versions: "0",
  firstFlexible: 0,
  request: struct({
    transactionalIds: field(array(string)),
  }),
  response: struct({
    throttleTimeMs: field(int32, { optional: true }),
    transactionStates: field(array(struct({
      errorCode: field(int16),
      transactionalId: field(string),
      transactionState: field(string),
      transactionTimeoutMs: field(int32),
      transactionStartTimeMs: field(int64),
      producerId: field(int64),
      producerEpoch: field(int16),
      topics: field(array(struct({
        topic: field(string),
        partitions: field(array(int32)),
      }))),
    }))),
  }),
});
