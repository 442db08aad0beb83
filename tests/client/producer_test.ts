/** Batching, turns, back-pressure, and exactly once under every accident. */
import { assert, assertEquals, assertMatch } from "../support/assert.ts";
import { Cluster } from "../../client/cluster.ts";
import type { Rejection } from "../../client/delivery.ts";
import { Producer } from "../../client/producer.ts";
import { PRODUCER_LIMITS } from "../../client/producer_limits.ts";
import { partitionForKey } from "../../contract/partitioner.ts";
import fc from "../support/fast_check.ts";
import { FakeCluster, problem } from "./fake_cluster.ts";
import { TestWorld } from "./test_world.ts";

interface Setup {
  world: TestWorld;
  fake: FakeCluster;
  producer: Producer;
  /** `partition:offset` by tag, in the order of acknowledgement. */
  acknowledged: [tag: number, place: string][];
  rejected: Rejection[];
  notices: string[];
  send(...messages: string[]): void;
}

async function setUp(
  partitions: number,
  options: { lingerMs?: number; deliveryTimeoutMs?: number } = {},
): Promise<Setup> {
  const world = new TestWorld();
  const fake = new FakeCluster(world);
  fake.createTopic("demo", partitions);
  const cluster = new Cluster(world, ["localhost:8080"]);
  await cluster.refresh();
  const acknowledged: [number, string][] = [];
  const rejected: Rejection[] = [];
  const notices: string[] = [];
  const producer = new Producer({
    world,
    cluster,
    topic: "demo",
    partitions,
    ...options,
    events: {
      acknowledged(partition, tags, offsetOf) {
        tags.forEach((tag, index) =>
          acknowledged.push([tag, `${partition}:${offsetOf(index)}`])
        );
      },
      rejected: (rejection) => rejected.push(rejection),
      notice: (text) => notices.push(text),
    },
  });
  let tag = 0;
  const send = (...messages: string[]) => {
    for (const value of messages) producer.send({ value }, ++tag);
  };
  return { world, fake, producer, acknowledged, rejected, notices, send };
}

Deno.test("Producer.send() gives partitions turns and goes to each leader", async () => {
  const { world, fake, producer, acknowledged, send } = await setUp(3);
  send("a", "b", "c", "d");
  await world.drive(producer.flush());
  assertEquals([0, 1, 2].map((p) => fake.messages("demo", p)), [
    ["a", "d"],
    ["b"],
    ["c"],
  ]);
  assert(fake.produced.every(({ broker, partition }) => broker === partition));
  assertEquals(Object.fromEntries(acknowledged), {
    1: "0:0",
    2: "1:0",
    3: "2:0",
    4: "0:1",
  });
});

Deno.test("Producer.send() places keys as Kafka's clients do", async () => {
  const { world, fake, producer } = await setUp(7);
  const keys = ["id1", "", "ключ", "\u{1f600}"];
  keys.forEach((key, tag) => producer.send({ value: "v", key }, tag));
  producer.send({ value: "bytes", key: new Uint8Array([255, 0]) }, 9);
  await world.drive(producer.flush());
  for (const key of keys) {
    const partition = partitionForKey(new TextEncoder().encode(key), 7);
    const found = fake.topics.get("demo")![partition].records
      .some((record) => record.key === key);
    assert(found, key);
  }
  const partition = partitionForKey(new Uint8Array([255, 0]), 7);
  const stored = fake.topics.get("demo")![partition].records
    .find((record) => record.keyEncoding === "base64");
  assertEquals(stored?.key, "/wA=");
});

Deno.test("Producer has one batch of a partition in flight, later ones gather", async () => {
  const { world, fake, producer, send } = await setUp(1);
  send("1");
  await world.settle();
  const gate = Promise.withResolvers<undefined>();
  fake.onProduce = () => gate.promise;
  send("2");
  await world.settle();
  send("3", "4", "5");
  await world.settle();
  assertEquals(fake.produced.length, 2);
  gate.resolve(undefined);
  await world.drive(producer.flush());
  assertEquals(fake.produced.map(({ messages }) => messages.length), [1, 1, 3]);
  assertEquals(fake.produced.map(({ sequence }) => sequence), [0, 1, 2]);
  assertEquals(fake.messages("demo", 0), ["1", "2", "3", "4", "5"]);
});

