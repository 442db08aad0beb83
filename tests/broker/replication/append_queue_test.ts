import {
  APPEND_LIMITS,
  AppendBudget,
  AppendQueue,
  type QueuedBatch,
} from "../../../broker/replication/append_queue.ts";
import { decodeRecords } from "../../../storage/log/record_batch.ts";
import { assertEquals } from "../../support/assert.ts";
import { ManualTime } from "../../support/manual_time.ts";
import {
  failed,
  isSettled,
  recordOf,
  succeeded,
  TestCluster,
  textOf,
} from "../../support/test_broker.ts";

function queueOf(
  budget: AppendBudget,
  limits: { queuedBytesPerPartition?: number; queuedBytesPerBroker?: number },
) {
  const drained: QueuedBatch<string>[][] = [];
  const time = new ManualTime();
  const queue = new AppendQueue<string>({
    soon: (work) => time.soon(work),
    budget,
    limits,
    drain: (batches) => void drained.push(batches),
  });
  return { queue, drained, time };
}

Deno.test("AppendQueue keeps the order of calls, shares batches, but none of a producer's", async () => {
  const { queue, drained, time } = queueOf(new AppendBudget(), {});
  const producer = { producerId: 1, producerEpoch: 0, sequence: 0 };
  queue.addRecords([recordOf("a")], 5, undefined, "A");
  queue.addRecords([recordOf("b"), recordOf("c")], 5, undefined, "B");
  queue.addRecords([recordOf("d")], 5, producer, "D");
  queue.addRecords([recordOf("e")], 5, undefined, "E");
  await time.elapse(0);
  assertEquals(
    drained.map((batches) =>
      batches.map(({ bytes, appends }) => ({
        values: decodeRecords(bytes).map(({ value }) => textOf(value)),
        appends,
      }))
    ),
    [[
      {
        values: ["a", "b", "c"],
        appends: [
          { index: 0, recordCount: 1, done: "A" },
          { index: 1, recordCount: 2, done: "B" },
        ],
      },
      { values: ["d"], appends: [{ index: 0, recordCount: 1, done: "D" }] },
      { values: ["e"], appends: [{ index: 0, recordCount: 1, done: "E" }] },
    ]],
  );
});

Deno.test("AppendQueue is full at its partition's bytes, and empty again after the turn", async () => {
  const { queue, time } = queueOf(new AppendBudget(), {
    queuedBytesPerPartition: 100,
  });
  queue.addBatch(new Uint8Array(99), 1, "below");
  assertEquals(queue.isFull, false);
  queue.addBatch(new Uint8Array(1), 1, "at");
  assertEquals(queue.isFull, true);
  await time.elapse(0);
  assertEquals(queue.isFull, false);
});

Deno.test("AppendQueue is full when the broker's queues together are", async () => {
  const budget = new AppendBudget();
  const one = queueOf(budget, { queuedBytesPerBroker: 1000 });
  const two = queueOf(budget, { queuedBytesPerBroker: 1000 });
  one.queue.addRecords([recordOf("x".repeat(500))], 0, undefined, "a");
  two.queue.addBatch(new Uint8Array(1000 - budget.bytes - 1), 1, "b");
  assertEquals([one.queue.isFull, two.queue.isFull], [false, false]);
  two.queue.addBatch(new Uint8Array(1), 1, "c");
  assertEquals([one.queue.isFull, two.queue.isFull], [true, true]);
  await two.time.elapse(0);
  assertEquals([one.queue.isFull, two.queue.isFull], [false, false]);
  one.queue.take();
  assertEquals(budget.bytes, 0);
});

Deno.test("PartitionReplica answers THROTTLING_QUOTA_EXCEEDED when more arrives in a turn than it may hold", async () => {
  const cluster = new TestCluster();
  const one = await cluster.broker();
  await one.create("demo", { partitions: 1 });
  const replica = one.replica("demo");
  const options = { timeoutMs: 1000 };
  const size = APPEND_LIMITS.queuedBytesPerPartition;
  const large = [recordOf(null, { value: new Uint8Array(size) })];
  const accepted = replica.appendRecords(large, options);
  const failure = failed(
    await replica.appendRecords([recordOf("a")], options),
  );
  assertEquals(failure.code, "THROTTLING_QUOTA_EXCEEDED");
  assertEquals(failure.details.retryAfterMs, 100);
  succeeded(await accepted);
  succeeded(await replica.appendRecords([recordOf("a")], options));
  await cluster.stop();
});

Deno.test("PartitionReplica answers THROTTLING_QUOTA_EXCEEDED when too many wait for its disk", async () => {
  const cluster = new TestCluster();
  const one = await cluster.broker();
  await one.create("demo", { partitions: 1 });
  const replica = one.replica("demo");
  one.disk.holdSyncs = true;
  const options = { timeoutMs: 1e9 };
  const first = replica.appendRecords([recordOf("a")], options);
  const waits: Promise<unknown>[] = [];
  for (let count = 1; count < APPEND_LIMITS.waitsPerPartition; count++) {
    waits.push(replica.appendRecords([recordOf("a")], options));
  }
  assertEquals(await isSettled(first), false);
  assertEquals(
    failed(await replica.appendRecords([recordOf("a")], options)).code,
    "THROTTLING_QUOTA_EXCEEDED",
  );
  one.disk.holdSyncs = false;
  one.disk.releaseSyncs();
  await Promise.all([first, ...waits]);
  succeeded(await replica.appendRecords([recordOf("a")], options));
  await cluster.stop();
});
