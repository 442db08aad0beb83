import { topicNameFault } from "../../../contract/limits.ts";
import { KEYS } from "../../../broker/cluster/facts.ts";
import { assert, assertEquals } from "../../support/assert.ts";
import {
  failed,
  isSettled,
  succeeded,
  type TestBroker,
  TestCluster,
} from "../../support/test_broker.ts";

async function brokersOf(count: number): Promise<TestBroker[]> {
  const cluster = new TestCluster();
  const brokers: TestBroker[] = [];
  for (let id = 1; id <= count; id++) brokers.push(await cluster.broker());
  return brokers;
}

const leadersOf = async (one: TestBroker, topic: string) =>
  succeeded(await one.operations.topics.describe(topic)).partitions
    .map(({ leader }) => leader);

Deno.test("Topics.create() places partitions round the ring from the broker that was asked", async () => {
  const [one, two, three] = await brokersOf(3);
  await one.create("demo", { partitions: 7 });
  assertEquals(await leadersOf(one, "demo"), [1, 2, 3, 1, 2, 3, 1]);
  await two.create("two", { partitions: 4 });
  assertEquals(await leadersOf(three, "two"), [2, 3, 1, 2]);
  const locations = succeeded(await three.operations.topics.describe("demo"))
    .partitions.slice(0, 3).map(({ broker }) => broker);
  assertEquals(locations, [
    "localhost:8080",
    "localhost:8081",
    "localhost:8082",
  ]);
  // Partitions that are added go on round the ring.
  succeeded(await one.operations.topics.alter("demo", { partitions: 9 }));
  assertEquals((await leadersOf(one, "demo")).slice(7), [2, 3]);
  await one.cluster.stop();
});

Deno.test("Topics.create() leaves out brokers that are down", async () => {
  const [one, two, three] = await brokersOf(3);
  await two.kill();
  await one.cluster.time.elapse(2_000);
  await three.create("demo", { partitions: 4 });
  assertEquals(await leadersOf(one, "demo"), [3, 1, 3, 1]);
  await one.cluster.stop();
});

Deno.test("Topics.create() answers created, exists, TOPIC_ALREADY_EXISTS", async () => {
  const [one] = await brokersOf(1);
  const { topics } = one.operations;
  const request = {
    topic: "demo",
    partitions: 2,
    config: { "retention.ms": "0100", "cleanup.policy": "compact, delete" },
  };
  assertEquals(await topics.create(request, { validateOnly: true }), {
    status: "created",
  });
  assertEquals(topics.list(), []);
  assertEquals(await topics.create(request), { status: "created" });
  assertEquals(await topics.create(request), { status: "exists" });
  assertEquals(await topics.create(request, { validateOnly: true }), {
    status: "exists",
  });
  assertEquals(
    await topics.create({
      ...request,
      config: { "cleanup.policy": "compact,delete", "retention.ms": 100 },
    }),
    { status: "exists" },
  );
  for (
    const other of [
      { ...request, partitions: 3 },
      { ...request, config: {} },
      { ...request, config: { ...request.config, "retention.ms": "101" } },
    ]
  ) {
    const { code, detail } = failed(await topics.create(other));
    assertEquals(code, "TOPIC_ALREADY_EXISTS");
    assert(detail.includes("2 partitions"), detail);
  }
  await one.cluster.stop();
});

Deno.test("Topics.create() takes from 1 to 10,000 partitions", async () => {
  const [one] = await brokersOf(1);
  const { topics } = one.operations;
  for (const partitions of [0, -1, 10_001, 1.5, NaN]) {
    const { code, details } = failed(
      await topics.create({ topic: "demo", partitions }),
    );
    assertEquals([code, details.field], ["INVALID_PARTITIONS", "partitions"]);
  }
  assertEquals(topics.list(), []);
  await one.create("most", { partitions: 10_000 });
  assertEquals((await leadersOf(one, "most")).length, 10_000);
  succeeded(await one.produce("most", ["a"], { partition: 9_999 }));
  await one.create("least", { partitions: 1 });
  assertEquals(
    failed(await topics.alter("most", { partitions: 10_001 })).code,
    "INVALID_PARTITIONS",
  );
  await one.cluster.stop();
});

Deno.test("Topics.create() refuses names that Kafka refuses", async () => {
  const [one] = await brokersOf(1);
  const { topics } = one.operations;
  const names = [
    "",
    ".",
    "..",
    "../x",
    "a/b",
    "a\\b",
    "%2e%2e",
    "a\0",
    "a b",
    "ä",
    "a".repeat(250),
    "__consumer_offsets",
    "__transaction_state",
  ];
  for (const topic of names) {
    const failure = failed(await topics.create({ topic, partitions: 1 }));
    assertEquals(failure.code, "INVALID_TOPIC_EXCEPTION", topic);
    assertEquals(failure.details.field, "topic");
  }
  for (const topic of ["a".repeat(249), "...", "A-b_c.1", "__proto__"]) {
    assertEquals(topicNameFault(topic), undefined);
    await one.create(topic, { partitions: 1 });
    succeeded(await one.produce(topic, ["a"]));
  }
  await one.cluster.stop();
});

