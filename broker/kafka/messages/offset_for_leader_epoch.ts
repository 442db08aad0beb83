/**
 * Tells where a leader epoch ends, for truncation (KIP-101, KIP-320).
 */
import { api } from "../codec/api.ts";
import { array } from "../codec/array.ts";
import { int16, int32, int64, string } from "../codec/primitives.ts";
import { field } from "../codec/schema.ts";
import { struct } from "../codec/struct.ts";

export const offsetForLeaderEpochApi = api({
  key: 23,
  name: "OffsetForLeaderEpoch",
  versions: "2-4",
  firstFlexible: 4,
  request: struct({
    replicaId: field(int32, { versions: "3+", default: -2, ignorable: true }),
    topics: field(array(struct({
      topic: field(string),
      partitions: field(array(struct({
        partition: field(int32),
        currentLeaderEpoch: field(int32, { default: -1, ignorable: true }),
        leaderEpoch: field(int32),
      }))),
    }))),
  }),
  response: struct({
    throttleTimeMs: field(int32, { optional: true, ignorable: true }),
    topics: field(array(struct({
      topic: field(string),
      partitions: field(array(struct({
        errorCode: field(int16),
        partition: field(int32),
        leaderEpoch: field(int32, { default: -1, ignorable: true }),
        endOffset: field(int64, { default: -1 }),
      }))),
    }))),
  }),
});
