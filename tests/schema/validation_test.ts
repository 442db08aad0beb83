import { assert, assertEquals } from "../support/assert.ts";
import {
  type CompiledSchema,
  loadSchemaEngine,
  SchemaFault,
} from "../../schema/schema.ts";

const engine = await loadSchemaEngine();
const DRAFT_07 = "http://json-schema.org/draft-07/schema#";

function compiled(schema: unknown): CompiledSchema {
  const result = engine.compile(schema);
  if (result instanceof SchemaFault) throw new Error(result.message);
  return result;
}

function conforms(schema: unknown, text: string): boolean {
  return compiled(schema).validate(text).length === 0;
}

/** Rows of: what it shows, schema, what conforms, what does not (JSON texts). */
type Row = [string, unknown, string[], string[]];

const CASES: Row[] = [
  ["true accepts all", true, ["1", "null"], []],
  ["false refuses all", false, [], ["1", "null"]],
  [
    "integer means its value",
    { type: "integer" },
    ["1", "1.0", "1e3", "1e400"],
    [
      "1.5",
      '"1"',
    ],
  ],
  ["numbers beyond doubles", { maximum: 5 }, ["-1e999"], ["1e999"]],
  ["const equates 1 and 1.0", { const: { a: [1], b: 2 } }, [
    '{"b":2.0,"a":[1.0]}',
  ], ['{"a":[1]}', '{"valueOf":1}', "1"]],
  ["enum", { enum: [1, "a", null, [2]] }, ["1", '"a"', "null", "[2.0]"], [
    '"1"',
    "false",
    "[]",
  ]],
  ["false is not 0", { const: false }, ["false"], ["0", "[]"]],
  ["multipleOf is decimal", { multipleOf: 0.01 }, [
    "0.07",
    "4.35",
    "1e300",
  ], ["0.075"]],
  ["multipleOf of huge numbers", { multipleOf: 0.123456789 }, ["0"], [
    "1e308",
    "1e999",
  ]],
  ["length counts code points", { minLength: 2, maxLength: 2 }, [
    '"😀😀"',
  ], ['"😀"', '"abc"']],
  ["uniqueItems", { uniqueItems: true }, [
    '[1,"1",true,"true",[1],{"a":1}]',
  ], ["[1,1.0]", '[{"a":1,"b":2},{"b":2,"a":1}]', "[[1],[1.0]]"]],
  ["required of inherited names", { required: ["toString", "__proto__"] }, [
    '{"toString":1,"__proto__":2}',
  ], ["{}", '{"toString":1}']],
  [
    "properties called as what objects inherit",
    JSON.parse(
      '{"properties":{"__proto__":{"type":"string"},' +
        '"constructor":{"type":"number"}},"additionalProperties":false}',
    ),
    ['{"__proto__":"a","constructor":1}', "{}"],
    ['{"__proto__":1}', '{"constructor":"a"}', '{"toString":1}'],
  ],
  ["format is asserted", { format: "date" }, ['"2024-02-29"', "5"], [
    '"2023-02-29"',
    '"x"',
  ]],
  ["unknown formats are annotations", { format: "int32" }, ['"x"', "1"], []],
  [
    "unknown keywords are annotations",
    { nullable: true, discriminator: 1, $async: true, type: "string" },
    ['"a"'],
    ["null"],
  ],
  [
    "$data is no reference",
    {
      properties: { a: { const: { $data: "1/b" } } },
    },
    ['{"a":{"$data":"1/b"}}'],
    ['{"a":1,"b":1}'],
  ],
  [
    "$ref beside keywords",
    { $ref: "#/$defs/n", minimum: 3, $defs: { n: { type: "number" } } },
    ["3"],
    ["2", '"a"'],
  ],
  [
    "draft-07 ignores keywords beside $ref",
    {
      $schema: DRAFT_07,
      properties: { a: { $ref: "#/definitions/n", minimum: 3 } },
      definitions: { n: { type: "number" } },
    },
    ['{"a":2}'],
    ['{"a":"x"}'],
  ],
  [
    "draft-07 tuples and dependencies",
    {
      $schema: DRAFT_07,
      properties: {
        list: { items: [{ type: "number" }], additionalItems: false },
      },
      dependencies: { a: ["b"], c: { required: ["d"] } },
    },
    ['{"list":[1]}', '{"a":1,"b":1}', '{"c":1,"d":1}'],
    ['{"list":["a"]}', '{"list":[1,2]}', '{"a":1}', '{"c":1}'],
  ],
  [
    "a recursive schema",
    {
      properties: { next: { $ref: "#" } },
      required: ["value"],
    },
    ['{"value":1,"next":{"value":2}}'],
    ['{"value":1,"next":{}}'],
  ],
  [
    "$id and $anchor",
    {
      $id: "https://example.com/root",
      properties: { a: { $ref: "part#x" }, b: { $ref: "#y" } },
      $defs: {
        p: { $id: "part", $defs: { q: { $anchor: "x", type: "number" } } },
        y: { $anchor: "y", type: "string" },
      },
    },
    ['{"a":1,"b":"c"}'],
    ['{"a":"1"}', '{"b":1}'],
  ],
  [
    "a reference into unknown keywords",
    {
      $ref: "#/components/a~1b%20c",
      components: { "a/b c": { type: "null" } },
    },
    ["null"],
    ["1"],
  ],
  [
    "$dynamicRef with one anchor",
    {
      $dynamicAnchor: "node",
      items: { $dynamicRef: "#node" },
      type: "array",
    },
    ["[[],[[]]]"],
    ["[1]"],
  ],
  [
    "unevaluatedProperties through references",
    {
      allOf: [{ $ref: "#/$defs/a" }],
      unevaluatedProperties: false,
      $defs: { a: { properties: { x: true } } },
    },
    ['{"x":1}'],
    ['{"y":1}'],
  ],
  [
    "unevaluatedProperties after a failed if",
    {
      if: { properties: { x: { const: 1 } }, required: ["x"] },
      else: { properties: { y: true } },
      unevaluatedProperties: false,
    },
    ['{"x":1}', '{"y":1}'],
    ['{"x":2}'],
  ],
  [
    "unevaluatedItems beside contains",
    {
      prefixItems: [true],
      contains: { type: "string" },
      unevaluatedItems: false,
    },
    ['[1,"a"]', '["a"]'],
    ['[1,2,"a"]'],
  ],
  [
    "unevaluatedItems after alternatives that failed",
    {
      anyOf: [{ items: { type: "string" } }, true],
      unevaluatedItems: { type: "boolean" },
    },
    ['["a","b"]', "[true]"],
    ['["a",1]'],
  ],
  [
    "minContains and maxContains",
    {
      contains: { const: 1 },
      minContains: 0,
      maxContains: 1,
    },
    ["[]", "[1,2]"],
    ["[1,1]"],
  ],
  ...[true, { type: "number" }].map((contains): Row => [
    `an empty array after one that contains ${JSON.stringify(contains)}`,
    { items: { contains } },
    ["[]", "[[1]]", "[[1],[2]]"],
    ["[[]]", "[[1],[]]", "[[],[1]]", "[[1],[],[1]]"],
  ]),
  [
    "contains beside prefixItems",
    { prefixItems: [{ type: "number" }], contains: { type: "string" } },
    ['[1,"a"]'],
    ["[]", "[1]", '["a"]'],
  ],
  [
    "dependentRequired of names that objects inherit",
    {
      dependentRequired: JSON.parse('{"constructor":["a"],"__proto__":["a"]}'),
    },
    ["{}", '{"constructor":1,"a":2}'],
    ['{"constructor":1}', '{"__proto__":1}'],
  ],
  [
    "dependencies beside dependentSchemas and dependentRequired",
    {
      dependencies: { a: { required: ["b"] }, c: ["d"] },
      dependentSchemas: { a: { required: ["c"] } },
      dependentRequired: { c: ["e"] },
    },
    ["{}", '{"a":1,"b":1,"c":1,"d":1,"e":1}', '{"b":1}'],
    [
      '{"a":1,"c":1,"d":1,"e":1}',
      '{"a":1,"b":1}',
      '{"c":1,"e":1}',
      '{"c":1,"d":1}',
    ],
  ],
  [
    "unevaluatedProperties of names that objects inherit",
    { patternProperties: { "^a": true }, unevaluatedProperties: false },
    ['{"a":1}'],
    ['{"constructor":1}', '{"__proto__":1}', '{"a":1,"toString":1}'],
  ],
];

