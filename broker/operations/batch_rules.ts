/**
 * What a batch of a Kafka client must be before it is appended (NOTES of the
 * protocol, as Kafka's LogValidator checks): pure, in Kafka's order. Compressed
 * batches are looked into only where the topic's rules ask for it.
 */
import { Failure } from "../../contract/errors.ts";
import {
  type BatchHeader,
  checkRecords,
  decodeRecords,
  InvalidBatchError,
  type LogRecord,
  MAX_RECORDS_PER_BATCH,
  readBatchHeader,
  setMaxTimestamp,
  verifyBatchCrc,
} from "../../storage/log/record_batch.ts";
import type { TopicSettings } from "../topic_config.ts";

/** A compressed batch may not unfold to more than this. */
const MAX_DECOMPRESSED_BYTES = 128 * 1024 * 1024;

/** The header of the one batch that `bytes` are, or what is wrong. */
export function checkBatch(
  bytes: Uint8Array,
  settings: TopicSettings,
  nowMs: number,
): BatchHeader | Failure {
  let header: BatchHeader;
  try {
    header = readBatchHeader(bytes);
  } catch (fault) {
    if (!(fault instanceof InvalidBatchError)) throw fault;
    return new Failure("CORRUPT_MESSAGE", fault.message);
  }
  if (header.sizeBytes !== bytes.length) {
    return new Failure(
      "INVALID_RECORD",
      "A produce request has exactly one whole batch per partition",
    );
  }
  return sizeFault(header, settings) ?? shapeFault(header, bytes) ??
    timestampFault(header, settings, nowMs) ?? header;
}

function sizeFault(
  header: BatchHeader,
  settings: TopicSettings,
): Failure | undefined {
  return header.sizeBytes <= settings.maxMessageBytes ? undefined : new Failure(
    "MESSAGE_TOO_LARGE",
    `A batch of ${header.sizeBytes} bytes is larger than the topic's max.message.bytes, ${settings.maxMessageBytes}`,
  );
}

function shapeFault(
  header: BatchHeader,
  bytes: Uint8Array,
): Failure | undefined {
  if (header.baseOffset !== 0) {
    return new Failure(
      "INVALID_RECORD",
      `A producer's batch has base offset 0, not ${header.baseOffset}`,
    );
  }
  if (!verifyBatchCrc(bytes)) {
    return new Failure("CORRUPT_MESSAGE", "The batch does not match its CRC");
  }
  if (
    header.recordCount <= 0 || header.lastOffsetDelta + 1 !== header.recordCount
  ) {
    return new Failure(
      "INVALID_RECORD",
      `The batch says ${header.recordCount} records with a last offset delta of ${header.lastOffsetDelta}`,
    );
  }
  // Compressed batches are not always looked into: what nobody can read
  // afterwards must not be stored.
  if (header.recordCount > MAX_RECORDS_PER_BATCH) {
    return new Failure(
      "INVALID_RECORD",
      `The batch says ${header.recordCount} records, more than ${MAX_RECORDS_PER_BATCH}`,
    );
  }
  if (header.isControl) {
    return new Failure("INVALID_RECORD", "A producer cannot send markers");
  }
  if (header.isLogAppendTime) {
    return new Failure(
      "INVALID_TIMESTAMP",
      "Only a broker can say that timestamps are of the append",
    );
  }
  if (header.producerId >= 0 && header.baseSequence < 0) {
    return new Failure(
      "INVALID_RECORD",
      "A batch of an idempotent producer has a sequence",
    );
  }
  return undefined;
}

function timestampFault(
  header: BatchHeader,
  settings: TopicSettings,
  nowMs: number,
): Failure | undefined {
  if (settings.logAppendTime) return undefined;
  const newest = Math.max(header.maxTimestamp, header.baseTimestamp);
  const isFuture = newest > nowMs + settings.timestampAfterMaxMs;
  const isPast = header.baseTimestamp >= 0 &&
    header.baseTimestamp < nowMs - settings.timestampBeforeMaxMs;
  return isFuture || isPast
    ? new Failure(
      "INVALID_TIMESTAMP",
      `The timestamp ${
        isFuture ? newest : header.baseTimestamp
      } is too far from this broker's clock, ${nowMs}`,
    )
    : undefined;
}

/**
 * The records of a batch that must be looked into; undefined where it need not
 * be. Mends the largest timestamp that some clients leave unset (sarama).
 */
export function lookInto(
  bytes: Uint8Array,
  header: BatchHeader,
  options: { isGuarded: boolean; isCompacted: boolean },
): readonly LogRecord[] | undefined | Failure {
  const lacksMaximum = header.maxTimestamp < header.baseTimestamp;
  const mustLook = options.isGuarded || options.isCompacted || lacksMaximum;
  let records: LogRecord[];
  try {
    if (!mustLook) {
      if (header.codec === "none") checkRecords(bytes);
      return undefined;
    }
    records = decodeRecords(bytes, { maxBytes: MAX_DECOMPRESSED_BYTES });
  } catch (fault) {
    if (!(fault instanceof InvalidBatchError)) throw fault;
    return new Failure("CORRUPT_MESSAGE", fault.message);
  }
  if (lacksMaximum) {
    let maximum = -1;
    for (const { timestampMs } of records) {
      if (timestampMs > maximum) maximum = timestampMs;
    }
    setMaxTimestamp(bytes, maximum);
  }
  if (!options.isCompacted) return records;
  const keyless = records.flatMap(({ key }, index) =>
    key === null ? [{ index, message: "has no key" }] : []
  );
  return keyless.length === 0 ? records : new Failure(
    "INVALID_RECORD",
    "A record of a compacted topic needs a key",
    { records: keyless },
  );
}