Deno.test("Producer cuts batches at the record limit, linger gathers", async () => {
  const limit = PRODUCER_LIMITS.recordsPerBatch;
  for (const count of [limit - 1, limit, limit + 1]) {
    const { world, fake, producer } = await setUp(1, { lingerMs: 20 });
    for (let i = 0; i < count; i++) producer.sendText('"x"', i, 0);
    await world.drive(producer.flush());
    assertEquals(
      fake.produced.map(({ messages }) => messages.length),
      count <= limit ? [count] : [limit, 1],
    );
  }
});

Deno.test("Producer asks to wait when too much is buffered, and bounds requests", async () => {
  const { world, fake, producer } = await setUp(40, { lingerMs: 20 });
  const text = JSON.stringify("x".repeat(100_000));
  let waits = 0;
  let most = 0;
  const work = async () => {
    for (let i = 0; i < 1000; i++) {
      const room = producer.sendText(
        text,
        i,
        producer.choosePartition(null),
      );
      most = Math.max(most, producer.bufferedCharacters);
      if (room !== undefined) {
        waits++;
        await room;
      }
    }
    await producer.flush();
  };
  await world.drive(work());
  producer.close();
  assert(waits > 0, "held back");
  assert(most <= PRODUCER_LIMITS.bufferedCharacters + text.length, `${most}`);
  assert(fake.mostRequestsInFlight <= PRODUCER_LIMITS.requestsInFlight);
  const stored = fake.topics.get("demo")!
    .reduce((sum, { records }) => sum + records.length, 0);
  assertEquals(stored, 1000);
  assertEquals(producer.bufferedCharacters, 0);
});

Deno.test("an answer lost after storing is asked again and doubles nothing", async () => {
  const { world, fake, producer, acknowledged, send } = await setUp(1);
  let attempts = 0;
  fake.onProduce = () =>
    ++attempts <= 3 ? "store and lose the answer" : undefined;
  send("a", "b");
  await world.drive(producer.flush());
  assertEquals(fake.messages("demo", 0), ["a", "b"]);
  assertEquals(acknowledged, [[1, "0:0"], [2, "0:1"]]);
});

Deno.test("a request that times out is repeated with the same sequence", async () => {
  const { world, fake, producer, notices, send } = await setUp(1);
  let attempts = 0;
  fake.onProduce = () => ++attempts === 1 ? new Promise(() => {}) : undefined;
  send("a");
  await world.drive(producer.flush());
  assertEquals(fake.produced.map(({ sequence }) => sequence), [0, 0]);
  assertEquals(fake.messages("demo", 0), ["a"]);
  assertEquals(notices, [
    "localhost:8080 does not answer (no answer within 30 s); trying again",
  ]);
});

Deno.test("a leader that stands still is left once others say that another leads", async () => {
  const { world, fake, producer, notices, acknowledged, send } = await setUp(1);
  fake.onProduce = ({ broker }) =>
    broker === 0 ? new Promise(() => {}) : undefined;
  // It does not answer for metadata either.
  fake.onRequest = (_method, url) =>
    url.host === fake.addresses[0] && url.pathname === "/metadata"
      ? new Promise<never>(() => {})
      : undefined;
  send("a");
  world.after(2000, () => fake.topics.get("demo")![0].leader = 1);
  await world.drive(producer.flush());
  assertEquals(fake.produced.map(({ broker }) => broker), [0, 1]);
  assertEquals(acknowledged, [[1, "0:0"]]);
  assert(world.monotonicMs() < 8000, `${world.monotonicMs()} ms`);
  assertEquals(notices, [
    "localhost:8080 does not answer (another broker leads now); trying again",
  ]);
});

Deno.test("a broker that is cut off and tells of old leaders is not believed twice", async () => {
  const { world, fake, producer, send } = await setUp(1);
  // Broker 1 answers, and goes on naming itself.
  fake.onRequest = (_method, url) => {
    if (url.host !== fake.addresses[0]) return undefined;
    if (url.pathname === "/produce") {
      return problem("NOT_LEADER_OR_FOLLOWER", "the lease is over", {
        retryAfterMs: 100,
      });
    }
    return url.pathname === "/metadata" ? stale.clone() : undefined;
  };
  const stale = await fake.metadata();
  fake.topics.get("demo")![0].leader = 2;
  send("a");
  await world.drive(producer.flush());
  assertEquals(fake.produced.map(({ broker }) => broker), [2]);
  assert(world.monotonicMs() < 2000);
});

Deno.test("waiting for a leader is said once, after a while", async () => {
  const { world, fake, producer, notices, send } = await setUp(1);
  fake.topics.get("demo")![0].leader = undefined;
  send("a");
  world.after(20_000, () => fake.topics.get("demo")![0].leader = 1);
  await world.drive(producer.flush());
  assertEquals(fake.messages("demo", 0), ["a"]);
  assertEquals(notices, ["no leader; waiting"]);
});

