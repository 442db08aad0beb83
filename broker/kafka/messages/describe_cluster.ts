/**
 * Tells the brokers and the controller (KIP-700).
 */
import { api } from "../codec/api.ts";
import { array } from "../codec/array.ts";
import { bool, int16, int32, int8, string } from "../codec/primitives.ts";
import { field } from "../codec/schema.ts";
import { struct } from "../codec/struct.ts";

export const describeClusterApi = api({
  key: 60,
  name: "DescribeCluster",
  versions: "0-1",
  firstFlexible: 0,
  request: struct({
    includeClusterAuthorizedOperations: field(bool),
    endpointType: field(int8, { versions: "1+", default: 1 }),
  }),
  response: struct({
    throttleTimeMs: field(int32, { optional: true }),
    errorCode: field(int16),
    errorMessage: field(string, { nullable: "0+", default: null }),
    endpointType: field(int8, { versions: "1+", default: 1 }),
    clusterId: field(string),
    controllerId: field(int32, { default: -1 }),
    brokers: field(array(struct({
      brokerId: field(int32),
      host: field(string),
      port: field(int32),
      rack: field(string, { nullable: "0+", default: null }),
    }))),
    clusterAuthorizedOperations: field(int32, { default: -2147483648 }),
  }),
});
