/**
 * Gives an idempotent or transactional producer its id and epoch (KIP-98).
 */
import { api } from "../codec/api.ts";
import { int16, int32, int64, string } from "../codec/primitives.ts";
import { field } from "../codec/schema.ts";
import { struct } from "../codec/struct.ts";

export const initProducerIdApi = api({
  key: 22,
  name: "InitProducerId",
  versions: "0-4",
  firstFlexible: 2,
  request: struct({
    transactionalId: field(string, { nullable: "0+" }),
    transactionTimeoutMs: field(int32),
    producerId: field(int64, { versions: "3+", default: -1 }),
    producerEpoch: field(int16, { versions: "3+", default: -1 }),
  }),
  response: struct({
    throttleTimeMs: field(int32, { optional: true, ignorable: true }),
    errorCode: field(int16),
    producerId: field(int64, { default: -1 }),
    producerEpoch: field(int16),
  }),
});