Deno.test("a new leader is found after NOT_LEADER_OR_FOLLOWER", async () => {
  const { world, fake, producer, acknowledged, send } = await setUp(1);
  send("a");
  await world.drive(producer.flush());
  fake.topics.get("demo")![0].leader = 2;
  send("b");
  await world.drive(producer.flush());
  assertEquals(fake.produced.map(({ broker }) => broker), [0, 0, 2]);
  assertEquals(acknowledged.map(([tag]) => tag), [1, 2]);
});

Deno.test("a broker that dies and comes back loses and doubles nothing", async () => {
  const { world, fake, producer, notices, send } = await setUp(1);
  fake.topics.get("demo")![0].leader = 1;
  fake.onProduce = ({ sequence }) => {
    if (sequence !== 0) return undefined;
    fake.onProduce = () => undefined;
    fake.isUp[1] = false;
    world.after(5000, () => fake.isUp[1] = true);
    return "store and lose the answer";
  };
  await world.settle();
  send("a");
  send("b");
  await world.drive(producer.flush());
  assertEquals(fake.messages("demo", 0), ["a", "b"]);
  assert(notices.length > 0);
  assert(world.monotonicMs() >= 5000 && world.monotonicMs() < 8000);
});

Deno.test("Producer gives up after the delivery timeout and says why", async () => {
  const options = { deliveryTimeoutMs: 10_000 };
  const { world, fake, producer, acknowledged, send } = await setUp(1, options);
  send("a");
  await world.drive(producer.flush());
  fake.isUp.fill(false);
  send("b");
  await world.drive(producer.flush());
  assertMatch(
    producer.fault!.reason,
    /^no broker answers: localhost:8080 \(connection refused\), /,
  );
  assertEquals(acknowledged.length, 1);
  assert(world.monotonicMs() < 12_000);
});

Deno.test("a partition without leader is given up with the broker's words", async () => {
  const options = { deliveryTimeoutMs: 5000 };
  const { world, fake, producer, send } = await setUp(1, options);
  fake.topics.get("demo")![0].leader = undefined;
  send("a");
  await world.drive(producer.flush());
  assertEquals(producer.fault?.reason, "given up after 5 s: no leader");
});

Deno.test("a deleted topic ends soon", async () => {
  const { world, fake, producer, send } = await setUp(1);
  fake.topics.delete("demo");
  send("a");
  await world.drive(producer.flush());
  assertEquals(producer.fault?.reason, 'There is no topic "demo"');
  assert(world.monotonicMs() < 5000, `${world.monotonicMs()}`);
});

Deno.test("refused records are named and left out, the others stored", async () => {
  for (const namesRefused of [true, false]) {
    const setup = await setUp(1, { lingerMs: 5 });
    const { world, fake, producer, acknowledged, rejected, send } = setup;
    fake.namesRefused = namesRefused;
    fake.refuses = (message) =>
      String(message).startsWith("bad") ? `no ${message}` : undefined;
    send("a", "bad1", "b", "bad2", "c");
    await world.drive(producer.flush());
    assertEquals(fake.messages("demo", 0), ["a", "b", "c"]);
    assertEquals(acknowledged.map(([tag]) => tag), [1, 3, 5]);
    assertEquals(rejected.map(({ tag }) => tag), [2, 4]);
    assertEquals(
      rejected[0].reason,
      namesRefused ? "no bad1" : "a message violates the schema",
    );
  }
});

Deno.test("a batch too large for its topic is halved until it fits", async () => {
  const setup = await setUp(1, { lingerMs: 5 });
  const { world, fake, producer, acknowledged, rejected } = setup;
  fake.onProduce = ({ messages }) =>
    JSON.stringify(messages).length > 60
      ? problem("MESSAGE_TOO_LARGE", "more than 60 bytes")
      : undefined;
  for (let i = 0; i < 20; i++) producer.send({ value: `message ${i}` }, i);
  producer.send({ value: "x".repeat(100) }, 20);
  producer.send({ value: "last" }, 21);
  await world.drive(producer.flush());
  assertEquals(
    fake.messages("demo", 0),
    [...Array.from({ length: 20 }, (_, i) => `message ${i}`), "last"],
  );
  assertEquals(acknowledged.length, 21);
  assertEquals(rejected, [
    { partition: 0, tag: 20, reason: "more than 60 bytes" },
  ]);
});

