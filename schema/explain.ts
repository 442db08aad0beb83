/**
 * Turns ajv's errors into violations for a person: the place in the message,
 * the keyword, what was expected and what was there. Errors of alternatives
 * that did not match are folded into the one of their `anyOf` or `oneOf`.
 */
import { DENY_KEYWORD } from "./work_charge.ts";
import { describe, isObject, quote, typeName } from "./json.ts";
import { SCHEMA_LIMITS } from "./limits.ts";
import {
  escapePointer,
  shorten,
  unescapePointer,
  type Violation,
} from "./violation.ts";
import { firstDuplicate } from "./equality.ts";
import { type Work, WorkSpent } from "./work.ts";

/** The part of ajv's error object that is used here. */
export interface EngineError {
  readonly keyword: string;
  readonly instancePath: string;
  readonly schemaPath: string;
  readonly params: Readonly<Record<string, unknown>>;
  readonly schema?: unknown;
  readonly propertyName?: string;
}

const NO_ALTERNATIVE = "matches none of the alternatives";

const FOLDING = ["anyOf", "oneOf", "contains", "not"];

export function explain(
  errors: readonly EngineError[],
  message: unknown,
  work: Work,
): Violation[] {
  const violations: Violation[] = [];
  for (const error of errors) {
    // `if` only repeats that its `then` or `else` failed.
    if (error.keyword === "if" && violations.length > 0) continue;
    const violation = toViolation(error, message, work);
    if (FOLDING.includes(error.keyword)) fold(violations, violation);
    violations.push(violation);
  }
  const different = new Map(
    violations.map((each) => [
      `${each.pointer}\n${each.rule}\n${each.message}`,
      each,
    ]),
  );
  return [...different.values()].slice(0, SCHEMA_LIMITS.violations);
}

/** Takes the errors of the alternatives off, and says them in one. */
function fold(violations: Violation[], into: Violation): void {
  const inner: string[] = [];
  for (let last = violations.at(-1); last; last = violations.at(-1)) {
    const isBelow = last.pointer === into.pointer ||
      last.pointer.startsWith(`${into.pointer}/`);
    if (!isBelow) break;
    violations.pop();
    const place = last.pointer.slice(into.pointer.length);
    // The parts of a long anyOf (chunks.ts) are not alternatives themselves.
    const message = last.message.replace(`${NO_ALTERNATIVE}: `, "");
    inner.push(place === "" ? message : `${place}: ${message}`);
  }
  if (inner.length > 0 && into.rule !== "not") {
    into.message += `: ${
      shorten([...new Set(inner.reverse())].join("; or "), 400)
    }`;
  }
}

function toViolation(
  error: EngineError,
  message: unknown,
  work: Work,
): Violation {
  const { params } = error;
  if (error.keyword === "additionalProperties") {
    return denied(error, error.keyword, String(params.additionalProperty));
  }
  if (error.keyword === "unevaluatedProperties") {
    return denied(error, error.keyword, String(params.unevaluatedProperty));
  }
  if (error.keyword === DENY_KEYWORD) {
    const at = error.instancePath.lastIndexOf("/");
    return denied(
      { ...error, instancePath: error.instancePath.slice(0, at) },
      String(error.schema),
      unescapePointer(error.instancePath.slice(at + 1)),
    );
  }
  const value = error.propertyName ?? valueAt(message, error.instancePath);
  return {
    pointer: error.instancePath,
    rule: error.keyword === "false schema" ? denier(error) : error.keyword,
    message: (error.propertyName === undefined ? "" : "property name: ") +
      boundedSentence(error, value, work),
  };
}

/** Looking at the value costs work too; without any left, less is said. */
function boundedSentence(
  error: EngineError,
  value: unknown,
  work: Work,
): string {
  try {
    work.chargeSize(value);
    return sentence(error, value, work);
  } catch (cause) {
    if (!(cause instanceof WorkSpent)) throw cause;
    return `breaks ${error.keyword}`;
  }
}

const DENIERS = [
  "properties",
  "patternProperties",
  "prefixItems",
  "items",
  "propertyNames",
];

