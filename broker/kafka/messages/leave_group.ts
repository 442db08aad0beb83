/**
 * Leaves a group; several members at once from version 3 on (KIP-345).
 */
import { api } from "../codec/api.ts";
import { array } from "../codec/array.ts";
import { int16, int32, string } from "../codec/primitives.ts";
import { field } from "../codec/schema.ts";
import { struct } from "../codec/struct.ts";

export const leaveGroupApi = api({
  key: 13,
  name: "LeaveGroup",
  versions: "0-5",
  firstFlexible: 4,
  request: struct({
    groupId: field(string),
    memberId: field(string, { versions: "0-2", optional: true }),
    members: field(
      array(struct({
        memberId: field(string),
        groupInstanceId: field(string, { nullable: "0+", default: null }),
        reason: field(string, {
          versions: "5+",
          nullable: "0+",
          default: null,
          ignorable: true,
        }),
      })),
      { versions: "3+", optional: true },
    ),
  }),
  response: struct({
    throttleTimeMs: field(int32, {
      versions: "1+",
      optional: true,
      ignorable: true,
    }),
    errorCode: field(int16),
    members: field(
      array(struct({
        memberId: field(string),
        groupInstanceId: field(string, { nullable: "0+" }),
        errorCode: field(int16),
      })),
      { versions: "3+", optional: true },
    ),
  }),
});
