import { KEYS } from "../../../broker/cluster/facts.ts";
import { MetadataImage } from "../../../broker/cluster/metadata_image.ts";
import type { BrokerConfig } from "../../../broker/config.ts";
import { createTopicsApi } from "../../../broker/kafka/messages/create_topics.ts";
import {
  placeNew,
  replicationFactorOf,
} from "../../../broker/operations/new_replicas.ts";
import { readTopicSettings } from "../../../broker/topic_config.ts";
import { ERRORS, Failure } from "../../../contract/errors.ts";
import { assert, assertEquals } from "../../support/assert.ts";
import { KafkaCluster } from "../../support/kafka_cluster.ts";
import {
  failed,
  succeeded,
  type TestBroker,
  TestCluster,
} from "../../support/test_broker.ts";

async function brokersOf(
  changes: Partial<BrokerConfig>[],
): Promise<TestBroker[]> {
  const cluster = new TestCluster();
  const brokers: TestBroker[] = [];
  for (const [index, change] of changes.entries()) {
    brokers.push(
      await cluster.broker({
        kafkaPort: 9092 + index,
        defaultReplicationFactor: null,
        ...change,
      }),
    );
  }
  return brokers;
}

/** In steps: brokers that stop wait for each other. */
async function stop(cluster: TestCluster): Promise<void> {
  let isDone = false;
  const stopping = cluster.stop().finally(() => isDone = true);
  while (!isDone) await cluster.time.elapse(50);
  await stopping;
}

const replicasOf = (broker: TestBroker, topic: string) =>
  broker.room.view.image.topics.get(topic)?.partitionStates
    .map((state) => state?.replicas);

const minInsyncOf = async (broker: TestBroker, topic: string) =>
  succeeded(await broker.operations.topics.describe(topic)).config
    .find(({ name }) => name === "min.insync.replicas");

Deno.test("A topic has min(3, live brokers) replicas when nobody says, and min.insync.replicas is the majority", async () => {
  for (const [count, factor, minInsync] of [[1, 1, 1], [2, 2, 2], [4, 3, 2]]) {
    const [one] = await brokersOf(Array.from({ length: count }, () => ({})));
    await one.create("demo");
    const view = succeeded(await one.operations.topics.describe("demo"));
    assertEquals(view.replicationFactor, factor);
    const setting = await minInsyncOf(one, "demo");
    assertEquals(setting?.value, `${minInsync}`);
    assertEquals(setting?.isDefault, true);
    assertEquals(one.replica("demo").settings.minInsyncReplicas, minInsync);
    await stop(one.cluster);
  }
});

Deno.test("A replication factor is from 1 to the live brokers with a Kafka port, and faults name numbers", async () => {
  const [one, two] = await brokersOf([{}, {}, { kafkaPort: null }]);
  const { topics } = one.operations;
  for (
    const [replicationFactor, words] of [
      [0, "not 0"],
      [1.5, "not 1.5"],
      [3, "at most 2 (3 brokers alive, of which 1 without a Kafka port"],
    ] as const
  ) {
    const failure = failed(
      await topics.create({ topic: "x", replicationFactor }),
    );
    assertEquals(failure.code, "INVALID_REPLICATION_FACTOR");
    assertEquals(failure.details.field, "replicationFactor");
    assert(failure.detail.includes(words), failure.detail);
  }
  await one.create("two", { replicationFactor: 2, partitions: 3 });
  assertEquals(replicasOf(one, "two"), [[1, 2], [2, 1], [1, 2]]);
  await one.create("one", { replicationFactor: 1, partitions: 3 });
  assertEquals(replicasOf(one, "one"), [[1], [2], [3]]);
  await two.kill();
  await one.cluster.time.elapse(2_000);
  const late = failed(
    await topics.create({ topic: "y", replicationFactor: 2 }),
  );
  assert(late.detail.includes("at most 1 (2 brokers alive"), late.detail);
  // Partitions of a topic that is there need its number of replicas.
  const grown = failed(await topics.alter("two", { partitions: 4 }));
  assertEquals(grown.code, "BROKER_NOT_AVAILABLE");
  await stop(one.cluster);
});

Deno.test("A topic that is asked for again exists, whatever replicas it has, unless told", async () => {
  const [one, two] = await brokersOf([{}, {}]);
  const { topics } = one.operations;
  const request = { topic: "demo", config: { "min.insync.replicas": "2" } };
  assertEquals(await topics.create(request), { status: "created" });
  await two.kill();
  await one.cluster.time.elapse(2_000);
  // The default would be 1 now.
  assertEquals(await topics.create(request), { status: "exists" });
  const same = { ...request, replicationFactor: 2 };
  assertEquals(await topics.create(same), { status: "exists" });
  const other = failed(
    await topics.create({ ...request, replicationFactor: 1 }),
  );
  assertEquals(other.code, "TOPIC_ALREADY_EXISTS");
  await stop(one.cluster);
});

