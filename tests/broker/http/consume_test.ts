/** `GET /consume` and its form under /v1. */
import {
  assert,
  assertEquals,
  assertObjectMatch,
} from "../../support/assert.ts";
import { requestOf, testDoor } from "./door.ts";

const encode = (text: string) => new TextEncoder().encode(text);
const DEMO = "/consume?topic=demo&partition=0";

function demo(limits = {}) {
  const test = testDoor({ limits });
  test.operations.addTopic("demo", [1]);
  return test;
}

Deno.test("GET /consume answers one record, then 204 at the end", async () => {
  const test = demo();
  test.operations.append("demo", 0, { value: encode("Hello"), timestampMs: 7 });
  const response = await test.call("GET", `${DEMO}&offset=0`);
  assertEquals(
    await response.text(),
    '{"offset":0,"message":"Hello","timestamp":7}',
  );
  const end = await test.call("GET", `${DEMO}&offset=1`);
  assertEquals([end.status, await end.text()], [204, ""]);
});

Deno.test("GET /consume answers every form of record", async () => {
  const test = demo();
  test.operations.append("demo", 0, {
    value: new Uint8Array([0xff, 0]),
    key: new Uint8Array([0xfe]),
    headers: [
      { name: "a", value: encode("1") },
      { name: "__proto__", value: null },
      { name: "a", value: new Uint8Array([0xff]) },
    ],
  });
  test.operations.append("demo", 0, { value: null, key: encode('k"') });
  test.operations.append("demo", 0, { value: encode("\ufeff\u0000é😀") });
  assertEquals(
    (await (await test.call("GET", `${DEMO}&offset=0`)).text()).replace(
      /,"timestamp.*/,
      "",
    ),
    '{"offset":0,"message":"/wA=","encoding":"base64","key":"/g==","keyEncoding":"base64","headers":{"a":["1",{"base64":"/w=="}],"__proto__":null}',
  );
  assertObjectMatch(await test.json("GET", `${DEMO}&offset=1`), {
    message: null,
    key: 'k"',
  });
  assertObjectMatch(await test.json("GET", `${DEMO}&offset=2`), {
    message: "\ufeff\u0000é😀",
  });
});

Deno.test("GET /consume with max answers many, and where to go on", async () => {
  const test = demo();
  for (const text of ["a", "b", "c"]) {
    test.operations.append("demo", 0, { value: encode(text) });
  }
  const answer = await test.json(
    "GET",
    `${DEMO}&offset=earliest&max=2&validate=true&maxBytes=10`,
  );
  assertEquals(
    answer.records.map(({ message }: { message: string }) => message),
    ["a", "b"],
  );
  assertObjectMatch(answer, {
    topic: "demo",
    partition: 0,
    nextOffset: 2,
    logStartOffset: 0,
    highWatermark: 3,
    skipped: [{ firstOffset: 0, lastOffset: 0 }],
  });
  assertObjectMatch(test.operations.lastReadOptions!, {
    maxRecords: 2,
    maxBytes: 10,
    validate: true,
    waitMs: 0,
  });
  const empty = await test.json("GET", `${DEMO}&offset=latest&max=2`);
  assertObjectMatch(empty, { records: [], nextOffset: 3 });
});

Deno.test("GET /consume finds offsets by name and by time", async () => {
  const test = demo();
  for (const timestampMs of [10, 20, 30]) {
    test.operations.append("demo", 0, { value: encode("x"), timestampMs });
  }
  const offsetAt = async (query: string) =>
    (await test.json("GET", `${DEMO}&${query}`)).offset;
  assertEquals(await offsetAt("offset=earliest"), 0);
  assertEquals(await offsetAt("timestamp=11"), 1);
  assertEquals((await test.call("GET", `${DEMO}&offset=latest`)).status, 204);
  assertEquals((await test.call("GET", `${DEMO}&timestamp=99`)).status, 204);
});

Deno.test("GET /consume answers 410 outside the log, with both ends", async () => {
  const test = demo();
  for (const text of ["a", "b"]) {
    test.operations.append("demo", 0, { value: encode(text) });
  }
  const target = "/v1/topics/demo/partitions/0/records?beforeOffset=1";
  assertObjectMatch(await test.json("DELETE", target), { logStartOffset: 1 });
  for (const offset of [0, 3]) {
    const response = await test.call("GET", `${DEMO}&offset=${offset}`);
    assertEquals(response.status, 410);
    assertObjectMatch(await response.json(), {
      code: "OFFSET_OUT_OF_RANGE",
      earliestOffset: 1,
      latestOffset: 2,
    });
  }
});

