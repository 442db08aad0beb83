import type {
  NewRecord,
  ReadOptions,
} from "../../../broker/operations/operations.ts";
import { METRIC_LIMITS } from "../../../broker/metrics.ts";
import { RecordBatchBuilder } from "../../../storage/log/record_batch.ts";
import { partitionForKey } from "../../../contract/partitioner.ts";
import { assert, assertEquals } from "../../support/assert.ts";
import {
  bytesOf,
  failed,
  isSettled,
  recordOf,
  succeeded,
  type TestBroker,
  TestCluster,
  textOf,
} from "../../support/test_broker.ts";

async function broker(
  config: Record<string, string> = {},
  partitions = 1,
): Promise<TestBroker> {
  const cluster = new TestCluster();
  const one = await cluster.broker();
  await one.create("demo", { partitions, config });
  return one;
}

function read(one: TestBroker, changes: Partial<ReadOptions> = {}) {
  return one.operations.records.read("demo", 0, {
    offset: 0,
    maxRecords: 100,
    maxBytes: 100_000,
    waitMs: 0,
    validate: false,
    ...changes,
  });
}

function produce(one: TestBroker, ...records: NewRecord[]) {
  return one.operations.records.produce("demo", 0, records, {
    timeoutMs: 1000,
  });
}

function append(one: TestBroker, records: NewRecord[]) {
  const builder = new RecordBatchBuilder();
  for (const record of records) {
    builder.add({ ...record, timestampMs: record.timestampMs ?? 5 });
  }
  return one.room.batches.append("demo", 0, builder.build(), {
    acks: -1,
    timeoutMs: 1000,
  });
}

function batchOf(value: string): Uint8Array {
  const builder = new RecordBatchBuilder();
  builder.add({ ...recordOf(value), timestampMs: 5 });
  return builder.build();
}

Deno.test("Records.read() waits for a record and wakes in the turn in which it can be read", async () => {
  const one = await broker();
  succeeded(await one.produce("demo", ["first"]));
  const timers = one.cluster.time.pending;
  const waiting = read(one, { offset: 1, waitMs: 10_000 });
  assertEquals(await isSettled(waiting), false);
  one.disk.holdSyncs = true;
  const produced = one.produce("demo", ["a"]);
  // It is written, but not yet durable: nobody may see it.
  assertEquals(await isSettled(waiting), false);
  one.disk.holdSyncs = false;
  one.disk.releaseSyncs();
  const { records, nextOffset, highWatermark } = succeeded(await waiting);
  assertEquals(records.map(({ value }) => textOf(value)), ["a"]);
  assertEquals([nextOffset, highWatermark], [2, 2]);
  succeeded(await produced);
  assertEquals(one.cluster.time.pending, timers);
  await one.cluster.stop();
});

Deno.test("Records.read() ends its wait when time is up, when the reader goes, and when the topic does", async () => {
  const one = await broker();
  const timers = one.cluster.time.pending;
  const late = read(one, { waitMs: 1_000 });
  await one.cluster.time.elapse(1_000);
  assertEquals(succeeded(await late).records, []);
  const gone = new AbortController();
  const left = read(one, { waitMs: 60_000, signal: gone.signal });
  assertEquals(await isSettled(left), false);
  gone.abort();
  assertEquals(succeeded(await left).records, []);
  const deleted = read(one, { waitMs: 60_000 });
  assertEquals(await isSettled(deleted), false);
  await one.operations.topics.delete("demo");
  assertEquals(failed(await deleted).code, "NOT_LEADER_OR_FOLLOWER");
  assertEquals(one.cluster.time.pending, timers);
  await one.cluster.stop();
});

Deno.test("Records.read() answers within its bounds, and where to go on", async () => {
  const one = await broker();
  succeeded(await one.produce("demo", ["aaaa", "bbbb", "cccc", "dddd"]));
  const offsets = async (changes: Partial<ReadOptions>) => {
    const { records, nextOffset } = succeeded(await read(one, changes));
    return [records.map(({ offset }) => offset), nextOffset];
  };
  assertEquals(await offsets({ maxRecords: 2 }), [[0, 1], 2]);
  assertEquals(await offsets({ offset: 2, maxRecords: 2 }), [[2, 3], 4]);
  assertEquals(await offsets({ maxBytes: 8 }), [[0, 1], 2]);
  assertEquals(await offsets({ maxBytes: 7 }), [[0], 1]);
  assertEquals(await offsets({ maxBytes: 1 }), [[0], 1]);
  assertEquals(await offsets({ offset: 4 }), [[], 4]);
  const beyond = failed(await read(one, { offset: 5 }));
  assertEquals(beyond.code, "OFFSET_OUT_OF_RANGE");
  assertEquals(beyond.details.latestOffset, 4);
  assertEquals(
    await one.operations.records.deleteRecords("demo", 0, 3),
    3,
  );
  const below = failed(await read(one, { offset: 2 }));
  assertEquals([below.code, below.details.earliestOffset], [
    "OFFSET_OUT_OF_RANGE",
    3,
  ]);
  assertEquals(
    failed(await one.operations.records.deleteRecords("demo", 0, 5)).code,
    "OFFSET_OUT_OF_RANGE",
  );
  assertEquals(
    await one.operations.records.deleteRecords("demo", 0, "latest"),
    4,
  );
  await one.cluster.stop();
});

