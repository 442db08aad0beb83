/**
 * A frame full of repetitions is worked off in time that grows with its size,
 * not with its square: the largest takes well under a second.
 */
import { listOffsetsApi } from "../../../../broker/kafka/messages/list_offsets.ts";
import { offsetFetchApi } from "../../../../broker/kafka/messages/offset_fetch.ts";
import { assertEquals } from "../../../support/assert.ts";
import { KafkaCluster } from "../../../support/kafka_cluster.ts";
import { commit } from "./group_client.ts";

const REPETITIONS = 50_000;

Deno.test("A frame of one partition over and over is answered", async () => {
  const cluster = new KafkaCluster();
  try {
    const broker = await cluster.open();
    await cluster.settle(broker.room.topics.create({ topic: "demo" }));
    assertEquals(await commit(broker, { offsets: { 0: 3 } }), { 0: 0 });
    const topics = Array.from({ length: REPETITIONS }, () => ({
      name: "demo",
      partitionIndexes: [0],
    }));
    const fetched = await broker.call(offsetFetchApi, 7, {
      groupId: "g",
      topics,
    });
    assertEquals(fetched.topics.length, 1);
    assertEquals(fetched.topics[0].partitions.length, REPETITIONS);
    const listed = await broker.call(listOffsetsApi, 7, {
      replicaId: -1,
      topics: [{
        name: "demo",
        partitions: Array.from({ length: REPETITIONS }, () => ({
          partitionIndex: 0,
          timestamp: -1,
        })),
      }],
    });
    const codes = listed.topics[0].partitions.map((one) => one.errorCode);
    assertEquals(new Set(codes), new Set([42]));
  } finally {
    await cluster.close();
  }
});
