import fc from "../../support/fast_check.ts";
import {
  flushPeriodAfter,
  flushPeriodsOf,
  noteFlushPeriods,
  readFlushPeriods,
  wasFlushedFirst,
} from "../../../broker/cluster/flush_periods.ts";
import { KEYS, type PartitionFact } from "../../../broker/cluster/facts.ts";
import { flushesByDefault } from "../../../broker/topic_config.ts";
import { StorageError } from "../../../storage/error.ts";
import { assertEquals, assertThrows } from "../../support/assert.ts";
import { MemoryFileSystem } from "../../support/memory_file_system.ts";
import { succeeded, TestCluster } from "../../support/test_broker.ts";

function configOf(level: string | undefined): { [name: string]: string } {
  return level === undefined ? {} : { "flush.messages": level };
}

Deno.test("flushPeriodAfter() counts when a topic goes over to being flushed first, or may", () => {
  const after = (from: string | undefined, to: string | undefined) =>
    flushPeriodAfter({ config: configOf(from), flushPeriod: 3 }, configOf(to));
  assertEquals(after("100", "1"), 4);
  assertEquals(after("100", "01"), 4);
  assertEquals(after("1", "100"), 3);
  assertEquals(after("100", "200"), 3);
  assertEquals(after("1", "1"), 3);
  // What the default is, or was, another broker may see in another way.
  assertEquals(after(undefined, "1"), 4);
  assertEquals(after("100", undefined), 4);
  assertEquals(after(undefined, undefined), 3);
  const never = { config: configOf("100") };
  assertEquals(flushPeriodAfter(never, configOf("100")), undefined);
  assertEquals(flushPeriodAfter(never, configOf("1")), 1);
});

const level = fc.constantFrom(undefined, "1", "100");
const step = fc.oneof(
  fc.record({ kind: fc.constant("alter" as const), level }),
  fc.record({ kind: fc.constant("start" as const), isDefault: fc.boolean() }),
);

Deno.test("wasFlushedFirst() is true only where the topic was flushed first ever since the last start", () => {
  const topicId = "one";
  fc.assert(
    fc.property(level, fc.array(step), (first, steps) => {
      let topic: {
        topicId: string;
        config: { [name: string]: string };
        flushPeriod?: number;
      } = { topicId, config: configOf(first) };
      let isDefault = true;
      let note = flushPeriodsOf([], true);
      const isFlushed = () =>
        Number(topic.config["flush.messages"] ?? (isDefault ? 1 : 100)) === 1;
      let wasAlways = isFlushed();
      for (const each of steps) {
        if (each.kind === "alter") {
          const config = configOf(each.level);
          const flushPeriod = flushPeriodAfter(topic, config);
          topic = { ...topic, config, flushPeriod };
          wasAlways &&= isFlushed();
          continue;
        }
        isDefault = each.isDefault;
        if (isFlushed() && wasFlushedFirst(topic, note)) {
          assertEquals(wasAlways, true);
        }
        note = flushPeriodsOf([topic], isDefault);
        wasAlways = isFlushed();
      }
      // Two starts without a change in between are enough.
      if (isFlushed()) {
        note = flushPeriodsOf([topic], isDefault);
        assertEquals(
          wasFlushedFirst(topic, note),
          isDefault || topic.config["flush.messages"] !== undefined,
        );
      }
    }),
  );
});

Deno.test("The note of flush periods outlives a loss of power, and is written when it changed", () => {
  let disk = new MemoryFileSystem();
  disk.createDirectory("data");
  const nothing = { isDefault: true, periods: {} };
  assertEquals(readFlushPeriods(disk, "data"), nothing);
  noteFlushPeriods(disk, "data", nothing);
  assertEquals(disk.exists("data/flush-periods"), false);
  const topics = [
    { topicId: "a", config: {}, flushPeriod: 2 },
    { topicId: "b", config: {} },
  ];
  const note = flushPeriodsOf(topics, false);
  assertEquals(note, { isDefault: false, periods: { a: 2 } });
  noteFlushPeriods(disk, "data", note);
  disk = disk.crash();
  assertEquals(readFlushPeriods(disk, "data"), note);
  disk.writeFileAtomic("data/flush-periods", new Uint8Array([1]));
  assertThrows(() => readFlushPeriods(disk, "data"), StorageError);
});

Deno.test("flushesByDefault() is what a broker's own defaults say", () => {
  assertEquals(flushesByDefault({}), true);
  assertEquals(flushesByDefault({ "flush.messages": "2" }), false);
});

Deno.test("A topic that is flushed first since its broker died counts for that one as it was", async () => {
  const cluster = new TestCluster();
  const { time, metadata } = cluster;
  const one = await cluster.broker({ kafkaPort: 9092 });
  const two = await cluster.broker({ kafkaPort: 9093 });
  const config = configOf("100");
  await two.create("demo", { partitions: 1, replicationFactor: 2, config });
  const alterTo = async (level: string) =>
    void succeeded(
      await two.operations.topics.alter("demo", { config: configOf(level) }),
    );
  /** Broker 1 dies, and was eligible; whether it still is when it is back. */
  const isEligibleAfter = async (meanwhile = () => Promise.resolve()) => {
    await one.crash();
    const { topicId } = two.room.view.image.topics.get("demo")!;
    const state: PartitionFact = {
      leader: 2,
      leaderEpoch: 9,
      replicas: [2, 1],
      isr: [2],
      eligible: [1],
    };
    const key = KEYS.partition(topicId, 0);
    const value = JSON.stringify(state);
    const success = [{ kind: "put" as const, key, value }];
    await two.store.transact({ compare: [], success });
    await meanwhile();
    await one.start();
    const now: PartitionFact = JSON.parse(metadata.get(key)!.value);
    return now.eligible !== undefined;
  };
  await time.elapse(10);
  assertEquals(await isEligibleAfter(), false);
  assertEquals(await isEligibleAfter(() => alterTo("1")), false);
  // From this start on it was flushed first, whatever else is changed.
  const retained = { config: { "retention.ms": "1000000" } };
  assertEquals(
    await isEligibleAfter(async () =>
      void succeeded(await two.operations.topics.alter("demo", retained))
    ),
    true,
  );
  // It was not while the broker ran.
  await alterTo("100");
  await time.elapse(10);
  await alterTo("1");
  await time.elapse(10);
  assertEquals(await isEligibleAfter(), false);
  assertEquals(await isEligibleAfter(), true);
  const stopping = cluster.stop();
  await time.elapse(6_000);
  await stopping;
});
