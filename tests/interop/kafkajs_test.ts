/** kafkajs: producing, admin calls, and what it makes of errors. */
import { CompressionTypes, ConfigResourceTypes, type IHeaders } from "kafkajs";
import { assert, assertEquals, assertRejects } from "../support/assert.ts";
import type { TopicDescription } from "../../contract/http.ts";
import { TestCluster } from "../e2e/support/cluster.ts";
import { call, ok, readPartition, step } from "../e2e/support/http.ts";
import { waitFor } from "../e2e/support/process.ts";
import {
  brokersOf,
  KafkaJs,
  Member,
  numbered,
  protocolErrorOf,
  untilAllForgot,
  untilAllKnow,
} from "./support.ts";

Deno.test("kafkajs and three brokers", async (context) => {
  await using cluster = await TestCluster.start();
  const url = cluster.url();
  const client = new KafkaJs(cluster);
  await using producer = await client.producer();
  await using admin = await client.admin();

  await step(context, "describes the cluster", async () => {
    const { brokers, controller, clusterId } = await admin.describeCluster();
    assertEquals(
      brokers.map(({ nodeId, host, port }) => [nodeId, `${host}:${port}`]),
      brokersOf(cluster).map((broker, index) => [index + 1, broker]),
    );
    assert(controller !== null && clusterId.length > 0);
  });

  await step(context, "creates, extends and deletes topics", async () => {
    const topics = [{
      topic: "made",
      numPartitions: 4,
      configEntries: [{ name: "retention.ms", value: "3600000" }],
    }];
    assertEquals(await admin.createTopics({ topics }), true);
    // There already.
    assertEquals(await admin.createTopics({ topics }), false);
    await untilAllKnow(cluster, "made", () => true);
    assertEquals(await admin.listTopics(), ["made"]);
    await admin.createPartitions({
      topicPartitions: [{ topic: "made", count: 6 }],
    });
    await untilAllKnow(
      cluster,
      "made",
      ({ partitions }) => partitions.length === 6,
    );
    const metadata = await admin.fetchTopicMetadata({ topics: ["made"] });
    const partitions = metadata.topics[0].partitions
      .toSorted((left, right) => left.partitionId - right.partitionId);
    assertEquals(
      partitions.map(({ partitionId }) => partitionId),
      [0, 1, 2, 3, 4, 5],
    );
    const described = await ok<TopicDescription>(`${url}/v1/topics/made`);
    assertEquals(
      described.config.find(({ name }) => name === "retention.ms")?.value,
      "3600000",
    );
    await assertRejects(
      () =>
        admin.createPartitions({
          topicPartitions: [{ topic: "made", count: 3 }],
        }),
      Error,
    );
    await assertRejects(
      () => admin.createTopics({ topics: [{ topic: "no/slash" }] }),
      Error,
    );
    await admin.deleteTopics({ topics: ["made"] });
    await untilAllForgot(cluster, "made");
    assertEquals(await admin.listTopics(), []);
    await admin.createTopics({ topics });
    await untilAllKnow(
      cluster,
      "made",
      ({ partitions }) => partitions.length === 4,
    );
    assertEquals((await admin.fetchTopicOffsets("made")).length, 4);
  });

  await step(context, "reads and changes settings", async () => {
    const resource = { type: ConfigResourceTypes.TOPIC, name: "made" };
    const value = async (name: string) => {
      const { resources } = await admin.describeConfigs({
        resources: [resource],
        includeSynonyms: false,
      });
      const entry = resources[0].configEntries
        .find(({ configName }) => configName === name);
      return [entry?.configValue, entry?.isDefault];
    };
    assertEquals(await value("retention.ms"), ["3600000", false]);
    assertEquals(await value("cleanup.policy"), ["delete", true]);
    await admin.alterConfigs({
      validateOnly: false,
      resources: [{
        ...resource,
        configEntries: [{ name: "retention.ms", value: "7200000" }],
      }],
    });
    await untilAllKnow(
      cluster,
      "made",
      ({ config }) => config.some(({ value }) => value === "7200000"),
    );
    assertEquals(await value("retention.ms"), ["7200000", false]);
    await assertRejects(
      () =>
        admin.alterConfigs({
          validateOnly: false,
          resources: [{
            ...resource,
            configEntries: [{ name: "retention.ms", value: "long" }],
          }],
        }),
      Error,
    );
    assertEquals(await value("retention.ms"), ["7200000", false]);
    // The values of the broker itself.
    const { resources } = await admin.describeConfigs({
      resources: [{ type: ConfigResourceTypes.BROKER, name: "1" }],
      includeSynonyms: true,
    });
    assert(resources[0].configEntries.length > 0);
  });

  const codecs = [CompressionTypes.None, CompressionTypes.GZIP];
  for (const acks of [0, 1, -1]) {
    await step(context, `produces with acks=${acks}`, async () => {
      for (const compression of codecs) {
        const topic = `acks${acks}-codec${compression}`;
        await admin.createTopics({ topics: [{ topic, numPartitions: 2 }] });
        const values = numbered("value", 300);
        for (let from = 0; from < 300; from += 100) {
          await producer.send({
            topic,
            acks,
            compression,
            messages: values.slice(from, from + 100).map((value) => ({
              key: "k",
              value,
              partition: 1,
              headers: { place: value },
            })),
          });
        }
        await waitFor(
          "the messages",
          async () => (await readPartition(url, topic, 1)).length === 300,
        );
        const records = await readPartition(url, topic, 1);
        assertEquals(records.map(({ message }) => message), values);
        assertEquals(
          records.map(({ headers }) => headers),
          values.map((place) => ({ place })),
        );
        assertEquals(await readPartition(url, topic, 0), []);
      }
    });
  }

  await step(context, "tells offsets, also by time", async () => {
    await admin.createTopics({ topics: [{ topic: "times" }] });
    await producer.send({
      topic: "times",
      messages: [10, 20, 30].map((seconds) => ({
        value: `${seconds}`,
        timestamp: `${1_700_000_000_000 + seconds * 1000}`,
      })),
    });
    const at = async (seconds: number) =>
      (await admin.fetchTopicOffsetsByTimestamp(
        "times",
        1_700_000_000_000 + seconds * 1000,
      ))[0].offset;
    assertEquals([await at(0), await at(20), await at(21)], ["0", "1", "2"]);
    // Later than all: the end.
    assertEquals(await at(31), "3");
    await admin.deleteTopicRecords({
      topic: "times",
      partitions: [{ partition: 0, offset: "2" }],
    });
    assertEquals(await admin.fetchTopicOffsets("times"), [
      { partition: 0, offset: "3", high: "3", low: "2" },
    ]);
    const gone = await call(`${url}/consume?topic=times&partition=0&offset=0`);
    assertEquals(gone.status, 410);
  });

  await step(context, "reads in order what it wrote", async () => {
    await admin.createTopics({ topics: [{ topic: "read", numPartitions: 3 }] });
    const values = numbered("read", 900);
    const headers: IHeaders = { one: "1", two: "2" };
    for (let from = 0; from < 900; from += 90) {
      await producer.send({
        topic: "read",
        compression: CompressionTypes.GZIP,
        messages: values.slice(from, from + 90).map((value, index) => ({
          key: `key ${(from + index) % 10}`,
          value,
          headers,
        })),
      });
    }
    await using member = await Member.join(client.kafka, "reader", ["read"]);
    await member.waitForCount(900);
    assertEquals(
      member.received.map(({ value }) => value).toSorted(),
      values.toSorted(),
    );
    for (let key = 0; key < 10; key++) {
      const ofKey = member.received.filter((each) => each.key === `key ${key}`);
      assertEquals(
        ofKey.map(({ value }) => value),
        values.filter((_, index) => index % 10 === key),
      );
      assertEquals(new Set(ofKey.map(({ partition }) => partition)).size, 1);
    }
  });

  await step(context, "moves replicas where it is told", async () => {
    const topic = "moved";
    await admin.createTopics({
      topics: [{
        topic,
        replicaAssignment: [[1, 2], [2, 3]]
          .map((replicas, partition) => ({ partition, replicas })),
      }],
    });
    const values = numbered("moved", 100);
    await producer.send({
      topic,
      messages: values.map((value) => ({ value, partition: 0 })),
    });
    const assign = (...replicas: [partition: number, brokers: number[]][]) =>
      admin.alterPartitionReassignments({
        topics: [{
          topic,
          partitionAssignment: replicas
            .map(([partition, replicas]) => ({ partition, replicas })),
        }],
      });
    await assign([0, [3, 1]]);
    await untilAllKnow(
      cluster,
      topic,
      ({ partitions: [{ replicas, isr, leader }] }) =>
        `${replicas}` === "3,1" && isr.length === 2 && leader === 3,
    );
    const listed = await admin.listPartitionReassignments({
      topics: [{ topic, partitions: [0, 1] }],
    });
    assertEquals(listed.topics, []);
    const records = await readPartition(url, topic, 0);
    assertEquals(records.map(({ message }) => message), values);
    // More replicas, of all partitions at once.
    await assign([0, [3, 1, 2]], [1, [2, 3, 1]]);
    await untilAllKnow(
      cluster,
      topic,
      ({ partitions }) => partitions.every(({ isr }) => isr.length === 3),
    );
    const refused: [number, number[]][] = [
      [0, [3, 1]],
      [0, [1, 2, 9]],
      [2, [1]],
    ];
    for (const one of refused) {
      await assertRejects(
        () => assign(one),
        Error,
        "Errors altering partition reassignments",
      );
    }
  });

  await step(context, "hears that a message is too large", async () => {
    await admin.createTopics({
      topics: [{
        topic: "small",
        configEntries: [{ name: "max.message.bytes", value: "1000" }],
      }],
    });
    const error = await protocolErrorOf(() =>
      producer.send({
        topic: "small",
        messages: [{ value: "x".repeat(2000) }],
      })
    );
    assertEquals(error.type, "MESSAGE_TOO_LARGE");
    assertEquals(await readPartition(url, "small", 0), []);
  });

  await step(context, "produces idempotently", async () => {
    await admin.createTopics({ topics: [{ topic: "once", numPartitions: 3 }] });
    await using idempotent = await client.producer({
      idempotent: true,
      maxInFlightRequests: 1,
    });
    const values = numbered("once", 200);
    for (const value of values) {
      await idempotent.send({
        topic: "once",
        acks: -1,
        messages: [{ value, partition: 2 }],
      });
    }
    const records = await readPartition(url, "once", 2);
    assertEquals(records.map(({ message }) => message), values);
  });
});
