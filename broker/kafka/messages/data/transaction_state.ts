/**
 * The records of `__transaction_state`: one per transactional id.
 */
import { array } from "../../codec/array.ts";
import { int16, int32, int64, int8, string } from "../../codec/primitives.ts";
import { KeySchema, ValueSchema } from "../../codec/record_schema.ts";
import { field } from "../../codec/schema.ts";
import { struct } from "../../codec/struct.ts";

export const transactionLogKey = new KeySchema({
  name: "TransactionLogKey",
  kind: 0,
  type: struct({
    transactionalId: field(string),
  }),
});

export const transactionLogValue = new ValueSchema({
  name: "TransactionLogValue",
  versions: "0-1",
  firstFlexible: 1,
  type: struct({
    producerId: field(int64),
    previousProducerId: field(int64, { versions: "1+", tag: 0, default: -1 }),
    nextProducerId: field(int64, { versions: "1+", tag: 1, default: -1 }),
    producerEpoch: field(int16),
    nextProducerEpoch: field(int16, { versions: "1+", tag: 3, default: -1 }),
    transactionTimeoutMs: field(int32),
    transactionStatus: field(int8),
    transactionPartitions: field(
      array(struct({
        topic: field(string),
        partitionIds: field(array(int32)),
      })),
      { nullable: "0+" },
    ),
    transactionLastUpdateTimestampMs: field(int64),
    transactionStartTimestampMs: field(int64),
    clientTransactionVersion: field(int16, { versions: "1+", tag: 2 }),
  }),
});
