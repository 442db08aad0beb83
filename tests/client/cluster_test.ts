/** Knowing the brokers, and asking whichever answers. */
import { assert, assertEquals, assertInstanceOf } from "../support/assert.ts";
import { Failure } from "../../contract/errors.ts";
import { Cluster, NobodyAnswers } from "../../client/cluster.ts";
import { Unreachable } from "../../client/http_client.ts";
import { FakeCluster, problem } from "./fake_cluster.ts";
import { TestWorld } from "./test_world.ts";

function setUp(bootstrap = ["localhost:8080"]) {
  const world = new TestWorld();
  const fake = new FakeCluster(world);
  return { world, fake, cluster: new Cluster(world, bootstrap) };
}

Deno.test("one broker that answers is enough, later any of the cluster is", async () => {
  const { world, fake, cluster } = setUp(["localhost:9", "localhost:8082"]);
  assertEquals(await world.drive(cluster.refresh()), undefined);
  fake.isUp[2] = false;
  assertEquals(await world.drive(cluster.refresh()), undefined);
  fake.isUp.fill(false);
  const nobody = await world.drive(cluster.refresh());
  assertInstanceOf(nobody, NobodyAnswers);
  assertEquals(
    nobody.tried.map(({ address }) => address).sort(),
    ["localhost:8080", "localhost:8081", "localhost:8082", "localhost:9"],
  );
});

Deno.test("Cluster.refresh() is shared by those who ask at once", async () => {
  const { world, fake, cluster } = setUp();
  await world.drive(Promise.all([cluster.refresh(), cluster.refresh()]));
  assertEquals(fake.calls, ["GET localhost:8080/metadata"]);
});

Deno.test("Cluster.addressFor() is the leader, else any broker", async () => {
  const { world, fake, cluster } = setUp();
  fake.createTopic("demo", 3)[1].leader = undefined;
  await world.drive(cluster.refresh());
  assertEquals(cluster.addressFor("demo", 2), "localhost:8082");
  assertEquals(cluster.addressFor("demo", 1), "localhost:8080");
  assertEquals(cluster.addressFor("nope", 0), "localhost:8080");
  assertEquals(cluster.partitions("constructor"), undefined);
});

Deno.test("Cluster.findTopic() asks again before it calls a topic unknown", async () => {
  const { world, fake, cluster } = setUp();
  const finding = cluster.findTopic("new");
  await world.settle();
  fake.createTopic("new", 1);
  const found = await world.drive(finding);
  assert(Array.isArray(found) && found.length === 1);
  assertEquals(await world.drive(cluster.findTopic("nope")), undefined);
});

Deno.test("Cluster.ask() goes on to the next broker, and retries a 503", async () => {
  const { world, fake, cluster } = setUp(["localhost:9", "localhost:8080"]);
  let failures = 2;
  fake.onRequest = (_method, url) =>
    url.pathname === "/v1/cluster"
      ? failures-- > 0
        ? problem("NOT_CONTROLLER", "not now", { retryAfterMs: 100 })
        : Response.json({ clusterId: "x" })
      : undefined;
  const answer = await world.drive(
    cluster.ask((address) => cluster.api.cluster(address)),
  );
  assertEquals(answer, { clusterId: "x" } as typeof answer);
  assert(world.monotonicMs() >= 200);
});

Deno.test("Cluster.ask() ends a lasting 503 with the broker's words", async () => {
  const { world, fake, cluster } = setUp();
  fake.onRequest = () => problem("NOT_CONTROLLER", "not now");
  const answer = await world.drive(
    cluster.ask((address) => cluster.api.cluster(address)),
  );
  assertInstanceOf(answer, Failure);
  assertEquals(answer.detail, "not now");
  assert(world.monotonicMs() < 12_000);
});

Deno.test("a change that may have arrived is not repeated; one that did not is", async () => {
  const { world, fake, cluster } = setUp(["localhost:9", "localhost:8080"]);
  let deletes = 0;
  fake.onRequest = (method) => {
    if (method !== "DELETE") return undefined;
    deletes++;
    throw new TypeError("fetch failed", {
      cause: new Error("Connection reset"),
    });
  };
  const answer = await world.drive(
    cluster.ask((address) => cluster.api.deleteTopic(address, "demo"), {
      changes: true,
    }),
  );
  assertInstanceOf(answer, Unreachable);
  assertEquals(deletes, 1);
});