Deno.test("an answer in parts (207) acknowledges and rejects record by record", async () => {
  const setup = await setUp(1, { lingerMs: 5 });
  const { world, fake, producer, acknowledged, rejected, send } = setup;
  fake.onProduce = () =>
    Response.json({
      results: [
        { offset: 7, partition: 0, timestamp: 0 },
        { partition: 0, code: "MESSAGE_TOO_LARGE", detail: "too large" },
      ],
    }, { status: 207 });
  send("a", "b");
  await world.drive(producer.flush());
  assertEquals(acknowledged, [[1, "0:7"]]);
  assertEquals(rejected, [{ partition: 0, tag: 2, reason: "too large" }]);
});

Deno.test("a producer id that the broker forgot is replaced", async () => {
  const { world, fake, producer, send } = await setUp(1);
  send("a");
  await world.drive(producer.flush());
  const [{ producerId: old }] = fake.produced;
  fake.onProduce = ({ producerId }) =>
    producerId === old ? problem("UNKNOWN_PRODUCER_ID", "who?") : undefined;
  send("b");
  await world.drive(producer.flush());
  assertEquals(fake.messages("demo", 0), ["a", "b"]);
  assertEquals(fake.produced.at(-1)!.sequence, 0);
});

Deno.test("a lost history is a fault, not a silent gap", async () => {
  const { world, fake, producer, send } = await setUp(1);
  fake.onProduce = () => problem("OUT_OF_ORDER_SEQUENCE_NUMBER", "expected 0");
  send("a");
  await world.drive(producer.flush());
  assertEquals(
    producer.fault?.reason,
    "expected 0 (OUT_OF_ORDER_SEQUENCE_NUMBER)",
  );
});

Deno.test("a batch that may be stored is not cut when it is refused later", async () => {
  const setup = await setUp(1, { lingerMs: 5 });
  const { world, fake, producer, rejected, send } = setup;
  fake.onProduce = () => {
    fake.onProduce = () =>
      problem("INVALID_RECORD", "A new schema refuses it.");
    return "store and lose the answer";
  };
  send("a", "b");
  await world.drive(producer.flush());
  assertEquals(fake.messages("demo", 0), ["a", "b"]);
  assertEquals(rejected, []);
  assertEquals(
    producer.fault?.reason,
    "A new schema refuses it (INVALID_RECORD); it may have been stored before",
  );
});

Deno.test("Producer.stop() sends nothing further", async () => {
  const { world, fake, producer, send } = await setUp(1);
  producer.stop("enough");
  send("a");
  await world.drive(producer.flush());
  assertEquals(fake.produced.length, 0);
  assertEquals(producer.fault?.reason, "enough");
});

Deno.test("under random accidents every acknowledged record is stored once, in order", async () => {
  const accident = fc.constantFrom(
    "fine",
    "fine",
    "store and lose the answer",
    "lose the request",
    "move leader",
    "restart broker",
    "no replicas",
  );
  await fc.assert(
    fc.asyncProperty(
      fc.array(accident, { maxLength: 40 }),
      fc.integer({ min: 1, max: 4 }),
      fc.integer({ min: 1, max: 60 }),
      async (accidents, partitions, records) => {
        const { world, fake, producer, acknowledged } = await setUp(partitions);
        fake.onProduce = ({ partition }) => {
          const led = fake.topics.get("demo")![partition];
          const next = accidents.pop();
          if (next === "move leader") led.leader = (led.leader! + 1) % 3;
          if (next === "restart broker") {
            const broker = led.leader!;
            fake.isUp[broker] = false;
            world.after(2000, () => fake.isUp[broker] = true);
            return "store and lose the answer";
          }
          if (next === "no replicas") {
            return problem("NOT_ENOUGH_REPLICAS", "one of two");
          }
          return next === "store and lose the answer" ||
              next === "lose the request"
            ? next
            : undefined;
        };
        for (let i = 0; i < records; i++) {
          producer.send({ value: String(i) }, i);
          if (i % 7 === 0) await world.settle();
        }
        await world.drive(producer.flush());
        assertEquals(producer.fault, undefined);
        assertEquals(acknowledged.length, records);
        for (let p = 0; p < partitions; p++) {
          const expected: string[] = [];
          for (let i = p; i < records; i += partitions) {
            expected.push(String(i));
          }
          assertEquals(fake.messages("demo", p), expected);
        }
        for (const [tag, place] of acknowledged) {
          const [partition, offset] = place.split(":").map(Number);
          const { records } = fake.topics.get("demo")![partition];
          assertEquals(records[offset].message, String(tag));
        }
      },
    ),
    { numRuns: 300 },
  );
});
