/**
 * Lists the transactions that this broker coordinates (KIP-664).
 */
import { api } from "../codec/api.ts";
import { array } from "../codec/array.ts";
import {
  int16,
  int32,
  int64,
  int64Saturated,
  string,
} from "../codec/primitives.ts";
import { field } from "../codec/schema.ts";
import { struct } from "../codec/struct.ts";

export const listTransactionsApi = api({
  key: 66,
  name: "ListTransactions",
  versions: "0-1",
  firstFlexible: 0,
  request: struct({
    stateFilters: field(array(string)),
    producerIdFilters: field(array(int64)),
    durationFilter: field(int64Saturated, { versions: "1+", default: -1 }),
  }),
  response: struct({
    throttleTimeMs: field(int32, { optional: true }),
    errorCode: field(int16),
    unknownStateFilters: field(array(string)),
    transactionStates: field(array(struct({
      transactionalId: field(string),
      producerId: field(int64),
      transactionState: field(string),
    }))),
  }),
});