for (const [name, schema, good, bad] of CASES) {
  Deno.test(`CompiledSchema.validate(): ${name}`, () => {
    for (const text of good) assert(conforms(schema, text), text);
    for (const text of bad) assert(!conforms(schema, text), text);
  });
}

Deno.test("CompiledSchema.validate() obeys more than a parser's stack of keywords", () => {
  const names = Array.from({ length: 300 }, (_, index) => `p${index}`);
  const schema = {
    properties: Object.fromEntries(
      names.map((name) => [name, { type: "number" }]),
    ),
    anyOf: names.map((name) => ({ required: [name] })),
    additionalProperties: false,
  };
  assert(conforms(schema, '{"p299":1,"p0":2}'));
  assert(!conforms(schema, '{"p299":"a"}'));
  assert(!conforms(schema, "{}"));
  assert(!conforms(schema, '{"p299":1,"other":2}'));
});

Deno.test("CompiledSchema.validate() says where, which rule, what was there", () => {
  const schema = compiled({
    type: "object",
    properties: {
      "a/b": { type: ["string", "null"] },
      n: { minimum: 5 },
      list: { maxItems: 1, items: { pattern: "^a" } },
      kind: { enum: ["x", "y"] },
      text: { maxLength: 2 },
      union: { anyOf: [{ type: "string" }, { minimum: 3 }] },
      set: { uniqueItems: true },
    },
    required: ["id"],
    additionalProperties: false,
  });
  const violations = schema.validate(JSON.stringify({
    "a/b": 1,
    n: 4,
    list: ["b"],
    kind: "z",
    text: "😀😀😀",
    union: 1,
    set: [1, 2, 1],
    "x~y": 1,
  }));
  assertEquals(
    violations.map(({ pointer, rule, message }) => [pointer, rule, message])
      .sort(),
    [
      ["", "required", 'property "id" is missing'],
      ["/a~1b", "type", "expected string or null, found number 1"],
      ["/kind", "enum", 'expected one of "x", "y", found string "z"'],
      [
        "/list/0",
        "pattern",
        'expected text that matches "^a", found string "b"',
      ],
      ["/n", "minimum", "expected a number >= 5, found number 4"],
      [
        "/set",
        "uniqueItems",
        "expected no two equal items, but items 0 and 2 are",
      ],
      ["/text", "maxLength", "expected at most 2 characters, found 3"],
      [
        "/union",
        "anyOf",
        "matches none of the alternatives: expected string, found number 1; " +
        "or expected a number >= 3, found number 1",
      ],
      ["/x~0y", "additionalProperties", '"x~y" is not allowed here'],
    ],
  );
});

