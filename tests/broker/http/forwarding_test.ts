/** Requests whose partition another broker leads: one hop, and what may fail. */
import {
  assert,
  assertEquals,
  assertObjectMatch,
  assertStringIncludes,
} from "../../support/assert.ts";
import { FORWARDED_HEADER } from "../../../contract/http.ts";
import { requestOf, testDoors } from "./door.ts";

const PEER = { hostname: "", port: 0 };

/** Three brokers; partition i of "demo" is led by broker i + 1. */
function three(limits = {}) {
  const all = testDoors(3, limits);
  all.doors[0].operations.addTopic("demo", [1, 2, 3]);
  return { ...all, first: all.doors[0] };
}

async function settle(): Promise<void> {
  for (let i = 0; i < 50; i++) await Promise.resolve();
}

function stored(
  cluster: ReturnType<typeof three>["cluster"],
  partition: number,
) {
  return cluster.topics.get("demo")!.partitions[partition].records;
}

Deno.test("POST /produce is sent on to the leader, once, unchanged", async () => {
  const { first, network, cluster } = three();
  const response = await first.call(
    "POST",
    "/produce",
    `{"topic":"demo","partition":1,"message":{"id":12345678901234567890},"key":"k","headers":{"a":["1",null]},"timestamp":4,"receipt":true}`,
  );
  assertEquals(response.status, 200);
  assertEquals(response.headers.get("content-type"), "application/json");
  assertObjectMatch(await response.json(), {
    offset: 0,
    partition: 1,
    timestamp: 4,
    receipt: { leaderEpoch: 3 },
  });
  assertEquals(network.hops.length, 1);
  const [record] = stored(cluster, 1);
  assertEquals(
    new TextDecoder().decode(record.value!),
    '{"id":12345678901234567890}',
  );
  assertEquals(record.headers.length, 2);
});

Deno.test("POST /produce sends bytes, tombstones and producers on", async () => {
  const { first, cluster, doors } = three();
  await first.call("POST", "/produce", {
    topic: "demo",
    partition: 1,
    message: "//8=",
    encoding: "base64",
    key: "/w==",
    keyEncoding: "base64",
    producer: { producerId: 1, producerEpoch: 2, sequence: 3 },
    timeoutMs: 77,
  });
  await first.call("POST", "/produce", {
    topic: "demo",
    partition: 1,
    message: null,
  });
  const [bytes, tombstone] = stored(cluster, 1);
  assertEquals(bytes.value, new Uint8Array([255, 255]));
  assertEquals(bytes.key, new Uint8Array([255]));
  assertEquals(tombstone.value, null);
  assertEquals(doors[1].operations.calls.length, 2);
});

Deno.test("POST /produce with messages asks each leader once", async () => {
  const { first, network, cluster } = three();
  cluster.topics.get("demo")!.partitions.push(
    { leader: 2, logStartOffset: 0, records: [] },
  );
  const partitions = [3, 1, 0, 2, 1, 3];
  const answer = await first.json("POST", "/produce", {
    topic: "demo",
    messages: partitions.map((partition, i) => ({
      message: `${i}`,
      partition,
    })),
    receipt: true,
  });
  assertEquals(network.hops.length, 2);
  const results = answer.results as { partition: number; offset: number }[];
  assertEquals(results.map(({ partition }) => partition), partitions);
  assertEquals(results.map(({ offset }) => offset), [0, 0, 0, 0, 1, 1]);
  for (const [index, { partition, offset }] of results.entries()) {
    assertEquals(
      new TextDecoder().decode(stored(cluster, partition)[offset].value!),
      `${index}`,
    );
  }
});

Deno.test("POST /produce with messages answers 207 when a leader is away", async () => {
  const { first, network } = three();
  network.doors.delete("localhost:8082");
  const messages = [0, 1, 2].map((partition) => ({ message: "x", partition }));
  const answer = first.call("POST", "/produce", { topic: "demo", messages });
  await first.outlast();
  const response = await answer;
  assertEquals(response.status, 207);
  const { results } = await response.json();
  assertEquals(results.map((result: { code?: string }) => result.code), [
    undefined,
    undefined,
    "BROKER_NOT_AVAILABLE",
  ]);
});

Deno.test("A batch refused by a leader keeps the leader's failure", async () => {
  const { first, doors } = three();
  doors[1].operations.forbidden = "x";
  const response = await first.call("POST", "/produce", {
    topic: "demo",
    messages: [{ message: "x", partition: 1 }],
  });
  assertEquals(response.status, 422);
  assertEquals((await response.json()).code, "INVALID_RECORD");
});

