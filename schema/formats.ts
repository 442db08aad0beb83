/**
 * The formats that are asserted: those of JSON Schema that ajv-formats has.
 * Others, OpenAPI's included, are annotations, as the specification allows.
 * Owns the rule that no text can make an expression slow: where a format has a
 * natural longest text, longer is wrong; else long text is matched by RE2.
 */
import { SCHEMA_LIMITS } from "./limits.ts";
import { compilePattern, type LinearEngine, PatternFault } from "./pattern.ts";
import type { Work } from "./work.ts";

export type FormatTest = (text: string) => boolean;

/** ajv-formats' table: an expression, a function, or one inside an object. */
export type FormatTable = Readonly<Record<string, unknown>>;

/** Longest text that can be of the format, where there is one. */
const LONGEST: Readonly<Record<string, number>> = {
  date: 10,
  // Fractions of a second have no longest form; nobody has a hundred digits.
  time: 128,
  "date-time": 140,
  duration: 256,
  // RFC 5321: 64 for the local part, 255 for the domain.
  email: 320,
  hostname: 254,
  ipv4: 15,
  ipv6: 45,
  uuid: 45,
  "relative-json-pointer": 1024,
};

const OPEN_ENDED = [
  "uri-reference",
  "uri-template",
  "json-pointer",
] as const;

/** RFC 3986 has nothing more: scheme, then what a reference may be. */
const SCHEME = /^[a-z][a-z0-9+\-.]*:/i;

export function buildFormats(
  table: FormatTable,
  engine: LinearEngine,
  work: Work,
): ReadonlyMap<string, FormatTest> {
  const formats = new Map<string, FormatTest>();
  for (const [name, longest] of Object.entries(LONGEST)) {
    const test = nativeTest(table[name]);
    formats.set(name, (text) => {
      work.charge(8);
      return text.length <= longest && test(text);
    });
  }
  for (const name of OPEN_ENDED) {
    const expression = table[name] as RegExp;
    let linear: FormatTest | undefined;
    formats.set(name, (text) => {
      work.charge(8 + text.length);
      if (text.length <= SCHEMA_LIMITS.nativeFormatLength) {
        return expression.test(text);
      }
      linear ??= linearTest(expression, engine, work);
      return linear(text);
    });
  }
  const reference = formats.get("uri-reference")!;
  const uri = nativeTest(table.uri);
  formats.set("uri", (text) => {
    if (text.length > SCHEMA_LIMITS.nativeFormatLength) {
      return SCHEME.test(text.slice(0, 64)) && reference(text);
    }
    work.charge(8 + text.length);
    return uri(text);
  });
  formats.set("regex", (text) => {
    work.charge(64 + text.length);
    return text.length <= SCHEMA_LIMITS.patternLength && isExpression(text);
  });
  return formats;
}

function nativeTest(format: unknown): FormatTest {
  if (format instanceof RegExp) return (text) => format.test(text);
  if (typeof format === "function") return (text) => format(text) === true;
  return nativeTest((format as { validate: unknown }).validate);
}

function linearTest(
  expression: RegExp,
  engine: LinearEngine,
  work: Work,
): FormatTest {
  const compiled = compilePattern(`(?i:${expression.source})`, engine, work);
  if (compiled instanceof PatternFault) {
    throw new Error(`format ${expression.source} ${compiled.message}`);
  }
  return (text) => compiled.run(text);
}

function isExpression(text: string): boolean {
  try {
    new RegExp(text, "u");
    return true;
  } catch {
    return false;
  }
}
