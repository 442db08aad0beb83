/**
 * How this library says what is wrong: with a message (`Violation`) or with a
 * schema (`SchemaFault`). The shape of `Violation` is the one of the HTTP
 * contract, declared again because this folder imports nothing of ours.
 */
import { SCHEMA_LIMITS } from "./limits.ts";

export interface Violation {
  /** JSON pointer (RFC 6901) to what is wrong; "" is the whole document. */
  pointer: string;
  /** The keyword that was broken, or `json`, `depth`, `size`, `budget`. */
  rule: string;
  /** What was expected and what was there, for a person. */
  message: string;
}

/** A schema that is refused, as data: test with `instanceof`. */
export class SchemaFault {
  /** Their pointers lead into the schema, not into a message. */
  readonly violations: readonly Violation[];

  constructor(violations: readonly Violation[]) {
    this.violations = violations;
  }

  /** The first fault, with its place, in one sentence. */
  get message(): string {
    const [first] = this.violations;
    if (first === undefined) return "the schema is refused";
    const more = this.violations.length - 1;
    const place = first.pointer === "" ? "the schema" : first.pointer;
    return `${place}: ${first.message}` +
      (more > 0 ? ` (and ${more} more)` : "");
  }
}

/** One reference token of a JSON pointer, escaped. */
export function escapePointer(token: string): string {
  if (!token.includes("~") && !token.includes("/")) return token;
  return token.replaceAll("~", "~0").replaceAll("/", "~1");
}

export function unescapePointer(token: string): string {
  return token.replaceAll("~1", "/").replaceAll("~0", "~");
}

/** Shortens text to what a message may quote, never cutting a code point. */
export function shorten(
  text: string,
  limit: number = SCHEMA_LIMITS.quotedData,
): string {
  if (text.length <= limit) return text;
  let end = limit - 3;
  const last = text.charCodeAt(end - 1);
  if (last >= 0xd800 && last <= 0xdbff) end -= 1;
  return text.slice(0, end) + "...";
}
