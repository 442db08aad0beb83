/**
 * Schemas and messages made to hold a validator up. Each must end by its own
 * budget. What is bounded is this thread's processor time: other work on the
 * machine makes the same validation last as long as it likes.
 */
import process from "node:process";
import { assert, assertEquals } from "../support/assert.ts";
import { loadSchemaEngine, SchemaFault } from "../../schema/schema.ts";

const engine = await loadSchemaEngine();
const MOST_PROCESSOR_MS = 10_000;

/** The rules a message breaks, and that it took no longer than it may. */
function rules(schema: unknown, text: string): string[] {
  const start = process.threadCpuUsage();
  const compiled = engine.compile(schema);
  if (compiled instanceof SchemaFault) throw new Error(compiled.message);
  const violations = compiled.validate(text);
  const { user, system } = process.threadCpuUsage(start);
  assert((user + system) / 1000 < MOST_PROCESSOR_MS);
  assert(violations.length <= 20);
  return [...new Set(violations.map(({ rule }) => rule))];
}

function numbers(count: number): string {
  return JSON.stringify(Array.from({ length: count }, (_, index) => index));
}

function members(count: number): string {
  return JSON.stringify(
    Object.fromEntries(
      Array.from({ length: count }, (_, index) => [`k${index}`, index]),
    ),
  );
}

/** 2^40 ways through 40 definitions. */
function diamond(step: (below: { $ref: string }) => unknown): unknown {
  const $defs: Record<string, unknown> = { d0: { type: "number" } };
  for (let index = 1; index < 40; index += 1) {
    $defs[`d${index}`] = step({ $ref: `#/$defs/d${index - 1}` });
  }
  return { $defs, $ref: "#/$defs/d39" };
}

Deno.test("Attack: the same definition through allOf, oneOf, anyOf, not, if", () => {
  assertEquals(rules(diamond((d) => ({ allOf: [d, d] })), "1"), ["budget"]);
  assertEquals(rules(diamond((d) => ({ oneOf: [d, d] })), "1"), ["budget"]);
  assertEquals(rules(diamond((d) => ({ anyOf: [d, d] })), '"a"'), ["budget"]);
  assertEquals(
    rules(diamond((d) => ({ not: { anyOf: [d, d] } })), '"a"'),
    ["budget"],
  );
  assertEquals(rules(diamond((d) => ({ if: d, then: d })), "1"), ["budget"]);
});

Deno.test("Attack: many elements times many subschemas", () => {
  const many = Array.from({ length: 900 }, (_, index) => ({
    maximum: 1e9 + index,
  }));
  assertEquals(rules({ items: { allOf: many } }, numbers(100_000)), ["budget"]);
  assertEquals(
    rules(
      { items: { $ref: "#/$defs/x" }, $defs: { x: { allOf: many } } },
      numbers(100_000),
    ),
    ["budget"],
  );
  assertEquals(
    rules({ additionalProperties: { allOf: many } }, members(50_000)),
    ["budget"],
  );
});

Deno.test("Attack: many walks over many members", () => {
  const walks = Array.from({ length: 900 }, () => ({ maxProperties: 1e9 }));
  assertEquals(rules({ allOf: walks }, members(50_000)), ["budget"]);
});

Deno.test("Attack: many patterns times many names", () => {
  const patterns = Array.from(
    { length: 500 },
    (_, index) => [`(a|k|ak)*[0-9]*c${index}`, { type: "number" }],
  );
  assertEquals(
    rules({ patternProperties: Object.fromEntries(patterns) }, members(50_000)),
    ["budget"],
  );
});

Deno.test("Attack: uniqueItems is not quadratic", () => {
  const objects = JSON.stringify(
    Array.from({ length: 50_000 }, (_, index) => ({ a: index, b: [index] })),
  );
  assertEquals(rules({ uniqueItems: true }, objects), []);
  assertEquals(rules({ uniqueItems: true }, numbers(100_000)), []);
});

