import {
  failed,
  isSettled,
  recordOf,
  succeeded,
  TestCluster,
} from "../../support/test_broker.ts";
import type { TestBroker } from "../../support/test_broker.ts";
import { assert, assertEquals } from "../../support/assert.ts";

async function broker(
  config: Record<string, string> = {},
): Promise<TestBroker> {
  const cluster = new TestCluster();
  const started = await cluster.broker();
  await started.create("demo", { partitions: 1, config });
  return started;
}

const writesOf = (one: TestBroker) => one.disk.counts.get("write") ?? 0;

Deno.test("PartitionReplica gathers one turn's records into one batch and one write", async () => {
  const one = await broker();
  succeeded(await one.produce("demo", ["first"]));
  const before = writesOf(one);
  const answers = await Promise.all(
    ["a", "b", "c"].map((value) => one.produce("demo", [value, value])),
  );
  assertEquals(
    answers.map((answer) => succeeded(answer).baseOffset),
    [1, 3, 5],
  );
  assertEquals(writesOf(one) - before, 1);
  const { bytes } = one.replica("demo").log.read(
    one.replica("demo").log.logEndOffset - 6 as never,
    {
      maxBytes: 1_000_000,
      upperBound: one.replica("demo").highWatermark,
      minOneBatch: true,
    },
  );
  assertEquals(new DataView(bytes.buffer, bytes.byteOffset).getInt32(57), 6);
  await one.cluster.stop();
});

Deno.test("PartitionReplica acknowledges only after fdatasync at flush.messages=1", async () => {
  const one = await broker();
  one.disk.holdSyncs = true;
  const first = one.produce("demo", ["a"]);
  assertEquals(await isSettled(first), false);
  const replica = one.replica("demo");
  assertEquals(replica.log.logEndOffset, 1 as never);
  assertEquals(replica.highWatermark, 0 as never);
  assertEquals(await one.readAll("demo"), []);
  // What comes meanwhile shares the next sync.
  const second = one.produce("demo", ["b"]);
  const third = one.produce("demo", ["c"]);
  assertEquals(await isSettled(Promise.race([second, third])), false);
  one.disk.releaseSyncs();
  assertEquals(succeeded(await first).baseOffset, 0);
  assertEquals(await isSettled(Promise.race([second, third])), false);
  assertEquals(await one.readAll("demo"), ["0:a"]);
  assertEquals(one.disk.heldSyncs.length, 1);
  one.disk.releaseSyncs();
  assertEquals(succeeded(await second).baseOffset, 1);
  assertEquals(succeeded(await third).baseOffset, 2);
  one.disk.holdSyncs = false;
  await one.cluster.stop();
});

Deno.test("PartitionReplica loses nothing acknowledged when the power goes", async () => {
  const one = await broker();
  succeeded(await one.produce("demo", ["kept"]));
  one.disk.holdSyncs = true;
  const lost = one.produce("demo", ["lost"]);
  assertEquals(await isSettled(lost), false);
  await one.crash();
  await one.start();
  assertEquals(await one.readAll("demo"), ["0:kept"]);
  await one.cluster.stop();
});

Deno.test("PartitionReplica acknowledges from the page cache where the topic says so", async () => {
  const one = await broker({ "flush.messages": "1000" });
  one.disk.holdSyncs = true;
  assertEquals(succeeded(await one.produce("demo", ["a"])).baseOffset, 0);
  assertEquals(await one.readAll("demo"), ["0:a"]);
  assertEquals(one.disk.heldSyncs, []);
  one.disk.holdSyncs = false;
  await one.cluster.stop();
});

Deno.test("PartitionReplica flushes after flush.messages records: below, at", async () => {
  const one = await broker({ "flush.messages": "3" });
  succeeded(await one.produce("demo", ["a", "b"]));
  const { log } = one.replica("demo");
  assertEquals(log.flushedOffset, 0 as never);
  succeeded(await one.produce("demo", ["c"]));
  await one.cluster.time.elapse(0);
  assertEquals(log.flushedOffset, 3 as never);
  await one.cluster.stop();
});

Deno.test("PartitionReplica answers REQUEST_TIMED_OUT when durability takes too long, and keeps the records", async () => {
  const one = await broker();
  one.disk.holdSyncs = true;
  const late = one.produce("demo", ["a"], { timeoutMs: 1_000 });
  await one.cluster.time.elapse(999);
  assertEquals(await isSettled(late), false);
  await one.cluster.time.elapse(251);
  const failure = failed(await late);
  assertEquals(failure.code, "REQUEST_TIMED_OUT");
  assertEquals(failure.details.retryAfterMs, 1000);
  one.disk.releaseSyncs();
  await one.cluster.time.elapse(0);
  assertEquals(await one.readAll("demo"), ["0:a"]);
  one.disk.holdSyncs = false;
  await one.cluster.stop();
});

