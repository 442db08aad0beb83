/** `POST /produce`: one message and many, and everything that refuses them. */
import { Failure } from "../../../contract/errors.ts";
import { partitionForKey } from "../../../contract/partitioner.ts";
import { InvariantError } from "../../../storage/assert.ts";
import { StorageError } from "../../../storage/error.ts";
import {
  assert,
  assertEquals,
  assertObjectMatch,
  assertStringIncludes,
} from "../../support/assert.ts";
import { testDoor } from "./door.ts";

function demo(limits = {}) {
  const test = testDoor({ limits });
  test.operations.addTopic("demo", [1, 1, 1]);
  return test;
}

/** The values of a partition as text. */
function values(test: ReturnType<typeof demo>, partition = 0) {
  return test.operations.clusterState.topics.get("demo")!.partitions[partition]
    .records.map(({ value }) =>
      value === null ? null : new TextDecoder().decode(value)
    );
}

Deno.test("POST /produce stores a message in the given partition", async () => {
  const test = demo();
  const response = await test.call("POST", "/produce", {
    topic: "demo",
    partition: 2,
    message: "Hello",
  });
  assertEquals(response.status, 200);
  assertEquals(response.headers.get("content-type"), "application/json");
  assertEquals(await response.json(), {
    offset: 0,
    partition: 2,
    timestamp: 1_700_000_000_000,
  });
  assertEquals(values(test, 2), ["Hello"]);
});

Deno.test("POST /produce chooses by key, else round robin", async () => {
  const test = demo();
  const expected = partitionForKey(new TextEncoder().encode("k"), 3);
  for (let i = 0; i < 2; i++) {
    const { partition } = await test.json("POST", "/produce", {
      topic: "demo",
      key: "k",
      message: "x",
    });
    assertEquals(partition, expected);
  }
  const chosen = [];
  for (let i = 0; i < 3; i++) {
    chosen.push(
      (await test.json("POST", "/produce", { topic: "demo", message: "x" }))
        .partition,
    );
  }
  assertEquals(chosen, [0, 1, 2]);
});

Deno.test("POST /produce stores JSON values as compact text, with all digits", async () => {
  const test = demo();
  const bodies = [
    `{"topic":"demo","partition":0,"message": {"id": 12345678901234567890, "a": [1.0, -0, 1e400]} }`,
    `{"topic":"demo","partition":0,"message": [ true , null, "x" ]}`,
    `{"topic":"demo","partition":0,"message": 0.10}`,
    `{"topic":"demo","partition":0,"message": false}`,
    `{"topic":"demo","partition":0,"message": null}`,
    `{"topic":"demo","partition":0,"message": ""}`,
    `\ufeff{"topic":"demo","partition":0,"message": "\ufeffbom"}`,
  ];
  for (const body of bodies) {
    assertEquals((await test.call("POST", "/produce", body)).status, 200);
  }
  assertEquals(values(test).slice(0, 6), [
    '{"id":12345678901234567890,"a":[1.0,-0,1e400]}',
    '[true,null,"x"]',
    "0.10",
    "false",
    null,
    "",
  ]);
  const stored = test.operations.clusterState.topics.get("demo")!
    .partitions[0].records[6].value!;
  assertEquals([...stored.subarray(0, 4)], [0xef, 0xbb, 0xbf, 98]);
});

Deno.test("POST /produce reads headers, key, timestamp and encodings", async () => {
  const test = demo();
  await test.call("POST", "/produce", {
    topic: "demo",
    partition: 0,
    message: "AP8=",
    encoding: "base64",
    key: "/w==",
    keyEncoding: "base64",
    timestamp: 5,
    headers: { a: "x", b: null, c: ["1", { base64: "AA==" }] },
  });
  const [record] = test.operations.clusterState.topics.get("demo")!
    .partitions[0].records;
  assertEquals(record.value, new Uint8Array([0, 255]));
  assertEquals(record.key, new Uint8Array([255]));
  assertEquals(record.timestampMs, 5);
  assertEquals(record.headers.map(({ name, value }) => [name, value]), [
    ["a", new Uint8Array([120])],
    ["b", null],
    ["c", new Uint8Array([49])],
    ["c", new Uint8Array([0])],
  ]);
});

