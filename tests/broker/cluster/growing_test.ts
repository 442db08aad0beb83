/**
 * Brokers that copy for real, without ports: a cluster grows and shrinks with
 * its records and its internal topics, while records come.
 */
import type { BalanceAnswer } from "../../../contract/balance.ts";
import { Failure } from "../../../contract/errors.ts";
import { OFFSETS_TOPIC } from "../../../broker/group/group_partition.ts";
import { assert, assertEquals } from "../../support/assert.ts";
import { KafkaCluster, type TestBroker } from "../../support/kafka_cluster.ts";
import { recordOf, succeeded, textOf } from "../../support/test_broker.ts";

const PARTITIONS = 6;

class Growing {
  readonly cluster = new KafkaCluster({ internalPartitions: 2 });
  #count = 0;
  /** Texts that were acknowledged, by partition. */
  readonly acknowledged: string[][] = Array.from(
    { length: PARTITIONS },
    () => [],
  );

  get any(): TestBroker {
    return [...this.cluster.brokers.values()].find((one) => one.isReachable)!;
  }

  /** One record to each partition, at whoever leads it. */
  async produce(): Promise<void> {
    for (let partition = 0; partition < PARTITIONS; partition++) {
      const { topics } = this.any.room.view.image;
      const leader = topics.get("demo")!.partitionStates[partition]!.leader;
      const broker = this.cluster.brokers.get(leader ?? 0);
      if (broker === undefined || !broker.isReachable) continue;
      const text = `record ${this.#count++}`;
      const answer = await this.cluster.settle(
        broker.room.operations.records.produce(
          "demo",
          partition,
          [recordOf(text)],
          { timeoutMs: 1000 },
        ),
      );
      if (!(answer instanceof Failure)) this.acknowledged[partition].push(text);
    }
  }

  /** Until what was asked for is done; records come meanwhile. */
  async finish(): Promise<BalanceAnswer> {
    for (let step = 0;; step++) {
      const progress = this.any.room.operations.balance.progress();
      const left = progress.moving.length + progress.waitingPartitions;
      if (progress.running === null && left === 0) {
        return progress;
      }
      assert(step < 200, JSON.stringify(progress));
      await this.produce();
      await this.cluster.pass(100);
    }
  }

  /** What a partition's leader has that was acknowledged, in its order. */
  async checkRecords(): Promise<void> {
    await this.cluster.pass(500);
    for (let partition = 0; partition < PARTITIONS; partition++) {
      const { topics } = this.any.room.view.image;
      const { leader } = topics.get("demo")!.partitionStates[partition]!;
      const { records } = this.cluster.brokers.get(leader!)!.room.operations;
      const read = succeeded(
        await this.cluster.settle(records.read("demo", partition, {
          offset: 0,
          maxRecords: 10_000,
          maxBytes: 10_000_000,
          waitMs: 0,
          validate: false,
        })),
      );
      const texts = read.records.map(({ value }) => textOf(value));
      const known = new Set(this.acknowledged[partition]);
      assertEquals(
        texts.filter((text) => known.has(text)),
        this.acknowledged[partition],
      );
    }
  }

  loads(topic: string): number[] {
    const states = this.any.room.view.image.topics.get(topic)!.partitionStates;
    return [...this.cluster.brokers.keys()].map((id) =>
      states.filter((state) => state!.replicas.includes(id)).length
    );
  }

  async asked(work: Promise<unknown>): Promise<void> {
    succeeded(await this.cluster.settle(work));
  }
}

Deno.test("A cluster grows from one broker to four and shrinks to three, and loses nothing", async () => {
  const growing = new Growing();
  const { cluster } = growing;
  const first = await cluster.open(1);
  const { operations, topics } = first.room;
  await growing.asked(
    topics.create({
      topic: "demo",
      partitions: PARTITIONS,
      config: { "flush.messages": 1000 },
    }),
  );
  await growing.asked(
    topics.createInternal({ topic: OFFSETS_TOPIC, partitions: 2 }),
  );
  for (let round = 0; round < 5; round++) await growing.produce();
  await cluster.open(2);
  await cluster.open(3);
  await cluster.pass(100);
  await growing.asked(topics.alter("demo", { replicationFactor: 3 }));
  await growing.finish();
  assertEquals(growing.loads("demo"), [6, 6, 6]);
  assertEquals(growing.loads(OFFSETS_TOPIC), [2, 0, 0]);
  await cluster.open(4);
  await cluster.pass(100);
  await growing.asked(operations.balance.rebalance({}));
  const even = await growing.finish();
  assertEquals(growing.loads(OFFSETS_TOPIC).reduce((sum, one) => sum + one), 6);
  assertEquals(even.brokers.map(({ replicas }) => replicas), [6, 6, 6, 6]);
  assertEquals(even.brokers.map(({ leaders }) => leaders), [2, 2, 2, 2]);
  await growing.checkRecords();
  await growing.asked(operations.balance.drain({ brokerId: 1 }));
  const drained = await growing.finish();
  assertEquals(drained.brokers.map(({ replicas }) => replicas), [0, 8, 8, 8]);
  await first.close();
  await cluster.pass(3000);
  await growing.produce();
  await growing.checkRecords();
  for (const texts of growing.acknowledged) assert(texts.length > 6);
  await cluster.close();
});

Deno.test("A throttled move copies no faster than it may", async () => {
  const growing = new Growing();
  const { cluster } = growing;
  await cluster.open(1);
  await cluster.open(2);
  await cluster.pass(100);
  const { operations, topics } = growing.any.room;
  await growing.asked(
    topics.create({
      topic: "demo",
      partitions: PARTITIONS,
      config: { "flush.messages": 1000 },
    }),
  );
  await cluster.pass(100);
  const text = "x".repeat(10_000);
  for (let partition = 0; partition < PARTITIONS; partition++) {
    for (const { room } of cluster.brokers.values()) {
      await cluster.settle(
        room.operations.records.produce(
          "demo",
          partition,
          Array.from({ length: 10 }, () => recordOf(text)),
          { timeoutMs: 1000 },
        ),
      );
    }
  }
  await cluster.open(3);
  await cluster.pass(100);
  const startedMs = cluster.time.monotonicMs();
  await growing.asked(
    operations.balance.rebalance({ throttleBytesPerSecond: 20_000 }),
  );
  await growing.finish();
  assertEquals(growing.loads("demo"), [2, 2, 2]);
  // Two partitions of 100,000 bytes; the last answer is not waited for.
  const tookMs = cluster.time.monotonicMs() - startedMs;
  assert(tookMs > 4000, `${tookMs} ms`);
  await cluster.close();
});