Deno.test("Attack: patterns that backtrack", () => {
  const text = JSON.stringify("a".repeat(500_000) + "!");
  assertEquals(rules({ pattern: "^(a+)+$" }, text), ["pattern"]);
  assertEquals(rules({ pattern: "^(a|a)*$" }, text), ["pattern"]);
  assertEquals(rules({ pattern: "[ab]*a[ab]{900}c$" }, text), ["budget"]);
});

Deno.test("Attack: formats with long text", () => {
  const attacks: [string, string][] = [
    ["uri", "http://" + "a:".repeat(250_000) + "@["],
    ["uri-reference", "/a".repeat(250_000) + "\\"],
    ["uri-template", "{a,b}".repeat(100_000) + "{"],
    ["json-pointer", "/a".repeat(250_000) + "~"],
    ["relative-json-pointer", "1" + "/a".repeat(250_000) + "~"],
    ["email", "a.".repeat(250_000) + "@"],
    ["hostname", "a-".repeat(250_000)],
    ["date-time", "2020-01-01t".repeat(50_000)],
    ["time", "00:00:00." + "0".repeat(500_000)],
    ["duration", "P" + "1".repeat(500_000)],
    ["regex", "(".repeat(500_000)],
    ["ipv6", ":".repeat(500_000)],
    ["uuid", "a".repeat(500_000)],
  ];
  for (const [format, text] of attacks) {
    assertEquals(rules({ format }, JSON.stringify(text)), ["format"], format);
  }
  const picture = JSON.stringify(
    "data:image/png;base64," + "A".repeat(500_000),
  );
  assertEquals(rules({ format: "uri" }, picture), []);
});

Deno.test("Attack: messages that nest deeply", () => {
  const deep = (depth: number) => "[".repeat(depth) + "]".repeat(depth);
  const schema = { items: { $ref: "#" } };
  assertEquals(rules(schema, deep(100)), []);
  assertEquals(rules(schema, deep(101)), ["depth"]);
  assertEquals(rules({}, deep(100_000)), ["depth"]);
});

Deno.test("Attack: errors without number", () => {
  assertEquals(rules({ items: { type: "string" } }, numbers(100_000)), [
    "type",
  ]);
  assertEquals(rules({ items: false }, numbers(100_000)), ["items"]);
  assertEquals(rules({ additionalProperties: false }, members(50_000)), [
    "additionalProperties",
  ]);
  assertEquals(
    rules(
      { $ref: "#/$defs/x", $defs: { x: { items: { type: "string" } } } },
      numbers(100_000),
    ),
    ["type"],
  );
});

Deno.test("Attack: a spent budget leaves the schema as good as before", () => {
  const schema = {
    items: {
      allOf: Array.from(
        { length: 1500 },
        (_, index) => ({ maximum: index + 9 }),
      ),
    },
  };
  assertEquals(rules(schema, JSON.stringify(Array(100_000).fill(1))), [
    "budget",
  ]);
  assertEquals(rules(schema, "[1,2,3]"), []);
  assertEquals(rules(schema, "[10]"), ["maximum"]);
});

Deno.test("Attack: explaining large values many times", () => {
  const lengths = Array.from({ length: 900 }, (_, index) => ({
    maxLength: index,
  }));
  assertEquals(
    rules({ allOf: lengths }, JSON.stringify("a".repeat(500_000))),
    ["maxLength"],
  );
  const choices = Array.from({ length: 900 }, (_, index) => ({
    properties: { a: { maxProperties: index % 100 } },
    uniqueItems: true,
  }));
  assertEquals(rules({ anyOf: choices }, `{"a":${members(500)}}`), [
    "anyOf",
  ]);
  const twins = JSON.stringify([...Array(20_000).keys(), { a: 1 }, { a: 1 }]);
  assertEquals(
    rules({ allOf: Array(900).fill({ uniqueItems: true }) }, twins),
    ["uniqueItems"],
  );
});
