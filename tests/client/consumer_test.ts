/** Following partitions: order, turns, interruptions, ranges, skipped runs. */
import { assert, assertEquals, assertInstanceOf } from "../support/assert.ts";
import { Cluster } from "../../client/cluster.ts";
import { Consumer, type ConsumerOptions } from "../../client/consumer.ts";
import { ReadFault } from "../../client/partition_reader.ts";
import { FakeCluster, problem } from "./fake_cluster.ts";
import { TestWorld } from "./test_world.ts";

interface Setup {
  world: TestWorld;
  fake: FakeCluster;
  notices: string[];
  skipped: string[];
  open(options?: Partial<ConsumerOptions>): Consumer;
}

async function setUp(partitions: number): Promise<Setup> {
  const world = new TestWorld();
  const fake = new FakeCluster(world);
  fake.createTopic("demo", partitions);
  const cluster = new Cluster(world, ["localhost:8080"]);
  await cluster.refresh();
  const notices: string[] = [];
  const skipped: string[] = [];
  const open = (options: Partial<ConsumerOptions> = {}) =>
    new Consumer({
      world,
      cluster,
      topic: "demo",
      partitions: Array.from({ length: partitions }, (_, index) => index),
      start: { offset: "earliest" },
      validate: true,
      skipped: (partition, run) =>
        skipped.push(`${partition}: ${run.firstOffset}-${run.lastOffset}`),
      notice: (text) => notices.push(text),
      ...options,
    });
  return { world, fake, notices, skipped, open };
}

/** Reads until so many records are there, or the end. */
async function read(consumer: Consumer, count = Infinity): Promise<string[]> {
  const messages: string[] = [];
  while (messages.length < count) {
    const records = await consumer.next(count - messages.length);
    if (records === undefined) break;
    if (records instanceof ReadFault) throw new Error(records.reason);
    messages.push(...records.map(({ record }) => record.message!));
  }
  return messages;
}

Deno.test("Consumer takes partitions in turn, so spread lines come back in order", async () => {
  for (const partitions of [1, 2, 7]) {
    const { world, fake, open } = await setUp(partitions);
    const lines = Array.from({ length: 25_000 }, (_, index) => String(index));
    lines.forEach((line, index) =>
      fake.topics.get("demo")![index % partitions].records.push({
        offset: Math.floor(index / partitions),
        message: line,
        timestamp: 0,
      })
    );
    const consumer = open({ untilEnd: true });
    assertEquals(await world.drive(read(consumer)), lines);
    await consumer.stop();
  }
});

Deno.test("Consumer.next() returns at most what is asked, and keeps the rest", async () => {
  const { world, fake, open } = await setUp(1);
  fake.append("demo", 0, "a", "b", "c");
  const consumer = open();
  assertEquals(await world.drive(read(consumer, 2)), ["a", "b"]);
  assertEquals(await world.drive(read(consumer, 1)), ["c"]);
  await consumer.stop();
  assertEquals(world.pendingTimers, 0);
  assertEquals(fake.requestsInFlight, 0);
});

Deno.test("Consumer waits on all partitions and wakes at a record of any", async () => {
  const { world, fake, open } = await setUp(5);
  const consumer = open();
  const reading = read(consumer, 1);
  await world.settle();
  assertEquals(fake.requestsInFlight, 5);
  fake.append("demo", 3, "x");
  assertEquals(await world.drive(reading), ["x"]);
  assertEquals(world.monotonicMs(), 0);
  await consumer.stop();
});

Deno.test("Consumer polls many partitions within its limit of requests", async () => {
  const { world, fake, open } = await setUp(100);
  const consumer = open();
  const reading = read(consumer, 2);
  await world.settle();
  world.after(3000, () => fake.append("demo", 99, "late", "later"));
  assertEquals(await world.drive(reading), ["late", "later"]);
  assert(fake.mostRequestsInFlight <= 32, `${fake.mostRequestsInFlight}`);
  assert(world.monotonicMs() < 4000);
  await consumer.stop();
  assertEquals(world.pendingTimers, 0);
});

