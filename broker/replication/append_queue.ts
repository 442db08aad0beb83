/**
 * Gathers what arrives for one partition in one turn of the event loop, so that
 * it shares a write (DESIGN D3), and, for records that come as records, a batch
 * (D1). Owns the order: appends take effect in the order of the calls.
 */
import { RecordBatchBuilder } from "../../storage/log/record_batch.ts";
import type { NewRecord } from "../operations/operations.ts";

/** Once a shared batch is as large as this, later records start the next. */
const SHARED_BATCH_BYTES = 1024 * 1024;

export const APPEND_LIMITS = {
  /** Bytes that wait in one turn to be written to one partition. */
  queuedBytesPerPartition: 64 * 1024 * 1024,
  /** The same for all partitions of a broker together. */
  queuedBytesPerBroker: 256 * 1024 * 1024,
  /** Requests that wait for one partition's records to become durable. */
  waitsPerPartition: 100_000,
} as const;

export type AppendLimits = {
  readonly [Name in keyof typeof APPEND_LIMITS]: number;
};

/** What the queues of one broker hold together. */
export class AppendBudget {
  bytes = 0;
}

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
  readonly #soon: (work: () => void) => void;
  readonly #drain: (batches: QueuedBatch<Done>[]) => void;
  readonly #budget: AppendBudget;
  readonly #limits: AppendLimits;
  #batches: (OpenBatch<Done> | ClosedBatch<Done>)[] = [];
  #bytes = 0;

  /** `drain` gets all that was queued, in order, when `soon` lets it. */
  constructor(options: {
    soon(work: () => void): void;
    budget: AppendBudget;
    limits?: Partial<AppendLimits>;
    drain(batches: QueuedBatch<Done>[]): void;
  }) {
    this.#soon = options.soon;
    this.#budget = options.budget;
    this.#limits = { ...APPEND_LIMITS, ...options.limits };
    this.#drain = options.drain;
  }

  /** Nothing more may be added in this turn; what makes it full still fits. */
  get isFull(): boolean {
    return this.#bytes >= this.#limits.queuedBytesPerPartition ||
      this.#budget.bytes >= this.#limits.queuedBytesPerBroker;
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
    const before = index === 0 ? 0 : builder.sizeBytes;
    for (const record of records) {
      builder.add({
        key: record.key,
        value: record.value,
        headers: record.headers,
        timestampMs: record.timestampMs ?? nowMs,
      });
    }
    batch.appends.push({ index, recordCount: records.length, done });
    this.#count(builder.sizeBytes - before);
  }

  /** A batch that a client made; it is stamped in place. */
  addBatch(bytes: Uint8Array, recordCount: number, done: Done): void {
    this.#push({ bytes, appends: [{ index: 0, recordCount, done }] });
    this.#count(bytes.length);
  }

  /** Takes out all that is queued. */
  take(): QueuedBatch<Done>[] {
    const batches = this.#batches;
    this.#batches = [];
    this.#count(-this.#bytes);
    return batches.map((batch) =>
      "bytes" in batch
        ? batch
        : { bytes: batch.builder.build(), appends: batch.appends }
    );
  }

  #count(bytes: number): void {
    this.#bytes += bytes;
    this.#budget.bytes += bytes;
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
    this.#soon(() => {
      if (this.#batches.length > 0) this.#drain(this.take());
    });
  }
}
