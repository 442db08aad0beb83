/**
 * Consumes one partition or several of one topic. Within a partition records
 * come in order of offset. Between partitions there is no order in the log;
 * this takes one record of each in turn while all have some, which gives back
 * the order of a producer that spread its records the same way. Owns the turn;
 * fetching is `partition_reader.ts`.
 */
import type { ConsumedRecord, SkippedRun } from "../contract/http.ts";
import type { StartPosition } from "./api.ts";
import type { Cluster } from "./cluster.ts";
import { CONSUMER_LIMITS } from "./consumer_limits.ts";
import { PartitionReader, ReadFault } from "./partition_reader.ts";
import { Semaphore } from "./semaphore.ts";
import type { ClientWorld } from "./terminal.ts";

export interface ConsumerOptions {
  readonly world: ClientWorld;
  readonly cluster: Cluster;
  readonly topic: string;
  /** Distinct, at least one. */
  readonly partitions: readonly number[];
  readonly start: StartPosition;
  /** Leave out what breaks the topic's schema. */
  readonly validate: boolean;
  /** End where each partition ends when that is first reached. */
  readonly untilEnd?: boolean;
  readonly maxRecords?: number;
  readonly giveUpAfterMs?: number;
  readonly skipped: (partition: number, run: SkippedRun) => void;
  readonly notice: (text: string) => void;
}

export interface Consumed {
  readonly partition: number;
  readonly record: ConsumedRecord;
}

export class Consumer {
  readonly #readers: PartitionReader[];
  readonly #stop = new AbortController();
  #running: Promise<unknown> | undefined;
  #change = Promise.withResolvers<void>();
  /** Whose turn it is. */
  #turn = 0;

  constructor(options: ConsumerOptions) {
    const { partitions, world, cluster, topic, start, validate } = options;
    const { requestsInFlight } = CONSUMER_LIMITS;
    const requests = new Semaphore(requestsInFlight);
    this.#readers = [...partitions].sort((a, b) => a - b).map((partition) =>
      new PartitionReader({
        world,
        cluster,
        topic,
        partition,
        start,
        validate,
        untilEnd: options.untilEnd ?? false,
        maxRecords: Math.min(
          options.maxRecords ?? Infinity,
          CONSUMER_LIMITS.recordsPerFetch,
        ),
        maxBytes: fetchBytes(partitions.length),
        requests,
        mayWait: partitions.length <= requestsInFlight,
        giveUpAfterMs: options.giveUpAfterMs ?? CONSUMER_LIMITS.giveUpAfterMs,
        signal: this.#stop.signal,
        events: {
          changed: () => this.#change.resolve(),
          skipped: options.skipped,
          notice: options.notice,
        },
      })
    );
  }

  /**
   * At least one and at most `maximum` records, as soon as there are any.
   * Undefined: there will be none, since `stop` was called or (with
   * `untilEnd`) all is read.
   */
  async next(
    maximum: number,
  ): Promise<readonly Consumed[] | ReadFault | undefined> {
    this.#running ??= Promise.all(this.#readers.map((reader) => reader.run()));
    for (;;) {
      if (this.#stop.signal.aborted) return undefined;
      this.#change = Promise.withResolvers<void>();
      const records = this.#take(maximum);
      if (records.length > 0) return records;
      const fault = this.#readers.find(({ fault }) => fault)?.fault;
      if (fault !== undefined) return fault;
      if (this.#readers.every(({ isDone }) => isDone)) return undefined;
      await this.#change.promise;
    }
  }

  /** Ends reading; resolves when no request is open. Idempotent. */
  async stop(): Promise<void> {
    this.#stop.abort();
    this.#change.resolve();
    await this.#running;
  }

  #take(maximum: number): Consumed[] {
    const records: Consumed[] = [];
    const count = this.#readers.length;
    // How many readers in a row had nothing.
    let empty = 0;
    while (records.length < maximum && empty < count) {
      const reader = this.#readers[this.#turn];
      const record = reader.take();
      if (record !== undefined) {
        records.push({ partition: reader.partition, record });
        empty = 0;
      } else if (reader.isExpectingMore) {
        break;
      } else {
        empty++;
      }
      this.#turn = this.#turn + 1 === count ? 0 : this.#turn + 1;
    }
    return records;
  }
}

/** Fair shares of the memory set aside, within bounds. */
function fetchBytes(partitions: number): number {
  const { bufferedBytes, answersAhead } = CONSUMER_LIMITS;
  const share = Math.floor(bufferedBytes / (partitions * answersAhead));
  return Math.max(
    CONSUMER_LIMITS.smallestFetchBytes,
    Math.min(share, CONSUMER_LIMITS.largestFetchBytes),
  );
}
