/**
 * Tells the configuration of topics and brokers, with sources and docs.
 */
import { api } from "../codec/api.ts";
import { array } from "../codec/array.ts";
import { bool, int16, int32, int8, string } from "../codec/primitives.ts";
import { field } from "../codec/schema.ts";
import { struct } from "../codec/struct.ts";

export const describeConfigsApi = api({
  key: 32,
  name: "DescribeConfigs",
  versions: "1-4",
  firstFlexible: 4,
  request: struct({
    resources: field(array(struct({
      resourceType: field(int8),
      resourceName: field(string),
      configurationKeys: field(array(string), { nullable: "0+" }),
    }))),
    includeSynonyms: field(bool, { optional: true }),
    includeDocumentation: field(bool, { versions: "3+", optional: true }),
  }),
  response: struct({
    throttleTimeMs: field(int32, { optional: true }),
    results: field(array(struct({
      errorCode: field(int16),
      errorMessage: field(string, { nullable: "0+" }),
      resourceType: field(int8),
      resourceName: field(string),
      configs: field(array(struct({
        name: field(string),
        value: field(string, { nullable: "0+" }),
        readOnly: field(bool),
        configSource: field(int8, { default: -1, ignorable: true }),
        isSensitive: field(bool),
        synonyms: field(
          array(struct({
            name: field(string),
            value: field(string, { nullable: "0+" }),
            source: field(int8),
          })),
          { ignorable: true },
        ),
        configType: field(int8, {
          versions: "3+",
          optional: true,
          ignorable: true,
        }),
        documentation: field(string, {
          versions: "3+",
          nullable: "0+",
          optional: true,
          ignorable: true,
        }),
      }))),
    }))),
  }),
});
