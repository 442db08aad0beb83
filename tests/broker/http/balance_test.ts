/** The calls that move replicas: reading, statuses, strictness. */
import { Failure } from "../../../contract/errors.ts";
import { assertEquals, assertObjectMatch } from "../../support/assert.ts";
import { testDoor, testDoors } from "./door.ts";

const REBALANCE = "/v1/cluster/rebalance";
const DRAIN = "/v1/cluster/drain";

Deno.test("rebalance and drain are accepted with what was asked for", async () => {
  const { call, operations } = testDoor();
  const moved = await call("POST", REBALANCE, { throttleBytesPerSecond: 1024 });
  assertEquals(moved.status, 202);
  assertObjectMatch(await moved.json(), { running: null, moving: [] });
  assertEquals((await call("POST", DRAIN, { brokerId: 2 })).status, 202);
  assertEquals(
    (await call("POST", "/v1/cluster/undrain", { brokerId: 2 }))
      .status,
    200,
  );
  assertEquals(operations.balanceCalls, [
    {
      name: "rebalance",
      request: { throttleBytesPerSecond: 1024, dryRun: undefined },
    },
    {
      name: "drain",
      request: {
        brokerId: 2,
        throttleBytesPerSecond: undefined,
        dryRun: undefined,
      },
    },
    { name: "undrain", request: 2 },
  ]);
});

Deno.test("A rebalance needs no body, as curl -X POST sends it; a drain says what it lacks", async () => {
  const { call, operations } = testDoor();
  assertEquals((await call("POST", REBALANCE)).status, 202);
  const request = { throttleBytesPerSecond: undefined, dryRun: undefined };
  assertEquals(operations.balanceCalls, [{ name: "rebalance", request }]);
  assertEquals((await call("POST", DRAIN)).status, 400);
});

Deno.test("A dry run answers a plan with 200", async () => {
  const { call, operations } = testDoor();
  operations.balanceAnswers.begin = {
    dryRun: true,
    partitions: 0,
    replicasToCopy: 0,
    moves: [],
    stuck: { count: 0, partitions: [] },
  };
  assertEquals((await call("POST", REBALANCE, { dryRun: true })).status, 200);
});

Deno.test("Progress is shown and moves are cancelled under one path", async () => {
  const { call, json, operations } = testDoor();
  assertEquals((await json("GET", "/v1/cluster/balance")).running, null);
  assertEquals(await json("DELETE", "/v1/cluster/balance"), {
    reverted: [],
    kept: [],
  });
  operations.balanceAnswers.cancel = new Failure(
    "NO_REASSIGNMENT_IN_PROGRESS",
    "Neither runs",
  );
  assertEquals((await call("DELETE", "/v1/cluster/balance")).status, 404);
  operations.balanceAnswers.begin = new Failure(
    "REASSIGNMENT_IN_PROGRESS",
    "One runs",
  );
  assertEquals((await call("POST", REBALANCE, {})).status, 409);
});

Deno.test("Faulty requests to move replicas name the field and begin nothing", async () => {
  const { call, operations } = testDoor();
  const cases: [string, unknown, string][] = [
    [DRAIN, {}, "brokerId"],
    [DRAIN, { brokerId: 0 }, "brokerId"],
    [DRAIN, { brokerId: "2" }, "brokerId"],
    [DRAIN, { brokerId: 2, force: true }, "force"],
    [REBALANCE, { brokerId: 2 }, "brokerId"],
    [REBALANCE, { throttleBytesPerSecond: 1023 }, "throttleBytesPerSecond"],
    [REBALANCE, { throttleBytesPerSecond: 1e300 }, "throttleBytesPerSecond"],
    [REBALANCE, { dryRun: 1 }, "dryRun"],
    ["/v1/cluster/undrain", {}, "brokerId"],
    [`${REBALANCE}?dryRun=true`, {}, "dryRun"],
  ];
  for (const [path, body, field] of cases) {
    const response = await call("POST", path, body);
    const problem = await response.json();
    assertEquals([path, response.status, problem.field], [path, 400, field]);
  }
  assertEquals((await call("GET", "/v1/cluster/balance?a=1")).status, 400);
  assertEquals((await call("GET", DRAIN)).status, 405);
  assertEquals(operations.balanceCalls, []);
});

function movingPartition(partition: number, leader: number | null) {
  return {
    topic: "demo",
    partition,
    leader,
    target: [4],
    adding: [4],
    removing: [],
    isr: [1],
  };
}

Deno.test("Each leader of what moves is asked once how far the copying is", async () => {
  const { doors: [first, second, third], network } = testDoors(3);
  const moving = [1, 2, 2, 3, null].map((leader, partition) =>
    movingPartition(partition, leader)
  );
  for (const { operations } of [first, second, third]) {
    operations.balanceAnswers.progress = {
      ...operations.balanceAnswers.progress,
      moving,
    };
  }
  const copy = (partition: number, bytesLeft: number) => ({
    topic: "demo",
    partition,
    bytesToCopy: 100,
    bytesLeft,
  });
  first.operations.copies = [copy(0, 10)];
  second.operations.copies = [copy(1, 20), copy(2, 30)];
  const left = async () => {
    const answer = await first.json("GET", "/v1/cluster/balance");
    return answer.moving.map((one: { bytesLeft?: number }) => one.bytesLeft);
  };
  assertEquals(await left(), [10, 20, 30, undefined, undefined]);
  assertEquals(
    network.hops.map(({ method, url }) => `${method} ${new URL(url).host}`),
    ["GET localhost:8081", "GET localhost:8082"],
  );
  // Who was asked by a broker asks nobody.
  network.hops.length = 0;
  network.doors.delete("localhost:8081");
  assertEquals(await left(), [10, undefined, undefined, undefined, undefined]);
  assertEquals(network.hops.length, 2);
});

Deno.test("A leader that answers in another form is left out", async () => {
  const { doors: [first], network } = testDoors(2);
  first.operations.balanceAnswers.progress = {
    ...first.operations.balanceAnswers.progress,
    moving: [movingPartition(0, 2)],
  };
  for (const body of ["[", "{}", '{"moving":[null]}', '{"moving":7}']) {
    network.fetch = () => Promise.resolve(new Response(body));
    const { moving } = await first.json("GET", "/v1/cluster/balance");
    assertEquals(moving, [movingPartition(0, 2)]);
  }
  assertEquals(first.logged.length, 4);
});