Deno.test("min.insync.replicas of a topic is at most its replicas", async () => {
  const [one] = await brokersOf([{}, {}]);
  const { topics } = one.operations;
  for (const [value, isFine] of [["1", true], ["2", true], ["3", false]]) {
    const topic = `t${value}`;
    const config = { "min.insync.replicas": `${value}` };
    const created = await topics.create({ topic, config });
    if (isFine) assertEquals(created, { status: "created" });
    else assertEquals(failed(created).code, "INVALID_CONFIG");
  }
  const config = { "min.insync.replicas": 3 };
  assertEquals(
    failed(await topics.alter("t1", { config })).code,
    "INVALID_CONFIG",
  );
  assertEquals((await minInsyncOf(one, "t1"))?.value, "1");
  succeeded(
    await topics.alter("t1", { config: { "min.insync.replicas": null } }),
  );
  assertEquals((await minInsyncOf(one, "t1"))?.value, "2");
  await stop(one.cluster);
});

Deno.test("A broker's default of min.insync.replicas asks for no more than a topic has", () => {
  const defaults = { "min.insync.replicas": "2" };
  const read = (replicationFactor: number, config = {}) =>
    readTopicSettings({ config, replicationFactor }, defaults)
      .minInsyncReplicas;
  assertEquals([1, 2, 3, 5].map((factor) => read(factor)), [1, 2, 2, 2]);
  assertEquals(read(5, { "min.insync.replicas": "4" }), 4);
});

/** Brokers 1 to 4, of which 2 is about to leave and 3 is being emptied. */
function unsettledCluster(): MetadataImage {
  const values: [string, unknown][] = [[KEYS.drainedBroker(3), {}]];
  for (const id of [1, 2, 3, 4]) {
    const broker = { id, host: "h", httpPort: id, kafkaPort: id, rack: null };
    const life = { incarnation: `${id}`, isLeaving: id === 2 };
    values.push([KEYS.broker(id), broker], [KEYS.liveBroker(id), life]);
  }
  return MetadataImage.of(
    values.map(([key, value]) => ({
      key,
      value: JSON.stringify(value),
      createRevision: 1,
      modRevision: 1,
      version: 1,
    })),
    1,
  );
}

Deno.test("New replicas avoid a broker that leaves or is emptied, as long as there are others", () => {
  const image = unsettledCluster();
  const placed = (replicationFactor: number, count: number, brokerId = 1) => {
    const options = { brokerId, replicationFactor, first: 0, count };
    const states = placeNew(image, options);
    assert(!(states instanceof Failure), "they have places");
    return states.map(({ replicas }) => replicas);
  };
  assertEquals(placed(2, 2), [[1, 4], [4, 1]]);
  // One that comes back is better than one that does not.
  assertEquals(placed(3, 1), [[1, 2, 4]]);
  assertEquals(placed(4, 1), [[1, 2, 3, 4]]);
  assertEquals(placed(1, 1, 2), [[1]]);
  // What is usual is what stays.
  assertEquals(replicationFactorOf(undefined, null, image), 3);
  assertEquals(replicationFactorOf(4, null, image), 4);
});

Deno.test("Followers stand in other racks", async () => {
  const [one] = await brokersOf([
    { rack: "a" },
    { rack: "a" },
    { rack: "b" },
    { rack: "b" },
  ]);
  await one.create("demo", { replicationFactor: 2, partitions: 4 });
  assertEquals(replicasOf(one, "demo"), [[1, 3], [2, 4], [3, 1], [4, 2]]);
  await stop(one.cluster);
});

Deno.test("CreateTopics takes an assignment of replicas that can be, and no other", async () => {
  const cluster = new KafkaCluster();
  try {
    const one = await cluster.open(1);
    await cluster.open(2);
    const create = async (
      name: string,
      assignments: Record<number, number[]>,
      counts = { numPartitions: -1, replicationFactor: -1 },
    ) => {
      const { topics: [answer] } = await one.call(createTopicsApi, 7, {
        topics: [{
          name,
          ...counts,
          assignments: Object.entries(assignments).map((
            [index, brokerIds],
          ) => ({
            partitionIndex: Number(index),
            brokerIds,
          })),
          configs: [],
        }],
      });
      return answer;
    };
    const made = await create("demo", { 1: [1, 2], 0: [2, 1] });
    assertEquals(made.errorCode, 0);
    assertEquals([made.numPartitions, made.replicationFactor], [2, 2]);
    const topic = one.room.view.image.topics.get("demo");
    assertEquals(
      topic?.partitionStates.map((state) => [
        state?.leader,
        state?.replicas,
        state?.isr,
      ]),
      [[2, [2, 1], [2, 1]], [1, [1, 2], [1, 2]]],
    );
    const { kafkaCode } = ERRORS.INVALID_REPLICA_ASSIGNMENT;
    for (
      const wrong of [
        { 0: [] },
        { 0: [1, 1] },
        { 0: [9] },
        { 0: [1], 2: [2] },
        { 0: [1, 2], 1: [1] },
      ] as Record<number, number[]>[]
    ) {
      const { errorCode, errorMessage } = await create("wrong", wrong);
      assertEquals(errorCode, kafkaCode, `${JSON.stringify(wrong)}`);
      assert(errorMessage !== null, "it says why");
    }
    for (
      const counts of [
        { numPartitions: 1, replicationFactor: -1 },
        { numPartitions: -1, replicationFactor: 1 },
      ]
    ) {
      const { errorCode } = await create("wrong", { 0: [1] }, counts);
      assertEquals(errorCode, ERRORS.INVALID_REQUEST.kafkaCode);
    }
    assertEquals(one.room.view.image.topics.has("wrong"), false);
  } finally {
    await cluster.close();
  }
});
