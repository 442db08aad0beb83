/**
 * RecordBatch v2, the one thing that is on the wire, on the disk and in
 * replication: what others need of it, gathered from the files that own it.
 */
export {
  BATCH_HEADER_BYTES,
  type BatchHeader,
  type Codec,
  CODECS,
  InvalidBatchError,
  iterateBatches,
  readBatchHeader,
  setLogAppendTime,
  setMaxTimestamp,
  stampBatch,
  verifyBatchCrc,
} from "./batch_header.ts";
export {
  checkRecords,
  decodeRecords,
  type LogRecord,
  MAX_RECORDS_PER_BATCH,
  readControlRecord,
  type RecordHeader,
} from "./records.ts";
export {
  type BuilderOptions,
  type NewRecord,
  RecordBatchBuilder,
} from "./record_batch_builder.ts";
export { buildControlBatch } from "./control_batch.ts";