Deno.test("POST /produce passes on receipt, timeout and producer", async () => {
  const test = demo();
  const answer = await test.json("POST", "/produce", {
    topic: "demo",
    partition: 0,
    message: "x",
    receipt: true,
    timeoutMs: 7,
    producer: { producerId: 1, producerEpoch: 0, sequence: 9 },
  });
  assertEquals(answer.receipt, {
    leaderEpoch: 3,
    replicas: [1, 2],
    onDisk: [1],
  });
  assertObjectMatch(test.operations.lastProduceOptions!, {
    timeoutMs: 7,
    producer: { producerId: 1, producerEpoch: 0, sequence: 9 },
  });
});

/** Bodies that are refused: [field named, status, body]. */
const REFUSED: [string | undefined, number, string][] = [
  [undefined, 400, ""],
  [undefined, 400, " "],
  [undefined, 400, "{"],
  [undefined, 400, "null"],
  [undefined, 400, "[]"],
  [undefined, 400, '"x"'],
  [undefined, 400, "[".repeat(5000) + "]".repeat(5000)],
  ["topic", 400, "{}"],
  ["topic", 400, '{"topic":1,"message":"x"}'],
  ["topic", 400, '{"topic":"","message":"x"}'],
  ["topic", 400, '{"topic":"../x","message":"x"}'],
  ["topic", 400, '{"topic":"a/b","message":"x"}'],
  ["topic", 400, '{"topic":"%2e%2e","message":"x"}'],
  ["topic", 400, '{"topic":"a\\u0000","message":"x"}'],
  ["topic", 400, `{"topic":"${"a".repeat(300)}","message":"x"}`],
  ["message", 400, '{"topic":"demo"}'],
  ["message", 400, '{"topic":"demo","message":"\\ud800"}'],
  ["message", 400, '{"topic":"demo","message":{"a":"\\ud800"}}'],
  ["message", 400, '{"topic":"demo","message":"a","encoding":"base64"}'],
  ["message", 400, '{"topic":"demo","message":{},"encoding":"base64"}'],
  ["encoding", 400, '{"topic":"demo","message":"a","encoding":"hex"}'],
  [
    "message",
    400,
    `{"topic":"demo","message":${"[".repeat(101)}${"]".repeat(101)}}`,
  ],
  ["partition", 400, '{"topic":"demo","message":"x","partition":-1}'],
  ["partition", 400, '{"topic":"demo","message":"x","partition":0.5}'],
  ["partition", 400, '{"topic":"demo","message":"x","partition":"0"}'],
  ["partition", 400, '{"topic":"demo","message":"x","partition":null}'],
  ["partition", 400, '{"topic":"demo","message":"x","partition":2147483648}'],
  ["partition", 400, '{"topic":"demo","message":"x","partition":1e300}'],
  ["key", 400, '{"topic":"demo","message":"x","key":1}'],
  ["key", 400, '{"topic":"demo","message":"x","keyEncoding":"base64"}'],
  ["timestamp", 400, '{"topic":"demo","message":"x","timestamp":-1}'],
  ["headers", 400, '{"topic":"demo","message":"x","headers":[]}'],
  ["headers.a", 400, '{"topic":"demo","message":"x","headers":{"a":1}}'],
  ["receipt", 400, '{"topic":"demo","message":"x","receipt":1}'],
  ["timeoutMs", 400, '{"topic":"demo","message":"x","timeoutMs":0}'],
  ["mesage", 400, '{"topic":"demo","message":"x","mesage":1}'],
  ["__proto__", 400, '{"topic":"demo","message":"x","__proto__":{"a":1}}'],
  ["toString", 400, '{"topic":"demo","message":"x","toString":1}'],
  [
    "producer",
    400,
    '{"topic":"demo","partition":0,"message":"x","producer":1}',
  ],
  [
    "producer.sequence",
    400,
    '{"topic":"demo","partition":0,"message":"x","producer":{"producerId":1,"producerEpoch":0}}',
  ],
  [
    "partition",
    400,
    '{"topic":"demo","message":"x","producer":{"producerId":1,"producerEpoch":0,"sequence":0}}',
  ],
  [undefined, 404, '{"topic":"none","message":"x"}'],
  [undefined, 404, '{"topic":"demo","message":"x","partition":3}'],
  ["messages", 400, '{"topic":"demo","messages":[]}'],
  ["messages", 400, '{"topic":"demo","messages":null}'],
  ["messages", 400, '{"topic":"demo","messages":["a"],"message":"b"}'],
  ["key", 400, '{"topic":"demo","messages":["a"],"key":"b"}'],
  ["messages[1]", 400, '{"topic":"demo","messages":["a",1]}'],
  ["messages[1].message", 400, '{"topic":"demo","messages":["a",{}]}'],
  [
    "messages[0].partition",
    400,
    '{"topic":"demo","messages":[{"message":"a","partition":"x"}]}',
  ],
  [
    undefined,
    404,
    '{"topic":"demo","messages":[{"message":"a","partition":9}]}',
  ],
];