Deno.test("Consumer follows a new leader and resumes at the next offset", async () => {
  const { world, fake, open } = await setUp(1);
  fake.append("demo", 0, "a");
  const consumer = open();
  assertEquals(await world.drive(read(consumer, 1)), ["a"]);
  fake.topics.get("demo")![0].leader = 1;
  fake.append("demo", 0, "b");
  fake.append("demo", 0, "c");
  assertEquals(await world.drive(read(consumer, 2)), ["b", "c"]);
  await consumer.stop();
});

Deno.test("Consumer survives a restart of its broker, saying so", async () => {
  const { world, fake, open, notices } = await setUp(1);
  fake.append("demo", 0, "a");
  const consumer = open();
  assertEquals(await world.drive(read(consumer, 1)), ["a"]);
  fake.isUp[0] = false;
  fake.wakePollers();
  world.after(10_000, () => {
    fake.isUp[0] = true;
    fake.append("demo", 0, "b");
  });
  assertEquals(await world.drive(read(consumer, 1)), ["b"]);
  assert(notices[0].startsWith("localhost:8080 does not answer ("));
  await consumer.stop();
});

Deno.test("Consumer leaves a leader that stands still, and a broker that tells of old ones", async () => {
  const { world, fake, open, notices } = await setUp(1);
  fake.append("demo", 0, "a");
  const consumer = open();
  assertEquals(await world.drive(read(consumer, 1)), ["a"]);
  const stale = await fake.metadata();
  fake.onRequest = (_method, url) => {
    if (url.host !== fake.addresses[0]) return undefined;
    return url.pathname === "/metadata"
      ? stale.clone()
      : new Promise<never>(() => {});
  };
  fake.topics.get("demo")![0].leader = 1;
  // The poll that is under way still ends in time, the next one does not.
  world.after(6000, () => fake.append("demo", 0, "b"));
  assertEquals(await world.drive(read(consumer, 1)), ["b"]);
  assert(world.monotonicMs() < 15_000, `${world.monotonicMs()} ms`);
  assertEquals(notices.length, 1);
  await consumer.stop();
  assertEquals(world.pendingTimers, 0);
});

Deno.test("Consumer gives up a partition that stays without a leader, saying so once before", async () => {
  const { world, fake, open, notices } = await setUp(1);
  fake.topics.get("demo")![0].leader = undefined;
  const consumer = open({ giveUpAfterMs: 20_000 });
  const fault = await world.drive(consumer.next(1));
  assertInstanceOf(fault, ReadFault);
  assertEquals(fault.reason, "given up after 20 s: no leader");
  assertEquals(notices, ["no leader; waiting"]);
  await consumer.stop();
});

Deno.test("a partition whose broker is away does not hold up the others", async () => {
  const { world, fake, open } = await setUp(3);
  fake.append("demo", 0, "a", "b", "c");
  fake.isUp[1] = false;
  const consumer = open();
  assertEquals(await world.drive(read(consumer, 3), 5000), ["a", "b", "c"]);
  await consumer.stop();
});

Deno.test("Consumer gives up when nobody answers for long", async () => {
  const { world, fake, open } = await setUp(1);
  const consumer = open({ giveUpAfterMs: 5000 });
  fake.isUp.fill(false);
  const fault = await world.drive(consumer.next(1));
  assertInstanceOf(fault, ReadFault);
  assert(fault.reason.startsWith("no broker answers: "), fault.reason);
  assert(world.monotonicMs() < 8000);
  await consumer.stop();
});

Deno.test("a topic that was deleted ends reading with its name", async () => {
  const { world, fake, open } = await setUp(1);
  const consumer = open();
  fake.topics.delete("demo");
  const fault = await world.drive(consumer.next(1));
  assertInstanceOf(fault, ReadFault);
  assertEquals(fault.reason, 'There is no topic "demo"');
  await consumer.stop();
});

