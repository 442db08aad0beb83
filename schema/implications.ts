/**
 * Whether one schema's keyword follows from another schema's keywords, where
 * that needs no look into subschemas: limits, choices, names, and what is the
 * same text. Which schemas are compared is `containment.ts`'s.
 */
import { isMultipleOf } from "./decimal.ts";
import { canonicalText, type JsonObject } from "./json.ts";

/** Whether what `given` says makes one keyword of `wanted` hold. */
export function isImplied(
  keyword: string,
  given: JsonObject,
  wanted: JsonObject,
): boolean {
  const limit = wanted[keyword] as number;
  switch (keyword) {
    case "enum":
    case "const": {
      const allowed = new Set(
        choices({ [keyword]: wanted[keyword] })!.map(canonicalText),
      );
      return choices(given)?.every((value) =>
        allowed.has(canonicalText(value))
      ) ?? false;
    }
    case "maximum":
      return lowest(given.maximum, given.exclusiveMaximum) <= limit;
    case "exclusiveMaximum":
      return lowest(given.exclusiveMaximum) <= limit ||
        lowest(given.maximum) < limit;
    case "minimum":
      return highest(given.minimum, given.exclusiveMinimum) >= limit;
    case "exclusiveMinimum":
      return highest(given.exclusiveMinimum) >= limit ||
        highest(given.minimum) > limit;
    case "maxLength":
    case "maxItems":
    case "maxProperties":
      return lowest(given[keyword]) <= limit;
    case "minLength":
    case "minItems":
    case "minProperties":
      return limit === 0 || highest(given[keyword]) >= limit;
    case "multipleOf":
      return (typeof given.multipleOf === "number" &&
        isMultipleOf(given.multipleOf, limit)) ||
        (given.type === "integer" && isMultipleOf(1, limit));
    case "required": {
      const names = new Set(given.required as string[] | undefined);
      return (wanted.required as string[]).every((name) => names.has(name));
    }
    case "uniqueItems":
      return wanted.uniqueItems === false || given.uniqueItems === true;
    case "contains":
      return ["contains", "minContains", "maxContains"].every((name) =>
        isSameText(given[name], wanted[name])
      );
    case "if":
      return ["if", "then", "else"].every((name) =>
        isSameText(given[name], wanted[name])
      );
    case "unevaluatedProperties":
    case "unevaluatedItems":
      return wanted[keyword] === true;
    default:
      return isSameText(given[keyword], wanted[keyword]);
  }
}

function lowest(...limits: unknown[]): number {
  return Math.min(...limits.map((one) => (one as number) ?? Infinity));
}

function highest(...limits: unknown[]): number {
  return Math.max(...limits.map((one) => (one as number) ?? -Infinity));
}

/** Equal, and meaning the same wherever it stands: no references inside. */
export function isSameText(given: unknown, wanted: unknown): boolean {
  if (given === undefined || wanted === undefined) return given === wanted;
  const text = canonicalText(wanted);
  return text === canonicalText(given) && !text.includes('"$ref"') &&
    !text.includes('"$dynamicRef"');
}

/** The values that `const` or `enum` leave; undefined: there is neither. */
export function choices(schema: JsonObject): unknown[] | undefined {
  if (Object.hasOwn(schema, "const")) return [schema.const];
  return Array.isArray(schema.enum) ? schema.enum : undefined;
}
