/**
 * Joins a consumer group; answered when the group's members are known.
 */
import { api } from "../codec/api.ts";
import { array } from "../codec/array.ts";
import { bool, bytes, int16, int32, string } from "../codec/primitives.ts";
import { field } from "../codec/schema.ts";
import { struct } from "../codec/struct.ts";

export const joinGroupApi = api({
  key: 11,
  name: "JoinGroup",
  versions: "0-9",
  firstFlexible: 6,
  request: struct({
    groupId: field(string),
    sessionTimeoutMs: field(int32),
    rebalanceTimeoutMs: field(int32, {
      versions: "1+",
      default: -1,
      ignorable: true,
    }),
    memberId: field(string),
    groupInstanceId: field(string, {
      versions: "5+",
      nullable: "0+",
      default: null,
    }),
    protocolType: field(string),
    protocols: field(array(struct({
      name: field(string),
      metadata: field(bytes),
    }))),
    reason: field(string, {
      versions: "8+",
      nullable: "0+",
      default: null,
      ignorable: true,
    }),
  }),
  response: struct({
    throttleTimeMs: field(int32, {
      versions: "2+",
      optional: true,
      ignorable: true,
    }),
    errorCode: field(int16),
    generationId: field(int32, { default: -1 }),
    protocolType: field(string, {
      versions: "7+",
      nullable: "0+",
      default: null,
      ignorable: true,
    }),
    protocolName: field(string, { nullable: "7+" }),
    leader: field(string),
    skipAssignment: field(bool, { versions: "9+", optional: true }),
    memberId: field(string),
    members: field(array(struct({
      memberId: field(string),
      groupInstanceId: field(string, {
        versions: "5+",
        nullable: "0+",
        default: null,
        ignorable: true,
      }),
      metadata: field(bytes),
    }))),
  }),
});
