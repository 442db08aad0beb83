/**
 * Records as the JSON text that `POST /produce` takes, made once and joined
 * into a body later. Owns the choice of base64 for what is not text.
 */
import type { Headers } from "../contract/http.ts";

/** A key or value: text, bytes that may not be UTF-8, or null. */
export type Content = string | Uint8Array | null;

export interface OutgoingRecord {
  readonly value: Content;
  readonly key?: Content;
  readonly headers?: Headers;
  /** Milliseconds since the epoch; the broker's clock when absent. */
  readonly timestampMs?: number;
}

/** One element of `messages`. */
export function recordText(record: OutgoingRecord): string {
  const { value, key = null, headers, timestampMs } = record;
  if (
    typeof value === "string" && key === null && headers === undefined &&
    timestampMs === undefined
  ) {
    return JSON.stringify(value);
  }
  return JSON.stringify({
    ...contentFields("message", "encoding", value),
    ...(key === null ? {} : contentFields("key", "keyEncoding", key)),
    headers,
    timestamp: timestampMs,
  });
}

function contentFields(
  name: string,
  encodingName: string,
  content: Content,
): Record<string, unknown> {
  return content instanceof Uint8Array
    ? { [name]: content.toBase64(), [encodingName]: "base64" }
    : { [name]: content };
}

const encoder = new TextEncoder();

/** The bytes that decide the partition. */
export function contentBytes(content: string | Uint8Array): Uint8Array {
  return typeof content === "string" ? encoder.encode(content) : content;
}
