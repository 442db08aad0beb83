/**
 * Reading the partitions that a group's member holds: each its fair share of
 * one answer, from where the member stands. Owns no position: what was reached
 * is in `reached`, for the member to take over when it answers.
 */
import { Failure } from "../../contract/errors.ts";
import type { PartitionFault, SkippedRun } from "../../contract/http.ts";
import type { GroupConsumerLimits } from "./group_limits.ts";
import type {
  GroupPollRequest,
  Place,
  PlacedRecord,
} from "./group_operations.ts";
import type { ClusterRecords, ReadResult } from "./operations.ts";

/** A partition that a member holds. */
export interface HeldPartition extends Place {
  /** The next offset to read. */
  position: number;
  /** As last heard of; undefined: none. */
  committed: number | undefined;
}

export interface HarvestOptions {
  readonly request: GroupPollRequest;
  readonly records: ClusterRecords;
  readonly limits: GroupConsumerLimits;
  /** Ends waits; the request's own signal is part of it. */
  readonly signal: AbortSignal;
}

interface Share {
  readonly maxRecords: number;
  readonly maxBytes: number;
  readonly waitMs: number;
  readonly signal: AbortSignal;
}

export class Harvest {
  readonly records: PlacedRecord[] = [];
  readonly skipped: (SkippedRun & Place)[] = [];
  /** Where reading goes on, of the partitions where that has changed. */
  readonly reached = new Map<HeldPartition, number>();
  readonly #faults = new Map<HeldPartition, Failure>();
  readonly #options: HarvestOptions;
  #bytes = 0;

  constructor(options: HarvestOptions) {
    this.#options = options;
  }

  get isEmpty(): boolean {
    return this.records.length === 0 && this.skipped.length === 0;
  }

  get faults(): PartitionFault[] {
    return [...this.#faults].map(([{ topic, partition }, failure]) => ({
      topic,
      partition,
      code: failure.code,
      detail: failure.detail,
    }));
  }

  get #recordRoom(): number {
    return this.#options.request.maxRecords - this.records.length;
  }

  get #byteRoom(): number {
    return this.#options.request.maxBytes - this.#bytes;
  }

  get #isFull(): boolean {
    return this.#recordRoom <= 0 || this.#byteRoom <= 0;
  }

  #hasRoom({ records }: ReadResult): boolean {
    return records.length <= this.#recordRoom;
  }

  /** Takes what is there, in rounds, until there is no more or no more room. */
  async gather(held: readonly HeldPartition[]): Promise<void> {
    let open = held;
    while (open.length > 0 && !this.#isFull) open = await this.#round(open);
  }

  /** One read of each; answers those that have more. */
  async #round(open: readonly HeldPartition[]): Promise<HeldPartition[]> {
    const { limits, signal } = this.#options;
    const more: HeldPartition[] = [];
    for (let start = 0; start < open.length && !this.#isFull;) {
      const left = open.length - start;
      const count = Math.min(limits.partitionsAtOnce, this.#recordRoom);
      const some = open.slice(start, start + count);
      start += some.length;
      const share = {
        maxRecords: Math.max(1, Math.floor(this.#recordRoom / left)),
        maxBytes: Math.max(1, Math.floor(this.#byteRoom / left)),
        waitMs: 0,
        signal,
      };
      const results = await Promise.all(
        some.map((one) => this.#read(one, share)),
      );
      some.forEach((one, i) => {
        const result = results[i];
        if (result instanceof Failure) this.#faults.set(one, result);
        else if (this.#take(one, result)) more.push(one);
      });
    }
    return more;
  }

  /**
   * Waits until a partition has something and takes it, for `waitMs` at most.
   * A partition that cannot be read now does not end the wait.
   */
  async wait(
    held: readonly HeldPartition[],
    waitMs: number,
  ): Promise<void> {
    const { request, limits } = this.#options;
    const some = held.slice(0, limits.waitsAtOnce);
    const stop = new AbortController();
    const onAbort = () => stop.abort();
    this.#options.signal.addEventListener("abort", onAbort);
    if (this.#options.signal.aborted) stop.abort();
    const share = {
      maxRecords: Math.ceil(request.maxRecords / Math.max(1, some.length)),
      maxBytes: Math.ceil(request.maxBytes / Math.max(1, some.length)),
      waitMs: Math.ceil(waitMs),
      signal: stop.signal,
    };
    await Promise.all(some.map(async (one) => {
      const result = await this.#readAt(one, one.position, share);
      // Two may have something in the same moment, and room for one only.
      if (result instanceof Failure || !this.#hasRoom(result)) return;
      this.#take(one, result);
      if (!this.isEmpty) stop.abort();
    }));
    this.#options.signal.removeEventListener("abort", onAbort);
  }

  /** True: the partition has more. */
  #take(held: HeldPartition, result: ReadResult): boolean {
    const { topic, partition } = held;
    const from = this.reached.get(held) ?? held.position;
    for (const record of result.records) {
      this.#bytes += (record.key?.length ?? 0) + (record.value?.length ?? 0);
      this.records.push({ topic, partition, record });
    }
    for (const run of result.skipped) {
      this.skipped.push({ topic, partition, ...run });
    }
    if (result.nextOffset > from) this.reached.set(held, result.nextOffset);
    return result.nextOffset > from && result.nextOffset < result.highWatermark;
  }

  /** A position that is not in the log is set anew, as the client asks. */
  async #read(
    held: HeldPartition,
    share: Share,
  ): Promise<ReadResult | Failure> {
    const { request, records } = this.#options;
    const from = this.reached.get(held) ?? held.position;
    const result = await this.#readAt(held, from, share);
    const isOutside = result instanceof Failure &&
      result.code === "OFFSET_OUT_OF_RANGE";
    if (!isOutside) return result;
    const { topic, partition } = held;
    const start = await records.findOffset(
      topic,
      partition,
      request.autoOffsetReset,
    );
    if (start instanceof Failure) return start;
    held.position = start;
    this.reached.delete(held);
    return await this.#readAt(held, start, share);
  }

  #readAt(
    { topic, partition }: HeldPartition,
    offset: number,
    share: Share,
  ): Promise<ReadResult | Failure> {
    const { request, records } = this.#options;
    const { validate } = request;
    return records.read(topic, partition, { offset, validate, ...share });
  }
}
