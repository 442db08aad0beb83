/**
 * Deletes empty groups with their offsets.
 */
import { api } from "../codec/api.ts";
import { array } from "../codec/array.ts";
import { int16, int32, string } from "../codec/primitives.ts";
import { field } from "../codec/schema.ts";
import { struct } from "../codec/struct.ts";

export const deleteGroupsApi = api({
  key: 42,
  name: "DeleteGroups",
  versions: "0-2",
  firstFlexible: 2,
  request: struct({
    groupsNames: field(array(string)),
  }),
  response: struct({
    throttleTimeMs: field(int32, { optional: true }),
    results: field(array(struct({
      groupId: field(string),
      errorCode: field(int16),
    }))),
  }),
});
