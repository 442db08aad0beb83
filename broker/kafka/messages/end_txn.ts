/**
 * Commits or aborts a producer's open transaction (KIP-98).
 */
import { api } from "../codec/api.ts";
import { bool, int16, int32, int64, string } from "../codec/primitives.ts";
import { field } from "../codec/schema.ts";
import { struct } from "../codec/struct.ts";

export const endTxnApi = api({
  key: 26,
  name: "EndTxn",
  versions: "0-3",
  firstFlexible: 3,
  request: struct({
    transactionalId: field(string),
    producerId: field(int64),
    producerEpoch: field(int16),
    committed: field(bool),
  }),
  response: struct({
    throttleTimeMs: field(int32, { optional: true }),
    errorCode: field(int16),
  }),
});
