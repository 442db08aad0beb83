/**
 * Brings the leader's assignment and fetches one's own.
 */
import { api } from "../codec/api.ts";
import { array } from "../codec/array.ts";
import { bytes, int16, int32, string } from "../codec/primitives.ts";
import { field } from "../codec/schema.ts";
import { struct } from "../codec/struct.ts";

export const syncGroupApi = api({
  key: 14,
  name: "SyncGroup",
  versions: "0-5",
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
    protocolType: field(string, {
      versions: "5+",
      nullable: "0+",
      default: null,
      ignorable: true,
    }),
    protocolName: field(string, {
      versions: "5+",
      nullable: "0+",
      default: null,
      ignorable: true,
    }),
    assignments: field(array(struct({
      memberId: field(string),
      assignment: field(bytes),
    }))),
  }),
  response: struct({
    throttleTimeMs: field(int32, {
      versions: "1+",
      optional: true,
      ignorable: true,
    }),
    errorCode: field(int16),
    protocolType: field(string, {
      versions: "5+",
      nullable: "0+",
      default: null,
      ignorable: true,
    }),
    protocolName: field(string, {
      versions: "5+",
      nullable: "0+",
      default: null,
      ignorable: true,
    }),
    assignment: field(bytes),
  }),
});
