import { describeTransactionsApi } from "../../../../broker/kafka/messages/describe_transactions.ts";
import { endTxnApi } from "../../../../broker/kafka/messages/end_txn.ts";
import { initProducerIdApi } from "../../../../broker/kafka/messages/init_producer_id.ts";
import { listTransactionsApi } from "../../../../broker/kafka/messages/list_transactions.ts";
import { offsetFetchApi } from "../../../../broker/kafka/messages/offset_fetch.ts";
import { writeTxnMarkersApi } from "../../../../broker/kafka/messages/write_txn_markers.ts";
import { assert, assertEquals } from "../../../support/assert.ts";
import {
  KafkaCluster,
  type KafkaClusterOptions,
  type TestBroker,
} from "../../../support/kafka_cluster.ts";
import { offsets } from "./group_client.ts";
import { read, TestProducer } from "./transaction_client.ts";

function transactionTest(
  name: string,
  run: (broker: TestBroker, cluster: KafkaCluster) => Promise<void>,
  options: KafkaClusterOptions = {},
): void {
  Deno.test(name, async () => {
    const cluster = new KafkaCluster(options);
    try {
      const broker = await cluster.open();
      await cluster.settle(
        broker.room.topics.create({ topic: "demo", partitions: 2 }),
      );
      await run(broker, cluster);
    } finally {
      await cluster.close();
    }
  });
}

/** A producer that has its id. */
async function producerOf(broker: TestBroker, transactionalId = "t") {
  const producer = new TestProducer(broker, transactionalId);
  assertEquals(await producer.init(), 0);
  return producer;
}

async function stateOf(broker: TestBroker, transactionalId = "t") {
  const { transactionStates: [found] } = await broker.call(
    describeTransactionsApi,
    0,
    { transactionalIds: [transactionalId] },
  );
  return found;
}

transactionTest(
  "InitProducerId gives idempotent producers new ids",
  async (broker) => {
    const ids = new Set<number>();
    for (let version = 0; version <= 4; version++) {
      const answer = await broker.call(initProducerIdApi, version, {
        transactionalId: null,
        transactionTimeoutMs: 0,
      });
      assertEquals([answer.errorCode, answer.producerEpoch], [0, 0]);
      ids.add(answer.producerId);
    }
    assertEquals(ids.size, 5);
  },
);

transactionTest(
  "InitProducerId refuses half an identity, and waits out a lost store",
  async (broker) => {
    const half = await broker.call(initProducerIdApi, 3, {
      transactionalId: "t",
      transactionTimeoutMs: 1000,
      producerId: 5,
    });
    assertEquals([half.errorCode, half.producerId], [42, -1]);
    broker.store.faults.unreachable = true;
    const answers = [];
    for (const transactionalId of [null, "t"]) {
      answers.push(
        await broker.call(initProducerIdApi, 4, {
          transactionalId,
          transactionTimeoutMs: 1000,
        }),
      );
    }
    broker.store.faults.unreachable = false;
    assertEquals(
      answers.map(({ errorCode, producerId }) => [errorCode, producerId]),
      [[14, -1], [15, -1]],
    );
  },
);

transactionTest(
  "Readers of committed records see a transaction when it commits",
  async (broker) => {
    const producer = await producerOf(broker);
    assertEquals(await producer.add([0, 1]), [0, 0]);
    assertEquals(await producer.send(0, "a", "b"), 0);
    assertEquals(await producer.send(1, "c"), 0);
    const before = await read(broker, 0);
    assertEquals(before.values, []);
    assertEquals([before.lastStableOffset, before.highWatermark], [0, 2]);
    const dirty = await read(broker, 0, { committed: false });
    assertEquals(dirty.values, ["a", "b"]);
    assertEquals(dirty.aborted, null);
    assertEquals(await producer.end(true), 0);
    const after = await read(broker, 0);
    assertEquals(after.values, ["a", "b"]);
    assertEquals([after.lastStableOffset, after.highWatermark], [3, 3]);
    assertEquals(after.aborted, []);
    assertEquals((await read(broker, 1)).values, ["c"]);
    assertEquals((await stateOf(broker)).transactionState, "CompleteCommit");
  },
);