Deno.test("records removed by retention are told of and passed over", async () => {
  const { world, fake, open, notices } = await setUp(1);
  fake.topics.get("demo")![0].logStartOffset = 100;
  fake.append("demo", 0, "x");
  const consumer = open({ start: { offset: 5 } });
  assertEquals(await world.drive(read(consumer, 1)), ["x"]);
  assertEquals(notices, [
    "offset 5 of demo partition 0 is no longer stored; " +
    "going on at 100, the first that is",
  ]);
  await consumer.stop();
});

Deno.test("an offset beyond the end is a fault, the end itself is not", async () => {
  const { world, fake, open } = await setUp(1);
  fake.append("demo", 0, "a");
  const beyond = open({ start: { offset: 2 } });
  const fault = await world.drive(beyond.next(1));
  assertInstanceOf(fault, ReadFault);
  assertEquals(
    fault.reason,
    "offset 2 is beyond the end of demo partition 0; " +
      "the next record there gets 1",
  );
  await beyond.stop();
  const end = open({ start: { offset: 1 } });
  const reading = read(end, 1);
  await world.settle();
  fake.append("demo", 0, "b");
  assertEquals(await world.drive(reading), ["b"]);
  await end.stop();
});

Deno.test("latest and a time start where they should", async () => {
  const { world, fake, open } = await setUp(1);
  fake.append("demo", 0, "t0", "t1", "t2");
  const late = open({ start: { offset: "latest" } });
  const reading = read(late, 1);
  await world.settle();
  fake.append("demo", 0, "t3");
  assertEquals(await world.drive(reading), ["t3"]);
  await late.stop();
  const timed = open({ start: { timestampMs: 2 }, untilEnd: true });
  assertEquals(await world.drive(read(timed)), ["t2", "t3"]);
  await timed.stop();
});

Deno.test("each run of skipped offsets is told of once, also across answers", async () => {
  const { world, fake, open, skipped } = await setUp(1);
  const led = fake.topics.get("demo")![0];
  for (let i = 0; i < 20; i++) fake.append("demo", 0, String(i));
  led.skipped = [
    { firstOffset: 2, lastOffset: 8, reason: "no" },
    { firstOffset: 15, lastOffset: 16, reason: "no" },
    { firstOffset: 19, lastOffset: 19, reason: "no" },
  ];
  const consumer = open({ untilEnd: true, maxRecords: 3 });
  const messages = await world.drive(read(consumer));
  assertEquals(messages.length, 10);
  assertEquals(skipped, ["0: 2-8", "0: 15-16", "0: 19-19"]);
  await consumer.stop();
});

Deno.test("without validation nothing is left out", async () => {
  const { world, fake, open, skipped } = await setUp(1);
  fake.append("demo", 0, "a", "b");
  fake.topics.get("demo")![0].skipped = [
    { firstOffset: 0, lastOffset: 0, reason: "no" },
  ];
  const consumer = open({ untilEnd: true, validate: false });
  assertEquals(await world.drive(read(consumer)), ["a", "b"]);
  assertEquals(skipped, []);
  await consumer.stop();
});

Deno.test("Consumer reads ahead within its bound", async () => {
  const { world, fake, open } = await setUp(1);
  for (let i = 0; i < 100; i++) fake.append("demo", 0, String(i));
  const consumer = open({ maxRecords: 10 });
  await world.drive(consumer.next(1));
  await world.settle();
  const fetches = fake.calls.filter((call) => call.endsWith("/consume"));
  // One answer being taken, one waiting, none more.
  assert(fetches.length <= 2, `${fetches.length}`);
  await consumer.stop();
});

Deno.test("a broker that keeps failing is asked at growing intervals", async () => {
  const { world, fake, open } = await setUp(1);
  fake.onRequest = (_method, url) =>
    url.pathname === "/consume"
      ? problem("KAFKA_STORAGE_ERROR", "disk error")
      : undefined;
  const consumer = open();
  const reading = consumer.next(1);
  world.after(60_000, () => consumer.stop());
  assertEquals(await world.drive(reading), undefined);
  const fetches = fake.calls.filter((call) => call.endsWith("/consume"));
  assert(fetches.length > 50 && fetches.length < 140, `${fetches.length}`);
});
