/**
 * The header of a RecordBatch v2 (magic 2): reading it, checking the CRC, and
 * the few fields that a broker writes into a batch of others. It refuses to
 * look into the records: that is `records.ts`.
 *
 * ```
 *  0  8 baseOffset             not in the CRC
 *  8  4 batchLength            bytes after this field; not in the CRC
 * 12  4 partitionLeaderEpoch   not in the CRC
 * 16  1 magic                  2; not in the CRC
 * 17  4 crc                    CRC-32C of bytes 21 to the end
 * 21  2 attributes             0-2 codec, 3 LogAppendTime, 4 transactional,
 *                              5 control, 6 delete horizon
 * 23  4 lastOffsetDelta
 * 27  8 baseTimestamp          the delete horizon when attribute 6 is set
 * 35  8 maxTimestamp
 * 43  8 producerId             -1: not idempotent
 * 51  2 producerEpoch
 * 53  4 baseSequence
 * 57  4 recordCount
 * 61    records                possibly compressed as one blob
 * ```
 */
import { readInt16, readInt32, readInt64, readUint32 } from "./bytes.ts";
import { writeInt16, writeInt32, writeInt64 } from "./bytes.ts";
import { crc32c } from "./crc32c.ts";
import type { LeaderEpoch, Offset } from "./types.ts";

/** Bytes before the first record. */
export const BATCH_HEADER_BYTES = 61;
/** Bytes before those that `batchLength` counts. */
export const BATCH_PREFIX_BYTES = 12;
const CRC_FROM = 21;
const MAGIC = 2;
const SEQUENCE_MODULUS = 2 ** 31;

const CODEC_BITS = 0x07;
const LOG_APPEND_TIME_BIT = 0x08;
export const TRANSACTIONAL_BIT = 0x10;
export const CONTROL_BIT = 0x20;
export const DELETE_HORIZON_BIT = 0x40;

/** Numbers of the compression codecs in the attributes. */
export const CODECS = ["none", "gzip", "snappy", "lz4", "zstd"] as const;
export type Codec = typeof CODECS[number];

/** Bytes that should be a record batch are not: what a client may have sent. */
export class InvalidBatchError extends Error {
  override readonly name = "InvalidBatchError";
}

export interface BatchHeader {
  baseOffset: Offset;
  /** Of the whole batch, the first 12 bytes included. */
  sizeBytes: number;
  leaderEpoch: LeaderEpoch;
  magic: number;
  crc: number;
  attributes: number;
  codec: Codec;
  isLogAppendTime: boolean;
  isTransactional: boolean;
  isControl: boolean;
  hasDeleteHorizon: boolean;
  lastOffsetDelta: number;
  /** Inclusive. */
  lastOffset: Offset;
  /** Milliseconds; -1: none. */
  baseTimestamp: number;
  maxTimestamp: number;
  /** -1: not idempotent; only this decides, whatever epoch and sequence say. */
  producerId: number;
  producerEpoch: number;
  baseSequence: number;
  /** Wraps from 2^31 - 1 to 0; -1 when there is no sequence. */
  lastSequence: number;
  recordCount: number;
}

/** Sequences wrap from 2^31 - 1 to 0. */
export function addSequence(sequence: number, delta: number): number {
  const sum = sequence + delta;
  return sum >= SEQUENCE_MODULUS ? sum - SEQUENCE_MODULUS : sum;
}

/**
 * Reads the header at `position`. Needs only the 61 bytes of the header.
 *
 * @throws InvalidBatchError when there are fewer bytes, the magic is not 2, or a
 * field has a value that no batch can have.
 */
export function readBatchHeader(
  bytes: Uint8Array,
  position = 0,
): BatchHeader {
  if (bytes.length - position < BATCH_HEADER_BYTES) {
    throw new InvalidBatchError(
      `A record batch has a header of ${BATCH_HEADER_BYTES} bytes, here are ${
        Math.max(0, bytes.length - position)
      }`,
    );
  }
  const magic = bytes[position + 16];
  if (magic !== MAGIC) {
    throw new InvalidBatchError(
      `The record batch has magic ${magic}, only ${MAGIC} is supported`,
    );
  }
  const attributes = readInt16(bytes, position + 21);
  const baseOffset = readInt64(bytes, position);
  const lastOffsetDelta = readInt32(bytes, position + 23);
  const baseSequence = readInt32(bytes, position + 53);
  const header: BatchHeader = {
    baseOffset: baseOffset as Offset,
    sizeBytes: readInt32(bytes, position + 8) + BATCH_PREFIX_BYTES,
    leaderEpoch: readInt32(bytes, position + 12) as LeaderEpoch,
    magic,
    crc: readUint32(bytes, position + 17),
    attributes,
    codec: CODECS[attributes & CODEC_BITS],
    isLogAppendTime: (attributes & LOG_APPEND_TIME_BIT) !== 0,
    isTransactional: (attributes & TRANSACTIONAL_BIT) !== 0,
    isControl: (attributes & CONTROL_BIT) !== 0,
    hasDeleteHorizon: (attributes & DELETE_HORIZON_BIT) !== 0,
    lastOffsetDelta,
    lastOffset: baseOffset + lastOffsetDelta as Offset,
    baseTimestamp: readInt64(bytes, position + 27),
    maxTimestamp: readInt64(bytes, position + 35),
    producerId: readInt64(bytes, position + 43),
    producerEpoch: readInt16(bytes, position + 51),
    baseSequence,
    lastSequence: baseSequence < 0
      ? -1
      : addSequence(baseSequence, lastOffsetDelta),
    recordCount: readInt32(bytes, position + 57),
  };
  const fault = headerFault(header);
  if (fault !== undefined) {
    throw new InvalidBatchError(`The record batch ${fault}`);
  }
  return header;
}

