import { assert, assertEquals } from "../support/assert.ts";
import {
  compatibility,
  type CompatibilityMode,
  SchemaFault,
} from "../../schema/schema.ts";

const closed = (properties: unknown, required: string[] = []) => ({
  type: "object",
  properties,
  required,
  additionalProperties: false,
});
const TEXT = { type: "string" };

/** Rows of: what changes, older, newer, is it BACKWARD, is it FORWARD. */
const CHANGES: [string, unknown, unknown, boolean, boolean][] = [
  ["nothing", TEXT, { type: "string", title: "x" }, true, true],
  ["a wider type", { type: "integer" }, { type: "number" }, true, false],
  ["another type", TEXT, { type: "number" }, false, false],
  ["one more type", TEXT, { type: ["string", "null"] }, true, false],
  ["a higher maximum", { maximum: 5 }, { maximum: 6 }, true, false],
  [
    "exclusive to inclusive",
    { exclusiveMinimum: 1 },
    { minimum: 1 },
    true,
    false,
  ],
  ["a longer text", { maxLength: 5 }, { maxLength: 9 }, true, false],
  ["a finer step", { multipleOf: 0.2 }, { multipleOf: 0.1 }, true, false],
  ["one more choice", { enum: ["a"] }, { enum: ["a", "b"] }, true, false],
  ["const to enum", { const: 1 }, { enum: [1.0, 2] }, true, false],
  ["another pattern", { pattern: "a" }, { pattern: "b" }, false, false],
  [
    "a pattern for numbers",
    { type: "number" },
    {
      type: "number",
      pattern: "a",
    },
    true,
    true,
  ],
  [
    "an optional property, closed",
    closed({ a: TEXT }),
    closed({ a: TEXT, b: TEXT }),
    true,
    false,
  ],
  [
    "an optional property, open",
    { properties: { a: TEXT } },
    {
      properties: { a: TEXT, b: TEXT },
    },
    false,
    true,
  ],
  [
    "a required property",
    closed({ a: TEXT }),
    closed({ a: TEXT }, ["a"]),
    false,
    true,
  ],
  [
    "closing",
    { properties: { a: TEXT } },
    {
      properties: { a: TEXT },
      additionalProperties: false,
    },
    false,
    true,
  ],
  [
    "wider items",
    { items: { maximum: 1 } },
    { items: { maximum: 2 } },
    true,
    false,
  ],
  [
    "a longer tuple",
    {
      prefixItems: [TEXT],
      items: TEXT,
    },
    { prefixItems: [TEXT, TEXT], items: TEXT },
    true,
    true,
  ],
  [
    "through references",
    {
      $ref: "#/$defs/a",
      $defs: { a: { maximum: 1 } },
    },
    { maximum: 2 },
    true,
    false,
  ],
  [
    "a recursive schema",
    {
      type: "object",
      properties: { next: { $ref: "#" }, n: { maximum: 1 } },
    },
    {
      type: "object",
      properties: { next: { $ref: "#" }, n: { maximum: 2 } },
    },
    true,
    false,
  ],
  [
    "one more alternative",
    { anyOf: [TEXT, { type: "null" }] },
    {
      anyOf: [TEXT, { type: "null" }, { type: "boolean" }],
    },
    true,
    false,
  ],
  [
    "allOf for keywords",
    { allOf: [{ minimum: 1 }, { maximum: 2 }] },
    {
      minimum: 1,
      maximum: 2,
    },
    true,
    true,
  ],
  ["to anything", TEXT, true, true, false],
  ["to nothing", TEXT, false, false, true],
  [
    "a not that cannot be decided",
    { not: { const: 1 } },
    {
      not: { const: 2 },
    },
    false,
    false,
  ],
  [
    "the same not",
    { not: { const: 1 } },
    { not: { const: 1 }, title: "x" },
    true,
    true,
  ],
  [
    "the same patternProperties",
    {
      patternProperties: { "^a": TEXT },
      maxProperties: 1,
    },
    { patternProperties: { "^a": TEXT }, maxProperties: 2 },
    true,
    false,
  ],
];

function isCompatible(
  older: unknown,
  newer: unknown,
  mode: CompatibilityMode,
): boolean {
  return compatibility(older, newer, mode) === undefined;
}

for (const [name, older, newer, backward, forward] of CHANGES) {
  Deno.test(`compatibility() of ${name}`, () => {
    assertEquals(isCompatible(older, newer, "BACKWARD"), backward, "BACKWARD");
    assertEquals(isCompatible(older, newer, "FORWARD"), forward, "FORWARD");
    assertEquals(isCompatible(older, newer, "FULL"), backward && forward);
    assert(isCompatible(older, newer, "NONE"));
  });
}

Deno.test("compatibility() points into the newer schema", () => {
  const fault = compatibility(
    closed({ a: closed({ b: { maxLength: 9 } }) }),
    closed({ a: closed({ b: { maxLength: 5 } }) }),
    "BACKWARD",
  );
  assert(fault instanceof SchemaFault);
  assertEquals(fault.violations, [{
    pointer: "/properties/a/properties/b",
    rule: "maxLength",
    message:
      "not BACKWARD compatible: messages of the older schema may break " +
      "the newer: maxLength 9 does not imply maxLength 5",
  }]);
});

Deno.test("compatibility() answers a schema that is none", () => {
  const fault = compatibility({}, { type: "x" }, "FULL");
  assert(fault instanceof SchemaFault);
  assertEquals(fault.violations[0].pointer, "/type");
});

Deno.test("compatibility() ends on schemas with many ways through", () => {
  const diamond = (limit: number) => {
    const $defs: Record<string, unknown> = { d0: { maximum: limit } };
    for (let index = 1; index < 40; index += 1) {
      const below = { $ref: `#/$defs/d${index - 1}` };
      $defs[`d${index}`] = {
        anyOf: [
          { properties: { a: below, b: below } },
          { properties: { b: below } },
        ],
      };
    }
    return { $defs, $ref: "#/$defs/d39" };
  };
  compatibility(diamond(1), diamond(2), "FULL");
});
