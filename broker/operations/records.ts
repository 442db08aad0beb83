/**
 * Producing and reading records: the rules between a door and a replica. Owns
 * the choice of a partition, the checks of records against their topic, and the
 * reading of batches into records.
 */
import { Failure } from "../../contract/errors.ts";
import { partitionForKey } from "../../contract/partitioner.ts";
import { offset } from "../../storage/log/types.ts";
import type { Environment } from "../environment.ts";
import { recordFault } from "./record_rules.ts";
import type {
  NewRecord,
  OffsetQuery,
  PartitionOffsets,
  PartitionRoute,
  Produced,
  ProduceOptions,
  ReadOptions,
  ReadResult,
  RecordOperations,
} from "./operations.ts";
import { internalTopicFault } from "./internal_topics.ts";
import type { PartitionAccess } from "./partition_access.ts";
import { endNotKnown, isBeyondEnd, outOfRange } from "./read_bounds.ts";
import { readRecords } from "./read_records.ts";
import { receiptOf } from "./receipts.ts";
import type { SchemaGuard } from "./schema_guard.ts";
import { untilAny } from "./until_any.ts";
import { readTopicSettings, type TopicConfig } from "../topic_config.ts";

/** Told where the fact happens, so that a batch of 500 counts 500. */
export interface RecordMetrics {
  produced(topic: string, records: number, bytes: number): void;
  consumed(topic: string, records: number, bytes: number): void;
  skipped(topic: string, records: number): void;
}

/** Topics whose turn is remembered; then all begin again at partition 0. */
const ROUND_ROBIN_TOPICS = 10_000;

/** Longer than a follower that learns of nothing stays in sync. */
const DELETE_WAIT_MS = 10_000;

export interface RecordsOptions {
  readonly access: PartitionAccess;
  readonly guard: SchemaGuard;
  readonly environment: Environment;
  readonly metrics: RecordMetrics;
  readonly brokerId: number;
  readonly topicDefaults: TopicConfig;
}

export class Records implements RecordOperations {
  readonly #options: RecordsOptions;
  /** Where each topic's next record without a key goes. */
  readonly #roundRobin = new Map<string, number>();

  constructor(options: RecordsOptions) {
    this.#options = options;
  }

  choosePartition(
    topic: string,
    key: Uint8Array | null,
  ): number | Failure | Promise<number | Failure> {
    const known = this.#options.access.knownTopic(topic);
    return known === undefined
      ? this.#chooseFresh(topic, key)
      : this.#choose(topic, known.partitions, key);
  }

  route(
    topic: string,
    partition: number,
  ): PartitionRoute | Failure | Promise<PartitionRoute | Failure> {
    return this.#options.access.route(topic, partition);
  }

  leaderEpoch(topic: string, partition: number): number | undefined {
    return this.#options.access.leaderEpoch(topic, partition);
  }

