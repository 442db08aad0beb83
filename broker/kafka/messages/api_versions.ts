/**
 * Tells which APIs and versions are served. Always the first request; its
 * response header never has tags, so that any client can read it.
 */
import { api } from "../codec/api.ts";
import { array } from "../codec/array.ts";
import { bool, int16, int32, int64, string } from "../codec/primitives.ts";
import { field } from "../codec/schema.ts";
import { struct } from "../codec/struct.ts";

export const apiVersionsApi = api({
  key: 18,
  name: "ApiVersions",
  versions: "0-4",
  firstFlexible: 3,
  request: struct({
    clientSoftwareName: field(string, {
      versions: "3+",
      optional: true,
      ignorable: true,
    }),
    clientSoftwareVersion: field(string, {
      versions: "3+",
      optional: true,
      ignorable: true,
    }),
  }),
  response: struct({
    errorCode: field(int16),
    apiKeys: field(array(struct({
      apiKey: field(int16),
      minVersion: field(int16),
      maxVersion: field(int16),
    }))),
    throttleTimeMs: field(int32, {
      versions: "1+",
      optional: true,
      ignorable: true,
    }),
    supportedFeatures: field(
      array(struct({
        name: field(string),
        minVersion: field(int16),
        maxVersion: field(int16),
      })),
      { versions: "3+", tag: 0, ignorable: true },
    ),
    finalizedFeaturesEpoch: field(int64, {
      versions: "3+",
      tag: 1,
      default: -1,
      ignorable: true,
    }),
    finalizedFeatures: field(
      array(struct({
        name: field(string),
        maxVersionLevel: field(int16),
        minVersionLevel: field(int16),
      })),
      { versions: "3+", tag: 2, ignorable: true },
    ),
    zkMigrationReady: field(bool, { versions: "3+", tag: 3, ignorable: true }),
  }),
});
