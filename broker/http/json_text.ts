/**
 * JSON from the outside: bytes to a value within bounds, and values to text
 * without losing a digit. Owns no field names.
 */
import { Failure } from "../../contract/errors.ts";
import { utf8Text } from "./utf8.ts";

const BYTE_ORDER_MARK = 0xfeff;

/** Deeper than any limit of ours, and harmless to `JSON.parse`. */
const SAFE_BYTES = 4096;

/** A parsed body and the text it came from. */
export interface ParsedBody {
  readonly value: unknown;
  readonly text: string;
}

/** @param maxDepth Nesting of the whole body. */
export function parseBody(
  bytes: Uint8Array<ArrayBuffer>,
  maxDepth: number,
): ParsedBody | Failure {
  const whole = utf8Text(bytes);
  if (whole === undefined) {
    return new Failure("INVALID_REQUEST", "The request body is not UTF-8.");
  }
  // Before a body a byte order mark is skipped, as RFC 8259 allows; within a
  // string it stays.
  const text = whole.charCodeAt(0) === BYTE_ORDER_MARK ? whole.slice(1) : whole;
  if (text.length > SAFE_BYTES && nestsDeeper(text, maxDepth)) {
    return new Failure(
      "INVALID_REQUEST",
      `The request body nests deeper than ${maxDepth} levels.`,
    );
  }
  try {
    return { value: JSON.parse(text), text };
  } catch (error) {
    return new Failure(
      "INVALID_REQUEST",
      text.trim() === ""
        ? "The request body is empty; it must be a JSON object."
        : `The request body is not JSON: ${syntaxFault(error)}.`,
    );
  }
}

/** V8's reason without its excerpt of the body, which may be anything. */
function syntaxFault(error: unknown): string {
  const reason = error instanceof Error ? error.message : "";
  const position = /at position \d+/.exec(reason)?.[0];
  if (/^Unexpected end/.test(reason)) return "it ends too early";
  return position === undefined
    ? "it has an unexpected character"
    : `it has an unexpected character ${position}`;
}

const QUOTE = 34;
const BACKSLASH = 92;

/**
 * Before `JSON.parse`, which would build millions of nested arrays: a scan that
 * jumps over strings. Text that is not JSON may be judged either way.
 */
export function nestsDeeper(text: string, maxDepth: number): boolean {
  let depth = 0;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit === QUOTE) {
      i = endOfString(text, i);
      if (i < 0) return false;
    } else if (unit === 91 || unit === 123) {
      if (++depth > maxDepth) return true;
    } else if (unit === 93 || unit === 125) {
      depth--;
    }
  }
  return false;
}

/** The position of the closing quote; -1 when there is none. */
function endOfString(text: string, start: number): number {
  let end = start;
  while (true) {
    end = text.indexOf('"', end + 1);
    if (end < 0) return -1;
    let backslashes = 0;
    while (text.charCodeAt(end - 1 - backslashes) === BACKSLASH) backslashes++;
    if (backslashes % 2 === 0) return end;
  }
}

/** What no JSON value of ours may have, or undefined when it has none of it. */
export function valueFault(
  value: unknown,
  maxDepth: number,
): string | undefined {
  if (typeof value === "string") {
    return value.isWellFormed() ? undefined : LONE_SURROGATE;
  }
  if (typeof value !== "object" || value === null) return undefined;
  if (maxDepth === 0) return "nests too deep";
  for (const name in value) {
    if (!name.isWellFormed()) return LONE_SURROGATE;
    const fault = valueFault(
      (value as Record<string, unknown>)[name],
      maxDepth - 1,
    );
    if (fault !== undefined) return fault;
  }
  return undefined;
}

export const LONE_SURROGATE =
  "has half of a UTF-16 surrogate pair, which is not Unicode text";

/**
 * Text with numbers that a double may not give back as they were written: long
 * ones, exponents, trailing zeros of fractions, minus zero.
 */
const FRAGILE_NUMBER = /[0-9.]{16}|[0-9][eE]|\.[0-9]*0(?![0-9])|-0/;

/** Not yet in the types: JSON.rawJSON and the reviver's source (TC39 stage 4). */
type RawJson = typeof JSON & { rawJSON(text: string): unknown };

/**
 * Whether values of this body must be read with `parseExactly`. Cheap, and
 * needed only when a message is not a string.
 */
export function mayLoseDigits(text: string): boolean {
  return FRAGILE_NUMBER.test(text);
}

/**
 * As `JSON.parse`, with numbers that `JSON.stringify` writes as they came. The
 * caller has bounded the depth.
 */
export function parseExactly(text: string): unknown {
  const revive = (
    _name: string,
    value: unknown,
    context?: { source?: string },
  ): unknown =>
    typeof value === "number" && context?.source !== undefined
      ? (JSON as RawJson).rawJSON(context.source)
      : value;
  return JSON.parse(text, revive as Parameters<typeof JSON.parse>[1]);
}
