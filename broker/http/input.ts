/**
 * Strict reading of bodies and queries: every field is asked for by name and
 * type, and whatever was not asked for is a fault. The first fault is kept and
 * answered by `fault()`; until then a faulty field reads as a harmless value,
 * so that a caller reads all fields and asks once.
 */
import { type ErrorCode, Failure } from "../../contract/errors.ts";
import { topicNameFault } from "../../contract/limits.ts";
import { LONE_SURROGATE } from "./json_text.ts";

export interface IntegerRange {
  readonly min: number;
  readonly max: number;
  /** The code of the failure; INVALID_REQUEST when absent. */
  readonly code?: ErrorCode;
}

export const ANY_OFFSET: IntegerRange = {
  min: 0,
  max: Number.MAX_SAFE_INTEGER,
};
export const ANY_PARTITION: IntegerRange = { min: 0, max: 2 ** 31 - 1 };
export const BROKER_ID: IntegerRange = { min: 1, max: 2 ** 31 - 1 };

/** Shared by bodies and queries; a subclass knows how its values look. */
export abstract class Fields<Value> {
  readonly values: { readonly [name: string]: Value };
  /** What stands before a field's name in a fault, such as `messages[3].`. */
  readonly #prefix: string;
  readonly #asked: string[] = [];
  #present = 0;
  #fault: Failure | undefined;

  constructor(values: { readonly [name: string]: Value }, prefix: string) {
    this.values = values;
    this.#prefix = prefix;
  }

  /** A getter: a field would be set anew in each of millions of instances. */
  protected abstract get kind(): string;

  /** The first fault, fields that nobody asked for included. */
  fault(): Failure | undefined {
    if (this.#fault !== undefined) return this.#fault;
    let count = 0;
    for (const _ in this.values) count++;
    if (count !== this.#present) {
      const unknown = Object.keys(this.values).find((name) =>
        !this.#asked.includes(name)
      );
      this.refuse(
        unknown ?? "",
        `is not a ${this.kind} of this request; known are ${
          this.#asked.length === 0 ? "none" : this.#asked.join(", ")
        }`,
      );
    }
    return this.#fault;
  }

  /** Notes a fault of the field; the first one stays. */
  refuse(name: string, reason: string, code?: ErrorCode): void {
    const field = this.fieldName(name);
    this.#fault ??= new Failure(
      code ?? "INVALID_REQUEST",
      `"${field}" ${reason}.`,
      { field },
    );
  }

  /** Keeps the fault of a nested object as one of this. */
  adopt(fault: Failure | undefined): void {
    this.#fault ??= fault;
  }

  fieldName(name: string): string {
    return this.#prefix + shown(name);
  }

  /** The value as it is; undefined when absent. Ask once for a name. */
  take(name: string): Value | undefined {
    this.#asked.push(name);
    // Names come from our code, none of them from Object.prototype; JSON and
    // queries have no undefined.
    const value = this.values[name];
    if (value !== undefined) this.#present++;
    return value;
  }

  require(name: string): void {
    this.refuse(name, "is missing");
  }

  /** A topic's name; its form is checked, not whether there is such a topic. */
  topic(name: string): string {
    const topic = this.text(name);
    if (topic === undefined) {
      this.require(name);
      return "";
    }
    const fault = topicNameFault(topic);
    if (fault !== undefined) {
      this.refuse(name, fault, "INVALID_TOPIC_EXCEPTION");
    }
    return topic;
  }

  abstract text(name: string): string | undefined;
  abstract integer(name: string, range: IntegerRange): number | undefined;
  abstract boolean(name: string): boolean | undefined;

  requiredInteger(name: string, range: IntegerRange): number {
    const value = this.integer(name, range);
    if (value === undefined) this.require(name);
    return value ?? range.min;
  }

  protected inRange(name: string, value: number, range: IntegerRange): number {
    if (
      Number.isSafeInteger(value) && value >= range.min && value <= range.max
    ) return value;
    return this.notInRange(name, value, range);
  }

  protected notInRange(name: string, value: unknown, range: IntegerRange) {
    this.refuse(
      name,
      `must be an integer from ${range.min} to ${range.max}, not ${
        describe(value)
      }`,
      range.code,
    );
    return range.min;
  }
}

/** The fields of a JSON object. */
export class BodyFields extends Fields<unknown> {
  protected override get kind(): string {
    return "field";
  }

