/** What the tests of the log share: small batches, and a log on a memory disk. */
import {
  DEFAULT_LOG_CONFIG,
  Log,
  type LogConfig,
  OpenFiles,
} from "../../../storage/log/log.ts";
import {
  type BuilderOptions,
  decodeRecords,
  iterateBatches,
  type LogRecord,
  RecordBatchBuilder,
} from "../../../storage/log/record_batch.ts";
import { leaderEpoch, type Offset } from "../../../storage/log/types.ts";
import { MemoryFileSystem } from "../../support/memory_file_system.ts";

export const DIRECTORY = "/data/topic_0";
export const SEGMENT = `${DIRECTORY}/00000000000000000000.log`;
export const CHECKPOINT = `${DIRECTORY}/log-checkpoint`;
export const NOW_MS = 1_700_000_000_000;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export const text = (value: string): Uint8Array => encoder.encode(value);

/** A batch with one record per value; the time of the first, one ms apart. */
export function batchOf(
  values: readonly string[],
  options: BuilderOptions & { timestampMs?: number; keys?: string[] } = {},
): Uint8Array {
  const builder = new RecordBatchBuilder(options);
  values.forEach((value, index) => {
    builder.add({
      key: options.keys === undefined ? null : text(options.keys[index]),
      value: text(value),
      headers: [],
      timestampMs: (options.timestampMs ?? NOW_MS) + index,
    });
  });
  return builder.build();
}

export interface OpenOptions {
  disk?: MemoryFileSystem;
  config?: Partial<LogConfig>;
  limit?: number;
  nowMs?: number;
  directory?: string;
  files?: OpenFiles;
}

export function openLog(options: OpenOptions = {}): Log {
  const disk = options.disk ?? new MemoryFileSystem();
  return Log.open({
    fileSystem: disk,
    openFiles: options.files ??
      new OpenFiles(disk, { limit: options.limit ?? 16 }),
    directory: options.directory ?? DIRECTORY,
    config: { ...DEFAULT_LOG_CONFIG, ...options.config },
    nowMs: options.nowMs ?? NOW_MS,
  });
}

export function append(
  log: Log,
  values: readonly string[],
  options: Parameters<typeof batchOf>[1] & { epoch?: number } = {},
): ReturnType<Log["append"]>[number] {
  const [outcome] = log.append([batchOf(values, options)], {
    leaderEpoch: leaderEpoch(options.epoch ?? 0),
    nowMs: options.timestampMs ?? NOW_MS,
  });
  return outcome;
}

/** All records that can be read from `from` to the log's end. */
export function readAll(
  log: Log,
  from: Offset = log.logStartOffset,
  maxBytes = 300,
): LogRecord[] {
  const records: LogRecord[] = [];
  let next = from;
  while (true) {
    const { bytes, nextOffset } = log.read(next, {
      maxBytes,
      upperBound: log.logEndOffset,
      minOneBatch: true,
    });
    if (bytes.length === 0) return records;
    for (const batch of iterateBatches(bytes)) {
      records.push(
        ...decodeRecords(batch.bytes).filter(({ offset }) => offset >= from),
      );
    }
    next = nextOffset;
  }
}

/** "offset:value" of each record, for comparing at a glance. */
export function readValues(log: Log, from?: Offset): string[] {
  return readAll(log, from).map(({ offset, value }) =>
    `${offset}:${value === null ? "null" : decoder.decode(value)}`
  );
}
