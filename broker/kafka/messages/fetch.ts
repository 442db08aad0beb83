/**
 * Reads record batches of partitions; for consumers and for followers. From
 * version 13 on topics go by id (KIP-516).
 */
import { api } from "../codec/api.ts";
import { array } from "../codec/array.ts";
import {
  int16,
  int32,
  int64,
  int64Saturated,
  int8,
  records,
  string,
  uuid,
} from "../codec/primitives.ts";
import { field } from "../codec/schema.ts";
import { struct } from "../codec/struct.ts";

/** From then on a follower's id stands at the end of its request (KIP-903). */
export const FIRST_FETCH_WITH_REPLICA_STATE = 15;

export const fetchApi = api({
  key: 1,
  name: "Fetch",
  versions: "4-17",
  firstFlexible: 12,
  request: struct({
    clusterId: field(string, {
      versions: "12+",
      nullable: "0+",
      tag: 0,
      default: null,
      ignorable: true,
    }),
    replicaId: field(int32, { versions: "0-14", default: -1 }),
    replicaState: field(
      struct({
        replicaId: field(int32, { default: -1 }),
        replicaEpoch: field(int64, { default: -1 }),
      }),
      { versions: "15+", tag: 1 },
    ),
    maxWaitMs: field(int32),
    minBytes: field(int32),
    maxBytes: field(int32, { default: 2147483647, ignorable: true }),
    isolationLevel: field(int8, { optional: true, ignorable: true }),
    sessionId: field(int32, {
      versions: "7+",
      optional: true,
      ignorable: true,
    }),
    sessionEpoch: field(int32, {
      versions: "7+",
      default: -1,
      ignorable: true,
    }),
    topics: field(array(struct({
      topic: field(string, {
        versions: "0-12",
        optional: true,
        ignorable: true,
      }),
      topicId: field(uuid, {
        versions: "13+",
        optional: true,
        ignorable: true,
      }),
      partitions: field(array(struct({
        partition: field(int32),
        currentLeaderEpoch: field(int32, {
          versions: "9+",
          default: -1,
          ignorable: true,
        }),
        fetchOffset: field(int64Saturated),
        lastFetchedEpoch: field(int32, { versions: "12+", default: -1 }),
        logStartOffset: field(int64Saturated, {
          versions: "5+",
          default: -1,
          ignorable: true,
        }),
        partitionMaxBytes: field(int32),
        replicaDirectoryId: field(uuid, {
          versions: "17+",
          tag: 0,
          ignorable: true,
        }),
      }))),
    }))),
    forgottenTopicsData: field(
      array(struct({
        topic: field(string, {
          versions: "0-12",
          optional: true,
          ignorable: true,
        }),
        topicId: field(uuid, {
          versions: "13+",
          optional: true,
          ignorable: true,
        }),
        partitions: field(array(int32)),
      })),
      { versions: "7+", optional: true },
    ),
    rackId: field(string, { versions: "11+", optional: true, ignorable: true }),
  }),
  response: struct({
    throttleTimeMs: field(int32, { optional: true, ignorable: true }),
    errorCode: field(int16, {
      versions: "7+",
      optional: true,
      ignorable: true,
    }),
    sessionId: field(int32, { versions: "7+", optional: true }),
    responses: field(array(struct({
      topic: field(string, {
        versions: "0-12",
        optional: true,
        ignorable: true,
      }),
      topicId: field(uuid, {
        versions: "13+",
        optional: true,
        ignorable: true,
      }),
      partitions: field(array(struct({
        partitionIndex: field(int32),
        errorCode: field(int16),
        highWatermark: field(int64),
        lastStableOffset: field(int64, { default: -1, ignorable: true }),
        logStartOffset: field(int64, {
          versions: "5+",
          default: -1,
          ignorable: true,
        }),
        divergingEpoch: field(
          struct({
            epoch: field(int32, { default: -1 }),
            endOffset: field(int64, { default: -1 }),
          }),
          { versions: "12+", tag: 0 },
        ),
        currentLeader: field(
          struct({
            leaderId: field(int32, { default: -1 }),
            leaderEpoch: field(int32, { default: -1 }),
          }),
          { versions: "12+", tag: 1 },
        ),
        snapshotId: field(
          struct({
            endOffset: field(int64, { default: -1 }),
            epoch: field(int32, { default: -1 }),
          }),
          { versions: "12+", tag: 2 },
        ),
        abortedTransactions: field(
          array(struct({
            producerId: field(int64),
            firstOffset: field(int64),
          })),
          { nullable: "0+", ignorable: true },
        ),
        preferredReadReplica: field(int32, { versions: "11+", default: -1 }),
        records: field(records, { nullable: "0+" }),
      }))),
    }))),
    nodeEndpoints: field(
      array(struct({
        nodeId: field(int32),
        host: field(string),
        port: field(int32),
        rack: field(string, { nullable: "0+", default: null }),
      })),
      { versions: "16+", tag: 0 },
    ),
  }),
});