Deno.test("Records.findOffset() finds ends and times below the high watermark", async () => {
  const one = await broker();
  const { records } = one.operations;
  const now = one.cluster.time.nowMs();
  for (const timestampMs of [now, now + 10, now + 20]) {
    succeeded(await produce(one, recordOf("x", { timestampMs })));
  }
  one.disk.holdSyncs = true;
  const unsafe = produce(one, recordOf("x", { timestampMs: now + 30 }));
  assertEquals(await isSettled(unsafe), false);
  assertEquals(await records.findOffset("demo", 0, "earliest"), 0);
  assertEquals(await records.findOffset("demo", 0, "latest"), 3);
  const at = (timestampMs: number) =>
    records.findOffset("demo", 0, { timestampMs });
  assertEquals(await at(now + 1), 1);
  assertEquals(await at(now + 20), 2);
  assertEquals(await at(now + 30), 3);
  one.disk.holdSyncs = false;
  one.disk.releaseSyncs();
  await unsafe;
  await one.cluster.stop();
});

Deno.test("Records take a record's own timestamp, or the broker's with LogAppendTime", async () => {
  const one = await broker();
  const now = one.cluster.time.nowMs();
  const first = succeeded(
    await produce(one, recordOf("a", { timestampMs: 77 })),
  );
  assertEquals(first.logAppendTime, false);
  await one.cluster.time.elapse(5);
  assertEquals(
    succeeded(await produce(one, recordOf("b"))).appendTimeMs,
    now + 5,
  );
  await one.operations.topics.alter("demo", {
    config: { "message.timestamp.type": "LogAppendTime" },
  });
  await one.cluster.time.elapse(5);
  const stamped = succeeded(
    await produce(one, recordOf("c", { timestampMs: 1e15 })),
  );
  assertEquals([stamped.logAppendTime, stamped.appendTimeMs], [true, now + 10]);
  succeeded(await append(one, [recordOf("d", { timestampMs: 9 })]));
  assertEquals(
    succeeded(await read(one)).records.map(({ timestampMs }) => timestampMs),
    [77, now + 5, now + 10, now + 10],
  );
  await one.cluster.stop();
  await one.start();
  assertEquals(succeeded(await read(one)).records.length, 4);
  await one.cluster.stop();
});

Deno.test("Records refuse timestamps too far from the broker's clock: at, beyond", async () => {
  const one = await broker({
    "message.timestamp.before.max.ms": "100",
    "message.timestamp.after.max.ms": "200",
  });
  const now = one.cluster.time.nowMs();
  for (const timestampMs of [now - 100, now + 200]) {
    succeeded(await produce(one, recordOf("a", { timestampMs })));
    succeeded(await append(one, [recordOf("a", { timestampMs })]));
  }
  for (const timestampMs of [now - 101, now + 201]) {
    const bad = recordOf("a", { timestampMs });
    assertEquals(failed(await produce(one, bad)).code, "INVALID_TIMESTAMP");
    assertEquals(failed(await append(one, [bad])).code, "INVALID_TIMESTAMP");
  }
  await one.cluster.stop();
});

Deno.test("Records refuse messages above max.message.bytes: below, at, above", async () => {
  const one = await broker({ "max.message.bytes": "132" });
  succeeded(await produce(one, recordOf("x".repeat(99))));
  succeeded(await produce(one, recordOf("x".repeat(100))));
  const large = recordOf("x".repeat(101));
  const failure = failed(await produce(one, recordOf("fine"), large));
  assertEquals(failure.code, "MESSAGE_TOO_LARGE");
  assertEquals(failure.details.records?.map(({ index }) => index), [1]);
  // Nothing of that batch is stored.
  assertEquals((await one.readAll("demo")).length, 2);
  const [atLimit, above] = [200, 201].map((size) => batchOf("x".repeat(size)));
  await one.operations.topics.alter("demo", {
    config: { "max.message.bytes": atLimit.length },
  });
  const appendBytes = (bytes: Uint8Array) =>
    one.room.batches.append("demo", 0, bytes, { acks: -1, timeoutMs: 1000 });
  succeeded(await appendBytes(atLimit));
  assertEquals(failed(await appendBytes(above)).code, "MESSAGE_TOO_LARGE");
  await one.cluster.stop();
});

