/**
 * Replaces the whole configuration of resources.
 */
import { api } from "../codec/api.ts";
import { array } from "../codec/array.ts";
import { bool, int16, int32, int8, string } from "../codec/primitives.ts";
import { field } from "../codec/schema.ts";
import { struct } from "../codec/struct.ts";

export const alterConfigsApi = api({
  key: 33,
  name: "AlterConfigs",
  versions: "0-2",
  firstFlexible: 2,
  request: struct({
    resources: field(array(struct({
      resourceType: field(int8),
      resourceName: field(string),
      configs: field(array(struct({
        name: field(string),
        value: field(string, { nullable: "0+" }),
      }))),
    }))),
    validateOnly: field(bool),
  }),
  response: struct({
    throttleTimeMs: field(int32, { optional: true }),
    responses: field(array(struct({
      errorCode: field(int16),
      errorMessage: field(string, { nullable: "0+" }),
      resourceType: field(int8),
      resourceName: field(string),
    }))),
  }),
});
