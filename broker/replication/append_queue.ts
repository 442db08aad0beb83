/**
 * Gathers what arrives for one partition in one turn of the event loop, so that
 * it shares a write (DESIGN D3), and, for records that come as records, a batch
 * (D1). Owns the order: appends take effect in the order of the calls.
 */
import { RecordBatchBuilder } from "../../storage/log/record_batch.ts";
import type { Timers } from "../environment.ts";
import type { NewRecord } from "../operations/operations.ts";

/** Once a shared batch is as large as this, later records start the next. */
const SHARED_BATCH_BYTES = 1024 * 1024;

export interface ProducerFields {
  readonly producerId: number;
  readonly producerEpoch: number;
  readonly sequence: number;
}

/** A place within a batch that is about to be appended. */
export interface QueuedAppend<Done> {
  /** Of the caller's first record within its batch. */
  readonly index: number;
  readonly recordCount: number;
  readonly done: Done;
}

export interface QueuedBatch<Done> {
  readonly bytes: Uint8Array;
  readonly appends: readonly QueuedAppend<Done>[];
}

/** A batch being built: shared by records of anyone, or of one producer. */
interface OpenBatch<Done> {
  readonly builder: RecordBatchBuilder;
  readonly isShared: boolean;
  readonly appends: QueuedAppend<Done>[];
}

interface ClosedBatch<Done> {
  readonly bytes: Uint8Array;
  readonly appends: QueuedAppend<Done>[];
}

export class AppendQueue<Done> {
  readonly #timers: Timers;
  readonly #drain: (batches: QueuedBatch<Done>[]) => void;
  #batches: (OpenBatch<Done> | ClosedBatch<Done>)[] = [];

  /** `drain` gets all that was queued, in order, once a turn. */
  constructor(
    timers: Timers,
    drain: (batches: QueuedBatch<Done>[]) => void,
  ) {
    this.#timers = timers;
    this.#drain = drain;
  }

  /** `nowMs` is the timestamp of records that bring none. */
  addRecords(
    records: readonly NewRecord[],
    nowMs: number,
    producer: ProducerFields | undefined,
    done: Done,
  ): void {
    const batch = producer === undefined ? this.#sharedBatch() : this.#newBatch(
      new RecordBatchBuilder({
        producerId: producer.producerId,
        producerEpoch: producer.producerEpoch,
        baseSequence: producer.sequence,
      }),
      false,
    );
    const { builder } = batch;
    const index = builder.recordCount;
    for (const record of records) {
      builder.add({
        key: record.key,
        value: record.value,
        headers: record.headers,
        timestampMs: record.timestampMs ?? nowMs,
      });
    }
    batch.appends.push({ index, recordCount: records.length, done });
  }

  /** A batch that a client made; it is stamped in place. */
  addBatch(bytes: Uint8Array, recordCount: number, done: Done): void {
    this.#push({ bytes, appends: [{ index: 0, recordCount, done }] });
  }

  /** Takes out all that is queued. */
  take(): QueuedBatch<Done>[] {
    const batches = this.#batches;
    this.#batches = [];
    return batches.map((batch) =>
      "bytes" in batch
        ? batch
        : { bytes: batch.builder.build(), appends: batch.appends }
    );
  }

  #sharedBatch(): OpenBatch<Done> {
    const last = this.#batches.at(-1);
    const fits = last !== undefined && "builder" in last && last.isShared &&
      last.builder.sizeBytes < SHARED_BATCH_BYTES;
    return fits ? last : this.#newBatch(new RecordBatchBuilder(), true);
  }

  #newBatch(builder: RecordBatchBuilder, isShared: boolean): OpenBatch<Done> {
    const batch = { builder, isShared, appends: [] };
    this.#push(batch);
    return batch;
  }

  #push(batch: OpenBatch<Done> | ClosedBatch<Done>): void {
    this.#batches.push(batch);
    if (this.#batches.length > 1) return;
    this.#timers.soon(() => {
      if (this.#batches.length > 0) this.#drain(this.take());
    });
  }
}
