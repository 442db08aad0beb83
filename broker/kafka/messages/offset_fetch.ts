/**
 * Reads committed offsets; of several groups at once from version 8 on
 * (KIP-709).
 */
import { api } from "../codec/api.ts";
import { array } from "../codec/array.ts";
import { bool, int16, int32, int64, string } from "../codec/primitives.ts";
import { field } from "../codec/schema.ts";
import { struct } from "../codec/struct.ts";

export const offsetFetchApi = api({
  key: 9,
  name: "OffsetFetch",
  versions: "1-8",
  firstFlexible: 6,
  request: struct({
    groupId: field(string, { versions: "0-7", optional: true }),
    topics: field(
      array(struct({
        name: field(string),
        partitionIndexes: field(array(int32)),
      })),
      { versions: "0-7", nullable: "2+", optional: true },
    ),
    groups: field(
      array(struct({
        groupId: field(string),
        topics: field(
          array(struct({
            name: field(string, { ignorable: true }),
            partitionIndexes: field(array(int32)),
          })),
          { nullable: "0+" },
        ),
      })),
      { versions: "8+", optional: true },
    ),
    requireStable: field(bool, { versions: "7+", optional: true }),
  }),
  response: struct({
    throttleTimeMs: field(int32, {
      versions: "3+",
      optional: true,
      ignorable: true,
    }),
    topics: field(
      array(struct({
        name: field(string),
        partitions: field(array(struct({
          partitionIndex: field(int32),
          committedOffset: field(int64),
          committedLeaderEpoch: field(int32, {
            versions: "5+",
            default: -1,
            ignorable: true,
          }),
          metadata: field(string, { nullable: "0+" }),
          errorCode: field(int16),
        }))),
      })),
      { versions: "0-7", optional: true },
    ),
    errorCode: field(int16, {
      versions: "2-7",
      optional: true,
      ignorable: true,
    }),
    groups: field(
      array(struct({
        groupId: field(string),
        topics: field(array(struct({
          name: field(string, { ignorable: true }),
          partitions: field(array(struct({
            partitionIndex: field(int32),
            committedOffset: field(int64),
            committedLeaderEpoch: field(int32, {
              default: -1,
              ignorable: true,
            }),
            metadata: field(string, { nullable: "0+" }),
            errorCode: field(int16),
          }))),
        }))),
        errorCode: field(int16, { optional: true }),
      })),
      { versions: "8+", optional: true },
    ),
  }),
});
