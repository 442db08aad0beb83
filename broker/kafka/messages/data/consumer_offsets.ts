/**
 * The records of `__consumer_offsets`: what a group has committed, and the group
 * itself. The first int16 of a key tells them apart: 1 is a commit, 2 a group;
 * others belong to kinds of group that are not served and are skipped.
 */
import { array } from "../../codec/array.ts";
import { bytes, int32, int64, string, uuid } from "../../codec/primitives.ts";
import { KeySchema, ValueSchema } from "../../codec/record_schema.ts";
import { field } from "../../codec/schema.ts";
import { struct } from "../../codec/struct.ts";

export const offsetCommitKey = new KeySchema({
  name: "OffsetCommitKey",
  kind: 1,
  type: struct({
    group: field(string),
    topic: field(string),
    partition: field(int32),
  }),
});

export const offsetCommitValue = new ValueSchema({
  name: "OffsetCommitValue",
  versions: "0-4",
  firstFlexible: 4,
  type: struct({
    offset: field(int64),
    leaderEpoch: field(int32, { versions: "3+", default: -1, ignorable: true }),
    metadata: field(string),
    commitTimestamp: field(int64),
    expireTimestamp: field(int64, {
      versions: "1",
      default: -1,
      ignorable: true,
    }),
    topicId: field(uuid, { versions: "4+", tag: 0, ignorable: true }),
  }),
});

export const groupMetadataKey = new KeySchema({
  name: "GroupMetadataKey",
  kind: 2,
  type: struct({
    group: field(string),
  }),
});

const memberMetadata = struct({
  memberId: field(string),
  groupInstanceId: field(string, {
    versions: "3+",
    nullable: "0+",
    default: null,
    ignorable: true,
  }),
  clientId: field(string),
  clientHost: field(string),
  rebalanceTimeout: field(int32, {
    versions: "1+",
    default: -1,
    ignorable: true,
  }),
  sessionTimeout: field(int32),
  subscription: field(bytes),
  assignment: field(bytes),
});

export const groupMetadataValue = new ValueSchema({
  name: "GroupMetadataValue",
  versions: "0-4",
  firstFlexible: 4,
  type: struct({
    protocolType: field(string),
    generation: field(int32),
    protocol: field(string, { nullable: "0+" }),
    leader: field(string, { nullable: "0+" }),
    currentStateTimestamp: field(int64, {
      versions: "2+",
      default: -1,
      ignorable: true,
    }),
    members: field(array(memberMetadata)),
  }),
});