  async check(
    topic: string,
    records: readonly NewRecord[],
  ): Promise<Failure | undefined> {
    const known = this.#options.access.knownTopic(topic);
    if (known === undefined) return undefined;
    const { guard } = this.#options;
    while (guard.isLoading(topic)) await guard.ready(topic);
    const settings = readTopicSettings(known, this.#options.topicDefaults);
    const nowMs = this.#options.environment.clock.nowMs();
    return internalTopicFault(topic) ??
      recordFault(records, settings, nowMs) ?? guard.check(topic, records);
  }

  async produce(
    topic: string,
    partition: number,
    records: readonly NewRecord[],
    options: ProduceOptions,
  ): Promise<Produced | Failure> {
    const { access, brokerId, guard, environment, metrics } = this.#options;
    const replica = internalTopicFault(topic) ??
      access.appender(topic, partition) ??
      await access.requireLeader(topic, partition);
    if (replica instanceof Failure) return replica;
    // The newest schema may have changed again once one is ready.
    while (guard.isLoading(topic)) await guard.ready(topic);
    const fault =
      recordFault(records, replica.settings, environment.clock.nowMs()) ??
        guard.check(topic, records);
    if (fault !== undefined) return fault;
    let isStored = false;
    const appended = await replica.appendRecords(records, {
      timeoutMs: options.timeoutMs,
      producer: options.producer,
      onStored: () => {
        isStored = true;
        metrics.produced(topic, records.length, sizeOf(records));
      },
      // With an identity they are sent again, elsewhere, and stored once.
      outlivesLeader: options.producer === undefined,
    });
    if (appended instanceof Failure) {
      const isGone = appended.details.mayBeStored === false;
      return isStored && !isGone ? storedAllTheSame(appended) : appended;
    }
    return {
      ...appended,
      receipt: () =>
        receiptOf(replica, brokerId, {
          leaderEpoch: appended.leaderEpoch,
          endOffset: appended.baseOffset + records.length,
        }),
    };
  }

  async read(
    topic: string,
    partition: number,
    options: ReadOptions,
  ): Promise<ReadResult | Failure> {
    const { access, environment, guard, metrics } = this.#options;
    const replica = await access.requireLeader(topic, partition);
    if (replica instanceof Failure) return replica;
    if (options.validate) await guard.ready(topic);
    const deadlineMs = environment.clock.monotonicMs() + options.waitMs;
    let position = options.offset;
    const validate = options.validate
      ? (value: Uint8Array | null) => guard.violation(topic, value)
      : undefined;
    for (;;) {
      if (!replica.isLeader) return replica.notLeader();
      const moved = isBeyondEnd(replica, position)
        ? await access.confirmLeader(replica)
        : undefined;
      const outside = moved ?? outOfRange(replica, position);
      if (outside !== undefined) return outside;
      const result = replica.attempt(() =>
        readRecords(replica, { ...options, offset: position }, validate)
      );
      if (result instanceof Failure) return result;
      const leftMs = deadlineMs - environment.clock.monotonicMs();
      const isEmpty = result.records.length === 0 &&
        result.skipped.length === 0;
      const isOver = leftMs <= 0 || options.signal?.aborted === true;
      // A new leader's end is not yet the end: nothing found means nothing.
      const unknown = isEmpty && isOver ? endNotKnown(replica) : undefined;
      if (unknown !== undefined) return unknown;
      if (!isEmpty || isOver) {
        metrics.consumed(topic, result.records.length, sizeOf(result.records));
        const skipped = result.skipped.reduce(
          (sum, run) => sum + run.lastOffset - run.firstOffset + 1,
          0,
        );
        if (skipped > 0) metrics.skipped(topic, skipped);
        return result;
      }
      const hasPassed = result.nextOffset > position;
      position = result.nextOffset;
      // What was passed over holds nothing for a reader: the rest may.
      if (hasPassed && position < replica.lastStableOffset) {
        await new Promise<void>((go) => environment.timers.soon(go));
      } else {
        const { signal } = options;
        await untilAny(
          environment.timers,
          { waitMs: leftMs, signal },
          (finish) => [replica.onReadable(finish)],
        );
      }
    }
  }

  async findOffset(
    topic: string,
    partition: number,
    query: OffsetQuery,
  ): Promise<number | Failure> {
    const replica = await this.#options.access.requireLeader(topic, partition);
    if (replica instanceof Failure) return replica;
    if (query === "earliest") return replica.log.logStartOffset;
    const end = () =>
      this.#options.access.endNotKnown(replica) ?? replica.lastStableOffset;
    if (query === "latest") return end();
    const found = replica.attempt(() =>
      replica.log.findByTimestamp(query.timestampMs, replica.lastStableOffset)
    );
    if (found instanceof Failure) return found;
    return found?.offset ?? end();
  }

  async offsets(
    topic: string,
    partition: number,
  ): Promise<PartitionOffsets | Failure> {
    const replica = await this.#options.access.requireLeader(topic, partition);
    if (replica instanceof Failure) return replica;
    const unknown = this.#options.access.endNotKnown(replica);
    if (unknown !== undefined) return unknown;
    const { log, highWatermark } = replica;
    return {
      logStartOffset: log.logStartOffset,
      highWatermark,
      logEndOffset: log.logEndOffset,
      sizeBytes: log.sizeBytes,
    };
  }

  async deleteRecords(
    topic: string,
    partition: number,
    beforeOffset: number | "latest",
  ): Promise<number | Failure> {
    const replica = internalTopicFault(topic) ??
      await this.#options.access.requireLeader(topic, partition);
    if (replica instanceof Failure) return replica;
    const target = beforeOffset === "latest"
      ? replica.highWatermark
      : offset(beforeOffset);
    if (target > replica.highWatermark) {
      return new Failure(
        "OFFSET_OUT_OF_RANGE",
        `Records can be deleted up to offset ${replica.highWatermark}, not ${target}`,
        { field: "beforeOffset", latestOffset: replica.highWatermark },
      );
    }
    return await replica.deleteRecords(target, DELETE_WAIT_MS);
  }

  async #chooseFresh(
    topic: string,
    key: Uint8Array | null,
  ): Promise<number | Failure> {
    const image = await this.#options.access.topic(topic);
    return image instanceof Failure
      ? image
      : this.#choose(topic, image.partitions, key);
  }

  #choose(topic: string, partitions: number, key: Uint8Array | null): number {
    if (key !== null) return partitionForKey(key, partitions);
    const turns = this.#roundRobin;
    if (turns.size >= ROUND_ROBIN_TOPICS) turns.clear();
    const next = (turns.get(topic) ?? 0) % partitions;
    turns.set(topic, next + 1);
    return next;
  }
}

/** Whatever came after, the records are in this broker's log. */
function storedAllTheSame({ code, detail, details }: Failure): Failure {
  const isSaid = detail.includes("may or may not");
  return new Failure(
    code,
    isSaid
      ? detail
      : `${detail}; the records were written before and may or may not be kept`,
    { ...details, mayBeStored: true },
  );
}

/** Bytes of keys and values: what the user sent and gets. */
function sizeOf(
  records: readonly { key: Uint8Array | null; value: Uint8Array | null }[],
): number {
  let bytes = 0;
  for (const { key, value } of records) {
    bytes += (key?.length ?? 0) + (value?.length ?? 0);
  }
  return bytes;
}
