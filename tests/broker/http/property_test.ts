/**
 * Whatever arrives gets an answer below 500, what is refused stores nothing,
 * and what is stored comes back as it was.
 */
import fc from "../../support/fast_check.ts";
import { assert, assertEquals } from "../../support/assert.ts";
import { nestsDeeper, parseExactly } from "../../../broker/http/json_text.ts";
import { ROUTES } from "../../../broker/http/routes.ts";
import { requestOf, testDoor } from "./door.ts";

const PEER = { hostname: "", port: 0 };

function demo() {
  const test = testDoor();
  test.operations.addTopic("demo", [1, 1]);
  return test;
}

const fieldName = fc.constantFrom(
  "topic",
  "message",
  "messages",
  "partition",
  "key",
  "headers",
  "encoding",
  "timestamp",
  "producer",
  "receipt",
  "config",
  "schema",
  "partitions",
  "__proto__",
);
const anything = fc.oneof(
  fc.jsonValue(),
  fc.constantFrom("demo", "base64", 0, 1, -1, 0.5, 2 ** 53, null, true),
  fc.array(fc.oneof(fc.string(), fc.dictionary(fieldName, fc.jsonValue()))),
);
const body = fc.oneof(
  fc.string(),
  fc.jsonValue().map((value) => JSON.stringify(value)),
  fc.array(fc.tuple(fieldName, anything), { maxLength: 5 }).map((members) =>
    `{${
      members.map(([name, value]) => `"${name}":${JSON.stringify(value)}`)
        .join(",")
    }}`
  ),
);
const search = fc.oneof(
  fc.constant(""),
  fc.string({ unit: fc.constantFrom(..."ab=&%2+0é?") }).map((s) => `?${s}`),
  fc.array(
    fc.tuple(
      fc.constantFrom("topic", "partition", "offset", "max", "waitMsX"),
      fc.oneof(
        fc.constantFrom("demo", "0", "1", "-1", "earliest", "1e3"),
        fc.string(),
      ),
    ),
  ).map((pairs) =>
    `?${pairs.map(([name, value]) => `${name}=${value}`).join("&")}`
  ),
);

Deno.test("Any request gets an answer below 500, and a refused one stores nothing", async () => {
  const target = fc.constantFrom(...ROUTES).chain((route) =>
    fc.record({
      method: fc.constantFrom(route.method, "GET", "POST", "DELETE"),
      path: fc.constantFrom(
        ...["demo", "0", "%2e%2e", "%zz", "demo-value"].map((value) =>
          route.pattern.replace(/\{[a-z]+\}/g, value)
        ),
      ),
    })
  );
  await fc.assert(
    fc.asyncProperty(target, search, body, async (where, query, text) => {
      const test = demo();
      const response = await test.call(
        where.method,
        where.path + query,
        where.method === "GET" || where.method === "HEAD" ? undefined : text,
      );
      assert(response.status < 500, `${response.status}`);
      if (response.status >= 400) {
        const problem = await response.json();
        assertEquals(problem.status, response.status);
        assert(problem.detail.length > 0);
        assertEquals(test.operations.clusterState.recordCount, 0);
      } else {
        await response.body?.cancel();
      }
      assertEquals(test.door.inFlight, 0);
    }),
    { numRuns: 400 },
  );
});

Deno.test("Any bytes as a body get an answer below 500", async () => {
  const test = demo();
  await fc.assert(
    fc.asyncProperty(
      fc.uint8Array({ maxLength: 200 }),
      fc.boolean(),
      async (bytes, isStated) => {
        const response = await test.door.handler(
          requestOf("http://localhost/produce", {
            method: "POST",
            body: new Uint8Array(bytes),
            headers: isStated ? { "content-length": String(bytes.length) } : {},
          }),
          PEER,
        );
        assert(response.status >= 400 && response.status < 500);
        await response.body?.cancel();
      },
    ),
    { numRuns: 200 },
  );
});

Deno.test("A message comes back as it was sent", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.oneof(
        fc.string({ unit: "binary" }),
        fc.jsonValue(),
        fc.constantFrom("", "\ufeff", "\u0000", '"\\'),
      ),
      fc.option(fc.string({ unit: "binary" })),
      fc.dictionary(
        fc.string({ unit: "binary" }).filter((name) => name !== "__proto__"),
        fc.option(fc.string({ unit: "binary" })),
      ),
      async (message, key, headers) => {
        const test = demo();
        const sent = { topic: "demo", partition: 0, message, key, headers };
        const response = await test.call("POST", "/produce", sent);
        assertEquals(response.status, 200, await response.text());
        const got = await test.json(
          "GET",
          "/consume?topic=demo&partition=0&offset=0",
        );
        assertEquals(
          got.message,
          typeof message === "string" || message === null
            ? message
            : JSON.stringify(message),
        );
        assertEquals(got.key ?? null, key);
        assertEquals(got.headers ?? {}, { ...headers });
      },
    ),
    { numRuns: 100 },
  );
});

Deno.test("parseExactly() keeps the text of any compact JSON", () => {
  const number = fc.tuple(
    fc.constantFrom("", "-"),
    fc.bigInt({ min: 0n, max: 10n ** 30n }),
    fc.constantFrom("", ".0", ".10", ".25"),
    fc.constantFrom("", "e5", "E-3", "e+400"),
  ).map((parts) => parts.join(""));
  fc.assert(fc.property(fc.array(number), (numbers) => {
    const text = `{"a":[${numbers.join(",")}]}`;
    assertEquals(JSON.stringify(parseExactly(text)), text);
  }));
});

Deno.test("nestsDeeper() agrees with a count of the nesting", () => {
  const depthOf = (value: unknown): number =>
    typeof value === "object" && value !== null
      ? 1 + Math.max(0, ...Object.values(value).map(depthOf))
      : 0;
  fc.assert(
    fc.property(
      fc.jsonValue({ maxDepth: 5 }),
      fc.string({ unit: fc.constantFrom(...'[]{}"\\a') }),
      fc.nat(6),
      (value, text, limit) => {
        const both = [value, text, { [text]: value }];
        assertEquals(
          nestsDeeper(JSON.stringify(both), limit),
          depthOf(both) > limit,
        );
      },
    ),
  );
});
