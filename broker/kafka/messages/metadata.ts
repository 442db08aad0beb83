/**
 * Tells which brokers there are and where each partition's leader is.
 */
import { api } from "../codec/api.ts";
import { array } from "../codec/array.ts";
import { bool, int16, int32, string, uuid } from "../codec/primitives.ts";
import { field } from "../codec/schema.ts";
import { struct } from "../codec/struct.ts";

export const metadataApi = api({
  key: 3,
  name: "Metadata",
  versions: "0-12",
  firstFlexible: 9,
  request: struct({
    topics: field(
      array(struct({
        topicId: field(uuid, {
          versions: "10+",
          optional: true,
          ignorable: true,
        }),
        name: field(string, { nullable: "10+" }),
      })),
      { nullable: "1+" },
    ),
    allowAutoTopicCreation: field(bool, { versions: "4+", default: true }),
    includeClusterAuthorizedOperations: field(bool, {
      versions: "8-10",
      optional: true,
    }),
    includeTopicAuthorizedOperations: field(bool, {
      versions: "8+",
      optional: true,
    }),
  }),
  response: struct({
    throttleTimeMs: field(int32, {
      versions: "3+",
      optional: true,
      ignorable: true,
    }),
    brokers: field(array(struct({
      nodeId: field(int32),
      host: field(string),
      port: field(int32),
      rack: field(string, {
        versions: "1+",
        nullable: "0+",
        default: null,
        ignorable: true,
      }),
    }))),
    clusterId: field(string, {
      versions: "2+",
      nullable: "0+",
      default: null,
      ignorable: true,
    }),
    controllerId: field(int32, {
      versions: "1+",
      default: -1,
      ignorable: true,
    }),
    topics: field(array(struct({
      errorCode: field(int16),
      name: field(string, { nullable: "12+" }),
      topicId: field(uuid, {
        versions: "10+",
        optional: true,
        ignorable: true,
      }),
      isInternal: field(bool, {
        versions: "1+",
        optional: true,
        ignorable: true,
      }),
      partitions: field(array(struct({
        errorCode: field(int16),
        partitionIndex: field(int32),
        leaderId: field(int32),
        leaderEpoch: field(int32, {
          versions: "7+",
          default: -1,
          ignorable: true,
        }),
        replicaNodes: field(array(int32)),
        isrNodes: field(array(int32)),
        offlineReplicas: field(array(int32), {
          versions: "5+",
          optional: true,
          ignorable: true,
        }),
      }))),
      topicAuthorizedOperations: field(int32, {
        versions: "8+",
        default: -2147483648,
      }),
    }))),
    clusterAuthorizedOperations: field(int32, {
      versions: "8-10",
      default: -2147483648,
    }),
  }),
});
