import type { Failure } from "../../../contract/errors.ts";
import { loadSchemaEngine } from "../../../schema/schema.ts";
import { assert, assertEquals } from "../../support/assert.ts";
import {
  failed,
  recordOf,
  succeeded,
  type TestBroker,
  TestCluster,
} from "../../support/test_broker.ts";

/** Everything that asks the store, on a topic that this broker does not know. */
function calls(one: TestBroker): Record<string, () => unknown> {
  const { topics, records, schemas, producers } = one.operations;
  const options = { timeoutMs: 1000 };
  return {
    "create": () => topics.create({ topic: "new", partitions: 1 }),
    "describe": () => topics.describe("unknown"),
    "alter": () => topics.alter("demo", { partitions: 5 }),
    "delete": () => topics.delete("demo"),
    "choosePartition": () => records.choosePartition("unknown", null),
    "route": () => records.route("unknown", 0),
    "route to a new partition": () => records.route("demo", 3),
    "produce": () => records.produce("unknown", 0, [recordOf("a")], options),
    "read": () =>
      records.read("unknown", 0, {
        offset: 0,
        maxRecords: 1,
        maxBytes: 1,
        waitMs: 0,
        validate: false,
      }),
    "findOffset": () => records.findOffset("unknown", 0, "latest"),
    "offsets": () => records.offsets("demo", 9),
    "deleteRecords": () => records.deleteRecords("unknown", 0, 0),
    "register": () => schemas.register("demo", { type: "object" }),
    "allocate": () => producers.allocate(),
  };
}

Deno.test("Operations answer REQUEST_TIMED_OUT with Retry-After while the metadata store is away", async () => {
  // Loading takes real time, of which this test has none.
  await loadSchemaEngine();
  const cluster = new TestCluster();
  const one = await cluster.broker();
  await one.create("demo", { partitions: 1 });
  succeeded(await one.produce("demo", ["a"]));
  one.store.faults.unreachable = true;
  for (const [name, call] of Object.entries(calls(one))) {
    const answer = Promise.resolve(call()) as Promise<Failure>;
    await cluster.time.elapse(3_000);
    const { code, details } = failed(await answer);
    assertEquals([name, code, details.retryAfterMs], [
      name,
      "REQUEST_TIMED_OUT",
      1000,
    ]);
  }
  // What is there can be read; past its lease the broker acknowledges nothing.
  assertEquals(await one.readAll("demo"), ["0:a"]);
  const refused = failed(await one.produce("demo", ["b"]));
  assertEquals(refused.code, "NOT_LEADER_OR_FOLLOWER");
  assert(refused.detail.includes("cannot renew its lease"));
  assertEquals(
    one.operations.cluster.readiness().filter(({ ok }) => !ok)
      .map(({ name }) => name),
    ["metadata", "lease"],
  );
  one.store.reconnect();
  await cluster.time.elapse(3_000);
  assertEquals(
    one.operations.cluster.readiness().filter(({ ok }) => !ok),
    [],
  );
  succeeded(await one.operations.producers.allocate());
  succeeded(await one.produce("demo", ["b"]));
  await cluster.stop();
});