function headerFault(header: BatchHeader): string | undefined {
  if (header.sizeBytes < BATCH_HEADER_BYTES) {
    return `says it has ${header.sizeBytes} bytes, fewer than its header`;
  }
  if (header.codec === undefined) {
    return `names the unknown codec ${header.attributes & CODEC_BITS}`;
  }
  if (header.lastOffsetDelta < 0) {
    return `has the last offset delta ${header.lastOffsetDelta}`;
  }
  if (header.recordCount < 0) {
    return `says it has ${header.recordCount} records`;
  }
  if (header.baseOffset < 0 || !Number.isSafeInteger(header.lastOffset + 1)) {
    return `has a base offset outside 0 to 2^53 - 1`;
  }
  const numbers = [
    header.baseTimestamp,
    header.maxTimestamp,
    header.producerId,
  ];
  if (!numbers.every(Number.isSafeInteger)) {
    return "has a timestamp or producer id beyond 2^53 - 1";
  }
  return undefined;
}

/** The size that the batch at `position` claims; 12 bytes are enough. */
export function batchSizeAt(bytes: Uint8Array, position: number): number {
  return readInt32(bytes, position + 8) + BATCH_PREFIX_BYTES;
}

/** `batch` is exactly one batch. */
export function verifyBatchCrc(batch: Uint8Array): boolean {
  if (batch.length < BATCH_HEADER_BYTES) return false;
  return readUint32(batch, 17) === crc32c(batch.subarray(CRC_FROM));
}

/** Writes the CRC of what `batch`, exactly one batch, now contains. */
export function writeBatchCrc(batch: Uint8Array): void {
  writeInt32(batch, 17, crc32c(batch.subarray(CRC_FROM)));
}

/**
 * The whole batches of `bytes`, with their headers, as views.
 *
 * @throws InvalidBatchError at a malformed header or a batch that is cut off.
 */
export function* iterateBatches(
  bytes: Uint8Array,
): Generator<{ header: BatchHeader; bytes: Uint8Array }> {
  let position = 0;
  while (position < bytes.length) {
    const header = readBatchHeader(bytes, position);
    const end = position + header.sizeBytes;
    if (end > bytes.length) {
      throw new InvalidBatchError(
        `The record batch says it has ${header.sizeBytes} bytes, here are ${
          bytes.length - position
        }`,
      );
    }
    yield { header, bytes: bytes.subarray(position, end) };
    position = end;
  }
}

/** Sets, in place, what the CRC does not cover. */
export function stampBatch(
  batch: Uint8Array,
  baseOffset: Offset,
  leaderEpoch: LeaderEpoch,
): void {
  writeInt64(batch, 0, baseOffset);
  writeInt32(batch, 12, leaderEpoch);
}

/** Makes, in place, `timestampMs` the time of every record; new CRC. */
export function setLogAppendTime(batch: Uint8Array, timestampMs: number): void {
  writeInt16(batch, 21, readInt16(batch, 21) | LOG_APPEND_TIME_BIT);
  writeInt64(batch, 35, timestampMs);
  writeBatchCrc(batch);
}

/**
 * Corrects, in place, the largest timestamp, which some producers leave unset
 * and which time lookups depend on; new CRC.
 */
export function setMaxTimestamp(batch: Uint8Array, timestampMs: number): void {
  writeInt64(batch, 35, timestampMs);
  writeBatchCrc(batch);
}

/** Fields of a batch that is being made; the rest has fixed values. */
export interface NewBatchFields {
  baseOffset: number;
  leaderEpoch: number;
  attributes: number;
  lastOffsetDelta: number;
  baseTimestamp: number;
  maxTimestamp: number;
  producerId: number;
  producerEpoch: number;
  baseSequence: number;
  recordCount: number;
}

/** Writes the header of `batch`, exactly one batch with its records in place. */
export function writeBatchHeader(
  batch: Uint8Array,
  fields: NewBatchFields,
): void {
  writeInt64(batch, 0, fields.baseOffset);
  writeInt32(batch, 8, batch.length - BATCH_PREFIX_BYTES);
  writeInt32(batch, 12, fields.leaderEpoch);
  batch[16] = MAGIC;
  writeInt16(batch, 21, fields.attributes);
  writeInt32(batch, 23, fields.lastOffsetDelta);
  writeInt64(batch, 27, fields.baseTimestamp);
  writeInt64(batch, 35, fields.maxTimestamp);
  writeInt64(batch, 43, fields.producerId);
  writeInt16(batch, 51, fields.producerEpoch);
  writeInt32(batch, 53, fields.baseSequence);
  writeInt32(batch, 57, fields.recordCount);
  writeBatchCrc(batch);
}