Deno.test("A forwarded request is not sent on again", async () => {
  const { first, network } = three();
  const forwarded = async (method: string, target: string, body?: string) =>
    await first.door.handler(
      requestOf(`http://localhost${target}`, {
        method,
        body,
        headers: { [FORWARDED_HEADER]: "2" },
      }),
      PEER,
    );
  const one = '{"topic":"demo","partition":1,"message":"x"}';
  const many = '{"topic":"demo","partition":1,"messages":["x"]}';
  const at = "/v1/topics/demo/partitions/1";
  for (
    const [method, target, body] of [
      ["POST", "/produce", one],
      ["POST", "/produce", many],
      ["GET", "/consume?topic=demo&partition=1&offset=0"],
      ["GET", `${at}/records`],
      ["GET", `${at}/offsets`],
      ["DELETE", `${at}/records?beforeOffset=0`],
    ]
  ) {
    const response = await forwarded(method, target, body);
    assertEquals(response.status, 503, `${method} ${target}`);
    assertEquals(response.headers.get("retry-after"), "1");
    assertEquals((await response.json()).code, "NOT_LEADER_OR_FOLLOWER");
  }
  assertEquals(network.hops.length, 0);
});

Deno.test("GET /consume, offsets and deletion are sent on as they came", async () => {
  const { first, doors, network } = three();
  doors[1].operations.append("demo", 1, {
    value: new TextEncoder().encode("hi"),
  });
  const consume = "/consume?topic=demo&partition=1";
  assertObjectMatch(await first.json("GET", `${consume}&offset=0`), {
    message: "hi",
  });
  const end = await first.call("GET", `${consume}&offset=1`);
  assertEquals([end.status, await end.text()], [204, ""]);
  const beyond = await first.call("GET", `${consume}&offset=9`);
  assertEquals(beyond.status, 410);
  assertEquals(
    beyond.headers.get("content-type"),
    "application/problem+json",
  );
  assertEquals((await beyond.json()).latestOffset, 1);
  const at = "/v1/topics/demo/partitions/1";
  assertEquals((await first.json("GET", `${at}/offsets`)).highWatermark, 1);
  const head = await first.call("HEAD", `${at}/offsets`);
  assertEquals([head.status, await head.text()], [200, ""]);
  assertObjectMatch(
    await first.json("DELETE", `${at}/records?beforeOffset=latest`),
    { logStartOffset: 1 },
  );
  assertEquals(network.hops[0].url, `http://localhost:8081${consume}&offset=0`);
});

Deno.test("Producing whose answer is lost says that it may be stored", async () => {
  const { first, network, cluster } = three();
  network.lostAnswer = new TypeError("connection reset by peer");
  const body = { topic: "demo", partition: 1, message: "x" };
  const response = await first.call("POST", "/produce", body);
  assertEquals(response.status, 503);
  const problem = await response.json();
  assertEquals(problem.code, "REQUEST_TIMED_OUT");
  assertStringIncludes(problem.detail, "may or may not");
  assertEquals(problem.mayBeStored, true);
  assertEquals(stored(cluster, 1).length, 1);
  assertEquals(network.hops.length, 1);
});

Deno.test("A refusal on a connection that was kept may hide that it was stored", async () => {
  const { first, network, cluster } = three();
  const produce = (message: string) =>
    first.call("POST", "/produce", { topic: "demo", partition: 1, message });
  assertEquals((await produce("before")).status, 200);
  // The runtime sent it on the kept connection, the leader stored it and was
  // killed, and the runtime tried a new connection by itself.
  network.lostAnswer = new TypeError("fetch failed", {
    cause: new Error("client error (Connect): Connection refused"),
  });
  const doubtful = await produce("killed");
  assertEquals(doubtful.status, 503);
  assertEquals((await doubtful.json()).code, "REQUEST_TIMED_OUT");
  assertEquals(stored(cluster, 1).length, 2);
  assertEquals(network.hops.length, 2);
  // No connection is left: a refusal says that nothing was sent.
  network.lostAnswer = undefined;
  network.error = new TypeError("client error (Connect): Connection refused");
  const waiting = produce("after");
  await first.outlast();
  assertEquals((await (await waiting).json()).code, "BROKER_NOT_AVAILABLE");
  assertEquals(stored(cluster, 1).length, 2);
});

Deno.test("A leader that cannot be reached is 503, and nothing was changed", async () => {
  const { first, network } = three();
  // As Deno words it.
  network.error = new TypeError("fetch failed", {
    cause: new Error(
      "error sending request for url (http://localhost:8081/produce): client error (Connect): tcp connect error: Connection refused (os error 111)",
    ),
  });
  const body = { topic: "demo", partition: 1, message: "x" };
  const answers = [
    first.call("POST", "/produce", body),
    first.call("GET", "/consume?topic=demo&partition=1&offset=0"),
  ];
  await first.outlast();
  for (const response of await Promise.all(answers)) {
    assertEquals(response.status, 503);
    assertEquals((await response.json()).code, "BROKER_NOT_AVAILABLE");
    assertEquals(response.headers.get("retry-after"), "1");
  }
});