Deno.test("CompiledSchema.validate() never quotes more than a little", () => {
  const long = JSON.stringify("x".repeat(100_000));
  for (const schema of [{ type: "number" }, { const: 1 }, { pattern: "^a" }]) {
    for (const { message } of compiled(schema).validate(long)) {
      assert(message.length < 300, message);
    }
  }
});

Deno.test("CompiledSchema.validate() answers what is not JSON or not UTF-8", () => {
  const schema = compiled({});
  const [json] = schema.validate("{");
  assertEquals(json.rule, "json");
  assertEquals(schema.validate("")[0].rule, "json");
  const [utf8] = schema.validate(Uint8Array.of(0x22, 0xff, 0x22));
  assertEquals(utf8, {
    pointer: "",
    rule: "json",
    message: "the message is not UTF-8",
  });
  assertEquals(schema.validate(new TextEncoder().encode("[1]")), []);
});

Deno.test("CompiledSchema.validate() leaves no trace in prototypes", () => {
  const schema = compiled(
    JSON.parse('{"properties":{"__proto__":{"properties":{"x":{}}}}}'),
  );
  schema.validate('{"__proto__":{"polluted":true}}');
  schema.validate('{"constructor":{"prototype":{"polluted":true}}}');
  assert(!("polluted" in {}));
});

Deno.test("SchemaEngine.compile() keeps schemas with one $id apart", () => {
  const id = "https://example.com/same";
  const one = compiled({ $id: id, type: "string" });
  const two = compiled({ $id: id, type: "number" });
  assertEquals(one.validate('"a"'), []);
  assertEquals(two.validate("1"), []);
  assertEquals(one.validate("1").length, 1);
});

Deno.test("SchemaEngine.compile() answers an equal schema with the same object", () => {
  assert(
    engine.compile({ type: "string", minLength: 1 }) ===
      engine.compile({ minLength: 1, type: "string" }),
  );
});
