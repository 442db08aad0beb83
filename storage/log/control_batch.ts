/** Makes the marker that ends a transaction in a partition (NOTES 2.5). */
import {
  BATCH_HEADER_BYTES,
  CONTROL_BIT,
  TRANSACTIONAL_BIT,
  writeBatchHeader,
} from "./batch_header.ts";
import { writeInt16, writeInt32 } from "./bytes.ts";
import { RecordBatchBuilder } from "./record_batch_builder.ts";

/** One record, uncompressed, with no sequence; takes an offset as any other. */
export function buildControlBatch(options: {
  type: "abort" | "commit";
  producerId: number;
  producerEpoch: number;
  coordinatorEpoch: number;
  timestampMs: number;
}): Uint8Array {
  const key = new Uint8Array(4);
  writeInt16(key, 2, options.type === "abort" ? 0 : 1);
  const value = new Uint8Array(6);
  writeInt32(value, 2, options.coordinatorEpoch);
  const builder = new RecordBatchBuilder({
    initialBytes: BATCH_HEADER_BYTES + 40,
  });
  builder.add({ key, value, headers: [], timestampMs: options.timestampMs });
  const batch = builder.build();
  writeBatchHeader(batch, {
    baseOffset: 0,
    leaderEpoch: -1,
    attributes: TRANSACTIONAL_BIT | CONTROL_BIT,
    lastOffsetDelta: 0,
    baseTimestamp: options.timestampMs,
    maxTimestamp: options.timestampMs,
    producerId: options.producerId,
    producerEpoch: options.producerEpoch,
    baseSequence: -1,
    recordCount: 1,
  });
  return batch;
}
