/**
 * Records between JSON and bytes, both ways. Owns the rules of `message`,
 * `key`, `headers` and their encodings; nothing of topics or partitions.
 */
import { Failure } from "../../contract/errors.ts";
import type {
  NewRecord,
  RecordHeader,
  StoredRecord,
} from "../operations/operations.ts";
import { ANY_OFFSET, ANY_PARTITION, BodyFields, describe } from "./input.ts";
import { LONE_SURROGATE, valueFault } from "./json_text.ts";
import type { HttpLimits } from "./limits.ts";
import { base64Text, utf8Bytes, utf8Text } from "./utf8.ts";

/** Records are never in shared memory. */
type Bytes = Uint8Array<ArrayBuffer>;

const NO_HEADERS: readonly RecordHeader[] = [];
const BASE64 = ["base64"] as const;

/** A message as it came in, and the record that it becomes. */
export interface DecodedMessage {
  readonly record: NewRecord;
  readonly partition: number | undefined;
}

/**
 * Reads the fields of one message.
 *
 * @param fields Of the message, or of the whole request that carries one.
 * @param exact The same message from `parseExactly`, where digits matter.
 */
export function readMessage(
  fields: BodyFields,
  exact: unknown,
  limits: HttpLimits,
): DecodedMessage {
  const value = readValue(fields, exact, limits);
  const key = readKey(fields);
  const partition = fields.integer("partition", ANY_PARTITION);
  const headers = readHeaders(fields, limits);
  const timestampMs = fields.integer("timestamp", ANY_OFFSET);
  return { record: { key, value, headers, timestampMs }, partition };
}

function readValue(
  fields: BodyFields,
  exact: unknown,
  limits: HttpLimits,
): Uint8Array | null {
  const value = fields.take("message");
  const encoding = fields.choice("encoding", BASE64);
  if (typeof value === "string") {
    if (encoding === undefined) {
      if (!value.isWellFormed()) fields.refuse("message", LONE_SURROGATE);
      return utf8Bytes(value);
    }
    return fromBase64(fields, "message", value);
  }
  if (encoding !== undefined) {
    fields.refuse(
      "message",
      `must be a string of base64, not ${describe(value)}`,
    );
  }
  if (value === undefined) fields.require("message");
  if (value === undefined || value === null) return null;
  const fault = valueFault(value, limits.jsonDepth);
  if (fault !== undefined) {
    fields.refuse("message", fault);
    return null;
  }
  return utf8Bytes(JSON.stringify(exact ?? value));
}

function readKey(fields: BodyFields): Uint8Array | null {
  const key = fields.textOrNull("key");
  const encoding = fields.choice("keyEncoding", BASE64);
  if (key === undefined || key === null) {
    if (encoding !== undefined) fields.refuse("key", "is missing");
    return null;
  }
  return encoding === undefined
    ? utf8Bytes(key)
    : fromBase64(fields, "key", key);
}

const EMPTY = new Uint8Array(0);

function fromBase64(
  fields: BodyFields,
  name: string,
  text: string,
): Uint8Array {
  const bytes = decodeBase64(text);
  if (bytes === undefined) fields.refuse(name, "is not base64");
  return bytes ?? EMPTY;
}

/** Strict: the standard alphabet, padded, no blanks. */
function decodeBase64(text: string): Uint8Array | undefined {
  if (text.length % 4 !== 0 || /\s/.test(text)) return undefined;
  try {
    const binary = atob(text);
    const bytes = new Uint8Array(binary.length);
    for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
    return bytes;
  } catch {
    return undefined;
  }
}

function readHeaders(
  fields: BodyFields,
  limits: HttpLimits,
): readonly RecordHeader[] {
  const value = fields.take("headers");
  if (value === undefined) return NO_HEADERS;
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    fields.refuse("headers", `must be an object, not ${describe(value)}`);
    return NO_HEADERS;
  }
  const headers: RecordHeader[] = [];
  for (const [name, given] of Object.entries(value)) {
    if (!name.isWellFormed()) fields.refuse("headers", LONE_SURROGATE);
    for (const one of Array.isArray(given) ? given : [given]) {
      const bytes = readHeaderValue(one);
      if (bytes === undefined) {
        fields.refuse(
          `headers.${name}`,
          'must be a string, null, {"base64": "..."}, or an array of these',
        );
        return NO_HEADERS;
      }
      headers.push({ name, value: bytes });
      if (headers.length > limits.headersPerRecord) {
        fields.refuse(
          "headers",
          `has more than ${limits.headersPerRecord} values`,
        );
        return NO_HEADERS;
      }
    }
  }
  return headers;
}

/** Undefined: not a header's value. */
function readHeaderValue(value: unknown): Uint8Array | null | undefined {
  if (value === null) return null;
  if (typeof value === "string") {
    return value.isWellFormed() ? utf8Bytes(value) : undefined;
  }
  if (typeof value !== "object" || Array.isArray(value)) return undefined;
  const fields = BodyFields.of(value);
  if (fields instanceof Failure) return undefined;
  const base64 = fields.text("base64");
  if (base64 === undefined || fields.fault() !== undefined) return undefined;
  return decodeBase64(base64);
}

/** `"<name>":<value>` and, for what is not text, its encoding. */
function bytesMember(
  name: string,
  encodingName: string,
  bytes: Uint8Array | null,
): string {
  if (bytes === null) return `"${name}":null`;
  const text = utf8Text(bytes as Bytes);
  return text === undefined
    ? `"${name}":"${base64Text(bytes as Bytes)}","${encodingName}":"base64"`
    : `"${name}":${JSON.stringify(text)}`;
}

function headerValueText(bytes: Uint8Array | null): string {
  if (bytes === null) return "null";
  const text = utf8Text(bytes as Bytes);
  return text === undefined
    ? `{"base64":"${base64Text(bytes as Bytes)}"}`
    : JSON.stringify(text);
}

/** Repeated names share one member with an array, in their order. */
function headersText(headers: readonly RecordHeader[]): string {
  const byName = new Map<string, string[]>();
  for (const { name, value } of headers) {
    const values = byName.get(name);
    if (values === undefined) byName.set(name, [headerValueText(value)]);
    else values.push(headerValueText(value));
  }
  const members = Array.from(
    byName,
    ([name, values]) =>
      `${JSON.stringify(name)}:${
        values.length === 1 ? values[0] : `[${values.join(",")}]`
      }`,
  );
  return `{${members.join(",")}}`;
}

/** The members that a record has on its way in and on its way out. */
function commonMembers(
  record: Pick<NewRecord, "key" | "value" | "headers">,
): string {
  let text = bytesMember("message", "encoding", record.value);
  if (record.key !== null) {
    text += `,${bytesMember("key", "keyEncoding", record.key)}`;
  }
  if (record.headers.length > 0) {
    text += `,"headers":${headersText(record.headers)}`;
  }
  return text;
}

/** A `ConsumedRecord` of the contract, as JSON text. */
export function storedRecordText(record: StoredRecord): string {
  return `{"offset":${record.offset},${
    commonMembers(record)
  },"timestamp":${record.timestampMs}}`;
}

/** A `ProduceMessage` of the contract, as JSON text, for another broker. */
export function newRecordText(record: NewRecord, partition: number): string {
  const timestamp = record.timestampMs === undefined
    ? ""
    : `,"timestamp":${record.timestampMs}`;
  return `{${commonMembers(record)},"partition":${partition}${timestamp}}`;
}
