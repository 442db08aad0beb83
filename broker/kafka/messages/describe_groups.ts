/**
 * Tells the state and members of groups.
 */
import { api } from "../codec/api.ts";
import { array } from "../codec/array.ts";
import { bool, bytes, int16, int32, string } from "../codec/primitives.ts";
import { field } from "../codec/schema.ts";
import { struct } from "../codec/struct.ts";

export const describeGroupsApi = api({
  key: 15,
  name: "DescribeGroups",
  versions: "0-5",
  firstFlexible: 5,
  request: struct({
    groups: field(array(string)),
    includeAuthorizedOperations: field(bool, {
      versions: "3+",
      optional: true,
    }),
  }),
  response: struct({
    throttleTimeMs: field(int32, {
      versions: "1+",
      optional: true,
      ignorable: true,
    }),
    groups: field(array(struct({
      errorCode: field(int16),
      groupId: field(string),
      groupState: field(string),
      protocolType: field(string),
      protocolData: field(string),
      members: field(array(struct({
        memberId: field(string),
        groupInstanceId: field(string, {
          versions: "4+",
          nullable: "0+",
          default: null,
          ignorable: true,
        }),
        clientId: field(string),
        clientHost: field(string),
        memberMetadata: field(bytes),
        memberAssignment: field(bytes),
      }))),
      authorizedOperations: field(int32, {
        versions: "3+",
        default: -2147483648,
      }),
    }))),
  }),
});
