/**
 * Input lines -> records: the whole line as the message, a key before a
 * separator, or one JSON object a line (the form that `consumer --json` prints).
 */
import type { Headers, Json } from "../../contract/http.ts";
import type { Line } from "./line_reader.ts";
import {
  type Content,
  contentBytes,
  type OutgoingRecord,
  recordText,
} from "../record_text.ts";

export interface LineForm {
  readonly isJson: boolean;
  /** The key of every record that has no other. */
  readonly key: string | undefined;
  readonly keySeparator: string | undefined;
  readonly headers: Headers | undefined;
  readonly partition: number | undefined;
  /** How many partitions the topic has. */
  readonly partitions: number;
}

export interface LineRecord {
  /** The record as JSON text. */
  readonly text: string;
  readonly key: string | Uint8Array | null;
  readonly partition: number | undefined;
}

/** What is wrong with a line, as a sentence without full stop. */
export class LineFault {
  readonly reason: string;
  constructor(reason: string) {
    this.reason = reason;
  }
}

export function readRecordLine(
  line: Line,
  form: LineForm,
): LineRecord | LineFault {
  if (form.isJson) return readJsonLine(line, form);
  let value = line;
  let key: string | Uint8Array | null = form.key ?? null;
  if (form.keySeparator !== undefined) {
    const parts = splitAt(line, form.keySeparator);
    if (parts === undefined) {
      return new LineFault(`it has no key separator "${form.keySeparator}"`);
    }
    [key, value] = parts;
  }
  const record: OutgoingRecord = { value, key, headers: form.headers };
  return { text: recordText(record), key, partition: form.partition };
}

/** Key and value around the first separator. */
function splitAt(
  line: Line,
  separator: string,
): [key: Line, value: Line] | undefined {
  if (typeof line === "string") {
    const at = line.indexOf(separator);
    return at < 0
      ? undefined
      : [line.slice(0, at), line.slice(at + separator.length)];
  }
  const wanted = contentBytes(separator);
  for (
    let at = line.indexOf(wanted[0]);
    at >= 0;
    at = line.indexOf(wanted[0], at + 1)
  ) {
    if (wanted.every((byte, index) => line[at + index] === byte)) {
      return [line.slice(0, at), line.slice(at + wanted.length)];
    }
  }
  return undefined;
}

/** Fields of a line that `POST /produce` takes. */
const SENT = [
  "message",
  "encoding",
  "key",
  "keyEncoding",
  "headers",
  "timestamp",
];
/** Further fields of a line of `consumer --json`: read over. */
const IGNORED = ["topic", "offset"];

function readJsonLine(line: Line, form: LineForm): LineRecord | LineFault {
  if (typeof line !== "string") return new LineFault("it is not valid UTF-8");
  let value: Json;
  try {
    value = parseExactly(line);
  } catch (error) {
    return new LineFault(`it is not JSON: ${(error as Error).message}`);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return new LineFault('it is not a JSON object with a "message"');
  }
  if (!Object.hasOwn(value, "message")) {
    return new LineFault('it has no "message"');
  }
  const fields: { [name: string]: Json } = {};
  for (const [name, field] of Object.entries(value)) {
    if (SENT.includes(name)) fields[name] = field;
    else if (name !== "partition" && !IGNORED.includes(name)) {
      return new LineFault(`"${name}" is no field of a record`);
    }
  }
  const partition = readPartition(value.partition, form);
  if (partition instanceof LineFault) return partition;
  if (fields.key === undefined && form.key !== undefined) {
    fields.key = form.key;
  }
  const key = readKey(fields);
  if (key instanceof LineFault) return key;
  if (fields.headers === undefined && form.headers !== undefined) {
    fields.headers = form.headers as Json;
  }
  return { text: JSON.stringify(fields), key, partition };
}

function readPartition(
  value: Json | undefined,
  form: LineForm,
): number | undefined | LineFault {
  if (value === undefined || value === null) return form.partition;
  const isIn = typeof value === "number" && Number.isInteger(value) &&
    value >= 0 && value < form.partitions;
  return isIn
    ? value
    : new LineFault(`"partition" is not one of ${form.partitions} partitions`);
}

function readKey(fields: { [name: string]: Json }): Content | LineFault {
  const { key = null, keyEncoding } = fields;
  if (key === null) return null;
  if (typeof key !== "string") return new LineFault('"key" is not text');
  if (keyEncoding === undefined) return key;
  try {
    return Uint8Array.fromBase64(key);
  } catch {
    return new LineFault('"key" is not base64');
  }
}

/** JSON of another engine's lib types: the source text of a number. */
interface ReviverContext {
  readonly source?: string;
}
const rawJson = (JSON as unknown as { rawJSON(text: string): Json }).rawJSON;

/**
 * As JSON.parse, but numbers that a double would change (12345678901234567890,
 * 1.0, 1e2) keep their digits when they are written again.
 */
function parseExactly(text: string): Json {
  if (!/\d{16}|\d[.eE]/.test(text)) return JSON.parse(text);
  const revive = (_: string, value: Json, context?: ReviverContext) => {
    const source = context?.source;
    return typeof value === "number" && source !== undefined &&
        String(value) !== source
      ? rawJson(source)
      : value;
  };
  return JSON.parse(text, revive);
}
