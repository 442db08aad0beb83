/**
 * Commits the offsets that a group has consumed to.
 */
import { api } from "../codec/api.ts";
import { array } from "../codec/array.ts";
import { int16, int32, int64Saturated, string } from "../codec/primitives.ts";
import { field } from "../codec/schema.ts";
import { struct } from "../codec/struct.ts";

export const offsetCommitApi = api({
  key: 8,
  name: "OffsetCommit",
  versions: "2-8",
  firstFlexible: 8,
  request: struct({
    groupId: field(string),
    generationIdOrMemberEpoch: field(int32, { default: -1, ignorable: true }),
    memberId: field(string, { ignorable: true }),
    groupInstanceId: field(string, {
      versions: "7+",
      nullable: "0+",
      default: null,
    }),
    retentionTimeMs: field(int64Saturated, {
      versions: "0-4",
      default: -1,
      ignorable: true,
    }),
    topics: field(array(struct({
      name: field(string, { ignorable: true }),
      partitions: field(array(struct({
        partitionIndex: field(int32),
        committedOffset: field(int64Saturated),
        committedLeaderEpoch: field(int32, {
          versions: "6+",
          default: -1,
          ignorable: true,
        }),
        committedMetadata: field(string, { nullable: "0+" }),
      }))),
    }))),
  }),
  response: struct({
    throttleTimeMs: field(int32, {
      versions: "3+",
      optional: true,
      ignorable: true,
    }),
    topics: field(array(struct({
      name: field(string, { ignorable: true }),
      partitions: field(array(struct({
        partitionIndex: field(int32),
        errorCode: field(int16),
      }))),
    }))),
  }),
});