Deno.test("PartitionReplica.resign() ends the waits of readers, and of producers but for those that outlive it", async () => {
  const one = await broker();
  one.disk.holdSyncs = true;
  const replica = one.replica("demo");
  const waiting = replica.appendRecords([recordOf("a")], { timeoutMs: 1000 });
  const outliving = one.produce("demo", ["b"]);
  const reading = one.operations.records.read("demo", 0, {
    offset: 0,
    maxRecords: 1,
    maxBytes: 100,
    waitMs: 10_000,
    validate: false,
  });
  assertEquals(await isSettled(waiting), false);
  replica.resign();
  assertEquals(failed(await waiting).code, "NOT_LEADER_OR_FOLLOWER");
  assertEquals(failed(await reading).code, "NOT_LEADER_OR_FOLLOWER");
  assertEquals(await isSettled(outliving), false);
  replica.keepNoWaits();
  const failure = failed(await outliving);
  assertEquals(failure.code, "NOT_LEADER_OR_FOLLOWER");
  assertEquals(failure.details.mayBeStored, true);
  one.disk.holdSyncs = false;
  one.disk.releaseSyncs();
  await one.cluster.stop();
});

Deno.test("PartitionReplica claims its folder again when the disk was full the first time", async () => {
  const one = await broker();
  one.disk.freeBytes = 0;
  assertEquals(
    failed(await one.produce("demo", ["a"])).code,
    "KAFKA_STORAGE_ERROR",
  );
  one.disk.freeBytes = 1_000_000;
  succeeded(await one.produce("demo", ["b"]));
  await one.crash();
  await one.start();
  assertEquals(await one.readAll("demo"), ["0:b"]);
  await one.cluster.stop();
});

Deno.test("PartitionReplica never moves its high watermark back when the level gets stricter", async () => {
  const one = await broker({ "flush.messages": "1000" });
  succeeded(await one.produce("demo", ["a"]));
  one.disk.holdSyncs = true;
  succeeded(
    await one.operations.topics.alter("demo", {
      config: { "flush.messages": null },
    }),
  );
  assertEquals(one.replica("demo").highWatermark, 1 as never);
  const wait = one.produce("demo", ["b"]);
  assertEquals(await isSettled(wait), false);
  assertEquals(await one.readAll("demo"), ["0:a"]);
  one.disk.holdSyncs = false;
  one.disk.releaseSyncs();
  succeeded(await wait);
  await one.cluster.stop();
});
Deno.test("PartitionReplica answers a duplicate with the offsets of the original, also while that waits", async () => {
  const one = await broker();
  one.disk.holdSyncs = true;
  const send = (sequence: number, value: string) =>
    one.operations.records.produce("demo", 0, [recordOf(value)], {
      timeoutMs: 30_000,
      producer: { producerId: 7, producerEpoch: 0, sequence },
    });
  const original = send(0, "a");
  assertEquals(await isSettled(original), false);
  const later = send(1, "b");
  assertEquals(await isSettled(later), false);
  const duplicate = send(0, "a");
  assertEquals(await isSettled(duplicate), false);
  // The first sync covers the original, so the duplicate waits for no more.
  one.disk.releaseSyncs();
  assertEquals(succeeded(await original).baseOffset, 0);
  assertEquals(await isSettled(duplicate), true);
  assertEquals(succeeded(await duplicate).baseOffset, 0);
  assertEquals(await isSettled(later), false);
  one.disk.holdSyncs = false;
  one.disk.releaseSyncs();
  assertEquals(succeeded(await later).baseOffset, 1);
  assertEquals(succeeded(await send(1, "b")).baseOffset, 1);
  assertEquals(await one.readAll("demo"), ["0:a", "1:b"]);
  assertEquals(
    failed(await send(9, "gap")).code,
    "OUT_OF_ORDER_SEQUENCE_NUMBER",
  );
  // A duplicate is not stored, so it is not counted.
  assert(
    (await one.room.metrics.text()).includes(
      "streamnest_messages_produced_total 2\n",
    ),
  );
  await one.cluster.stop();
});
Deno.test("PartitionReplica.close() makes durable what waits, and acknowledges it", async () => {
  const one = await broker();
  one.disk.holdSyncs = true;
  const written = one.produce("demo", ["written"]);
  assertEquals(await isSettled(written), false);
  // Accepted in the very turn in which the broker closes.
  const queued = one.replica("demo").appendRecords([recordOf("queued")], {
    timeoutMs: 1000,
  });
  const closing = one.room.close();
  assertEquals(await isSettled(closing), false);
  assertEquals(
    failed(await one.produce("demo", ["too late"])).code,
    "NOT_LEADER_OR_FOLLOWER",
  );
  one.disk.holdSyncs = false;
  one.disk.releaseSyncs();
  await closing;
  assertEquals(succeeded(await written).baseOffset, 0);
  assertEquals(succeeded(await queued).baseOffset, 1);
  await one.crash();
  await one.start();
  assertEquals(await one.readAll("demo"), ["0:written", "1:queued"]);
  await one.cluster.stop();
});

