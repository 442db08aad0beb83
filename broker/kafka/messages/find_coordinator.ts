/**
 * Tells which broker coordinates a group or a transactional id; several at
 * once from version 4 on (KIP-699).
 */
import { api } from "../codec/api.ts";
import { array } from "../codec/array.ts";
import { int16, int32, int8, string } from "../codec/primitives.ts";
import { field } from "../codec/schema.ts";
import { struct } from "../codec/struct.ts";

export const findCoordinatorApi = api({
  key: 10,
  name: "FindCoordinator",
  versions: "0-4",
  firstFlexible: 3,
  request: struct({
    key: field(string, { versions: "0-3", optional: true }),
    keyType: field(int8, { versions: "1+", optional: true }),
    coordinatorKeys: field(array(string), { versions: "4+", optional: true }),
  }),
  response: struct({
    throttleTimeMs: field(int32, {
      versions: "1+",
      optional: true,
      ignorable: true,
    }),
    errorCode: field(int16, { versions: "0-3", optional: true }),
    errorMessage: field(string, {
      versions: "1-3",
      nullable: "0+",
      optional: true,
      ignorable: true,
    }),
    nodeId: field(int32, { versions: "0-3", optional: true }),
    host: field(string, { versions: "0-3", optional: true }),
    port: field(int32, { versions: "0-3", optional: true }),
    coordinators: field(
      array(struct({
        key: field(string),
        nodeId: field(int32),
        host: field(string),
        port: field(int32),
        errorCode: field(int16),
        errorMessage: field(string, { nullable: "0+", ignorable: true }),
      })),
      { versions: "4+", optional: true },
    ),
  }),
});
