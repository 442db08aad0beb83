/**
 * Produces to one topic: chooses partitions, gathers records into batches, keeps
 * one batch per partition in flight, holds the caller back when too much waits.
 * Storing a batch exactly once is `delivery.ts`. Records of one partition are
 * stored in the order of `send`; acknowledgements come in that order too.
 */
import { partitionForKey } from "../contract/partitioner.ts";
import type { Cluster } from "./cluster.ts";
import { Delivery, type DeliveryEvents, DeliveryFault } from "./delivery.ts";
import { PartitionQueue } from "./partition_queue.ts";
import { PRODUCER_LIMITS } from "./producer_limits.ts";
import {
  contentBytes,
  type OutgoingRecord,
  recordText,
} from "./record_text.ts";
import type { Cancellable, ClientWorld } from "./terminal.ts";

// deno-lint-ignore no-control-regex
const BEYOND_ASCII = /[^\x00-\x7f]/;

export interface ProducerOptions {
  readonly world: ClientWorld;
  readonly cluster: Cluster;
  readonly topic: string;
  /** How many partitions the topic has. */
  readonly partitions: number;
  /** The partition of the first record without key and partition. */
  readonly firstPartition?: number;
  /** How long an incomplete batch waits for company; 0 sends at once. */
  readonly lingerMs?: number;
  readonly deliveryTimeoutMs?: number;
  readonly events: DeliveryEvents;
}

export class Producer {
  readonly #world: ClientWorld;
  readonly #delivery: Delivery;
  readonly #queues: PartitionQueue[];
  readonly #lingerMs: number;
  readonly #waiters: { maximum: number; resolve: () => void }[] = [];
  #nextPartition: number;
  #bufferedCharacters = 0;
  #inFlight = 0;
  #lingerTimer: Cancellable | undefined;
  /** Send incomplete batches too: the linger is over, or flush() wants it. */
  #isFlushing = false;
  /** Where the next search for a sendable queue begins, for fairness. */
  #searchFrom = 0;
  #fault: DeliveryFault | undefined;

  constructor(options: ProducerOptions) {
    this.#world = options.world;
    this.#lingerMs = options.lingerMs ?? 0;
    this.#nextPartition = options.firstPartition ?? 0;
    this.#delivery = new Delivery(options);
    this.#queues = Array.from(
      { length: options.partitions },
      (_, partition) => new PartitionQueue(partition),
    );
  }

  /** Set once records could not be delivered; nothing is sent after that. */
  get fault(): DeliveryFault | undefined {
    return this.#fault;
  }

  get bufferedCharacters(): number {
    return this.#bufferedCharacters;
  }

  /**
   * Takes a record. A promise in return asks the caller to wait until there is
   * room again. `tag` comes back with the acknowledgement.
   */
  send(
    record: OutgoingRecord,
    tag: number,
    partition?: number,
  ): Promise<void> | undefined {
    const chosen = partition ?? this.choosePartition(record.key ?? null);
    return this.sendText(recordText(record), tag, chosen);
  }

  /** By the key as Kafka does (DESIGN D8), else the next one in turn. */
  choosePartition(key: string | Uint8Array | null): number {
    const count = this.#queues.length;
    if (key !== null) return partitionForKey(contentBytes(key), count);
    const partition = this.#nextPartition;
    this.#nextPartition = partition + 1 === count ? 0 : partition + 1;
    return partition;
  }

  /** As `send`, for a record that is JSON text already. */
  sendText(
    text: string,
    tag: number,
    partition: number,
  ): Promise<void> | undefined {
    if (this.#fault !== undefined) return undefined;
    const queue = this.#queues[partition];
    // A UTF-16 unit is at most three bytes of UTF-8. A batch that turns out
    // too large for its topic all the same is cut by delivery.ts.
    const textBytes = BEYOND_ASCII.test(text) ? text.length * 3 : text.length;
    const bytes = textBytes + PRODUCER_LIMITS.recordOverheadBytes;
    const isFull = queue.add(text, tag, bytes);
    this.#bufferedCharacters += text.length;
    if (isFull || this.#lingerMs === 0) this.#pump();
    else this.#linger();
    if (this.#bufferedCharacters <= PRODUCER_LIMITS.bufferedCharacters) {
      return undefined;
    }
    this.#isFlushing = true;
    this.#pump();
    return this.#until(PRODUCER_LIMITS.bufferedCharacters / 2);
  }

  /** Sends nothing further; what is in flight is waited for by `flush`. */
  stop(reason: string): void {
    this.#fault ??= new DeliveryFault(reason);
    this.#delivery.stop(this.#fault);
  }

  /** Resolves when nothing waits or is in flight, or delivery failed. */
  async flush(): Promise<void> {
    this.#isFlushing = true;
    this.#pump();
    await this.#until(0);
  }

  /** Cancels what is not in flight; call after `flush`. */
  close(): void {
    this.#lingerTimer?.cancel();
    this.#lingerTimer = undefined;
  }

  #until(maximum: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiters.push({ maximum, resolve });
    this.#wake();
    return promise;
  }

  #wake(): void {
    const isOver = this.#fault !== undefined && this.#inFlight === 0;
    for (let i = this.#waiters.length - 1; i >= 0; i--) {
      const { maximum, resolve } = this.#waiters[i];
      if (isOver || this.#bufferedCharacters <= maximum) {
        this.#waiters.splice(i, 1);
        resolve();
      }
    }
  }

  #linger(): void {
    this.#lingerTimer ??= this.#world.after(this.#lingerMs, () => {
      this.#lingerTimer = undefined;
      this.#isFlushing = true;
      this.#pump();
    });
  }

  /** Starts as many requests as the limits allow. */
  #pump(): void {
    if (this.#fault !== undefined) return this.#wake();
    const isEager = this.#isFlushing || this.#lingerMs === 0;
    const count = this.#queues.length;
    let isLeft = false;
    for (let i = 0; i < count; i++) {
      const index = (this.#searchFrom + i) % count;
      const queue = this.#queues[index];
      if (queue.isEmpty || (!isEager && !queue.hasFullBatch)) continue;
      isLeft = true;
      if (queue.isInFlight) continue;
      if (this.#inFlight >= PRODUCER_LIMITS.requestsInFlight) {
        this.#searchFrom = index;
        return;
      }
      this.#dispatch(queue);
    }
    if (!isLeft) this.#isFlushing = false;
  }

  async #dispatch(queue: PartitionQueue): Promise<void> {
    const batch = queue.take();
    if (batch === undefined) return;
    queue.isInFlight = true;
    this.#inFlight++;
    const fault = await this.#delivery.deliver(queue, batch);
    this.#fault ??= fault;
    this.#bufferedCharacters -= batch.characters;
    queue.isInFlight = false;
    this.#inFlight--;
    this.#pump();
    this.#wake();
  }
}
