/**
 * The records inside a batch: decoding them, with every length checked, because
 * the bytes may be whatever a client sent. Encoding is in
 * `record_batch_builder.ts`.
 *
 * A record: varint length of what follows, int8 attributes, varlong
 * timestampDelta, varint offsetDelta, varint keyLength (-1: null), key, varint
 * valueLength (-1: null), value, varint headerCount, then per header varint
 * nameLength, name, varint valueLength (-1: null), value.
 */
import {
  BATCH_HEADER_BYTES,
  type BatchHeader,
  InvalidBatchError,
  readBatchHeader,
} from "./batch_header.ts";
import { decompress } from "./compression.ts";
import { readInt16 } from "./bytes.ts";
import type { Offset } from "./types.ts";

/** One record; key and value are views of the bytes it was decoded from. */
export interface LogRecord {
  offset: Offset;
  timestampMs: number;
  key: Uint8Array | null;
  value: Uint8Array | null;
  headers: RecordHeader[];
}

export interface RecordHeader {
  name: string;
  value: Uint8Array | null;
}

/** The fewest bytes a record takes, its length included. */
const MIN_RECORD_BYTES = 7;
/**
 * Records of one batch. One of a few bytes becomes an object of some hundred:
 * a million took 200 MiB of heap, and twelve million, in a compressed batch of
 * 10 MB that a topic with a raised `max.message.bytes` takes, 1.8 GiB.
 */
export const MAX_RECORDS_PER_BATCH = 1_000_000;
const NO_HEADERS: RecordHeader[] = [];
const textDecoder = new TextDecoder();

/**
 * All records of `batch`, exactly one batch.
 *
 * @param options.maxBytes bound of the decompressed records.
 * @throws InvalidBatchError when anything in the batch is malformed.
 */
export function decodeRecords(
  batch: Uint8Array,
  options: { maxBytes?: number } = {},
): LogRecord[] {
  return openRecords(batch, options.maxBytes)?.readAll() ?? [];
}

/**
 * Throws as `decodeRecords` does, and makes nothing of the records: what a batch
 * costs that is only stored.
 */
export function checkRecords(batch: Uint8Array): void {
  openRecords(batch)?.checkAll();
}

/** Undefined when there are none. */
function openRecords(
  batch: Uint8Array,
  maxBytes?: number,
): RecordReader | undefined {
  const header = readBatchHeader(batch);
  if (header.sizeBytes !== batch.length) {
    throw new InvalidBatchError(
      `The record batch says it has ${header.sizeBytes} bytes, here are ${batch.length}`,
    );
  }
  if (header.recordCount > MAX_RECORDS_PER_BATCH) {
    throw new InvalidBatchError(
      `The record batch says it has ${header.recordCount} records, more than ${MAX_RECORDS_PER_BATCH}`,
    );
  }
  const payload = batch.subarray(BATCH_HEADER_BYTES);
  if (header.recordCount === 0 && payload.length === 0) return undefined;
  const records = decompress(header.codec, payload, maxBytes);
  return new RecordReader(records, header);
}

class RecordReader {
  readonly #bytes: Uint8Array;
  readonly #header: BatchHeader;
  #at = 0;
  /** End of the record being read. */
  #end = 0;
  // The fields of the record that `#parse` read last; a start of -1: null.
  #timestampDelta = 0;
  #offsetDelta = 0;
  #keyStart = 0;
  #keyEnd = 0;
  #valueStart = 0;
  #valueEnd = 0;
  #headerCount = 0;
  #headersStart = 0;

  constructor(bytes: Uint8Array, header: BatchHeader) {
    this.#bytes = bytes;
    this.#header = header;
  }

  readAll(): LogRecord[] {
    const records: LogRecord[] = [];
    this.#forEach((index) => records.push(this.#record(index)));
    return records;
  }

  checkAll(): void {
    this.#forEach(() => {});
  }