const REFUSED: [string, string][] = [
  ["topic", "/consume?partition=0&offset=0"],
  ["topic", "/consume?topic=..&partition=0&offset=0"],
  ["topic", "/consume?topic=a%00b&partition=0&offset=0"],
  ["topic", "/consume?topic=a%2Fb&partition=0&offset=0"],
  ["partition", "/consume?topic=demo&offset=0"],
  ["partition", "/consume?topic=demo&partition=-1&offset=0"],
  ["offset", DEMO],
  ...[
    "1x",
    "-1",
    "1.5",
    "1e3",
    "%201",
    "%2B1",
    "+1",
    "",
    "01",
    "9007199254740992",
  ]
    .map((text): [string, string] => ["offset", `${DEMO}&offset=${text}`]),
  ["offset", `${DEMO}&offset=0&offset=0`],
  ["offset", `${DEMO}&offset=%zz`],
  ["offset", `${DEMO}&offset=%ff`],
  ["timestamp", `${DEMO}&offset=0&timestamp=1`],
  ["max", `${DEMO}&offset=0&max=0`],
  ["max", `${DEMO}&offset=0&max=100001`],
  ["waitMs", `${DEMO}&offset=0&waitMs=60001`],
  ["maxBytes", `${DEMO}&offset=0&maxBytes=0`],
  ["validate", `${DEMO}&offset=0&validate=yes`],
  ["unknown", `${DEMO}&offset=0&unknown=1`],
  ["__proto__", `${DEMO}&offset=0&__proto__=1`],
];

Deno.test("GET /consume refuses what it cannot read and names the field", async () => {
  const test = demo();
  for (const [field, target] of REFUSED) {
    const response = await test.call("GET", target);
    const problem = await response.json();
    assertEquals(response.status, 400, target);
    assertEquals(problem.field, field, `${target}: ${problem.detail}`);
  }
  assertEquals(
    (await test.call("GET", "/consume?topic=none&partition=0&offset=0")).status,
    404,
  );
});

/** A long poll with a client that can go. */
function poll(test: ReturnType<typeof demo>, target: string) {
  const client = new AbortController();
  const response = Promise.resolve(test.door.handler(
    requestOf(`http://localhost${target}`, {
      method: "GET",
      signal: client.signal,
    }),
    { hostname: "", port: 0 },
  ));
  return { response, leave: () => client.abort() };
}

async function settle(): Promise<void> {
  for (let i = 0; i < 20; i++) await Promise.resolve();
}

Deno.test("GET /consume waits for a record", async () => {
  const test = demo();
  const { response } = poll(test, `${DEMO}&offset=0&waitMs=1000`);
  await settle();
  assertEquals(test.operations.waiting, 1);
  test.operations.append("demo", 0, { value: encode("x") });
  assertObjectMatch(await (await response).json(), { message: "x" });
});

Deno.test("GET /consume stops waiting when the client goes", async () => {
  const test = demo();
  const { response, leave } = poll(test, `${DEMO}&offset=0&waitMs=1000`);
  await settle();
  leave();
  assertEquals((await response).status, 204);
  assertEquals([test.operations.waiting, test.door.inFlight], [0, 0]);
});

Deno.test("close() ends long polls and resolves when all is answered", async () => {
  const test = demo();
  const one = poll(test, `${DEMO}&offset=0&waitMs=1000`);
  const many = poll(test, `${DEMO}&offset=0&waitMs=1000&max=5`);
  await settle();
  assertEquals(test.operations.waiting, 2);
  await test.door.close();
  assertEquals((await one.response).status, 204);
  assertEquals((await (await many.response).json()).records, []);
  assertEquals(test.door.inFlight, 0);
  const ready = await test.call("GET", "/health/ready");
  assertEquals(ready.status, 503);
  const late = poll(test, `${DEMO}&offset=0&waitMs=1000`);
  assertEquals((await late.response).status, 204);
  await test.door.close();
});

Deno.test("GET /v1/.../records reads a hundred from the earliest by default", async () => {
  const test = demo();
  for (let i = 0; i < 101; i++) {
    test.operations.append("demo", 0, { value: encode("x") });
  }
  const answer = await test.json("GET", "/v1/topics/demo/partitions/0/records");
  assertEquals(answer.records.length, 100);
  for (const partition of ["x", "-1", "00", "1.0", "99999999999", "%30"]) {
    const response = await test.call(
      "GET",
      `/v1/topics/demo/partitions/${partition}/records`,
    );
    assertEquals(response.status, partition === "%30" ? 200 : 400, partition);
  }
  assert(
    (await test.call("GET", "/v1/topics/a%2fb/partitions/0/records")).status ===
      400,
  );
});

Deno.test("GET /consume for one record goes on past those that are left out", async () => {
  const test = demo();
  const asked: number[] = [];
  const record = {
    offset: 3,
    timestampMs: 1,
    key: null,
    value: encode("good"),
    headers: [],
  };
  test.operations.records.read = (_topic, _partition, { offset }) => {
    asked.push(offset);
    return Promise.resolve({
      records: offset === 3 ? [record] : [],
      nextOffset: offset + 1,
      logStartOffset: 0,
      highWatermark: 4,
      skipped: [],
    });
  };
  const answer = await test.json("GET", `${DEMO}&offset=0&validate=true`);
  assertEquals([answer.offset, answer.message], [3, "good"]);
  assertEquals(asked, [0, 1, 2, 3]);
});
