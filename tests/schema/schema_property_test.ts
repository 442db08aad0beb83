import fc from "../support/fast_check.ts";
import { assert, assertEquals } from "../support/assert.ts";
import {
  compatibility,
  loadSchemaEngine,
  SchemaFault,
} from "../../schema/schema.ts";
import { slowlyConforms } from "./slow_validator.ts";

const engine = await loadSchemaEngine();

/** Few names and values, so that schemas and messages meet. */
const name = fc.constantFrom("a", "b", "__proto__", "constructor", "a/b");
const scalar = fc.constantFrom(null, true, 0, 1, 1.5, -2, "", "a", "😀");
const { message } = fc.letrec<{ message: unknown }>((tie) => ({
  message: fc.oneof(
    { maxDepth: 3 },
    scalar,
    fc.array(tie("message"), { maxLength: 3 }),
    fc.array(fc.tuple(name, tie("message")), { maxLength: 3 }).map(asObject),
  ),
}));

/** Keeps `__proto__` as a member, as JSON.parse does. */
function asObject(entries: [string, unknown][]): unknown {
  const members = new Map(entries);
  return JSON.parse(
    `{${
      [...members].map(([key, value]) =>
        `${JSON.stringify(key)}:${JSON.stringify(value)}`
      ).join()
    }}`,
  );
}

/** Keywords that only one dialect has. */
type Words = (parts: {
  schema: fc.Arbitrary<unknown>;
  list: fc.Arbitrary<unknown[]>;
  map: fc.Arbitrary<unknown>;
  count: fc.Arbitrary<number>;
}) => Record<string, fc.Arbitrary<unknown>>;

const in2020: Words = ({ schema, list, map, count }) => ({
  prefixItems: list,
  items: schema,
  minContains: count,
  maxContains: count,
  unevaluatedItems: schema,
  unevaluatedProperties: schema,
  dependentSchemas: map,
  dependentRequired: namesFor,
});

const inDraft07: Words = ({ schema, list, map }) => ({
  items: fc.oneof(schema, list),
  additionalItems: schema,
  dependencies: fc.oneof(map, namesFor),
});

const namesFor = fc.array(
  fc.tuple(name, fc.uniqueArray(name, { maxLength: 2 })),
  { maxLength: 2 },
).map(asObject);

function schemas(names: fc.Arbitrary<string>, words = in2020) {
  return fc.letrec<{ schema: unknown }>((tie) => {
    const schema = tie("schema");
    const list = fc.array(schema, { minLength: 1, maxLength: 2 });
    const map = fc.array(fc.tuple(names, schema), { maxLength: 2 })
      .map(asObject);
    const count = fc.nat(3);
    return {
      schema: fc.oneof(
        { maxDepth: 3 },
        fc.boolean(),
        fc.record({
          type: fc.constantFrom("string", "number", "integer", "object", [
            "array",
            "null",
          ]),
          enum: fc.array(scalar, { minLength: 1, maxLength: 3 }),
          minimum: count,
          maxLength: count,
          pattern: fc.constantFrom("^a", "."),
          minItems: count,
          uniqueItems: fc.boolean(),
          minProperties: count,
          required: fc.uniqueArray(names, { maxLength: 2 }),
        }, { requiredKeys: [] }),
        fc.record({
          properties: map,
          patternProperties: fc.constantFrom({}, { "^a": { type: "number" } }),
          additionalProperties: schema,
          propertyNames: schema,
          contains: schema,
          ...words({ schema, list, map, count }),
        }, { requiredKeys: [] }),
        fc.record({
          allOf: list,
          anyOf: list,
          oneOf: list,
          not: schema,
          if: schema,
          then: schema,
          else: schema,
        }, { requiredKeys: [] }),
        fc.constant({ items: { $ref: "#" } }),
      ),
    };
  }).schema;
}

Deno.test("SchemaEngine: no schema and no message makes it throw", () => {
  fc.assert(
    fc.property(schemas(name), fc.array(message), (schema, messages) => {
      const compiled = engine.compile(schema);
      if (compiled instanceof SchemaFault) return;
      for (const value of messages) {
        const violations = compiled.validate(JSON.stringify(value));
        assertEquals(violations, compiled.validateValue(value));
        assert(violations.length <= 20);
      }
    }),
    { numRuns: 60 },
  );
});

Deno.test("SchemaEngine: JSON that is no schema is refused, not thrown at", () => {
  const keyword = fc.constantFrom(
    "type",
    "properties",
    "items",
    "$ref",
    "$id",
    "enum",
    "allOf",
    "required",
    "pattern",
    "$anchor",
    "dependencies",
    "multipleOf",
  );
  fc.assert(
    fc.property(
      fc.dictionary(keyword, fc.jsonValue({ maxDepth: 2 })),
      (schema) => {
        engine.compile(schema);
      },
    ),
    { numRuns: 200 },
  );
});

for (
  const [dialect, words] of [
    ["https://json-schema.org/draft/2020-12/schema", in2020],
    ["http://json-schema.org/draft-07/schema#", inDraft07],
  ] as const
) {
  Deno.test(`SchemaEngine: the verdict is that of ${dialect}, read slowly`, () => {
    fc.assert(
      fc.property(
        schemas(name, words),
        fc.array(message),
        (bare, messages) => {
          const schema = typeof bare === "boolean"
            ? bare
            : { $schema: dialect, ...bare as object };
          const compiled = engine.compile(schema);
          if (compiled instanceof SchemaFault) return;
          for (const value of messages) {
            assertEquals(
              compiled.validateValue(value).length === 0,
              slowlyConforms(schema, value),
              JSON.stringify([schema, value]),
            );
          }
        },
      ),
      { numRuns: 60 },
    );
  });
}

Deno.test("compatibility(): what it calls BACKWARD compatible is", () => {
  fc.assert(
    fc.property(
      schemas(name),
      schemas(name),
      fc.array(message),
      (older, newer, messages) => {
        const before = engine.compile(older);
        const after = engine.compile(newer);
        if (before instanceof SchemaFault || after instanceof SchemaFault) {
          return;
        }
        if (compatibility(older, newer, "BACKWARD") !== undefined) return;
        for (const value of messages) {
          if (before.validateValue(value).length > 0) continue;
          assertEquals(
            after.validateValue(value),
            [],
            JSON.stringify([older, newer, value]),
          );
        }
      },
    ),
    { numRuns: 200 },
  );
});
