import { MemoryFileSystem } from "../../support/memory_file_system.ts";
import { succeeded, TestCluster } from "../../support/test_broker.ts";
import { assert, assertEquals } from "../../support/assert.ts";

Deno.test("A room refuses the folder of another cluster, and leaves what is in it", async () => {
  const cluster = new TestCluster();
  const one = await cluster.broker();
  await one.create("demo", { partitions: 1 });
  succeeded(await one.produce("demo", ["precious"]));
  await one.stop();
  const other = new TestCluster(2);
  const stranger = await other.broker();
  await stranger.stop();
  const { disk } = one;
  stranger.disk = disk;
  let message = "";
  await stranger.start().catch((fault: Error) => message = fault.message);
  assert(message.includes('"data/broker-1"'), message);
  assert(message.includes("--data-dir"), message);
  one.disk = stranger.disk;
  await one.start();
  assertEquals(await one.readAll("demo"), ["0:precious"]);
  await cluster.stop();
});

Deno.test("A room refuses the folder of another broker", async () => {
  const cluster = new TestCluster();
  const one = await cluster.broker();
  await one.stop();
  const two = await cluster.broker({ brokerDirectory: "data/broker-1" });
  await two.stop();
  two.disk = one.disk;
  let message = "";
  await two.start().catch((fault: Error) => message = fault.message);
  assert(message.includes("broker 1, not of broker 2"), message);
  await cluster.stop();
});

Deno.test("Brokers that start together on an empty store agree on the cluster's id", async () => {
  const cluster = new TestCluster();
  const brokers = await Promise.all(
    [1, 2, 3].map((id) => cluster.broker({ id })),
  );
  const ids = brokers.map((one) => one.operations.cluster.describe().clusterId);
  assertEquals(new Set(ids).size, 1);
  assert(ids[0].length > 0);
  await cluster.stop();
});

Deno.test("A room on an empty folder says what comes back from others and what does not", async () => {
  const cluster = new TestCluster();
  const one = await cluster.broker();
  await one.create("demo", { partitions: 2 });
  await one.stop();
  one.disk = new MemoryFileSystem();
  await one.start();
  assert(
    one.logged.some((line) =>
      line.includes("partitions without another replica begin anew") &&
      line.includes('"partitions":2')
    ),
  );
  assert(!one.logged.some((line) => line.includes("filled from the others")));
  await cluster.stop();
});
