/**
 * Keeps a member of a group alive.
 */
import { api } from "../codec/api.ts";
import { int16, int32, string } from "../codec/primitives.ts";
import { field } from "../codec/schema.ts";
import { struct } from "../codec/struct.ts";

export const heartbeatApi = api({
  key: 12,
  name: "Heartbeat",
  versions: "0-4",
  firstFlexible: 4,
  request: struct({
    groupId: field(string),
    generationId: field(int32),
    memberId: field(string),
    groupInstanceId: field(string, {
      versions: "3+",
      nullable: "0+",
      default: null,
    }),
  }),
  response: struct({
    throttleTimeMs: field(int32, {
      versions: "1+",
      optional: true,
      ignorable: true,
    }),
    errorCode: field(int16),
  }),
});
