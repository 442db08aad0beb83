/**
 * Consumed records -> bytes for standard output. Plain: the message exactly and
 * a line feed, whatever its bytes; a tombstone (null) shows as `null`.
 */
import type { ConsumedRecord } from "../../contract/http.ts";
import type { Consumed } from "../consumer.ts";

export interface OutputForm {
  /** Of records that do not say it themselves. */
  readonly topic: string;
  /**
   * `plain`: the message. `offset`: after "[Offset 0] ". `place`: after
   * "[Partition 3 Offset 0] ". `topicPlace`: after "[Topic demo Partition 3 Offset
   * 0] ". `json`: one object a line.
   */
  readonly style: "plain" | "offset" | "place" | "topicPlace" | "json";
  /** Puts the key and this before the message. */
  readonly keySeparator: string | undefined;
}

const encoder = new TextEncoder();

export function outputBytes(
  consumed: readonly (Consumed & { topic?: string })[],
  form: OutputForm,
): Uint8Array {
  const chunks: Uint8Array[] = [];
  let text = "";
  for (const { topic = form.topic, partition, record } of consumed) {
    if (form.style === "json") {
      text += `${JSON.stringify({ topic, partition, ...record })}\n`;
      continue;
    }
    text += prefix({ topic, partition }, record, form);
    for (const content of contents(record, form)) {
      if (typeof content === "string") {
        text += content;
        continue;
      }
      chunks.push(encoder.encode(text), content);
      text = "";
    }
    text += "\n";
  }
  if (chunks.length === 0) return encoder.encode(text);
  chunks.push(encoder.encode(text));
  return concatenated(chunks);
}

function prefix(
  { topic, partition }: { topic: string; partition: number },
  { offset }: ConsumedRecord,
  { style }: OutputForm,
): string {
  switch (style) {
    case "offset":
      return `[Offset ${offset}] `;
    case "place":
      return `[Partition ${partition} Offset ${offset}] `;
    case "topicPlace":
      return `[Topic ${topic} Partition ${partition} Offset ${offset}] `;
    default:
      return "";
  }
}

function contents(
  record: ConsumedRecord,
  { keySeparator }: OutputForm,
): (string | Uint8Array)[] {
  const message = content(record.message, record.encoding);
  return keySeparator === undefined
    ? [message]
    : [content(record.key ?? null, record.keyEncoding), keySeparator, message];
}

function content(
  text: string | null,
  encoding: "base64" | undefined,
): string | Uint8Array {
  if (text === null) return "null";
  return encoding === undefined ? text : Uint8Array.fromBase64(text);
}

function concatenated(chunks: readonly Uint8Array[]): Uint8Array {
  const length = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  const bytes = new Uint8Array(length);
  let position = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, position);
    position += chunk.length;
  }
  return bytes;
}
