/**
 * Appends record batches to partitions. Versions 0 to 2 are advertised and not
 * served: librdkafka before 2.11.1 takes their absence for a broker that cannot
 * compress (KAFKA-18659).
 */
import { api } from "../codec/api.ts";
import { array } from "../codec/array.ts";
import { int16, int32, int64, records, string } from "../codec/primitives.ts";
import { field } from "../codec/schema.ts";
import { struct } from "../codec/struct.ts";

export const produceApi = api({
  key: 0,
  name: "Produce",
  versions: "3-11",
  advertised: "0-11",
  firstFlexible: 9,
  request: struct({
    transactionalId: field(string, { nullable: "0+", default: null }),
    acks: field(int16),
    timeoutMs: field(int32),
    topicData: field(array(struct({
      name: field(string, { ignorable: true }),
      partitionData: field(array(struct({
        index: field(int32),
        records: field(records, { nullable: "0+" }),
      }))),
    }))),
  }),
  response: struct({
    responses: field(array(struct({
      name: field(string, { ignorable: true }),
      partitionResponses: field(array(struct({
        index: field(int32),
        errorCode: field(int16),
        baseOffset: field(int64),
        logAppendTimeMs: field(int64, { default: -1, ignorable: true }),
        logStartOffset: field(int64, {
          versions: "5+",
          default: -1,
          ignorable: true,
        }),
        recordErrors: field(
          array(struct({
            batchIndex: field(int32),
            batchIndexErrorMessage: field(string, {
              nullable: "0+",
              default: null,
            }),
          })),
          { versions: "8+", optional: true, ignorable: true },
        ),
        errorMessage: field(string, {
          versions: "8+",
          nullable: "0+",
          default: null,
          ignorable: true,
        }),
        currentLeader: field(
          struct({
            leaderId: field(int32, { default: -1 }),
            leaderEpoch: field(int32, { default: -1 }),
          }),
          { versions: "10+", tag: 0 },
        ),
      }))),
    }))),
    throttleTimeMs: field(int32, { optional: true, ignorable: true }),
    nodeEndpoints: field(
      array(struct({
        nodeId: field(int32),
        host: field(string),
        port: field(int32),
        rack: field(string, { nullable: "0+", default: null }),
      })),
      { versions: "10+", tag: 0 },
    ),
  }),
});