Deno.test("A leader that does not answer in time is given up", async () => {
  const { first, doors } = three();
  doors[1].operations.gate = new Promise(() => {});
  const response = first.call("POST", "/produce", {
    topic: "demo",
    partition: 1,
    message: "x",
    timeoutMs: 1000,
  });
  await settle();
  await first.time.elapse(5_900);
  assertEquals(first.door.inFlight, 1);
  await first.time.elapse(200);
  assertEquals((await response).status, 503);
  assertEquals((await (await response).json()).code, "REQUEST_TIMED_OUT");
});

Deno.test("A long poll at another broker ends with its client", async () => {
  const { first, doors } = three();
  const client = new AbortController();
  const response = Promise.resolve(first.door.handler(
    requestOf(
      "http://localhost/consume?topic=demo&partition=1&offset=0&waitMs=9000",
      { method: "GET", signal: client.signal },
    ),
    PEER,
  ));
  await settle();
  assertEquals(doors[1].operations.waiting, 1);
  client.abort();
  assertEquals((await response).status, 204);
  assertEquals(first.time.pending, 0);
  await doors[1].door.close();
});

Deno.test("A long poll at another broker brings its record", async () => {
  const { first, doors } = three();
  const response = first.json(
    "GET",
    "/consume?topic=demo&partition=1&offset=0&waitMs=9000&max=3",
  );
  await settle();
  doors[1].operations.append("demo", 1, {
    value: new TextEncoder().encode("now"),
  });
  assertEquals((await response).records[0].message, "now");
});

Deno.test("Forwarding is bounded, long polls apart from the rest", async () => {
  const { first, doors } = three({ forwardsInFlight: 1, forwardedPolls: 1 });
  let open: () => void = () => {};
  doors[1].operations.gate = new Promise((resolve) => open = resolve);
  const body = { topic: "demo", partition: 1, message: "x" };
  const waiting = first.call("POST", "/produce", body);
  await settle();
  const refused = await first.call("POST", "/produce", body);
  assertEquals(refused.status, 503);
  assertStringIncludes((await refused.json()).detail, "localhost:8081");
  const poll = "/consume?topic=demo&partition=2&offset=0&waitMs=1000";
  const polling = first.call("GET", poll);
  await settle();
  assertEquals((await first.call("GET", poll)).status, 503);
  open();
  assertEquals((await waiting).status, 200);
  await first.door.close();
  assertEquals((await polling).status, 204);
  await doors[2].door.close();
});

Deno.test("GET /v1/topics/{topic} asks each leader once; who is away is null", async () => {
  const { first, doors, network } = three();
  for (const [partition, door] of doors.entries()) {
    door.operations.append("demo", partition, { value: null });
  }
  const all = await first.json("GET", "/v1/topics/demo");
  assertEquals(network.hops.length, 2);
  assertEquals(
    all.partitions.map((p: { highWatermark: number }) => p.highWatermark),
    [1, 1, 1],
  );
  assertEquals(all.partitions[1].sizeBytes, 100);
  assertEquals(all.partitions[1].broker, "localhost:8081");
  network.doors.delete("localhost:8082");
  const some = await first.json("GET", "/v1/topics/demo");
  assertEquals(
    some.partitions.map((p: { logEndOffset: number }) => p.logEndOffset),
    [1, 1, null],
  );
});

Deno.test("An answer of a leader that is not ours tells nothing", async () => {
  const { first, network } = three();
  network.fetch = () =>
    Promise.resolve(new Response("<html>", { status: 502 }));
  const response = await first.call("POST", "/produce", {
    topic: "demo",
    messages: [{ message: "x", partition: 1 }],
  });
  assertEquals(response.status, 503);
  const problem = await response.json();
  assert(problem.detail.includes("may or may not"));
  assertEquals(problem.mayBeStored, true);
});

Deno.test("A schema is registered when every broker that answers knows it", async () => {
  const { first, doors, network } = three();
  network.doors.delete("localhost:8082");
  const known: number[] = [];
  const { schemas } = doors[1].operations;
  const { find } = schemas;
  schemas.find = (id) => {
    known.push(id);
    return find(id);
  };
  const answer = await first.json("POST", "/register-schema", {
    topic: "demo",
    schema: { type: "object" },
  });
  assertEquals([answer.status, answer.id], ["schema registered", 1]);
  assertEquals(known, [1]);
  assertEquals(network.hops.length, 2);
  // One that stands still holds nobody up for long.
  schemas.find = () => new Promise(() => {});
  const again = first.call("POST", "/subjects/demo-value/versions", {
    schema: '{"type":"string"}',
  });
  await first.time.elapse(1000);
  assertEquals((await again).status, 200);
});
