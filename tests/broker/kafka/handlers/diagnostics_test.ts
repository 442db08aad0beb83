import { describeLogDirsApi } from "../../../../broker/kafka/messages/describe_log_dirs.ts";
import { describeProducersApi } from "../../../../broker/kafka/messages/describe_producers.ts";
import { assert, assertEquals } from "../../../support/assert.ts";
import {
  KafkaCluster,
  type TestBroker,
} from "../../../support/kafka_cluster.ts";
import { TestProducer } from "./transaction_client.ts";

async function withProducer(
  run: (
    broker: TestBroker,
    producer: TestProducer,
    cluster: KafkaCluster,
  ) => Promise<void>,
): Promise<void> {
  const cluster = new KafkaCluster();
  try {
    const broker = await cluster.open();
    await cluster.settle(
      broker.room.topics.create({ topic: "demo", partitions: 2 }),
    );
    const producer = new TestProducer(broker);
    assertEquals(await producer.init(), 0);
    assertEquals(await producer.add([0]), [0]);
    assertEquals(await producer.send(0, "a", "b", "c"), 0);
    await run(broker, producer, cluster);
  } finally {
    await cluster.close();
  }
}

Deno.test("DescribeProducers shows open and ended transactions", async () => {
  await withProducer(async (broker, { producerId }, cluster) => {
    const ask = async (name: string, ...partitionIndexes: number[]) => {
      const { topics: [{ partitions }] } = await broker.call(
        describeProducersApi,
        0,
        { topics: [{ name, partitionIndexes }] },
      );
      return partitions;
    };
    const [open, empty, unknown] = await ask("demo", 0, 1, 2);
    assertEquals(
      [open, empty, unknown].map(({ errorCode }) => errorCode),
      [0, 0, 3],
    );
    assertEquals({ ...open.activeProducers[0] }, {
      producerId,
      producerEpoch: 0,
      lastSequence: 2,
      lastTimestamp: open.activeProducers[0].lastTimestamp,
      coordinatorEpoch: -1,
      currentTxnStartOffset: 0,
    });
    assert(open.activeProducers[0].lastTimestamp > 0);
    assertEquals(empty.activeProducers, []);
    assert(unknown.errorMessage !== null);
    // Long enough for the coordinator to abort it.
    await cluster.pass(70_000);
    const [ended] = await ask("demo", 0);
    const [producer] = ended.activeProducers;
    assertEquals(producer.currentTxnStartOffset, -1);
    assertEquals(producer.producerEpoch, 1);
    assertEquals(producer.coordinatorEpoch, 0);
    const [{ errorCode }] = await ask("none", 0);
    assertEquals(errorCode, 3);
  });
});

Deno.test("DescribeLogDirs tells the sizes of all or some partitions", async () => {
  await withProducer(async (broker) => {
    for (let version = 1; version <= 4; version++) {
      const all = await broker.call(describeLogDirsApi, version, {
        topics: null,
      });
      const [{ errorCode, logDir, topics }] = all.results;
      assertEquals([errorCode, logDir], [0, "data/broker-1"]);
      const demo = topics.find(({ name }) => name === "demo");
      assert(demo !== undefined);
      const sizes = demo.partitions.map((one) => one.partitionSize);
      assertEquals(sizes.length, 2);
      assert(sizes[0] > 61 && sizes[1] === 0);
      assert(topics.some(({ name }) => name === "__transaction_state"));
      const some = await broker.call(describeLogDirsApi, version, {
        topics: [
          { topic: "demo", partitions: [1, 7] },
          { topic: "none", partitions: [0] },
        ],
      });
      assertEquals(
        some.results[0].topics.map(({ name, partitions }) => [
          name,
          ...partitions.map((one) => one.partitionIndex),
        ]),
        [["demo", 1]],
      );
    }
  });
});
