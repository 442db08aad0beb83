/**
 * JSON values as JSON Schema sees them: equality, canonical text, depth, and
 * words for a person. Knows nothing of schemas. Every function is linear in the
 * size of its argument (sorting keys apart).
 */
import { shorten } from "./violation.ts";

export type JsonObject = { readonly [name: string]: unknown };

export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * The value's JSON text with sorted names and no spaces: two values are equal
 * as JSON Schema defines it (1 and 1.0 are) exactly when their texts are.
 * Throws a TypeError on what is not JSON, a RangeError when nested too deeply.
 */
export function canonicalText(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalText).join(",")}]`;
  if (isObject(value)) {
    const members = Object.keys(value).sort().map((name) =>
      `${JSON.stringify(name)}:${canonicalText(value[name])}`
    );
    return `{${members.join(",")}}`;
  }
  if (typeof value === "number") {
    // JSON.stringify would make null of what 1e999 is read as.
    if (!Number.isFinite(value)) return value > 0 ? "1e999" : "-1e999";
    return value === 0 ? "0" : JSON.stringify(value);
  }
  const text = JSON.stringify(value);
  if (text === undefined) throw new TypeError("not a JSON value");
  return text;
}

/** Whether `value` nests deeper than `limit` containers. */
export function isDeeperThan(value: unknown, limit: number): boolean {
  if (typeof value !== "object" || value === null) return false;
  if (limit === 0) return true;
  if (Array.isArray(value)) {
    return value.some((item) => isDeeperThan(item, limit - 1));
  }
  for (const name of Object.keys(value)) {
    if (isDeeperThan((value as JsonObject)[name], limit - 1)) return true;
  }
  return false;
}

/** JSON Schema's name for the type of a value. */
export function typeName(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "array";
  return typeof value;
}

/** The value in a few words, without dumping it. */
export function describe(value: unknown): string {
  switch (typeName(value)) {
    case "string":
      return `string ${shorten(JSON.stringify(shorten(value as string)))}`;
    case "number":
      return `number ${canonicalText(value)}`;
    case "boolean":
      return `boolean ${value}`;
    case "array": {
      const { length } = value as unknown[];
      return length === 1 ? "array of 1 item" : `array of ${length} items`;
    }
    case "object": {
      const { length } = Object.keys(value as object);
      return length === 1
        ? "object of 1 member"
        : `object of ${length} members`;
    }
    default:
      return typeName(value);
  }
}

/** Scalars as their JSON text, containers as their kind, for lists of choices. */
export function quote(value: unknown): string {
  const text = typeof value === "object" && value !== null
    ? canonicalText(value)
    : JSON.stringify(value) ?? "undefined";
  return shorten(text);
}
