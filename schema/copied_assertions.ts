/**
 * The keywords that an emitted schema has as they stand: those that assert
 * something of a value itself, and apply no subschema to a part of it.
 */
import type { JsonObject } from "./json.ts";

const COPIED = [
  "type",
  "enum",
  "const",
  "multipleOf",
  "maximum",
  "exclusiveMaximum",
  "minimum",
  "exclusiveMinimum",
  "maxLength",
  "minLength",
  "pattern",
  "format",
  "maxItems",
  "minItems",
  "uniqueItems",
  "maxProperties",
  "minProperties",
  "required",
];

/** Any other format asserts nothing. */
export interface KnownFormats {
  has(name: string): boolean;
}

/** Returns what they weigh, in steps of work. */
export function copyAssertions(
  schema: JsonObject,
  formats: KnownFormats,
  out: Record<string, unknown>,
): number {
  let steps = 0;
  for (const name of COPIED) {
    if (!Object.hasOwn(schema, name)) continue;
    const value = schema[name];
    if (name === "format" && !formats.has(String(value))) continue;
    if (name === "uniqueItems" && value === false) continue;
    out[name] = value;
    steps += Array.isArray(value) ? value.length : 1;
  }
  return steps;
}
