/**
 * Tells the size of partitions on disk (KIP-113, KIP-827).
 */
import { api } from "../codec/api.ts";
import { array } from "../codec/array.ts";
import { bool, int16, int32, int64, string } from "../codec/primitives.ts";
import { field } from "../codec/schema.ts";
import { struct } from "../codec/struct.ts";

export const describeLogDirsApi = api({
  key: 35,
  name: "DescribeLogDirs",
  versions: "1-4",
  firstFlexible: 2,
  request: struct({
    topics: field(
      array(struct({
        topic: field(string),
        partitions: field(array(int32)),
      })),
      { nullable: "0+" },
    ),
  }),
  response: struct({
    throttleTimeMs: field(int32, { optional: true }),
    errorCode: field(int16, {
      versions: "3+",
      optional: true,
      ignorable: true,
    }),
    results: field(array(struct({
      errorCode: field(int16),
      logDir: field(string),
      topics: field(array(struct({
        name: field(string),
        partitions: field(array(struct({
          partitionIndex: field(int32),
          partitionSize: field(int64),
          offsetLag: field(int64),
          isFutureKey: field(bool),
        }))),
      }))),
      totalBytes: field(int64, {
        versions: "4+",
        default: -1,
        ignorable: true,
      }),
      usableBytes: field(int64, {
        versions: "4+",
        default: -1,
        ignorable: true,
      }),
    }))),
  }),
});
