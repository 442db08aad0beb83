/**
 * Changes single entries of configurations (KIP-339).
 */
import { api } from "../codec/api.ts";
import { array } from "../codec/array.ts";
import { bool, int16, int32, int8, string } from "../codec/primitives.ts";
import { field } from "../codec/schema.ts";
import { struct } from "../codec/struct.ts";

export const incrementalAlterConfigsApi = api({
  key: 44,
  name: "IncrementalAlterConfigs",
  versions: "0-1",
  firstFlexible: 1,
  request: struct({
    resources: field(array(struct({
      resourceType: field(int8),
      resourceName: field(string),
      configs: field(array(struct({
        name: field(string),
        configOperation: field(int8),
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