Deno.test("PartitionReplica.close() acknowledges nothing when the disk fails then", async () => {
  const one = await broker();
  one.disk.holdSyncs = true;
  const written = one.produce("demo", ["a"]);
  assertEquals(await isSettled(written), false);
  const closing = one.room.close().then(() => "clean", () => "faulty");
  assertEquals(await isSettled(closing), false);
  one.disk.failSyncs();
  assertEquals(await closing, "faulty");
  assert(["KAFKA_STORAGE_ERROR", "NOT_LEADER_OR_FOLLOWER"].includes(
    failed(await written).code,
  ));
  await one.kill();
});
Deno.test("PartitionReplica flushes within flush.ms, and at once sooner when that shrinks", async () => {
  const one = await broker({ "flush.messages": "1000", "flush.ms": "5000" });
  succeeded(await one.produce("demo", ["a"]));
  const { log } = one.replica("demo");
  await one.cluster.time.elapse(4_999);
  assertEquals(log.flushedOffset, 0 as never);
  await one.cluster.time.elapse(1);
  assertEquals(log.flushedOffset, 1 as never);
  succeeded(await one.produce("demo", ["b"]));
  succeeded(
    await one.operations.topics.alter("demo", { config: { "flush.ms": "10" } }),
  );
  await one.cluster.time.elapse(10);
  assertEquals(log.flushedOffset, 2 as never);
  await one.cluster.stop();
});
Deno.test("PartitionReplica answers KAFKA_STORAGE_ERROR to all when fdatasync fails, and goes on to be read", async () => {
  const one = await broker();
  succeeded(await one.produce("demo", ["readable"]));
  one.disk.holdSyncs = true;
  const waits = ["a", "b"].map((value) => one.produce("demo", [value]));
  assertEquals(await isSettled(Promise.race(waits)), false);
  one.disk.failSyncs();
  for (const wait of waits) {
    assertEquals(failed(await wait).code, "KAFKA_STORAGE_ERROR");
  }
  one.disk.holdSyncs = false;
  for (let attempt = 0; attempt < 10; attempt++) {
    const failure = failed(await one.produce("demo", ["later"]));
    assertEquals(failure.code, "KAFKA_STORAGE_ERROR");
  }
  assertEquals(await one.readAll("demo"), ["0:readable"]);
  const lines = one.logged.filter((line) =>
    line.includes("disk of a partition")
  );
  assertEquals(lines.length, 1);
  const readiness = one.operations.cluster.readiness();
  assertEquals(
    readiness.filter(({ ok }) => !ok).map(({ name }) => name),
    ["partitions"],
  );
  await one.kill();
  await one.start();
  assertEquals((await one.readAll("demo"))[0], "0:readable");
  succeeded(await one.produce("demo", ["again"]));
  await one.cluster.stop();
});

Deno.test("PartitionReplica refuses writes on a full disk, reads on, and recovers with room", async () => {
  const one = await broker();
  succeeded(await one.produce("demo", ["a"]));
  one.disk.freeBytes = 10;
  for (let attempt = 0; attempt < 5; attempt++) {
    const failure = failed(await one.produce("demo", ["b".repeat(100)]));
    assertEquals(failure.code, "KAFKA_STORAGE_ERROR");
    assert(failure.detail.includes("full"));
  }
  assertEquals(
    one.logged.filter((line) => line.includes("disk of a partition is full"))
      .length,
    1,
  );
  assertEquals(await one.readAll("demo"), ["0:a"]);
  one.disk.freeBytes = 1_000_000;
  assertEquals(succeeded(await one.produce("demo", ["c"])).baseOffset, 1);
  assertEquals(await one.readAll("demo"), ["0:a", "1:c"]);
  await one.cluster.stop();
});

Deno.test("PartitionReplica answers KAFKA_STORAGE_ERROR when its disk cannot be read", async () => {
  const one = await broker();
  succeeded(await one.produce("demo", ["a"]));
  await one.cluster.stop();
  await one.start();
  one.disk.fault = ({ kind, path }) =>
    kind === "read" && path.endsWith(".log") ? { kind: "error" } : undefined;
  const { records } = one.operations;
  const read = await records.read("demo", 0, {
    offset: 0,
    maxRecords: 1,
    maxBytes: 100,
    waitMs: 0,
    validate: false,
  });
  assertEquals(failed(read).code, "KAFKA_STORAGE_ERROR");
  const [fetched] = await one.room.batches.fetch({
    partitions: [{
      topic: "demo",
      partition: 0,
      fetchOffset: 0,
      maxBytes: 100,
      currentLeaderEpoch: -1,
    }],
    maxWaitMs: 0,
    minBytes: 1,
    maxBytes: 100,
    readCommitted: false,
    signal: new AbortController().signal,
  });
  assertEquals(failed(fetched).code, "KAFKA_STORAGE_ERROR");
  one.disk.fault = ({ kind }) =>
    kind === "sync" ? { kind: "error" } : undefined;
  assertEquals(
    failed(await records.deleteRecords("demo", 0, 1)).code,
    "KAFKA_STORAGE_ERROR",
  );
  await one.kill();
});

Deno.test("PartitionReplica knows where its epoch begins before its first record", async () => {
  const one = await broker();
  assertEquals(
    await one.room.batches.epochEnd("demo", 0, {
      leaderEpoch: 0,
      currentLeaderEpoch: 0,
    }),
    { leaderEpoch: 0, endOffset: 0 },
  );
  await one.cluster.stop();
});
