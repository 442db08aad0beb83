import { assert, assertEquals } from "../support/assert.ts";
import {
  loadSchemaEngine,
  SCHEMA_LIMITS,
  SchemaFault,
} from "../../schema/schema.ts";

const engine = await loadSchemaEngine();

function faultOf(schema: unknown): SchemaFault {
  const result = engine.compile(schema);
  assert(result instanceof SchemaFault, JSON.stringify(schema).slice(0, 100));
  return result;
}

/** Rows of: schema, pointer of the fault, part of what it says. */
const FAULTS: [unknown, string, string][] = [
  [
    { properties: { name: { type: "strnig" } } },
    "/properties/name/type",
    'type must be one of string, number, integer, boolean, object, array, null, not string "strnig"',
  ],
  [[], "", "an object or a boolean"],
  [null, "", "an object or a boolean"],
  [{ type: [] }, "/type", "at least one type"],
  [{ type: ["string", "x"] }, "/type/1", "type must be one of"],
  [{ minLength: -1 }, "/minLength", "an integer of at least 0"],
  [{ minLength: "1" }, "/minLength", 'not string "1"'],
  [{ multipleOf: 0 }, "/multipleOf", "a number above 0"],
  [{ required: ["a", "a"] }, "/required/1", 'names "a" twice'],
  [{ required: "a" }, "/required", "an array of names"],
  [{ properties: { "a/b": 1 } }, "/properties/a~1b", "must be a schema"],
  [{ items: [{}] }, "/items", "use prefixItems"],
  [{ anyOf: [] }, "/anyOf", "at least one schema"],
  [{ allOf: [{ not: 1 }] }, "/allOf/0/not", "must be a schema"],
  [{ enum: 1 }, "/enum", "an array of values"],
  [{ $ref: "#/nowhere" }, "/$ref", "never fetched"],
  [{ $ref: "https://example.com/x.json" }, "/$ref", "never fetched"],
  [{ $ref: "file:///etc/passwd" }, "/$ref", "never fetched"],
  [{ $ref: "#" }, "", "would never end"],
  [
    { $defs: { a: { allOf: [{ $ref: "#/$defs/a" }] } }, $ref: "#/$defs/a" },
    "/$defs/a/allOf/0",
    "would never end",
  ],
  [{ $schema: "http://json-schema.org/draft-04/schema#" }, "/$schema", "only"],
  [
    { $defs: { a: { $anchor: "x" }, b: { $anchor: "x" } } },
    "/$defs/b/$anchor",
    "already that of /$defs/a",
  ],
  [{ pattern: "(" }, "/pattern", "is not a regular expression"],
  [{ pattern: "(?=a)" }, "/pattern", "look-around"],
  [{ pattern: "(?<!a)b" }, "/pattern", "look-around"],
  [{ pattern: "(a)\\1" }, "/pattern", "back-reference"],
  [{ pattern: "(?<x>a)\\k<x>" }, "/pattern", "back-reference"],
  [{ pattern: "a{1001}" }, "/pattern", "more than 1000 times"],
  [
    { patternProperties: { "(?!a)": {} } },
    "/patternProperties/(?!a)",
    "look-around",
  ],
  [
    {
      unevaluatedItems: false,
      anyOf: [{ contains: { const: 1 } }, true],
    },
    "/unevaluatedItems",
    "cannot be tracked",
  ],
];

for (const [schema, pointer, words] of FAULTS) {
  Deno.test(`SchemaEngine.compile() refuses ${JSON.stringify(schema)}`, () => {
    const [first] = faultOf(schema).violations;
    assertEquals(first.pointer, pointer);
    assert(first.message.includes(words), first.message);
  });
}

Deno.test("SchemaEngine.compile() names all faults, up to a bound", () => {
  const properties = (count: number) =>
    Object.fromEntries(
      Array.from({ length: count }, (_, index) => [`p${index}`, { type: 1 }]),
    );
  assertEquals(faultOf({ properties: properties(3) }).violations.length, 3);
  const fault = faultOf({ properties: properties(100) });
  assertEquals(fault.violations.length, SCHEMA_LIMITS.violations);
  assert(fault.message.startsWith("/properties/p0/type: "));
  assert(fault.message.endsWith("(and 19 more)"));
});

function compiles(schema: unknown): boolean {
  return !(engine.compile(schema) instanceof SchemaFault);
}

Deno.test("SchemaEngine.compile() bounds nesting", () => {
  const nested = (depth: number) => {
    let schema: unknown = true;
    for (let level = 0; level < depth; level += 1) schema = { not: schema };
    return schema;
  };
  assert(compiles(nested(SCHEMA_LIMITS.schemaDepth)));
  assertEquals(
    faultOf(nested(SCHEMA_LIMITS.schemaDepth + 1)).violations[0].rule,
    "depth",
  );
});

Deno.test("SchemaEngine.compile() bounds the number of subschemas", () => {
  const wide = (count: number) => ({
    $defs: Object.fromEntries(
      Array.from({ length: count - 1 }, (_, index) => [`d${index}`, true]),
    ),
  });
  assert(compiles(wide(SCHEMA_LIMITS.subschemas)));
  assertEquals(
    faultOf(wide(SCHEMA_LIMITS.subschemas + 1)).violations[0].rule,
    "size",
  );
});

Deno.test("SchemaEngine.compile() bounds the branches of oneOf", () => {
  const branches = (count: number) => ({
    oneOf: Array.from({ length: count }, (_, index) => ({ const: index })),
  });
  assert(compiles(branches(SCHEMA_LIMITS.oneOfBranches)));
  assert(!compiles(branches(SCHEMA_LIMITS.oneOfBranches + 1)));
});

Deno.test("SchemaEngine.compile() bounds the text", () => {
  const empty = JSON.stringify({ title: "" }).length;
  const text = (bytes: number) => ({ title: "x".repeat(bytes - empty) });
  assert(compiles(text(SCHEMA_LIMITS.schemaBytes)));
  assert(!compiles(text(SCHEMA_LIMITS.schemaBytes + 1)));
});

Deno.test("SchemaEngine.compile() bounds patterns", () => {
  const literal = (length: number) => ({ pattern: "a".repeat(length) });
  assert(compiles(literal(SCHEMA_LIMITS.patternLength)));
  assert(!compiles(literal(SCHEMA_LIMITS.patternLength + 1)));
  assert(
    !compiles({
      allOf: Array.from({ length: 100 }, (_, index) => ({
        pattern: `a{${900 + index}}`,
      })),
    }),
  );
});

Deno.test("SchemaEngine.compile() answers chains of references of any length", () => {
  const chain = (length: number) => ({
    $ref: "#/$defs/d0",
    $defs: Object.fromEntries(
      Array.from({ length }, (_, index) => [
        `d${index}`,
        index === length - 1
          ? { type: "number" }
          : { minimum: 0, $ref: `#/$defs/d${index + 1}` },
      ]),
    ),
  });
  assert(compiles(chain(100)));
  assertEquals(faultOf(chain(900)).violations[0].rule, "depth");
});
