import { KEYS } from "../../../broker/cluster/facts.ts";
import {
  failed,
  isSettled,
  recordOf,
  succeeded,
  TestCluster,
} from "../../support/test_broker.ts";
import { assert, assertEquals } from "../../support/assert.ts";

const notReady = (checks: { name: string; ok: boolean }[]) =>
  checks.filter(({ ok }) => !ok).map(({ name }) => name);

Deno.test("ReplicaManager never shows records of an earlier topic of the same name", async () => {
  const cluster = new TestCluster();
  const one = await cluster.broker();
  for (const run of ["first", "second", "third"]) {
    await one.create("demo", { partitions: 2 });
    assertEquals(await one.readAll("demo"), []);
    assertEquals(succeeded(await one.produce("demo", [run])).baseOffset, 0);
    await one.stop();
    await one.start();
    assertEquals(await one.readAll("demo"), [`0:${run}`]);
    assertEquals(await one.operations.topics.delete("demo"), undefined);
    assertEquals(one.disk.exists("data/broker-1/demo_0"), false);
  }
  await cluster.stop();
});

Deno.test("ReplicaManager removes at its start what was deleted, or made again, while it was down", async () => {
  const cluster = new TestCluster();
  const one = await cluster.broker();
  const two = await cluster.broker();
  // Partition 1 of both is led by broker 2.
  await one.create("gone", { partitions: 2 });
  await one.create("again", { partitions: 4 });
  await one.create("kept", { partitions: 2 });
  for (const topic of ["gone", "again", "kept"]) {
    succeeded(await two.produce(topic, ["old"], { partition: 1 }));
  }
  succeeded(await two.produce("again", ["old"], { partition: 3 }));
  await two.kill();
  assertEquals(await one.operations.topics.delete("gone"), undefined);
  assertEquals(await one.operations.topics.delete("again"), undefined);
  await cluster.time.elapse(2_000);
  await one.create("again", { partitions: 1 });
  await two.start();
  succeeded(await one.operations.topics.alter("again", { partitions: 2 }));
  assertEquals(await two.readAll("again", 1), []);
  assertEquals(await two.readAll("kept", 1), ["0:old"]);
  for (const folder of ["gone_1", "again_3"]) {
    assertEquals(two.disk.exists(`data/broker-2/${folder}`), false);
  }
  await cluster.stop();
});

Deno.test("ReplicaManager takes a partition offline, and keeps it, when it cannot tell whose folder it is", async () => {
  const cluster = new TestCluster();
  const one = await cluster.broker();
  await one.create("demo", { partitions: 2 });
  succeeded(await one.produce("demo", ["a"]));
  succeeded(await one.produce("demo", ["b"], { partition: 1 }));
  await one.stop();
  const identity = "data/broker-1/demo_0/partition.json";
  const whole = one.disk.readFile(identity);
  one.disk.writeFileAtomic(identity, whole.slice(0, 5));
  await one.start();
  assertEquals(
    failed(await one.produce("demo", ["x"])).code,
    "KAFKA_STORAGE_ERROR",
  );
  const checks = one.operations.cluster.readiness();
  assertEquals(notReady(checks), ["partitions"]);
  assertEquals(checks.find(({ ok }) => !ok)?.detail, "offline: demo-0");
  assertEquals(await one.readAll("demo", 1), ["0:b"]);
  await one.stop();
  one.disk.writeFileAtomic(identity, whole);
  await one.start();
  assertEquals(await one.readAll("demo"), ["0:a"]);
  assertEquals(notReady(one.operations.cluster.readiness()), []);
  await cluster.stop();
});

Deno.test("ReplicaManager never removes the folder of a topic that lives, though names meet on the disk", async () => {
  const cluster = new TestCluster();
  const one = await cluster.broker();
  await one.create("demo", { partitions: 1 });
  succeeded(await one.produce("demo", ["a"]));
  await one.stop();
  // As a disk that ignores case would have it.
  const path = "data/broker-1/DEMO_0";
  one.disk.createDirectory(path);
  one.disk.writeFileAtomic(
    `${path}/partition.json`,
    one.disk.readFile("data/broker-1/demo_0/partition.json"),
  );
  await one.start();
  await one.create("DEMO", { partitions: 1 });
  assertEquals(
    failed(await one.produce("DEMO", ["b"])).code,
    "KAFKA_STORAGE_ERROR",
  );
  assert(one.disk.exists(`${path}/partition.json`));
  assertEquals(await one.readAll("demo"), ["0:a"]);
  await cluster.stop();
});

Deno.test("ReplicaManager brings the other topics in line when one's folder cannot be removed", async () => {
  const cluster = new TestCluster();
  const one = await cluster.broker();
  await one.create("stuck", { partitions: 1 });
  await one.create("demo", { partitions: 1 });
  succeeded(await one.produce("stuck", ["a"]));
  one.disk.fault = ({ kind }) =>
    kind === "remove" ? { kind: "error" } : undefined;
  assertEquals(await one.operations.topics.delete("stuck"), undefined);
  one.disk.fault = undefined;
  assertEquals(one.faults, []);
  await one.create("stuck", { partitions: 1 });
  assertEquals(await one.readAll("stuck"), []);
  succeeded(await one.produce("stuck", ["b"]));
  succeeded(await one.produce("demo", ["c"]));
  await cluster.stop();
});