transactionTest(
  "An aborted transaction is sent, named, and not shown",
  async (broker) => {
    const producer = await producerOf(broker);
    await producer.add([0]);
    await producer.send(0, "a", "b");
    assertEquals(await producer.end(false), 0);
    await producer.add([0]);
    await producer.send(0, "c");
    assertEquals(await producer.end(true), 0);
    const { producerId } = producer;
    const seen = await read(broker);
    assertEquals(seen.values, ["c"]);
    assertEquals(seen.aborted, [{ producerId, firstOffset: 0 }]);
    const dirty = await read(broker, 0, { committed: false });
    assertEquals(dirty.values, ["a", "b", "c"]);
    assertEquals(dirty.aborted, null);
    assertEquals((await read(broker, 0, { from: 3 })).aborted, []);
  },
);

transactionTest(
  "An open transaction holds back what others commit after it",
  async (broker) => {
    const slow = await producerOf(broker, "slow");
    const fast = await producerOf(broker, "fast");
    await slow.add([0]);
    await fast.add([0]);
    await slow.send(0, "s1");
    await fast.send(0, "f1");
    assertEquals(await fast.end(true), 0);
    assertEquals((await read(broker)).values, []);
    assertEquals((await read(broker)).lastStableOffset, 0);
    await slow.send(0, "s2");
    assertEquals(await slow.end(false), 0);
    assertEquals((await read(broker)).values, ["f1"]);
  },
);

transactionTest(
  "A retried EndTxn succeeds, the opposite one does not",
  async (broker) => {
    const producer = await producerOf(broker);
    assertEquals(await producer.end(true), 48);
    await producer.add([0]);
    assertEquals(await producer.end(true), 0);
    assertEquals(await producer.end(true), 0);
    assertEquals(await producer.end(false), 48);
  },
);

transactionTest(
  "A successor fences its predecessor and aborts its work",
  async (broker) => {
    const old = await producerOf(broker);
    await old.add([0]);
    await old.send(0, "lost");
    const next = new TestProducer(broker);
    assertEquals(await next.init(), 0);
    assertEquals(next.producerId, old.producerId);
    assert(next.producerEpoch > old.producerEpoch);
    assertEquals(await old.send(0, "too late"), 47);
    for (let version = 0; version <= 3; version++) {
      const fenced = version < 2 ? 47 : 90;
      assertEquals(await old.add([0], { version }), [fenced]);
      assertEquals(await old.addOffsets("g", version), fenced);
      assertEquals(await old.end(true, version), fenced);
    }
    for (let version = 3; version <= 4; version++) {
      const answer = await broker.call(initProducerIdApi, version, {
        transactionalId: "t",
        transactionTimeoutMs: 60_000,
        producerId: old.producerId,
        producerEpoch: old.producerEpoch,
      });
      assertEquals(answer.errorCode, version < 4 ? 47 : 90);
    }
    await next.add([0]);
    await next.send(0, "kept");
    assertEquals(await next.end(true), 0);
    assertEquals((await read(broker)).values, ["kept"]);
  },
);

transactionTest(
  "A transaction that takes too long is aborted",
  async (broker, cluster) => {
    const producer = new TestProducer(broker);
    assertEquals(await producer.init(5_000), 0);
    await producer.add([0]);
    await producer.send(0, "late");
    await cluster.pass(6_000);
    assertEquals((await stateOf(broker)).transactionState, "CompleteAbort");
    assertEquals(await producer.end(true), 90);
    assertEquals(await producer.send(0, "later"), 47);
    const seen = await read(broker);
    assertEquals(seen.values, []);
    assertEquals(seen.lastStableOffset, seen.highWatermark);
  },
);

transactionTest(
  "Partitions that do not exist keep the others out",
  async (broker) => {
    const producer = await producerOf(broker);
    for (let version = 0; version <= 3; version++) {
      assertEquals(await producer.add([0, 2, -1], { version }), [55, 3, 3]);
    }
    assertEquals(await producer.add([0], { topic: "none" }), [3]);
    assertEquals((await stateOf(broker)).transactionState, "Empty");
  },
);

transactionTest(
  "Offsets of a group count when the transaction commits",
  async (broker) => {
    const producer = await producerOf(broker);
    for (const [version, offset] of [[0, 3], [1, 4], [2, 5], [3, 6]]) {
      assertEquals(await producer.addOffsets("g", version), 0);
      assertEquals(await producer.commitOffset(offset, { version }), 0);
      const before = await offsets(broker);
      assertEquals(before, offset === 3 ? {} : { "demo-0": offset - 1 });
      assertEquals(await producer.end(true), 0);
      assertEquals(await offsets(broker), { "demo-0": offset });
    }
  },
);

