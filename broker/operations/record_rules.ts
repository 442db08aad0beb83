/** What a topic's settings demand of a record, but for its schema. */
import { Failure } from "../../contract/errors.ts";
import type { TopicSettings } from "../topic_config.ts";
import type { NewRecord } from "./operations.ts";

/** Room for what surrounds a record's key, value and headers. */
const RECORD_OVERHEAD_BYTES = 32;

/** The first records at fault; all of them are looked at. */
export function recordFault(
  records: readonly NewRecord[],
  settings: TopicSettings,
  nowMs: number,
): Failure | undefined {
  for (let index = 0; index < records.length; index++) {
    const record = records[index];
    const sizeBytes = recordSize(record);
    if (sizeBytes > settings.maxMessageBytes) {
      return new Failure(
        "MESSAGE_TOO_LARGE",
        `A message of ${sizeBytes} bytes is larger than the topic's max.message.bytes, ${settings.maxMessageBytes}`,
        { field: "message", records: [{ index, message: "too large" }] },
      );
    }
    if (settings.log.cleanupPolicy.compact && record.key === null) {
      return new Failure(
        "INVALID_RECORD",
        "A record of a compacted topic needs a key",
        { field: "key", records: [{ index, message: "has no key" }] },
      );
    }
    const { timestampMs } = record;
    if (timestampMs === undefined || settings.logAppendTime) continue;
    if (
      timestampMs < nowMs - settings.timestampBeforeMaxMs ||
      timestampMs > nowMs + settings.timestampAfterMaxMs
    ) {
      return new Failure(
        "INVALID_TIMESTAMP",
        `The timestamp ${timestampMs} is too far from this broker's clock, ${nowMs}`,
        { field: "timestamp", records: [{ index, message: "timestamp" }] },
      );
    }
  }
  return undefined;
}

function recordSize({ key, value, headers }: NewRecord): number {
  let bytes = RECORD_OVERHEAD_BYTES + (key?.length ?? 0) + (value?.length ?? 0);
  for (const header of headers) {
    bytes += header.name.length + (header.value?.length ?? 0);
  }
  return bytes;
}