Deno.test("Records of a compacted topic need a key", async () => {
  const one = await broker({ "cleanup.policy": "compact" });
  const keyed = recordOf("a", { keyText: "k" });
  const failure = failed(await produce(one, keyed, recordOf("b")));
  assertEquals(failure.code, "INVALID_RECORD");
  assertEquals(failure.details.records?.map(({ index }) => index), [1]);
  const batch = failed(await append(one, [keyed, recordOf("b")]));
  assertEquals(batch.code, "INVALID_RECORD");
  assertEquals(await one.readAll("demo"), []);
  succeeded(await produce(one, keyed, recordOf(null, { keyText: "k" })));
  await one.cluster.stop();
});

Deno.test("Records.choosePartition() goes by the key, else round robin, from any broker", async () => {
  const one = await broker({}, 5);
  const two = await one.cluster.broker();
  const key = bytesOf("some key");
  for (const each of [one, two]) {
    const { records } = each.operations;
    assertEquals(
      await records.choosePartition("demo", key),
      partitionForKey(key, 5),
    );
    const turns = Array.from(
      { length: 6 },
      () => records.choosePartition("demo", null),
    );
    assertEquals(turns, [0, 1, 2, 3, 4, 0]);
    assertEquals(
      failed(await records.choosePartition("none", null)).code,
      "UNKNOWN_TOPIC_OR_PARTITION",
    );
  }
  await one.cluster.stop();
});

Deno.test("Producers.allocate() gives ids that no producer of the cluster ever had", async () => {
  const cluster = new TestCluster();
  const brokers = [await cluster.broker(), await cluster.broker()];
  const ids = new Set<number>();
  let count = 0;
  for (let round = 0; round < 3; round++) {
    const answers = await Promise.all(
      brokers.flatMap((each) =>
        Array.from({ length: 1200 }, () => each.operations.producers.allocate())
      ),
    );
    for (const answer of answers) {
      const { producerId, producerEpoch } = succeeded(answer);
      assertEquals(producerEpoch, 0);
      ids.add(producerId);
      count++;
    }
    await brokers[round % 2].kill();
    await brokers[round % 2].start();
  }
  assertEquals(ids.size, count);
  await cluster.stop();
});

Deno.test("BrokerMetrics count records where they are stored and handed out", async () => {
  const one = await broker();
  const text = () => one.room.metrics.text();
  const value = async (line: string) => {
    const found = (await text()).split("\n")
      .find((each) => each.startsWith(`${line} `));
    return Number(found?.slice(line.length));
  };
  succeeded(await one.produce("demo", Array(500).fill("1234")));
  assertEquals(await value("streamnest_messages_produced_total"), 500);
  assertEquals(
    await value(
      'streamnest_topic_bytes_total{topic="demo",direction="produced"}',
    ),
    2000,
  );
  succeeded(await append(one, [recordOf("a"), recordOf("b")]));
  assertEquals(await value("streamnest_messages_produced_total"), 502);
  succeeded(await read(one, { maxRecords: 7 }));
  assertEquals(await value("streamnest_messages_consumed_total"), 7);
  // Stored, though the producer heard of a timeout; refused ones are not.
  one.disk.holdSyncs = true;
  const late = one.produce("demo", ["a"], { timeoutMs: 1 });
  await one.cluster.time.elapse(300);
  failed(await late);
  one.disk.holdSyncs = false;
  one.disk.releaseSyncs();
  failed(await one.produce("demo", ["x".repeat(2_000_000)]));
  assertEquals(await value("streamnest_messages_produced_total"), 503);
  assertEquals(
    await value(
      'streamnest_partition_log_end_offset{topic="demo",partition="0"}',
    ),
    503,
  );
  await one.cluster.stop();
});

Deno.test("BrokerMetrics label so many topics and no more", async () => {
  const cluster = new TestCluster();
  const one = await cluster.broker();
  for (let topic = 0; topic < METRIC_LIMITS.topics + 3; topic++) {
    one.room.metrics.produced(`topic-${topic}`, 1, 1);
  }
  const lines = (await one.room.metrics.text()).split("\n")
    .filter((line) =>
      line.startsWith("streamnest_topic_messages_total") &&
      line.includes('"produced"')
    );
  assertEquals(lines.length, METRIC_LIMITS.topics + 1);
  assert(
    lines.some((line) => line.includes('topic="other"') && line.endsWith(" 3")),
  );
  await cluster.stop();
});