transactionTest(
  "Offsets of an aborted transaction never count",
  async (broker) => {
    const producer = await producerOf(broker);
    await producer.addOffsets();
    await producer.commitOffset(3);
    const asked = {
      groups: [{
        groupId: "g",
        topics: [{ name: "demo", partitionIndexes: [0] }],
      }],
      requireStable: true,
    };
    const unstable = await broker.call(offsetFetchApi, 8, asked);
    assertEquals(unstable.groups[0].topics[0].partitions[0].errorCode, 88);
    assertEquals(await producer.end(false), 0);
    assertEquals(await offsets(broker), {});
    const stable = await broker.call(offsetFetchApi, 8, asked);
    const [partition] = stable.groups[0].topics[0].partitions;
    assertEquals([partition.errorCode, partition.committedOffset], [0, -1]);
  },
);

transactionTest("A fenced producer commits no offsets", async (broker) => {
  const old = await producerOf(broker);
  await old.addOffsets();
  await old.commitOffset(3);
  const next = new TestProducer(broker);
  assertEquals(await next.init(), 0);
  assertEquals(await old.commitOffset(4), 47);
  assertEquals(await offsets(broker), {});
});

transactionTest(
  "A restart between a decision and its markers loses neither",
  async (broker, cluster) => {
    const producer = await producerOf(broker);
    await producer.add([0]);
    await producer.addOffsets();
    await producer.send(0, "a");
    await producer.commitOffset(9);
    const disk = broker.disk.kill();
    const next = await cluster.open(1, disk);
    await broker.close().catch(() => {});
    const resumed = new TestProducer(next);
    resumed.producerId = producer.producerId;
    resumed.producerEpoch = producer.producerEpoch;
    assertEquals((await read(next)).values, []);
    assertEquals(await offsets(next), {});
    assertEquals(await resumed.end(true), 0);
    assertEquals((await read(next)).values, ["a"]);
    assertEquals(await offsets(next), { "demo-0": 9 });
  },
);

transactionTest(
  "Markers are written again until the disk takes them",
  async (broker, cluster) => {
    const producer = await producerOf(broker);
    await producer.add([0, 1]);
    await producer.send(0, "a");
    await producer.send(1, "b");
    broker.disk.fault = ({ kind, path }) =>
      kind === "write" && path.includes("/demo_1/")
        ? { kind: "disk-full" }
        : undefined;
    assertEquals(await producer.end(true), 0);
    await cluster.pass(30_000);
    assertEquals((await stateOf(broker)).transactionState, "PrepareCommit");
    assertEquals((await read(broker, 0)).values, ["a"]);
    assertEquals((await read(broker, 1)).values, []);
    assertEquals(await producer.add([0]), [51]);
    assertEquals(
      cluster.lines.filter(({ message }) =>
        message === "A transaction's end cannot be written yet"
      ).length,
      1,
    );
    broker.disk.fault = undefined;
    await cluster.pass(2_000);
    assertEquals((await stateOf(broker)).transactionState, "CompleteCommit");
    assertEquals((await read(broker, 1)).values, ["b"]);
  },
);

transactionTest(
  "A topic that is gone does not hold up the end",
  async (broker, cluster) => {
    const producer = await producerOf(broker);
    await cluster.settle(broker.room.topics.create({ topic: "brief" }));
    await producer.add([0], { topic: "brief" });
    await producer.add([0]);
    await producer.send(0, "a");
    await cluster.settle(broker.room.topics.delete("brief"));
    assertEquals(await producer.end(true), 0);
    await cluster.pass(10);
    assertEquals((await stateOf(broker)).transactionState, "CompleteCommit");
    assertEquals((await read(broker)).values, ["a"]);
  },
);

transactionTest("A deposed coordinator ends nothing", async (broker) => {
  const producer = await producerOf(broker);
  const marker = async (coordinatorEpoch: number) => {
    const { markers: [{ topics }] } = await broker.call(writeTxnMarkersApi, 1, {
      markers: [{
        producerId: producer.producerId,
        producerEpoch: producer.producerEpoch,
        transactionResult: false,
        topics: [{ name: "demo", partitionIndexes: [0, 9] }],
        coordinatorEpoch,
      }],
    });
    return topics[0].partitions.map(({ errorCode }) => errorCode);
  };
  assertEquals(await marker(5), [0, 3]);
  await producer.send(0, "a");
  assertEquals(await marker(4), [52, 3]);
  assertEquals((await read(broker)).lastStableOffset, 1);
  assertEquals(await marker(5), [0, 3]);
  assertEquals((await read(broker)).lastStableOffset, 3);
});