/** The keyword that holds a `false`, such as `#/items/false schema`. */
function denier({ schemaPath }: EngineError): string {
  const tokens = schemaPath.split("/");
  const holder = [tokens.at(-3), tokens.at(-2)].find((token) =>
    token !== undefined && DENIERS.includes(token)
  );
  return holder ?? "false";
}

function denied(error: EngineError, rule: string, name: string): Violation {
  return {
    pointer: `${error.instancePath}/${escapePointer(name)}`,
    rule,
    message: `${quote(name)} is not allowed here`,
  };
}

function sentence(error: EngineError, value: unknown, work: Work): string {
  const { keyword, params, schema } = error;
  const found = describe(value);
  const limit = String(params.limit);
  const atLeast = `expected at least ${limit}`;
  const atMost = `expected at most ${limit}`;
  switch (keyword) {
    case "type":
      return `expected ${[params.type].flat().join(" or ")}, found ${found}`;
    case "required":
      return `property ${quote(params.missingProperty)} is missing`;
    case "dependentRequired":
      return `property ${quote(params.missingProperty)} is missing, which ` +
        `${quote(params.property)} requires`;
    case "enum": {
      const choices = (schema as unknown[]).slice(0, 20).map(quote).join(", ");
      return `expected one of ${shorten(choices, 200)}, found ${found}`;
    }
    case "const":
      return `expected ${quote(schema)}, found ${found}`;
    case "maximum":
    case "exclusiveMaximum":
    case "minimum":
    case "exclusiveMinimum":
      return `expected a number ${params.comparison} ${limit}, found ${found}`;
    case "multipleOf":
      return `expected a multiple of ${schema}, found ${found}`;
    case "minLength":
    case "maxLength":
      return `${keyword === "minLength" ? atLeast : atMost} characters, ` +
        `found ${[...String(value)].length}`;
    case "minItems":
      return `${atLeast} items, found ${(value as unknown[]).length}`;
    case "maxItems":
      return `${atMost} items, found ${(value as unknown[]).length}`;
    case "items":
    case "unevaluatedItems":
      return `no item is allowed from index ${params.limit ?? params.len} on`;
    case "minProperties":
    case "maxProperties":
      return `${keyword === "minProperties" ? atLeast : atMost} members, ` +
        `found ${found}`;
    case "uniqueItems": {
      const pair = firstDuplicate(value as unknown[], work) ?? [0, 0];
      return `expected no two equal items, but items ${pair[0]} and ` +
        `${pair[1]} are`;
    }
    default:
      return otherSentence(error, found);
  }
}

function otherSentence(error: EngineError, found: string): string {
  const { keyword, params, schema } = error;
  switch (keyword) {
    case "pattern":
      return `expected text that matches ${quote(schema)}, found ${found}`;
    case "format":
      return `expected the format ${quote(schema)}, found ${found}`;
    case "anyOf":
      return NO_ALTERNATIVE;
    case "oneOf":
      return Array.isArray(params.passingSchemas)
        ? "matches more than one of the alternatives (numbers " +
          `${params.passingSchemas.join(" and ")}), expected exactly one`
        : `${NO_ALTERNATIVE}, expected exactly one`;
    case "not":
      return `${found} matches what must not match`;
    case "contains": {
      const most = params.maxContains;
      return `expected at least ${params.minContains}` +
        (most === undefined ? "" : ` and at most ${most}`) +
        ` matching items in ${found}`;
    }
    case "propertyNames":
      return `property name ${quote(params.propertyName)} is not allowed`;
    case "if":
      return `does not match "${params.failingKeyword}"`;
    case "false schema":
      return `nothing is allowed here, found ${found}`;
    default:
      return `breaks ${keyword}, found ${found}`;
  }
}

function valueAt(message: unknown, pointer: string): unknown {
  let value = message;
  for (const token of pointer.split("/").slice(1)) {
    const name = unescapePointer(token);
    if (Array.isArray(value)) value = value[Number(name)];
    else if (isObject(value) && Object.hasOwn(value, name)) {
      value = value[name];
    } else return undefined;
  }
  return typeName(value) === "undefined" ? undefined : value;
}