  #forEach(take: (index: number) => void): void {
    const { recordCount, lastOffsetDelta } = this.#header;
    if (recordCount * MIN_RECORD_BYTES > this.#bytes.length) {
      throw new InvalidBatchError(
        `The record batch says it has ${recordCount} records, too many for ${this.#bytes.length} bytes`,
      );
    }
    let lastDelta = -1;
    for (let index = 0; index < recordCount; index++) {
      this.#parse(index);
      const delta = this.#offsetDelta;
      if (delta <= lastDelta || delta > lastOffsetDelta) {
        this.#malformed(index, `its offset delta is ${delta}`);
      }
      lastDelta = delta;
      take(index);
    }
    if (this.#at !== this.#bytes.length) {
      throw new InvalidBatchError(
        `The record batch has ${
          this.#bytes.length - this.#at
        } bytes after its last record`,
      );
    }
  }

  /** Reads and checks the next record, without making objects. */
  #parse(index: number): void {
    this.#end = this.#bytes.length;
    const length = this.#varint(index);
    if (length < 0 || length > this.#bytes.length - this.#at) {
      this.#malformed(index, `its length is ${length}`);
    }
    this.#end = this.#at + length;
    this.#at++; // attributes: none are defined
    this.#timestampDelta = this.#varlong(index);
    this.#offsetDelta = this.#varint(index);
    this.#keyStart = this.#skip(index, "key");
    this.#keyEnd = this.#at;
    this.#valueStart = this.#skip(index, "value");
    this.#valueEnd = this.#at;
    this.#headerCount = this.#varint(index);
    this.#headersStart = this.#at;
    if (this.#headerCount !== 0) this.#skipHeaders(index);
    if (this.#at !== this.#end) {
      this.#malformed(index, "its length does not match its fields");
    }
  }

  /** The record that was parsed last. */
  #record(index: number): LogRecord {
    const { baseOffset, baseTimestamp, maxTimestamp, isLogAppendTime } =
      this.#header;
    return {
      offset: baseOffset + this.#offsetDelta as Offset,
      timestampMs: isLogAppendTime
        ? maxTimestamp
        : baseTimestamp + this.#timestampDelta,
      key: this.#view(this.#keyStart, this.#keyEnd),
      value: this.#view(this.#valueStart, this.#valueEnd),
      headers: this.#headerCount === 0 ? NO_HEADERS : this.#headers(index),
    };
  }

  #headers(index: number): RecordHeader[] {
    const headers: RecordHeader[] = [];
    this.#at = this.#headersStart;
    for (let header = 0; header < this.#headerCount; header++) {
      const nameStart = this.#skip(index, "header name");
      const name = this.#bytes.subarray(nameStart, this.#at);
      const valueStart = this.#skip(index, "header value");
      headers.push({
        name: textDecoder.decode(name),
        value: this.#view(valueStart, this.#at),
      });
    }
    return headers;
  }

  #skipHeaders(index: number): void {
    const count = this.#headerCount;
    if (count < 0 || count * 2 > this.#end - this.#at) {
      this.#malformed(index, `its header count is ${count}`);
    }
    for (let header = 0; header < count; header++) {
      if (this.#skip(index, "header name") < 0) {
        this.#malformed(index, "a header has no name");
      }
      this.#skip(index, "header value");
    }
  }

  #view(start: number, end: number): Uint8Array | null {
    return start < 0 ? null : this.#bytes.subarray(start, end);
  }

  /** Passes over a length and its bytes; where these begin, or -1 for null. */
  #skip(index: number, what: string): number {
    const length = this.#varint(index);
    if (length === -1) return -1;
    if (length < 0 || length > this.#end - this.#at) {
      this.#malformed(index, `its ${what} has length ${length}`);
    }
    const start = this.#at;
    this.#at += length;
    return start;
  }

  #varint(index: number): number {
    const bytes = this.#bytes;
    if (this.#at < this.#end && bytes[this.#at] < 0x80) {
      const byte = bytes[this.#at++];
      return (byte >>> 1) ^ -(byte & 1);
    }
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      if (this.#at >= this.#end) this.#malformed(index, "it is cut off");
      const byte = bytes[this.#at++];
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return (value >>> 1) ^ -(value & 1);
    }
    return this.#malformed(index, "a number has more than 5 bytes");
  }

  #varlong(index: number): number {
    let value = 0;
    let scale = 1;
    for (let count = 0; count < 10; count++) {
      if (this.#at >= this.#end) this.#malformed(index, "it is cut off");
      const byte = this.#bytes[this.#at++];
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        const decoded = value % 2 === 0 ? value / 2 : -(value + 1) / 2;
        if (Number.isSafeInteger(value)) return decoded;
        return this.#malformed(index, "its timestamp is beyond 2^52");
      }
      scale *= 128;
    }
    return this.#malformed(index, "a number has more than 10 bytes");
  }

  #malformed(index: number, what: string): never {
    throw new InvalidBatchError(`Record ${index} is malformed: ${what}`);
  }
}

/** What a control batch says. */
export type ControlType = "abort" | "commit" | "other";

/** The marker in `batch`, a control batch (NOTES 2.5). */
export function readControlRecord(
  batch: Uint8Array,
): { type: ControlType; coordinatorEpoch: number } {
  const [record] = decodeRecords(batch);
  const key = record?.key;
  if (key === null || key === undefined || key.length < 4) {
    return { type: "other", coordinatorEpoch: -1 };
  }
  const type = readInt16(key, 2);
  if (type !== 0 && type !== 1) return { type: "other", coordinatorEpoch: -1 };
  const value = record.value;
  return {
    type: type === 0 ? "abort" : "commit",
    coordinatorEpoch: value !== null && value.length >= 6
      ? (value[2] << 24) | (value[3] << 16) | (value[4] << 8) | value[5]
      : -1,
  };
}
