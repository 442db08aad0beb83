/**
 * A coordinator's `InternalLog` on a partition replica: records of an internal
 * topic in Kafka's format, committed when they are below the high watermark.
 */
import { Failure } from "../../contract/errors.ts";
import {
  decodeRecords,
  InvalidBatchError,
  iterateBatches,
  readControlRecord,
  RecordBatchBuilder,
} from "../../storage/log/record_batch.ts";
import { offset } from "../../storage/log/types.ts";
import type { Clock, Timers } from "../environment.ts";
import { EncodeError } from "../kafka/codec/error.ts";
import type { PartitionReplica } from "../replication/partition_replica.ts";
import type { LogEntry, ProducerStamp } from "./core.ts";
import type { InternalLog } from "./coordinator_runtime.ts";

const CHUNK_BYTES = 256 * 1024;

/** How one internal topic keeps its records. */
export interface RecordFormat<Record> {
  encode(record: Record): { key: Uint8Array; value: Uint8Array | null };
  /** Undefined: a kind that this version does not know, left alone. */
  decode(key: Uint8Array, value: Uint8Array | null): Record | undefined;
}

export class ReplicaLog<Record> implements InternalLog<Record> {
  readonly #replica: PartitionReplica;
  readonly #format: RecordFormat<Record>;
  readonly #clock: Clock;
  readonly #timers: Timers;

  constructor(
    replica: PartitionReplica,
    format: RecordFormat<Record>,
    { clock, timers }: { readonly clock: Clock; readonly timers: Timers },
  ) {
    this.#replica = replica;
    this.#format = format;
    this.#clock = clock;
    this.#timers = timers;
  }

  async append(
    records: readonly Record[],
    producer: ProducerStamp | null,
  ): Promise<Failure | undefined> {
    const builder = new RecordBatchBuilder(
      producer === null ? {} : { ...producer, transactional: true },
    );
    const { maxMessageBytes } = this.#replica.settings;
    const timestampMs = this.#clock.nowMs();
    for (const record of records) {
      const encoded = this.#encode(record);
      if (encoded instanceof Failure) return encoded;
      builder.add({ ...encoded, headers: [], timestampMs });
      if (builder.sizeBytes > maxMessageBytes) {
        return new Failure(
          "RECORD_LIST_TOO_LARGE",
          `Records of more than ${maxMessageBytes} bytes do not fit in one batch`,
        );
      }
    }
    const outcome = await this.#replica.appendBatch(
      builder.build(),
      records.length,
      { timeoutMs: Infinity, wait: "inSync" },
    );
    return outcome instanceof Failure ? outcome : undefined;
  }

  /** What a client put into it may be what the format cannot hold. */
  #encode(record: Record) {
    try {
      return this.#format.encode(record);
    } catch (fault) {
      if (!(fault instanceof EncodeError)) throw fault;
      return new Failure("INVALID_REQUEST", fault.message);
    }
  }

  async *readAll(): AsyncGenerator<readonly LogEntry<Record>[]> {
    const { log } = this.#replica;
    const end = log.logEndOffset;
    let next = log.logStartOffset;
    while (next < end) {
      const { bytes, nextOffset } = log.read(next, {
        maxBytes: CHUNK_BYTES,
        upperBound: end,
        minOneBatch: true,
      });
      if (bytes.length === 0) break;
      yield this.#entries(bytes);
      next = offset(nextOffset);
      // Others, the lease's keeper among them, get their turn between chunks of
      // a long log.
      await new Promise<void>((resolve) => this.#timers.soon(resolve));
    }
    // What was answered from here must not be gone after the next crash.
    while (this.#replica.isLeader && this.#replica.highWatermark < end) {
      await new Promise<void>((resolve) => this.#replica.onReadable(resolve));
    }
  }

  #entries(bytes: Uint8Array): LogEntry<Record>[] {
    const entries: LogEntry<Record>[] = [];
    for (const { header, bytes: batch } of iterateBatches(bytes)) {
      if (header.isControl) {
        const marker = readControlRecord(batch);
        if (marker.type === "other") continue;
        entries.push({
          type: "marker",
          producerId: header.producerId,
          committed: marker.type === "commit",
        });
        continue;
      }
      const producer = header.isTransactional
        ? {
          producerId: header.producerId,
          producerEpoch: header.producerEpoch,
        }
        : null;
      for (const { key, value } of decodeRecords(batch)) {
        if (key === null) {
          throw new InvalidBatchError("An internal record has no key");
        }
        const record = this.#format.decode(key, value);
        if (record !== undefined) {
          entries.push({ type: "record", record, producer });
        }
      }
    }
    return entries;
  }
}
