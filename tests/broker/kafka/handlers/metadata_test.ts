/** What Metadata tells, and which topics it makes. */
import { AUTO_CREATED_PER_REQUEST } from "../../../../broker/kafka/handlers/metadata.ts";
import { metadataApi } from "../../../../broker/kafka/messages/metadata.ts";
import { assert, assertEquals } from "../../../support/assert.ts";
import { KafkaCluster } from "../../../support/kafka_cluster.ts";

const UNKNOWN_TOPIC_OR_PARTITION = 3;
const INVALID_TOPIC = 17;
const UNKNOWN_TOPIC_ID = 100;

function named(...names: string[]) {
  return names.map((name) => ({ name }));
}

Deno.test("Metadata describes every topic to who asks for all", async () => {
  const cluster = new KafkaCluster();
  try {
    const broker = await cluster.open();
    const create = (topic: string, partitions: number) =>
      cluster.settle(broker.room.topics.create({ topic, partitions }));
    await create("one", 1);
    await create("three", 3);
    const { topics, brokers } = await broker.call(metadataApi, 12, {
      topics: null,
    });
    assertEquals(brokers.map(({ nodeId }) => nodeId), [1]);
    assertEquals(
      topics.map(({ name, partitions, errorCode }) => [
        name,
        partitions.length,
        errorCode,
      ]).sort(),
      [["one", 1, 0], ["three", 3, 0]],
    );
    const [{ partitions: [first] }] = topics;
    assertEquals([first.leaderId, first.leaderEpoch], [1, 0]);
    const byId = await broker.call(metadataApi, 12, {
      topics: [{ name: null, topicId: topics[0].topicId }, {
        name: null,
        topicId: "00000000-0000-4000-8000-000000000001",
      }],
    });
    assertEquals(byId.topics.map((topic) => [topic.name, topic.errorCode]), [
      [topics[0].name, 0],
      [null, UNKNOWN_TOPIC_ID],
    ]);
  } finally {
    await cluster.close();
  }
});

Deno.test("Metadata makes a topic only where client and name allow", async () => {
  const cluster = new KafkaCluster();
  try {
    const broker = await cluster.open();
    const ask = (name: string, allowAutoTopicCreation: boolean) =>
      broker.call(metadataApi, 9, {
        topics: named(name),
        allowAutoTopicCreation,
      });
    const refused = await ask("wished", false);
    assertEquals(refused.topics[0].errorCode, UNKNOWN_TOPIC_OR_PARTITION);
    const made = await ask("wished", true);
    assertEquals(made.topics[0].errorCode, 0);
    assertEquals(made.topics[0].partitions.length, 1);
    const invalid = await ask("a/b", true);
    assertEquals(invalid.topics[0].errorCode, INVALID_TOPIC);
  } finally {
    await cluster.close();
  }
});

Deno.test("Metadata makes a bounded number of topics per request", async () => {
  const cluster = new KafkaCluster();
  try {
    const broker = await cluster.open();
    const names = Array.from(
      { length: AUTO_CREATED_PER_REQUEST + 1 },
      (_, index) => `topic-${index}`,
    );
    const { topics } = await broker.call(metadataApi, 9, {
      topics: named(...names),
      allowAutoTopicCreation: true,
    });
    const failed = topics.filter(({ errorCode }) => errorCode !== 0);
    assertEquals(
      failed.map(({ errorCode }) => errorCode),
      [UNKNOWN_TOPIC_OR_PARTITION],
    );
    assertEquals(
      broker.room.view.image.topics.size,
      AUTO_CREATED_PER_REQUEST,
    );
    assert(topics.every(({ name }) => names.includes(name ?? "")));
  } finally {
    await cluster.close();
  }
});
