/**
 * `<offset>.snapshot`: the producers of a log as they were at that offset. Owns
 * the byte form: int32 CRC-32C of the rest, int32 version, int32 count, per
 * producer int64 id, int16 epoch, int32 coordinatorEpoch, int64
 * transactionFirstOffset, int64 lastWriteMs, int32 batches, per batch int32
 * baseSequence, int32 lastSequence, int64 baseOffset, int64 lastOffset, int64
 * appendTimeMs; then int32 ended transactions, each int64 producerId, int64
 * firstOffset, int64 lastOffset.
 */
import {
  readInt16,
  readInt32,
  readInt64,
  readUint32,
  writeInt16,
  writeInt32,
  writeInt64,
} from "./bytes.ts";
import { crc32c } from "./crc32c.ts";
import type {
  EndedTransaction,
  ProducerBatch,
  ProducerEntry,
  ProducerState,
} from "./producer_state.ts";
import type { Offset } from "./types.ts";

const FORM_VERSION = 1;
const HEAD_BYTES = 12;
const PRODUCER_BYTES = 34;
const BATCH_BYTES = 32;
const ENDED_BYTES = 24;

export function encodeProducers(state: ProducerState): Uint8Array {
  let sizeBytes = HEAD_BYTES + 4 + state.ended.length * ENDED_BYTES;
  for (const { batches } of state.entries.values()) {
    sizeBytes += PRODUCER_BYTES + batches.length * BATCH_BYTES;
  }
  const bytes = new Uint8Array(sizeBytes);
  writeInt32(bytes, 4, FORM_VERSION);
  writeInt32(bytes, 8, state.entries.size);
  let at = HEAD_BYTES;
  for (const [producerId, entry] of state.entries) {
    writeInt64(bytes, at, producerId);
    writeInt16(bytes, at + 8, entry.epoch);
    writeInt32(bytes, at + 10, entry.coordinatorEpoch);
    writeInt64(bytes, at + 14, entry.transactionFirstOffset);
    writeInt64(bytes, at + 22, entry.lastWriteMs);
    writeInt32(bytes, at + 30, entry.batches.length);
    at += PRODUCER_BYTES;
    for (const batch of entry.batches) {
      writeInt32(bytes, at, batch.baseSequence);
      writeInt32(bytes, at + 4, batch.lastSequence);
      writeInt64(bytes, at + 8, batch.baseOffset);
      writeInt64(bytes, at + 16, batch.lastOffset);
      writeInt64(bytes, at + 24, batch.appendTimeMs);
      at += BATCH_BYTES;
    }
  }
  writeInt32(bytes, at, state.ended.length);
  at += 4;
  for (const { producerId, firstOffset, lastOffset } of state.ended) {
    writeInt64(bytes, at, producerId);
    writeInt64(bytes, at + 8, firstOffset);
    writeInt64(bytes, at + 16, lastOffset);
    at += ENDED_BYTES;
  }
  writeInt32(bytes, 0, crc32c(bytes.subarray(4)));
  return bytes;
}

/**
 * Loads the snapshot taken at `snapshotOffset`. False, and nothing changed, when `bytes` is
 * not a whole snapshot.
 */
export function decodeProducers(
  bytes: Uint8Array,
  state: ProducerState,
  snapshotOffset: Offset,
): boolean {
  if (bytes.length < HEAD_BYTES + 4) return false;
  if (readUint32(bytes, 0) !== crc32c(bytes.subarray(4))) return false;
  if (readInt32(bytes, 4) !== FORM_VERSION) return false;
  const entries = new Map<number, ProducerEntry>();
  let at = HEAD_BYTES;
  for (let count = readInt32(bytes, 8); count > 0; count--) {
    const batches: ProducerBatch[] = [];
    const batchesAt = at + PRODUCER_BYTES;
    const batchCount = readInt32(bytes, at + 30);
    for (let index = 0; index < batchCount; index++) {
      const from = batchesAt + index * BATCH_BYTES;
      batches.push({
        baseSequence: readInt32(bytes, from),
        lastSequence: readInt32(bytes, from + 4),
        baseOffset: readInt64(bytes, from + 8) as Offset,
        lastOffset: readInt64(bytes, from + 16) as Offset,
        appendTimeMs: readInt64(bytes, from + 24),
      });
    }
    entries.set(readInt64(bytes, at), {
      epoch: readInt16(bytes, at + 8),
      coordinatorEpoch: readInt32(bytes, at + 10),
      transactionFirstOffset: readInt64(bytes, at + 14),
      lastWriteMs: readInt64(bytes, at + 22),
      batches,
    });
    at = batchesAt + batchCount * BATCH_BYTES;
  }
  const ended: EndedTransaction[] = [];
  const endedCount = readInt32(bytes, at);
  at += 4;
  for (let index = 0; index < endedCount; index++) {
    ended.push({
      producerId: readInt64(bytes, at),
      firstOffset: readInt64(bytes, at + 8) as Offset,
      lastOffset: readInt64(bytes, at + 16) as Offset,
    });
    at += ENDED_BYTES;
  }
  state.restore(entries, ended, snapshotOffset);
  return true;
}