Deno.test("POST /produce refuses what it cannot read, names the field, stores nothing", async () => {
  const test = demo();
  for (const [field, status, body] of REFUSED) {
    const response = await test.call("POST", "/produce", body);
    const problem = await response.json();
    assertEquals(response.status, status, `${body}: ${problem.detail}`);
    assertEquals(problem.field, field, `${body}: ${problem.detail}`);
    assertEquals(problem.status, status);
    assertStringIncludes(problem.type, "urn:streamnest:error:");
    assertEquals(
      response.headers.get("content-type"),
      "application/problem+json",
    );
  }
  assertEquals(test.operations.clusterState.recordCount, 0);
});

Deno.test("POST /produce refuses bytes that are not UTF-8", async () => {
  const test = demo();
  const body = new Uint8Array([123, 0xff, 125]);
  const response = await test.door.handler(
    new Request("http://localhost/produce", { method: "POST", body }),
    { hostname: "", port: 0 },
  );
  assertEquals(response.status, 400);
  assertStringIncludes((await response.json()).detail, "UTF-8");
});

Deno.test("POST /produce refuses a compressed body with 415", async () => {
  const test = demo();
  const response = await test.door.handler(
    new Request("http://localhost/produce", {
      method: "POST",
      body: new Uint8Array([0x1f, 0x8b, 8]),
      headers: { "content-encoding": "gzip" },
    }),
    { hostname: "", port: 0 },
  );
  assertEquals(response.status, 415);
  assertStringIncludes((await response.json()).detail, "gzip");
});

Deno.test("POST /produce answers failures of the operations as they are", async () => {
  const test = demo();
  const body = { topic: "demo", partition: 0, message: "x" };
  test.operations.produceFailure = new Failure(
    "NOT_ENOUGH_REPLICAS",
    "Only 1 of 2 in-sync replicas.",
    { retryAfterMs: 2500 },
  );
  const response = await test.call("POST", "/produce", body);
  assertEquals(response.status, 503);
  assertEquals(response.headers.get("retry-after"), "3");
  assertObjectMatch(await response.json(), {
    code: "NOT_ENOUGH_REPLICAS",
    detail: "Only 1 of 2 in-sync replicas.",
  });
  assertEquals(test.observations[0].errorCode, "NOT_ENOUGH_REPLICAS");
});

Deno.test("Errors that nobody expected leave no trace of the inside", async () => {
  const test = demo();
  const body = { topic: "demo", partition: 0, message: "x" };
  test.operations.produceError = new Error("secret of the house");
  const response = await test.call("POST", "/produce", body);
  assertEquals(response.status, 500);
  const text = await response.text();
  assert(!text.includes("secret") && !text.includes(".ts"));
  const { errorId } = JSON.parse(text);
  assert(
    test.logged.some((line) =>
      line.includes(errorId) && line.includes("secret of the house")
    ),
  );

  test.operations.produceError = new StorageError("write", "/data/x", "I/O");
  const storage = await test.call("POST", "/produce", body);
  assertEquals(storage.status, 503);
  assert(!(await storage.text()).includes("/data/x"));
  assertEquals(test.invariants.length, 0);

  test.operations.produceError = new InvariantError("broken");
  assertEquals((await test.call("POST", "/produce", body)).status, 500);
  assertEquals(test.invariants.length, 1);
  assertEquals(test.door.inFlight, 0);
});

