import { FactError, KEYS } from "../../../broker/cluster/facts.ts";
import { assert, assertEquals } from "../../support/assert.ts";
import { succeeded, TestCluster } from "../../support/test_broker.ts";

Deno.test("MetadataView reads everything again after a compaction, when the store is back", async () => {
  const cluster = new TestCluster();
  const one = await cluster.broker();
  const two = await cluster.broker();
  await one.create("old", { partitions: 2 });
  await cluster.time.elapse(0);
  succeeded(await two.produce("old", ["a"], { partition: 1 }));
  two.store.faults.unreachable = true;
  await one.create("new", { partitions: 2 });
  await one.operations.topics.delete("old");
  cluster.metadata.compact(cluster.metadata.revision);
  await cluster.time.elapse(5_000);
  // The news that history is gone arrives; reading all of it does not.
  let isCut = true;
  two.store.faults.loseAnswer = () => isCut;
  two.store.reconnect();
  await cluster.time.elapse(10_000);
  assertEquals(two.operations.topics.list().map(({ topic }) => topic), [
    "old",
  ]);
  isCut = false;
  await cluster.time.elapse(5_000);
  assertEquals(two.operations.topics.list().map(({ topic }) => topic), [
    "new",
  ]);
  assertEquals(two.room.view.storeFault, undefined);
  assertEquals(two.room.replicas.replica("old", 1), undefined);
  succeeded(await two.produce("new", ["b"], { partition: 1 }));
  assertEquals(two.faults, []);
  await cluster.stop();
});

Deno.test("MetadataView stops following, and says which key, when a value cannot be read", async () => {
  const cluster = new TestCluster();
  const one = await cluster.broker();
  await one.create("demo", { partitions: 1 });
  cluster.metadata.transact({
    compare: [],
    success: [{ kind: "put", key: KEYS.topic("bad"), value: "{" }],
  });
  await cluster.time.elapse(0);
  assertEquals(one.faults.length, 1);
  assert(one.faults[0] instanceof FactError);
  assert(one.faults[0].message.includes("/topics/bad"));
  assertEquals(
    one.operations.cluster.readiness().find(({ ok }) => !ok)?.name,
    "metadata",
  );
  // What it has is still there, and nothing was removed.
  succeeded(await one.produce("demo", ["a"]));
  assertEquals(await one.readAll("demo"), ["0:a"]);
  await cluster.stop();
});