Deno.test("ReplicaManager goes on with what the metadata became while it started", async () => {
  const cluster = new TestCluster();
  const one = await cluster.broker();
  const two = await cluster.broker();
  await one.create("old", { partitions: 2 });
  succeeded(await two.produce("old", ["a"], { partition: 1 }));
  await two.kill();
  two.disk.holdSyncs = true;
  const starting = two.start();
  assertEquals(await isSettled(starting), false);
  // The log is open and waits for its flush.
  assertEquals(two.disk.heldSyncs.length, 1);
  await one.create("new", { partitions: 2 });
  const { topicId } = one.room.view.image.topics.get("new")!;
  const given = { leader: 2, leaderEpoch: 1, replicas: [2], isr: [2] };
  await one.store.transact({
    compare: [],
    success: [{
      kind: "put",
      key: KEYS.partition(topicId, 1),
      value: JSON.stringify(given),
    }],
  });
  assertEquals(await one.operations.topics.delete("old"), undefined);
  two.disk.holdSyncs = false;
  two.disk.releaseSyncs();
  await starting;
  assertEquals(two.room.replicas.replica("old", 1), undefined);
  assertEquals(two.room.replicas.replica("new", 1)?.isLeader, true);
  await cluster.stop();
});

Deno.test("ReplicaManager flushes on close and opens nothing afterwards", async () => {
  const cluster = new TestCluster();
  const one = await cluster.broker();
  await one.create("demo", {
    partitions: 1,
    config: { "flush.messages": "1000" },
  });
  succeeded(await one.produce("demo", ["a"]));
  await one.room.leave();
  await one.room.close();
  assertEquals([...one.room.replicas.replicas()], []);
  await one.crash();
  await one.start();
  assertEquals(await one.readAll("demo"), ["0:a"]);
  await cluster.stop();
  assertEquals(one.disk.openHandles, 0);
});

Deno.test("LogCleaner deletes by retention.ms, also of many partitions in slices", async () => {
  const cluster = new TestCluster();
  const one = await cluster.broker();
  await one.create("demo", {
    partitions: 3,
    config: { "retention.ms": "1000", "segment.ms": "500" },
  });
  for (const partition of [0, 1, 2]) {
    succeeded(await one.produce("demo", ["old"], { partition }));
  }
  await cluster.time.elapse(60_000);
  for (const partition of [0, 1, 2]) {
    assertEquals(one.replica("demo", partition).log.logStartOffset, 1 as never);
    assertEquals(
      succeeded(await one.produce("demo", ["new"], { partition })).baseOffset,
      1,
    );
  }
  await cluster.stop();
});

Deno.test("LogCleaner leaves an offline partition alone, and says nothing again and again", async () => {
  const cluster = new TestCluster();
  const one = await cluster.broker();
  await one.create("demo", { partitions: 1 });
  one.disk.holdSyncs = true;
  const wait = one.produce("demo", ["a"]);
  await isSettled(wait);
  one.disk.failSyncs();
  failed(await wait);
  one.disk.holdSyncs = false;
  const before = one.logged.length;
  await cluster.time.elapse(120_000);
  assertEquals(one.logged.length, before);
  await one.kill();
  await cluster.stop();
});

Deno.test("LogCleaner compacts the topics that ask for it, and no others", async () => {
  const cluster = new TestCluster();
  const one = await cluster.broker();
  const config = { "segment.bytes": "1024", "min.cleanable.dirty.ratio": "0" };
  await one.create("kept", { partitions: 1, config });
  await one.create("compacted", {
    partitions: 1,
    config: { ...config, "cleanup.policy": "compact" },
  });
  for (const topic of ["kept", "compacted"]) {
    for (let count = 0; count < 60; count++) {
      const record = recordOf(`${count}`.padEnd(50), {
        keyText: `key-${count % 3}`,
      });
      succeeded(
        await one.operations.records.produce(topic, 0, [record], {
          timeoutMs: 1000,
        }),
      );
    }
  }
  await cluster.time.elapse(20_000);
  assertEquals((await one.readAll("kept")).length, 60);
  const left = await one.readAll("compacted");
  assert(left.length < 20, `${left.length} records are left`);
  assertEquals(
    left.slice(-3).map((text) => text.trim()),
    ["57:57", "58:58", "59:59"],
  );
  await cluster.stop();
  await one.start();
  assertEquals(await one.readAll("compacted"), left);
  await cluster.stop();
});

Deno.test("A stop is no clean one when a log goes offline in it", async () => {
  const MARK = "data/broker-1/clean-stop";
  for (const fails of [false, true]) {
    const cluster = new TestCluster();
    const one = await cluster.broker();
    await one.create("demo", { config: { "flush.messages": "1000" } });
    succeeded(await one.produce("demo", ["a"]));
    const replica = one.replica("demo");
    const stop = replica.stop.bind(replica);
    // As a flush in the background fails, whose fault nobody awaits.
    replica.stop = () => {
      stop();
      if (!fails) return;
      one.disk.fault = () => ({ kind: "error", writtenBytes: 0 });
      void replica.log.flush().catch(() => {});
      one.disk.fault = undefined;
    };
    await one.stop();
    assertEquals(one.disk.exists(MARK), !fails);
    await cluster.stop();
  }
});
