/**
 * Makes a record batch out of records, as fast as JavaScript can: one growing
 * buffer, no object per record. It compresses nothing; what clients send
 * compressed is stored as sent.
 */
import {
  BATCH_HEADER_BYTES,
  TRANSACTIONAL_BIT,
  writeBatchHeader,
} from "./batch_header.ts";
import { grown } from "./bytes.ts";
import type { RecordHeader } from "./records.ts";
import { invariant } from "../assert.ts";

export interface BuilderOptions {
  /** -1 (the default): not idempotent. */
  producerId?: number;
  producerEpoch?: number;
  baseSequence?: number;
  transactional?: boolean;
  /** Bytes of the first buffer. */
  initialBytes?: number;
}

/** What the builder needs of a record. */
export interface NewRecord {
  key: Uint8Array | null;
  value: Uint8Array | null;
  headers: readonly RecordHeader[];
  /** Milliseconds, a safe integer; -1: none. */
  timestampMs: number;
}

/** Most bytes of a varint and of a varlong. */
const VARINT_BYTES = 5;
const VARLONG_BYTES = 10;
const MAX_INT32_ZIGZAG = 0x3fffffff;
const textEncoder = new TextEncoder();

/** Bytes of the zigzag varint of an int32. */
function varintBytes(value: number): number {
  const zigzag = (value << 1) ^ (value >> 31);
  return (38 - Math.clz32(zigzag | 1)) / 7 | 0;
}

/** Bytes of the zigzag varint of a safe integer. */
function varlongBytes(value: number): number {
  if (value >= -MAX_INT32_ZIGZAG && value <= MAX_INT32_ZIGZAG) {
    return varintBytes(value);
  }
  let rest = value >= 0 ? value * 2 : -value * 2 - 1;
  let count = 1;
  while (rest >= 128) {
    rest = Math.floor(rest / 128);
    count++;
  }
  return count;
}

export class RecordBatchBuilder {
  readonly #options: BuilderOptions;
  #bytes: Uint8Array<ArrayBuffer>;
  #at = BATCH_HEADER_BYTES;
  #recordCount = 0;
  #baseTimestamp = 0;
  #maxTimestamp = -1;

  constructor(options: BuilderOptions = {}) {
    this.#options = options;
    this.#bytes = new Uint8Array(
      Math.max(options.initialBytes ?? 512, BATCH_HEADER_BYTES),
    );
  }

  get recordCount(): number {
    return this.#recordCount;
  }

  /** Of the batch that `build()` would make now. */
  get sizeBytes(): number {
    return this.#at;
  }

  /** Appends a record; returns its index in the batch. */
  add(record: NewRecord): number {
    const { timestampMs } = record;
    if (this.#recordCount === 0) this.#baseTimestamp = timestampMs;
    if (timestampMs > this.#maxTimestamp) this.#maxTimestamp = timestampMs;
    this.#append(record, timestampMs - this.#baseTimestamp, this.#recordCount);
    return this.#recordCount++;
  }

  /** Appends a record of an existing batch, whose offset and time stay. */
  addAt(
    record: NewRecord,
    options: { offsetDelta: number; baseTimestamp: number },
  ): void {
    const { offsetDelta, baseTimestamp } = options;
    this.#append(record, record.timestampMs - baseTimestamp, offsetDelta);
    this.#recordCount++;
  }

  /** The encoded records without a header; the buffer is given away. */
  takeRecords(): Uint8Array<ArrayBuffer> {
    const records = this.#bytes.subarray(BATCH_HEADER_BYTES, this.#at);
    this.#bytes = new Uint8Array(0);
    return records;
  }

  #append(
    record: NewRecord,
    timestampDelta: number,
    offsetDelta: number,
  ): void {
    const { key, value, headers } = record;
    const names = headers.length === 0
      ? []
      : headers.map(({ name }) => textEncoder.encode(name));
    let length = 1 + varlongBytes(timestampDelta) +
      varintBytes(offsetDelta) + fieldBytes(key) + fieldBytes(value) +
      varintBytes(headers.length);
    for (let index = 0; index < names.length; index++) {
      length += fieldBytes(names[index]) + fieldBytes(headers[index].value);
    }
    this.#bytes = grown(
      this.#bytes,
      this.#at,
      this.#at + length + VARINT_BYTES + VARLONG_BYTES,
    );
    this.#varint(length);
    this.#bytes[this.#at++] = 0;
    this.#varlong(timestampDelta);
    this.#varint(offsetDelta);
    this.#field(key);
    this.#field(value);
    this.#varint(headers.length);
    for (let index = 0; index < names.length; index++) {
      this.#field(names[index]);
      this.#field(headers[index].value);
    }
  }

  /**
   * The batch with its CRC, base offset 0 and leader epoch -1. The builder gives
   * its buffer away: `reset` before adding again.
   */
  build(): Uint8Array<ArrayBuffer> {
    invariant(this.#recordCount > 0, "A batch has at least one record");
    const batch = this.#bytes.subarray(0, this.#at);
    this.#bytes = new Uint8Array(0);
    writeBatchHeader(batch, {
      baseOffset: 0,
      leaderEpoch: -1,
      attributes: this.#options.transactional === true ? TRANSACTIONAL_BIT : 0,
      lastOffsetDelta: this.#recordCount - 1,
      baseTimestamp: this.#baseTimestamp,
      maxTimestamp: this.#maxTimestamp,
      producerId: this.#options.producerId ?? -1,
      producerEpoch: this.#options.producerEpoch ?? -1,
      baseSequence: this.#options.baseSequence ?? -1,
      recordCount: this.#recordCount,
    });
    return batch;
  }

  /** Starts a new batch with the same options. */
  reset(): void {
    this.#bytes = new Uint8Array(Math.max(this.#at, BATCH_HEADER_BYTES));
    this.#at = BATCH_HEADER_BYTES;
    this.#recordCount = 0;
    this.#maxTimestamp = -1;
  }

  #field(bytes: Uint8Array | null): void {
    if (bytes === null) {
      this.#bytes[this.#at++] = 1; // zigzag of -1
      return;
    }
    const length = bytes.length;
    this.#varint(length);
    const to = this.#at;
    if (length < 32) {
      // A call into `set` costs more than a few byte moves.
      for (let index = 0; index < length; index++) {
        this.#bytes[to + index] = bytes[index];
      }
    } else {
      this.#bytes.set(bytes, to);
    }
    this.#at = to + length;
  }

  #varint(value: number): void {
    let rest = ((value << 1) ^ (value >> 31)) >>> 0;
    while (rest >= 128) {
      this.#bytes[this.#at++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    this.#bytes[this.#at++] = rest;
  }

  #varlong(value: number): void {
    if (value >= -MAX_INT32_ZIGZAG && value <= MAX_INT32_ZIGZAG) {
      this.#varint(value);
      return;
    }
    let rest = value >= 0 ? value * 2 : -value * 2 - 1;
    while (rest >= 128) {
      this.#bytes[this.#at++] = (rest % 128) | 0x80;
      rest = Math.floor(rest / 128);
    }
    this.#bytes[this.#at++] = rest;
  }
}

function fieldBytes(bytes: Uint8Array | null): number {
  return bytes === null ? 1 : varintBytes(bytes.length) + bytes.length;
}