  /** The fields of `value`, or what is wrong when it is not an object. */
  static of(value: unknown, prefix = ""): BodyFields | Failure {
    if (typeof value === "object" && value !== null && !Array.isArray(value)) {
      return new BodyFields(value as Record<string, unknown>, prefix);
    }
    const field = prefix.slice(0, -1);
    return prefix === ""
      ? new Failure(
        "INVALID_REQUEST",
        `The request body must be a JSON object, not ${describe(value)}.`,
      )
      : new Failure(
        "INVALID_REQUEST",
        `"${field}" must be an object, not ${describe(value)}.`,
        { field },
      );
  }

  override text(name: string): string | undefined {
    const value = this.take(name);
    if (value === undefined) return undefined;
    if (typeof value !== "string") {
      this.refuse(name, `must be a string, not ${describe(value)}`);
      return "";
    }
    if (!value.isWellFormed()) this.refuse(name, LONE_SURROGATE);
    return value;
  }

  /** As `text`, with null allowed. */
  textOrNull(name: string): string | null | undefined {
    if (this.values[name] !== null) return this.text(name);
    this.take(name);
    return null;
  }

  override integer(name: string, range: IntegerRange): number | undefined {
    const value = this.take(name);
    if (value === undefined) return undefined;
    return typeof value === "number"
      ? this.inRange(name, value, range)
      : this.notInRange(name, value, range);
  }

  override boolean(name: string): boolean | undefined {
    const value = this.take(name);
    if (value === undefined || typeof value === "boolean") return value;
    this.refuse(name, `must be true or false, not ${describe(value)}`);
    return undefined;
  }

  /** One of a few texts. */
  choice<Choice extends string>(
    name: string,
    choices: readonly Choice[],
  ): Choice | undefined {
    const value = this.take(name);
    if (value === undefined) return undefined;
    const choice = choices.find((known) => known === value);
    if (choice === undefined) {
      const all = choices.map((known) => `"${known}"`).join(" or ");
      this.refuse(name, `must be ${all}, not ${describe(value)}`);
    }
    return choice;
  }
}

/** Digits only: no sign, no exponent, no blanks, no leading zeros. */
const INTEGER = /^(0|[1-9][0-9]*)$/;

/** The parameters of a query string. */
export class QueryFields extends Fields<string> {
  protected override get kind(): string {
    return "query parameter";
  }

  /** @param search The query without its `?`. */
  static of(search: string): QueryFields | Failure {
    const values: { [name: string]: string } = Object.create(null);
    if (search === "") return new QueryFields(values, "");
    for (const pair of search.split("&")) {
      if (pair === "") continue;
      const equals = pair.indexOf("=");
      const rawName = equals < 0 ? pair : pair.slice(0, equals);
      const name = decodePart(rawName);
      const value = decodePart(equals < 0 ? "" : pair.slice(equals + 1));
      const field = shown(name ?? rawName);
      if (name === undefined || value === undefined) {
        return new Failure(
          "INVALID_REQUEST",
          `The query parameter "${field}" has a percent sign that does not begin the code of a character.`,
          { field },
        );
      }
      if (name in values) {
        return new Failure(
          "INVALID_REQUEST",
          `The query parameter "${field}" is there more than once.`,
          { field },
        );
      }
      values[name] = value;
    }
    return new QueryFields(values, "");
  }

  override text(name: string): string | undefined {
    return this.take(name);
  }

  override integer(name: string, range: IntegerRange): number | undefined {
    const text = this.take(name);
    if (text === undefined) return undefined;
    return INTEGER.test(text)
      ? this.inRange(name, Number(text), range)
      : this.notInRange(name, text, range);
  }

  override boolean(name: string): boolean | undefined {
    const text = this.take(name);
    if (text === undefined) return undefined;
    if (text === "true" || text === "false") return text === "true";
    this.refuse(name, `must be true or false, not ${describe(text)}`);
    return undefined;
  }
}

/** Undoes percent-encoding of a part of a query; undefined when it cannot. */
function decodePart(part: string): string | undefined {
  return percentDecode(part.includes("+") ? part.replaceAll("+", " ") : part);
}

/** Undefined when a percent sign begins no UTF-8 character. */
export function percentDecode(text: string): string | undefined {
  if (!text.includes("%")) return text;
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

const SHOWN_LENGTH = 60;

/** A name from outside, short enough for a message. */
function shown(name: string): string {
  return name.length > SHOWN_LENGTH
    ? `${name.slice(0, SHOWN_LENGTH).toWellFormed()}...`
    : name.toWellFormed();
}

/** A value from outside, for a message to a person. */
export function describe(value: unknown): string {
  if (Array.isArray(value)) return "an array";
  if (typeof value === "object" && value !== null) return "an object";
  return typeof value === "string"
    ? JSON.stringify(shown(value))
    : String(value);
}