transactionTest(
  "Transactions are described and listed",
  async (broker, cluster) => {
    const one = await producerOf(broker, "one");
    await producerOf(broker, "two");
    await one.add([0, 1]);
    await one.addOffsets();
    await cluster.pass(5_000);
    const found = await stateOf(broker, "one");
    assertEquals(found.errorCode, 0);
    assertEquals(found.transactionState, "Ongoing");
    assertEquals(found.transactionTimeoutMs, 60_000);
    assertEquals(found.producerId, one.producerId);
    const [demo, internal] = found.topics;
    assertEquals([demo.topic, demo.partitions], ["demo", [0, 1]]);
    assertEquals(internal.topic, "__consumer_offsets");
    assertEquals((await stateOf(broker, "none")).errorCode, 105);
    const list = async (filter: {
      states?: string[];
      ids?: number[];
      durationMs?: number;
    }) => {
      const { durationMs = -1, ids = [], states = [] } = filter;
      const answer = await broker.call(listTransactionsApi, 1, {
        stateFilters: states,
        producerIdFilters: ids,
        durationFilter: durationMs,
      });
      return [
        answer.unknownStateFilters.join(),
        ...answer.transactionStates.map((each) => each.transactionalId).sort(),
      ];
    };
    assertEquals(await list({}), ["", "one", "two"]);
    assertEquals(await list({ states: ["Ongoing"] }), ["", "one"]);
    assertEquals(await list({ states: ["Odd", "Dead"] }), ["Odd"]);
    assertEquals(await list({ ids: [one.producerId] }), ["", "one"]);
    assertEquals(await list({ durationMs: 4_000 }), ["", "one"]);
    assertEquals(await list({ durationMs: 6_000 }), [""]);
  },
);

Deno.test("Markers reach partitions on other brokers, also after a cut", async () => {
  const cluster = new KafkaCluster({ internalPartitions: 1 });
  try {
    const one = await cluster.open(1);
    const two = await cluster.open(2);
    await cluster.settle(
      one.room.topics.create({ topic: "demo", partitions: 2 }),
    );
    const producer = await producerOf(one);
    const remote = new TestProducer(two);
    const send = async (value: string) => {
      remote.producerId = producer.producerId;
      remote.producerEpoch = producer.producerEpoch;
      assertEquals(await producer.add([0, 1]), [0, 0]);
      assertEquals(await producer.send(0, value), 0);
      assertEquals(await remote.send(1, value), 0);
    };
    await send("a");
    assertEquals(await producer.end(true), 0);
    await cluster.pass(100);
    assertEquals((await stateOf(one)).transactionState, "CompleteCommit");
    assertEquals((await read(two, 1)).values, ["a"]);
    const [connection, ...more] = cluster.connectionsTo(two);
    assertEquals(more, []);

    await send("b");
    connection.cut();
    two.isReachable = false;
    assertEquals(await producer.end(false), 0);
    await cluster.pass(3_000);
    assertEquals((await stateOf(one)).transactionState, "PrepareAbort");
    assertEquals((await read(two, 1)).lastStableOffset, 2);
    two.isReachable = true;
    await cluster.pass(3_000);
    assertEquals((await stateOf(one)).transactionState, "CompleteAbort");
    const seen = await read(two, 1);
    assertEquals(seen.values, ["a"]);
    assertEquals(seen.lastStableOffset, seen.highWatermark);
  } finally {
    await cluster.close();
  }
});

transactionTest(
  "A stop while markers cannot be written ends in time",
  async (broker, cluster) => {
    const producer = await producerOf(broker);
    await producer.add([0]);
    await producer.send(0, "a");
    broker.disk.fault = ({ kind, path }) =>
      kind === "write" && path.includes("/demo_0/")
        ? { kind: "disk-full" }
        : undefined;
    await broker.call(endTxnApi, 3, {
      transactionalId: "t",
      producerId: producer.producerId,
      producerEpoch: producer.producerEpoch,
      committed: true,
    });
    await cluster.pass(5_000);
    await broker.close();
    await cluster.pass(5_000);
    assertEquals(cluster.time.pending, 0);
    broker.disk.fault = undefined;
    const next = await cluster.open(1, broker.disk);
    await cluster.pass(100);
    assertEquals((await read(next)).values, ["a"]);
  },
);