Deno.test("Topics refuse settings that are none, also to take out", async () => {
  const [one] = await brokersOf(1);
  const { topics } = one.operations;
  await one.create("demo", { partitions: 1 });
  const bad: Record<string, string | number | null>[] = [
    { "no.such.setting": "1" },
    { "no.such.setting": null },
    { "__proto__x": null },
    { "retention.ms": "x" },
    { "retention.ms": "1x" },
    { "retention.ms": "" },
    { "retention.ms": -2 },
    { "retention.ms": `${"0".repeat(1_000_000)}1` },
    { "cleanup.policy": "" },
    { "cleanup.policy": "delete,shred" },
    { "cleanup.policy": "delete,".repeat(100_000) + "delete" },
    { "cleanup.policy": "delete,delete" },
    { "min.cleanable.dirty.ratio": "1.5" },
    { "min.cleanable.dirty.ratio": `0.${"0".repeat(100_000)}1` },
  ];
  for (const config of bad) {
    for (
      const answer of [
        await topics.alter("demo", { config }),
        await topics.create({ topic: "other", partitions: 1, config }),
      ]
    ) {
      const { code, details, detail } = failed(answer);
      assertEquals([code, details.field], ["INVALID_CONFIG", "config"]);
      assert(detail.length < 500, "A fault quotes no endless value");
    }
  }
  const many = failed(
    await topics.alter("demo", { config: { "a": "1", "retention.ms": "x" } }),
  );
  assert(many.detail.includes('"a"') && many.detail.includes("retention.ms"));
  await one.cluster.stop();
});

Deno.test("Topics can be read at once by who wrote, and by the others when the store tells them", async () => {
  const [one, two] = await brokersOf(2);
  two.store.faults.delayMs = () => 50;
  await one.create("demo", { partitions: 1 });
  assertEquals(one.operations.topics.list().map(({ topic }) => topic), [
    "demo",
  ]);
  assertEquals(two.operations.topics.list(), []);
  // Asked for it by name, the other one looks again.
  const route = two.operations.records.route("demo", 0);
  const offsets = two.operations.records.offsets("demo", 0);
  await one.cluster.time.elapse(100);
  assertEquals(succeeded(await route).isLocal, false);
  assertEquals(failed(await offsets).code, "NOT_LEADER_OR_FOLLOWER");
  two.store.faults.delayMs = () => 0;
  await one.cluster.stop();
});

Deno.test("A partition that another broker just added is found", async () => {
  const [one, two] = await brokersOf(2);
  await one.create("demo", { partitions: 1 });
  await one.cluster.time.elapse(0);
  two.store.faults.delayMs = () => 50;
  succeeded(await one.operations.topics.alter("demo", { partitions: 2 }));
  const produced = two.produce("demo", ["a"], { partition: 1 });
  await one.cluster.time.elapse(200);
  assertEquals(succeeded(await produced).baseOffset, 0);
  for (const partition of [-1, 2]) {
    const unknown = two.produce("demo", ["a"], { partition });
    await one.cluster.time.elapse(200);
    assertEquals(failed(await unknown).code, "UNKNOWN_TOPIC_OR_PARTITION");
    const route = two.operations.records.route("demo", partition);
    await one.cluster.time.elapse(200);
    assertEquals(failed(await route).code, "UNKNOWN_TOPIC_OR_PARTITION");
  }
  two.store.faults.delayMs = () => 0;
  await one.cluster.stop();
});

Deno.test("Topics.create() on two brokers at once makes one topic, in either order", async () => {
  const [one, two] = await brokersOf(2);
  for (const [first, second] of [[one, two], [two, one]]) {
    const topic = `race-${first.config.id}`;
    const answers = await Promise.all([
      first.operations.topics.create({ topic, partitions: 3 }),
      second.operations.topics.create({ topic, partitions: 3 }),
    ]);
    assertEquals(
      answers.map((answer) => succeeded(answer).status).sort(),
      ["created", "exists"],
    );
    const large = `large-${first.config.id}`;
    const sizes = await Promise.all([
      first.operations.topics.create({ topic: large, partitions: 300 }),
      second.operations.topics.create({ topic: large, partitions: 200 }),
    ]);
    const losers = sizes.filter((answer) => !("status" in answer));
    assertEquals(losers.map((loser) => failed(loser).code), [
      "TOPIC_ALREADY_EXISTS",
    ]);
  }
  assertEquals(one.room.view.image.orphanTopicIds(), []);
  await one.cluster.stop();
});

