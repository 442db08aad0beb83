/**
 * Commits a group's offsets within a transaction (KIP-98, KIP-447).
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

export const txnOffsetCommitApi = api({
  key: 28,
  name: "TxnOffsetCommit",
  versions: "0-3",
  firstFlexible: 3,
  request: struct({
    transactionalId: field(string),
    groupId: field(string),
    producerId: field(int64),
    producerEpoch: field(int16),
    generationIdOrMemberEpoch: field(int32, { versions: "3+", default: -1 }),
    memberId: field(string, { versions: "3+", optional: true }),
    groupInstanceId: field(string, {
      versions: "3+",
      nullable: "0+",
      default: null,
    }),
    topics: field(array(struct({
      name: field(string, { ignorable: true }),
      partitions: field(array(struct({
        partitionIndex: field(int32),
        committedOffset: field(int64Saturated),
        committedLeaderEpoch: field(int32, {
          versions: "2+",
          default: -1,
          ignorable: true,
        }),
        committedMetadata: field(string, { nullable: "0+" }),
      }))),
    }))),
  }),
  response: struct({
    throttleTimeMs: field(int32, { optional: true }),
    topics: field(array(struct({
      name: field(string, { ignorable: true }),
      partitions: field(array(struct({
        partitionIndex: field(int32),
        errorCode: field(int16),
      }))),
    }))),
  }),
});
