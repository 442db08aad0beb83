/** @platformatic/kafka: a young client that asks for the newest versions. */
import {
  Admin,
  alterPartitionReassignmentsV1,
  Connection,
  Consumer,
  listPartitionReassignmentsV0,
  type Message,
  Producer,
  stringDeserializers,
  stringSerializers,
} from "@platformatic/kafka";
import { assert, assertEquals, assertRejects } from "../support/assert.ts";
import { TestCluster } from "../e2e/support/cluster.ts";
import { readPartition, step } from "../e2e/support/http.ts";
import { waitFor } from "../e2e/support/process.ts";
import {
  brokersOf,
  numbered,
  untilAllForgot,
  untilAllKnow,
} from "./support.ts";

const CODECS = ["none", "gzip", "snappy", "lz4", "zstd"] as const;
/** `ConfigResourceTypes` and `IncrementalAlterConfigOperationTypes`. */
const TOPIC_RESOURCE = 2;
const SET = 0;

type TextMessage = Message<string, string, string, string>;

Deno.test("@platformatic/kafka and three brokers", async (context) => {
  await using cluster = await TestCluster.start();
  const url = cluster.url();
  const base = {
    clientId: "interop",
    bootstrapBrokers: brokersOf(cluster),
    metadataMaxAge: 100,
  };
  const admin = new Admin(base);
  const producer = new Producer({ ...base, serializers: stringSerializers });
  const open = (groupId: string) =>
    new Consumer({
      ...base,
      groupId,
      deserializers: stringDeserializers,
      maxWaitTime: 100,
      sessionTimeout: 6000,
      heartbeatInterval: 500,
    });

  await step(context, "creates, extends and deletes topics", async () => {
    const [made] = await admin.createTopics({
      topics: ["made"],
      partitions: 4,
      configs: [{ name: "retention.ms", value: "3600000" }],
    });
    assertEquals([made.name, made.partitions], ["made", 4]);
    await assertRejects(() =>
      admin.createTopics({ topics: ["made"], partitions: 4 })
    );
    await untilAllKnow(cluster, "made", () => true);
    assertEquals(await admin.listTopics(), ["made"]);
    await admin.createPartitions({
      topics: [{ name: "made", count: 6, assignments: null }],
    });
    await untilAllKnow(
      cluster,
      "made",
      ({ partitions }) => partitions.length === 6,
    );
    await admin.incrementalAlterConfigs({
      resources: [{
        resourceType: TOPIC_RESOURCE,
        resourceName: "made",
        configs: [{
          name: "retention.ms",
          configOperation: SET,
          value: "7200000",
        }],
      }],
    });
    await waitFor("the new value", async () => {
      const [{ configs }] = await admin.describeConfigs({
        resources: [{
          resourceType: TOPIC_RESOURCE,
          resourceName: "made",
          configurationKeys: ["retention.ms"],
        }],
        includeDocumentation: true,
      });
      assertEquals(configs.length, 1);
      assert(configs[0].documentation);
      return configs[0].value === "7200000";
    });
    await admin.deleteTopics({ topics: ["made"] });
    await untilAllForgot(cluster, "made");
    assertEquals(await admin.listTopics(), []);
  });

  for (const acks of [0, 1, -1]) {
    await step(context, `produces with every codec, acks=${acks}`, async () => {
      for (const [index, compression] of CODECS.entries()) {
        const topic = `acks${acks}-${compression}`;
        const partition = index % 3;
        await admin.createTopics({ topics: [topic], partitions: 3 });
        const values = numbered(`${compression} ${"same ".repeat(20)}`, 200);
        for (let from = 0; from < values.length; from += 100) {
          await producer.send({
            acks,
            compression,
            messages: values.slice(from, from + 100).map((value) => ({
              topic,
              partition,
              key: `key of ${value}`,
              value,
              headers: { codec: compression },
            })),
          });
        }
        await waitFor(
          "the messages",
          async () =>
            (await readPartition(url, topic, partition)).length === 200,
        );
        const records = await readPartition(url, topic, partition);
        assertEquals(
          records.map(({ key, message }) => [key, message]),
          values.map((value) => [`key of ${value}`, value]),
        );
        assert(records.every(({ headers }) => headers?.codec === compression));
      }
    });
  }

  await step(context, "reads every codec back, in order", async () => {
    const topics = CODECS.map((codec) => `acks-1-${codec}`);
    const consumer = open("codecs");
    const stream = await consumer.consume({
      topics,
      mode: "earliest",
      autocommit: false,
    });
    const seen = new Map<string, string[]>();
    let count = 0;
    for await (const message of stream as AsyncIterable<TextMessage>) {
      const values = seen.get(message.topic) ?? [];
      seen.set(message.topic, [...values, message.value]);
      assertEquals(Number(message.offset), values.length);
      if (++count === topics.length * 200) break;
    }
    await consumer.close(true);
    for (const [index, topic] of topics.entries()) {
      assertEquals(
        seen.get(topic),
        numbered(`${CODECS[index]} ${"same ".repeat(20)}`, 200),
      );
    }
  });

  await step(context, "tells offsets, also by time", async () => {
    await admin.createTopics({ topics: ["times"], partitions: 1 });
    for (const seconds of [10, 20, 30]) {
      await producer.send({
        // Found by time is what all in-sync replicas have.
        acks: -1,
        messages: [{
          topic: "times",
          partition: 0,
          value: `${seconds}`,
          timestamp: BigInt(1_700_000_000_000 + seconds * 1000),
        }],
      });
    }
    const at = async (timestamp: bigint) => {
      const [topic] = await admin.listOffsets({
        topics: [{
          name: "times",
          partitions: [{ partitionIndex: 0, timestamp }],
        }],
      });
      return Number(topic.partitions[0].offset);
    };
    assertEquals(await at(1_700_000_000_000n), 0);
    assertEquals(await at(1_700_000_020_000n), 1);
    assertEquals(await at(1_700_000_020_001n), 2);
    assertEquals(await at(1_700_000_030_001n), -1);
    assertEquals([await at(-2n), await at(-1n)], [0, 3]);
    // The largest timestamp (KIP-734).
    assertEquals(await at(-3n), 2);
    const [deleted] = await admin.deleteRecords({
      topics: [{ name: "times", partitions: [{ partition: 0, offset: 1n }] }],
    });
    assertEquals(deleted.partitions, [{ partition: 0, lowWatermark: 1n }]);
    assertEquals(await at(-2n), 1);
  });

  await step(context, "moves replicas where it is told", async () => {
    const topic = "moved";
    await admin.createTopics({
      topics: [topic],
      assignments: [{ partition: 0, brokers: [1, 2] }],
    });
    await untilAllKnow(cluster, topic, () => true);
    const connection = new Connection("interop");
    await connection.connect("localhost", cluster.kafkaPort());
    const alter = async (replicas: number[] | null, mayGrow: boolean) => {
      const { responses } = await alterPartitionReassignmentsV1.api.async(
        connection,
        1000,
        mayGrow,
        [{ name: topic, partitions: [{ partitionIndex: 0, replicas }] }],
      );
      return responses[0].partitions[0].errorCode;
    };
    try {
      await assertRejects(() => alter(null, true), Error);
      await assertRejects(() => alter([1, 2, 3], false), Error);
      assertEquals(await alter([3, 2], false), 0);
      await waitFor("the end of the move", async () => {
        const { topics } = await listPartitionReassignmentsV0.api
          .async(connection, 1000, null);
        return topics.length === 0;
      });
      await untilAllKnow(
        cluster,
        topic,
        ({ partitions: [{ replicas }] }) => `${replicas}` === "3,2",
      );
    } finally {
      await connection.close();
    }
  });

  await step(context, "produces idempotently", async () => {
    await admin.createTopics({ topics: ["once"], partitions: 3 });
    const idempotent = new Producer({
      ...base,
      serializers: stringSerializers,
      idempotent: true,
    });
    const values = numbered("once", 200);
    for (const value of values) {
      await idempotent.send({
        acks: -1,
        messages: [{ topic: "once", partition: 2, value }],
      });
    }
    await idempotent.close();
    const records = await readPartition(url, "once", 2);
    assertEquals(records.map(({ message }) => message), values);
  });

  await producer.close();
  await admin.close();
});