Deno.test("Topics.alter() on two brokers at once keeps both changes", async () => {
  const [one, two] = await brokersOf(2);
  await one.create("demo", { partitions: 2 });
  await one.cluster.time.elapse(0);
  const answers = await Promise.all([
    one.operations.topics.alter("demo", { partitions: 5 }),
    two.operations.topics.alter("demo", { config: { "retention.ms": 1000 } }),
    two.operations.topics.alter("demo", { config: { "segment.ms": 77 } }),
    one.operations.topics.alter("demo", { partitions: 4 }),
  ]);
  const failures = answers.filter((answer) => "code" in answer);
  assert(
    failures.every((failure) => failed(failure).code === "INVALID_PARTITIONS"),
  );
  const view = succeeded(await two.operations.topics.describe("demo"));
  assertEquals(view.partitions.length, 5);
  assert(view.partitions.every(({ leader }) => leader !== null));
  const value = (name: string) =>
    view.config.find((entry) => entry.name === name)?.value;
  assertEquals([value("retention.ms"), value("segment.ms")], ["1000", "77"]);
  for (let partition = 0; partition < 5; partition++) {
    const leader = view.partitions[partition].leader === 1 ? one : two;
    succeeded(await leader.produce("demo", ["a"], { partition }));
  }
  await one.cluster.stop();
});

Deno.test("Topics.alter() takes effect on every broker's replicas", async () => {
  const [one, two] = await brokersOf(2);
  await one.create("demo", { partitions: 2 });
  succeeded(
    await one.operations.topics.alter("demo", {
      config: { "max.message.bytes": "200" },
    }),
  );
  await one.cluster.time.elapse(0);
  assertEquals(one.replica("demo", 0).settings.maxMessageBytes, 200);
  assertEquals(two.replica("demo", 1).settings.maxMessageBytes, 200);
  const shrunk = failed(
    await one.operations.topics.alter("demo", { partitions: 1 }),
  );
  assertEquals(shrunk.code, "INVALID_PARTITIONS");
  await one.cluster.stop();
});

Deno.test("Topics.delete() takes the topic from every broker, once", async () => {
  const [one, two] = await brokersOf(2);
  await one.create("demo", { partitions: 2 });
  const answers = await Promise.all([
    one.operations.topics.delete("demo"),
    two.operations.topics.delete("demo"),
  ]);
  assertEquals(answers.filter((answer) => answer === undefined).length, 1);
  await one.cluster.time.elapse(0);
  for (const broker of [one, two]) {
    assertEquals(
      failed(await broker.produce("demo", ["a"])).code,
      "UNKNOWN_TOPIC_OR_PARTITION",
    );
  }
  assertEquals(one.cluster.metadata.list(KEYS.partitions).entries, []);
  await one.cluster.stop();
});

Deno.test("Topics.create() whose answer was lost is found made when it is asked again", async () => {
  const [one] = await brokersOf(1);
  let calls = 0;
  // The answer to the transaction is lost, that to catching up is not.
  one.store.faults.loseAnswer = () => ++calls === 2;
  const lost = one.operations.topics.create({ topic: "demo", partitions: 3 });
  await one.cluster.time.elapse(3_000);
  assertEquals(failed(await lost).code, "REQUEST_TIMED_OUT");
  one.store.faults.loseAnswer = () => false;
  assertEquals(
    await one.operations.topics.create({ topic: "demo", partitions: 3 }),
    { status: "exists" },
  );
  succeeded(await one.produce("demo", ["a"]));
  await one.cluster.stop();
});

Deno.test("What an unfinished creation left is cleared away, and never seen", async () => {
  const [one, two] = await brokersOf(2);
  const { time, metadata } = one.cluster;
  two.store.faults.delayMs = () => 10;
  const unfinished = two.operations.topics.create({
    topic: "demo",
    partitions: 1000,
  });
  await time.elapse(70);
  assertEquals(await isSettled(unfinished), false);
  await two.kill();
  const left = metadata.list(KEYS.partitions).entries.length;
  assert(left > 0 && left < 1000, `${left} states are left`);
  assertEquals(one.operations.topics.list(), []);
  assertEquals(one.room.view.image.orphanTopicIds().length, 1);
  await time.elapse(60_000);
  assertEquals(metadata.list(KEYS.partitions).entries.length, left);
  await time.elapse(60_000);
  assertEquals(metadata.list(KEYS.partitions).entries, []);
  await one.create("demo", { partitions: 3 });
  await one.cluster.stop();
});

Deno.test("A creation that is slower than clearing away fails whole, and can be tried again", async () => {
  const [one, two] = await brokersOf(2);
  const { time, metadata } = one.cluster;
  two.store.faults.delayMs = () => 15_000;
  two.store.faults.timeoutMs = 100_000;
  const slow = two.operations.topics.create({
    topic: "demo",
    partitions: 400,
  });
  await time.elapse(300_000);
  assertEquals(failed(await slow).code, "REQUEST_TIMED_OUT");
  assertEquals(metadata.get(KEYS.topic("demo")), undefined);
  await time.elapse(200_000);
  assertEquals(metadata.list(KEYS.partitions).entries, []);
  two.store.faults.delayMs = () => 0;
  await two.create("demo", { partitions: 400 });
  await time.elapse(200_000);
  assertEquals(metadata.list(KEYS.partitions).entries.length, 400);
  await one.cluster.stop();
});
