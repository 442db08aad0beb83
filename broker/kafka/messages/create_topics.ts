/**
 * Creates topics. -1 partitions or replicas mean the broker's defaults.
 */
import { api } from "../codec/api.ts";
import { array } from "../codec/array.ts";
import { bool, int16, int32, int8, string, uuid } from "../codec/primitives.ts";
import { field } from "../codec/schema.ts";
import { struct } from "../codec/struct.ts";

export const createTopicsApi = api({
  key: 19,
  name: "CreateTopics",
  versions: "2-7",
  firstFlexible: 5,
  request: struct({
    topics: field(array(struct({
      name: field(string),
      numPartitions: field(int32),
      replicationFactor: field(int16),
      assignments: field(array(struct({
        partitionIndex: field(int32),
        brokerIds: field(array(int32)),
      }))),
      configs: field(array(struct({
        name: field(string),
        value: field(string, { nullable: "0+" }),
      }))),
    }))),
    timeoutMs: field(int32, { default: 60000 }),
    validateOnly: field(bool, { optional: true }),
  }),
  response: struct({
    throttleTimeMs: field(int32, { optional: true, ignorable: true }),
    topics: field(array(struct({
      name: field(string),
      topicId: field(uuid, { versions: "7+", optional: true, ignorable: true }),
      errorCode: field(int16),
      errorMessage: field(string, { nullable: "0+", ignorable: true }),
      topicConfigErrorCode: field(int16, {
        versions: "5+",
        tag: 0,
        ignorable: true,
      }),
      numPartitions: field(int32, {
        versions: "5+",
        default: -1,
        ignorable: true,
      }),
      replicationFactor: field(int16, {
        versions: "5+",
        default: -1,
        ignorable: true,
      }),
      configs: field(
        array(struct({
          name: field(string),
          value: field(string, { nullable: "0+" }),
          readOnly: field(bool),
          configSource: field(int8, { default: -1, ignorable: true }),
          isSensitive: field(bool),
        })),
        { versions: "5+", nullable: "0+", optional: true, ignorable: true },
      ),
    }))),
  }),
});
