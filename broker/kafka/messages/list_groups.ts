/**
 * Lists the groups that this broker coordinates.
 */
import { api } from "../codec/api.ts";
import { array } from "../codec/array.ts";
import { int16, int32, string } from "../codec/primitives.ts";
import { field } from "../codec/schema.ts";
import { struct } from "../codec/struct.ts";

export const listGroupsApi = api({
  key: 16,
  name: "ListGroups",
  versions: "0-4",
  firstFlexible: 3,
  request: struct({
    statesFilter: field(array(string), { versions: "4+", optional: true }),
  }),
  response: struct({
    throttleTimeMs: field(int32, {
      versions: "1+",
      optional: true,
      ignorable: true,
    }),
    errorCode: field(int16),
    groups: field(array(struct({
      groupId: field(string),
      protocolType: field(string),
      groupState: field(string, {
        versions: "4+",
        optional: true,
        ignorable: true,
      }),
    }))),
  }),
});
