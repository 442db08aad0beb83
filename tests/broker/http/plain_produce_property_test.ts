/**
 * Whatever a body is, it has the same outcome with a byte order mark before it,
 * which lets only the strict reading see it.
 */
import { HTTP_LIMITS } from "../../../broker/http/limits.ts";
import { PlainProduceReader } from "../../../broker/http/plain_produce.ts";
import { assert, assertEquals } from "../../support/assert.ts";
import fc from "../../support/fast_check.ts";
import { testDoor } from "./door.ts";

type Bytes = Uint8Array<ArrayBuffer>;

const BYTE_ORDER_MARK = [0xef, 0xbb, 0xbf];
const encoder = new TextEncoder();

/** What a produce request with this body does, and is answered. */
async function outcome(path: string, body: Bytes) {
  const test = testDoor();
  test.operations.addTopic("demo", [1, 1]);
  test.operations.addTopic("t", [1]);
  const request = new Request(`http://localhost${path}`, {
    method: "POST",
    headers: { "content-length": `${body.length}` },
    body,
  });
  const response = await test.door.handler(request, {
    hostname: "127.0.0.1",
    port: 5000,
  });
  const stored = [...test.operations.clusterState.topics].map((
    [name, { partitions }],
  ) => [name, partitions.map(({ records }) => structuredClone(records))]);
  return { status: response.status, text: await response.text(), stored };
}

const blanks = fc.oneof(
  { weight: 9, arbitrary: fc.constantFrom("", " ", "\n", "\t", "\r\n") },
  fc.constant("\f"),
);
const text = fc.oneof(
  { weight: 4, arbitrary: fc.string({ unit: "grapheme", maxLength: 8 }) },
  fc.string({ unit: "binary", maxLength: 4 }),
).map((value) => JSON.stringify(value));
/** Some of it is no JSON. */
const rawText = fc.oneof(
  { weight: 6, arbitrary: text },
  fc.constantFrom('"a\tb"', '"\n"', '"\u0000"', '"\u001f"', '"\u007f"', '"\\"'),
);
const number = fc.constantFrom(
  "0",
  "1",
  "-0",
  "01",
  "1.0",
  "1e0",
  "2147483647",
  "2147483648",
  "999999999999999",
  "9999999999999999",
);
const value = fc.oneof(
  { weight: 4, arbitrary: text },
  { weight: 2, arbitrary: number },
  fc.constantFrom("null", "true", "{}", '{"a":1.50}', "[]", '"\\u0041"', "x"),
);
const known = fc.oneof(
  fc.constantFrom('"topic":"demo"', '"topic":"t"', '"topic":"none"'),
  text.map((message) => `"message":${message}`),
  text.map((key) => `"key":${key}`),
  number.map((partition) => `"partition":${partition}`),
);
const name = fc.constantFrom(
  ...["topic", "message", "key", "partition", "timestamp", "timeoutMs"],
  ...["headers", "encoding", "receipt", "__proto__", "topi", "Topic", ""],
);
const member = fc.oneof(
  { weight: 8, arbitrary: known },
  fc.tuple(name, blanks, value).map(([name, blank, value]) =>
    `"${name}"${blank}:${blank}${value}`
  ),
);
/** Each field once, of its kind. */
const goodMembers = fc.record({
  topic: fc.constantFrom('"topic":"demo"', '"topic":"t"', ""),
  message: rawText.map((message) => `"message":${message}`),
  key: fc.oneof(rawText.map((key) => `"key":${key}`), fc.constant("")),
  partition: fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom("0", "1") },
    number,
  ).map((partition) => `"partition":${partition}`),
  isReversed: fc.boolean(),
}).map(({ topic, message, key, partition, isReversed }) => {
  const all = [topic, message, key, partition].filter((one) => one !== "");
  return isReversed ? all.reverse() : all;
});
const members = fc.oneof(
  { weight: 2, arbitrary: goodMembers },
  fc.array(member, { maxLength: 4 }),
);
const object = fc.tuple(members, blanks, blanks).map(([members, one, two]) =>
  `${one}{${two}${members.join(`${one},${two}`)}${one}}${two}`
);
/** A byte of it is another one, at times. */
const body = fc.tuple(
  object.map((text) => encoder.encode(text)),
  fc.oneof(
    { weight: 3, arbitrary: fc.constant(null) },
    fc.tuple(fc.nat(), fc.nat(255)),
  ),
).map(([bytes, change]) => {
  if (change !== null) bytes[change[0] % bytes.length] = change[1];
  return bytes;
});

Deno.test("POST /produce: what is read from the bytes means what the strict reading says", async () => {
  const reader = new PlainProduceReader(HTTP_LIMITS);
  const runs = 1000;
  let plain = 0;
  await fc.assert(
    fc.asyncProperty(body, fc.boolean(), async (bytes, isInPath) => {
      const path = isInPath ? "/v1/topics/demo/records" : "/produce";
      const topic = isInPath ? "demo" : undefined;
      if (reader.read(bytes, topic) !== undefined) plain++;
      const strict = new Uint8Array([...BYTE_ORDER_MARK, ...bytes]);
      const [one, other] = [
        await outcome(path, bytes),
        await outcome(path, strict),
      ];
      // Errors name positions within the text, which is the same.
      assertEquals(one, other);
    }),
    { numRuns: runs },
  );

  assert(plain > runs / 20, `${plain} of ${runs} bodies were plain`);
});
