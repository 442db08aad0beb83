/**
 * The producer's records of one partition, in order, cut into batches. Owns
 * the batch boundaries and the idempotent sequence; sends nothing.
 */
import { PRODUCER_LIMITS } from "./producer_limits.ts";
import type { ProducerIdentity } from "../contract/http.ts";

/** Consecutive records that are stored together or not at all. */
export class Batch {
  /** Each record's JSON. */
  readonly texts: string[] = [];
  /** What the caller knows each record by, such as its line number. */
  readonly tags: number[] = [];
  characters = 0;
  estimatedBytes = 0;

  /** `bytes` is an upper estimate of the record's stored size. */
  add(text: string, tag: number, bytes: number): void {
    this.texts.push(text);
    this.tags.push(tag);
    this.characters += text.length;
    this.estimatedBytes += bytes;
  }

  hasRoomFor(bytes: number): boolean {
    return this.texts.length < PRODUCER_LIMITS.recordsPerBatch &&
      this.estimatedBytes + bytes <= PRODUCER_LIMITS.batchBytes;
  }

  /** The records whose index `wanted` accepts, in order. */
  pick(wanted: (index: number) => boolean): Batch {
    const batch = new Batch();
    for (let i = 0; i < this.texts.length; i++) {
      // Sizes of single records are not kept; nothing is added after a cut.
      if (wanted(i)) batch.add(this.texts[i], this.tags[i], 0);
    }
    return batch;
  }
}

export class PartitionQueue {
  readonly partition: number;
  readonly #sealed: Batch[] = [];
  #open: Batch | undefined;
  isInFlight = false;
  /** Undefined until the first batch goes out. */
  identity: Omit<ProducerIdentity, "sequence"> | undefined;
  /** Of the next record to be stored. */
  sequence = 0;

  constructor(partition: number) {
    this.partition = partition;
  }

  /** True when a batch became full, so that it can go out at once. */
  add(text: string, tag: number, bytes: number): boolean {
    let filled = false;
    if (this.#open !== undefined && !this.#open.hasRoomFor(bytes)) {
      this.#sealed.push(this.#open);
      this.#open = undefined;
      filled = true;
    }
    this.#open ??= new Batch();
    this.#open.add(text, tag, bytes);
    return filled;
  }

  get hasFullBatch(): boolean {
    return this.#sealed.length > 0;
  }

  get isEmpty(): boolean {
    return this.#sealed.length === 0 && this.#open === undefined;
  }

  /** The oldest batch, full or not; undefined when there is none. */
  take(): Batch | undefined {
    const sealed = this.#sealed.shift();
    if (sealed !== undefined) return sealed;
    const open = this.#open;
    this.#open = undefined;
    return open;
  }
}
