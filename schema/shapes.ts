/**
 * Whether a keyword's value has the form its dialect asks for, in plain words
 * with the place. Owns no recursion into subschemas.
 */
import type { Shape } from "./dialect.ts";
import { describe, isObject } from "./json.ts";
import { escapePointer } from "./violation.ts";

/** What is wrong and, below the keyword's own pointer, where. */
export interface ShapeFault {
  readonly at: string;
  readonly message: string;
}

const TYPES = [
  "string",
  "number",
  "integer",
  "boolean",
  "object",
  "array",
  "null",
];

export function shapeFault(
  name: string,
  shape: Shape,
  value: unknown,
): ShapeFault | undefined {
  switch (shape) {
    case "any":
      return undefined;
    case "string":
      return typeof value === "string"
        ? undefined
        : wrong(name, "a string", value);
    case "boolean":
      return typeof value === "boolean"
        ? undefined
        : wrong(name, "a boolean", value);
    case "number":
      return Number.isFinite(value)
        ? undefined
        : wrong(name, "a number", value);
    case "positive number":
      return Number.isFinite(value) && (value as number) > 0
        ? undefined
        : wrong(name, "a number above 0", value);
    case "count":
      return Number.isSafeInteger(value) && (value as number) >= 0
        ? undefined
        : wrong(name, "an integer of at least 0", value);
    case "values":
      return Array.isArray(value)
        ? undefined
        : wrong(name, "an array of values", value);
    case "names":
      return namesFault(name, value);
    case "map of names":
      return mapFault(name, value, "an object of arrays of names", namesFault);
    case "type":
      return typeFault(value);
    case "schema":
      return schemaFault(name, value);
    case "schemas":
      return schemasFault(name, value);
    case "map of schemas":
      return mapFault(name, value, "an object of schemas", schemaFault);
    case "schema or schemas":
      return Array.isArray(value)
        ? schemasFault(name, value, 0)
        : schemaFault(name, value);
    case "map of schemas or names":
      return mapFault(
        name,
        value,
        "an object of schemas or arrays of names",
        (inner, item) =>
          Array.isArray(item)
            ? namesFault(inner, item)
            : schemaFault(inner, item),
      );
  }
}

function wrong(name: string, expected: string, value: unknown): ShapeFault {
  return {
    at: "",
    message: `${name} must be ${expected}, not ${describe(value)}`,
  };
}

function below(token: string, fault: ShapeFault): ShapeFault {
  return { at: `/${escapePointer(token)}${fault.at}`, message: fault.message };
}

function schemaFault(name: string, value: unknown): ShapeFault | undefined {
  if (typeof value === "boolean" || isObject(value)) return undefined;
  if (name === "items" && Array.isArray(value)) {
    return {
      at: "",
      message: "items must be a schema in 2020-12, not an array: use " +
        'prefixItems, or say "$schema": ' +
        '"http://json-schema.org/draft-07/schema#"',
    };
  }
  return wrong(name, "a schema (an object or a boolean)", value);
}

function schemasFault(
  name: string,
  value: unknown,
  least = 1,
): ShapeFault | undefined {
  if (!Array.isArray(value) || value.length < least) {
    return wrong(name, "an array of at least one schema", value);
  }
  return firstFault(value, (item) => schemaFault(name, item));
}

function namesFault(name: string, value: unknown): ShapeFault | undefined {
  if (!Array.isArray(value)) return wrong(name, "an array of names", value);
  const seen = new Set<string>();
  return firstFault(value, (item) => {
    if (typeof item !== "string") return wrong(name, "an array of names", item);
    if (seen.has(item)) {
      return {
        at: "",
        message: `${name} names ${JSON.stringify(item)} twice`,
      };
    }
    seen.add(item);
    return undefined;
  });
}

function typeFault(value: unknown): ShapeFault | undefined {
  if (!Array.isArray(value)) return oneTypeFault(value);
  if (value.length === 0) {
    return { at: "", message: "type must name at least one type" };
  }
  return namesFault("type", value) ??
    firstFault(value, (item) => oneTypeFault(item));
}

function oneTypeFault(value: unknown): ShapeFault | undefined {
  if (typeof value === "string" && TYPES.includes(value)) return undefined;
  return {
    at: "",
    message: `type must be one of ${TYPES.join(", ")}, not ${describe(value)}`,
  };
}

function firstFault(
  items: readonly unknown[],
  check: (item: unknown) => ShapeFault | undefined,
): ShapeFault | undefined {
  for (const [index, item] of items.entries()) {
    const fault = check(item);
    if (fault !== undefined) return below(String(index), fault);
  }
  return undefined;
}

function mapFault(
  name: string,
  value: unknown,
  expected: string,
  check: (name: string, item: unknown) => ShapeFault | undefined,
): ShapeFault | undefined {
  if (!isObject(value)) return wrong(name, expected, value);
  for (const [key, item] of Object.entries(value)) {
    const fault = check(`${name}/${key}`, item);
    if (fault !== undefined) return below(key, fault);
  }
  return undefined;
}