Deno.test("POST /produce with messages keeps their order in each partition", async () => {
  const test = demo();
  const answer = await test.json("POST", "/produce", {
    topic: "demo",
    messages: [
      { message: "a", partition: 1 },
      { message: "b", partition: 0 },
      { message: { n: 1 }, partition: 1 },
      "d",
    ],
  });
  const places = answer.results.map((
    result: { partition: number; offset: number },
  ) => [result.partition, result.offset]);
  assertEquals(places, [[1, 0], [0, 0], [1, 1], [0, 1]]);
  assertEquals(values(test, 1), ["a", '{"n":1}']);
  assertEquals(values(test, 0), ["b", "d"]);
  assertEquals(test.operations.calls.length, 2);
});

Deno.test("POST /produce with messages takes a partition for all, and keeps digits", async () => {
  const test = demo();
  await test.call(
    "POST",
    "/v1/topics/demo/records",
    `{"partition":2,"messages":[{"message":{"id":12345678901234567890}},"b",{"message":null}]}`,
  );
  assertEquals(values(test, 2), ['{"id":12345678901234567890}', "b", null]);
});

Deno.test("POST /produce with messages stores nothing when one is bad", async () => {
  const test = demo();
  test.operations.forbidden = "evil";
  const response = await test.call("POST", "/produce", {
    topic: "demo",
    messages: ["a", "b", "evil", "d"],
  });
  assertEquals(response.status, 422);
  assertObjectMatch(await response.json(), { records: [{ index: 2 }] });
  assertEquals(test.operations.clusterState.recordCount, 0);
});

Deno.test("POST /produce with messages answers 207 when some partitions fail", async () => {
  const test = testDoor();
  test.operations.addTopic("demo", [1, null]);
  const messages = [
    { message: "a", partition: 0 },
    { message: "b", partition: 1 },
  ];
  const some = test.call("POST", "/produce", { topic: "demo", messages });
  await test.outlast();
  const response = await some;
  assertEquals(response.status, 207);
  const { results } = await response.json();
  assertEquals(results[0].offset, 0);
  assertObjectMatch(results[1], { partition: 1, code: "LEADER_NOT_AVAILABLE" });
  const none = test.call("POST", "/produce", {
    topic: "demo",
    messages: [messages[1]],
  });
  await test.outlast();
  const all = await none;
  assertEquals(all.status, 503);
  assertEquals((await all.json()).code, "LEADER_NOT_AVAILABLE");
});

Deno.test("POST /produce bounds the count of messages and headers", async () => {
  const test = demo({ messagesPerBatch: 3, headersPerRecord: 2 });
  for (const [count, status] of [[2, 200], [3, 200], [4, 400]]) {
    const messages = Array(count).fill("x");
    const response = await test.call("POST", "/produce", {
      topic: "demo",
      messages,
    });
    assertEquals(response.status, status);
  }
  for (const [count, status] of [[1, 200], [2, 200], [3, 400]]) {
    const response = await test.call("POST", "/produce", {
      topic: "demo",
      message: "x",
      headers: { h: Array(count).fill("v") },
    });
    assertEquals(response.status, status);
  }
});

Deno.test("POST /v1/topics/{topic}/records takes the topic from the path only", async () => {
  const test = demo();
  const target = "/v1/topics/demo/records";
  assertEquals((await test.call("POST", target, { message: "x" })).status, 200);
  const twice = await test.json("POST", target, {
    topic: "demo",
    message: "x",
  });
  assertEquals(twice.field, "topic");
  const bad = await test.json("POST", "/v1/topics/%2e%2e/records", {
    message: "x",
  });
  assertEquals(bad.code, "INVALID_TOPIC_EXCEPTION");
});
