/** Makes values of a declared type for property tests, in one version of it. */
import fc from "../../support/fast_check.ts";
import type { Layout, Type } from "../../../broker/kafka/codec/schema.ts";
import { includes } from "../../../broker/kafka/codec/versions.ts";

type Any = fc.Arbitrary<unknown>;

const int = (min: number, max: number): Any => fc.integer({ min, max });

const PRIMITIVES: Record<string, Any> = {
  bool: fc.boolean(),
  int8: int(-0x80, 0x7f),
  int16: int(-0x8000, 0x7fff),
  uint16: int(0, 0xffff),
  int32: int(-0x80000000, 0x7fffffff),
  uint32: int(0, 0xffffffff),
  int64: fc.maxSafeInteger(),
  float64: fc.double(),
  uuid: fc.uuid(),
  // Long and other than ASCII now and then, never half a surrogate pair.
  string: fc.oneof(
    fc.string({ maxLength: 8 }),
    fc.string({ unit: "grapheme", maxLength: 100 }),
    fc.constant("\ufeff" + "x".repeat(5000)),
  ),
  bytes: fc.oneof(
    fc.uint8Array({ maxLength: 20 }),
    fc.constant(new Uint8Array(5000).fill(7)),
  ),
};
PRIMITIVES.records = PRIMITIVES.bytes;

/** Every field has a value; fields absent in the version have their default. */
export function arbitraryOf(
  type: Type<unknown, unknown>,
  layout: Layout,
): Any {
  const { shape } = type;
  switch (shape.kind) {
    case "primitive":
      return PRIMITIVES[type.name];
    case "array":
      return fc.array(arbitraryOf(shape.element, layout), { maxLength: 3 });
    case "struct": {
      const model: Record<string, Any> = {};
      for (const [name, field] of Object.entries(shape.fields)) {
        if (!includes(field.versions, layout.version)) {
          model[name] = fc.constant(null).map(() => field.defaultValue());
          continue;
        }
        const value = arbitraryOf(field.type, layout);
        const canBeNull = field.nullable !== null &&
          includes(field.nullable, layout.version);
        const whole = canBeNull ? fc.option(value, { nil: null }) : value;
        model[name] = field.tag === null ? whole : fc.oneof(
          whole,
          fc.constant(null).map(() => field.defaultValue()),
        );
      }
      return fc.record(model, { noNullPrototype: true });
    }
  }
}
