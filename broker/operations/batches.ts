/**
 * Whole record batches in and out of partitions, as Kafka clients and followers
 * send and fetch them: stored as sent, sent as stored. The same rules as for
 * records (`records.ts`): schema, settings, durability, high watermark.
 */
import { Failure } from "../../contract/errors.ts";
import {
  InvalidBatchError,
  iterateBatches,
  readBatchHeader,
} from "../../storage/log/record_batch.ts";
import { leaderEpoch, offset } from "../../storage/log/types.ts";
import type { Environment } from "../environment.ts";
import type { PartitionReplica } from "../replication/partition_replica.ts";
import { checkBatch, lookInto } from "./batch_rules.ts";
import { epochFault } from "./epoch_fault.ts";
import { internalTopicFault } from "./internal_topics.ts";
import type { PartitionAccess } from "./partition_access.ts";
import { isBeyondEnd, outOfRange, readBound } from "./read_bounds.ts";
import type { RecordMetrics } from "./records.ts";
import type { SchemaGuard } from "./schema_guard.ts";
import { untilAny } from "./until_any.ts";

/** Kafka's acks: none, the leader's, all in-sync replicas'. */
export type RequiredAcks = 0 | 1 | -1;

export interface BatchAppended {
  readonly baseOffset: number;
  /** -1 unless the topic has LogAppendTime. */
  readonly logAppendTimeMs: number;
  readonly logStartOffset: number;
}

export interface FetchPartition {
  readonly topic: string;
  readonly partition: number;
  readonly fetchOffset: number;
  readonly maxBytes: number;
  /** -1: do not check. */
  readonly currentLeaderEpoch: number;
}

export interface FetchedPartition {
  readonly highWatermark: number;
  readonly lastStableOffset: number;
  readonly logStartOffset: number;
  readonly bytes: Uint8Array;
  /** null for readers that see uncommitted records. */
  readonly abortedTransactions:
    | { producerId: number; firstOffset: number }[]
    | null;
}

export interface FetchOptions {
  readonly partitions: readonly FetchPartition[];
  readonly maxWaitMs: number;
  readonly minBytes: number;
  readonly maxBytes: number;
  readonly readCommitted: boolean;
  readonly signal: AbortSignal;
  /** Memory for the batches; new memory where it is not told. */
  readonly allocate?: (sizeBytes: number) => Uint8Array;
}

/** Kafka's special timestamps, by name. */
export type OffsetTarget = "earliest" | "latest" | "maxTimestamp" | number;

export interface FoundOffset {
  readonly offset: number;
  /** -1 for either end of the log, or when nothing was found. */
  readonly timestampMs: number;
  readonly leaderEpoch: number;
}

export interface BatchesOptions {
  readonly access: PartitionAccess;
  readonly guard: SchemaGuard;
  readonly environment: Environment;
  readonly metrics: RecordMetrics;
}

export class Batches {
  readonly #options: BatchesOptions;

  constructor(options: BatchesOptions) {
    this.#options = options;
  }

  async append(
    topic: string,
    partition: number,
    bytes: Uint8Array,
    options: { acks: RequiredAcks; timeoutMs: number },
  ): Promise<BatchAppended | Failure> {
    const outcome = await this.#append(topic, partition, bytes, options);
    if (outcome instanceof Failure) this.#noteRefused(topic, partition, bytes);
    return outcome;
  }

  async #requireLeader(
    topic: string,
    partition: number,
    bytes: Uint8Array,
  ): Promise<PartitionReplica | Failure> {
    // Nor may it be overtaken while the store is asked, and this broker begins
    // to lead.
    this.#noteRefused(topic, partition, bytes);
    return await this.#options.access.requireLeader(topic, partition);
  }

  /** Also where this broker does not lead yet: what comes next may be taken. */
  #noteRefused(topic: string, partition: number, bytes: Uint8Array): void {
    const replica = this.#options.access.replica(topic, partition);
    if (replica === undefined) return;
    try {
      replica.log.noteRefused(readBatchHeader(bytes));
    } catch (fault) {
      // It is no batch, which is why it was refused.
      if (!(fault instanceof InvalidBatchError)) throw fault;
    }
  }

  async #append(
    topic: string,
    partition: number,
    bytes: Uint8Array,
    options: { acks: RequiredAcks; timeoutMs: number },
  ): Promise<BatchAppended | Failure> {
    const { access, guard, environment, metrics } = this.#options;
    const replica = internalTopicFault(topic) ??
      access.appender(topic, partition) ??
      await this.#requireLeader(topic, partition, bytes);
    if (replica instanceof Failure) return replica;
    while (guard.isLoading(topic)) await guard.ready(topic);
    const { settings } = replica;
    const header = checkBatch(bytes, settings, environment.clock.nowMs());
    if (header instanceof Failure) return header;
    const records = lookInto(bytes, header, {
      isGuarded: guard.isGuarded(topic),
      isCompacted: settings.log.cleanupPolicy.compact,
    });
    if (records instanceof Failure) return records;
    const fault = records && guard.check(topic, records);
    if (fault !== undefined) return fault;
    const { recordCount } = header;
    const appended = await replica.appendBatch(bytes, recordCount, {
      timeoutMs: options.timeoutMs,
      wait: options.acks === -1
        ? "inSync"
        : options.acks === 1
        ? "leader"
        : "append",
      onStored: () => metrics.produced(topic, recordCount, header.sizeBytes),
      // An idempotent producer sends them again, elsewhere, and has them once.
      outlivesLeader: header.producerId < 0,
    });
    if (appended instanceof Failure) return appended;
    return {
      baseOffset: appended.baseOffset,
      logAppendTimeMs: appended.logAppendTime ? appended.appendTimeMs : -1,
      logStartOffset: replica.log.logStartOffset,
    };
  }

  /** In the order of the request; waits as it says while there is too little. */
  async fetch(
    options: FetchOptions,
  ): Promise<(FetchedPartition | Failure)[]> {
    const { clock } = this.#options.environment;
    const deadlineMs = clock.monotonicMs() + options.maxWaitMs;
    const replicas = await Promise.all(
      options.partitions.map(({ topic, partition }) =>
        this.#options.access.leader(topic, partition) ??
          this.#options.access.requireLeader(topic, partition)
      ),
    );
    for (;;) {
      const pass = readAll(replicas, options);
      const leftMs = deadlineMs - clock.monotonicMs();
      const isEnough = pass.sizeBytes >= options.minBytes || pass.isUrgent;
      if (isEnough || leftMs <= 0 || options.signal.aborted) {
        this.#count(options.partitions, pass.results);
        return await this.#confirmed(replicas, options.partitions, pass);
      }
      await this.#waitForAny(replicas, leftMs, options.signal);
    }
  }

  /**
   * Whoever asked beyond an end is told so by who leads for certain only. Which
   * results are in doubt, and in which epochs they came about, is seen before
   * the first wait: after it this broker may follow, or lead anew.
   */
  async #confirmed(
    replicas: readonly (PartitionReplica | Failure)[],
    partitions: readonly FetchPartition[],
    { results }: Pass,
  ): Promise<(FetchedPartition | Failure)[]> {
    const doubtful = replicas.flatMap((replica, index) => {
      const isDoubtful = !(replica instanceof Failure) &&
        results[index] instanceof Failure && replica.isLeader &&
        isBeyondEnd(replica, partitions[index].fetchOffset);
      return isDoubtful ? [{ replica, index }] : [];
    });
    if (doubtful.length === 0) return results;
    const moved = await this.#options.access.confirmLeaders(
      doubtful.map(({ replica }) => replica),
    );
    const confirmed = [...results];
    for (const [at, { index }] of doubtful.entries()) {
      confirmed[index] = moved[at] ?? confirmed[index];
    }
    return confirmed;
  }

  async findOffset(
    topic: string,
    partition: number,
    options: {
      target: OffsetTarget;
      readCommitted: boolean;
      currentLeaderEpoch: number;
    },
  ): Promise<FoundOffset | Failure> {
    const replica = await this.#options.access.requireLeader(topic, partition);
    if (replica instanceof Failure) return replica;
    const fenced = epochFault(replica.leaderEpoch, options.currentLeaderEpoch);
    if (fenced !== undefined) return fenced;
    const { log } = replica;
    const bound = readBound(replica, options.readCommitted);
    const { target } = options;
    const unknown = target === "earliest"
      ? undefined
      : this.#options.access.endNotKnown(replica);
    if (target === "earliest" || target === "latest") {
      if (unknown !== undefined) return unknown;
      const isEarliest = target === "earliest";
      const at = isEarliest ? log.logStartOffset : bound;
      const leaderEpoch = replica.leaderEpoch ?? -1;
      return { offset: at, timestampMs: -1, leaderEpoch };
    }
    const found = replica.attempt(() =>
      target === "maxTimestamp"
        ? log.maxTimestamp(bound)
        : log.findByTimestamp(target, bound)
    );
    // The largest timestamp may be of a record that cannot be read yet.
    if (target === "maxTimestamp" && unknown !== undefined) return unknown;
    return found ?? unknown ??
      { offset: -1, timestampMs: -1, leaderEpoch: -1 };
  }

  /** Where an epoch ended (KIP-101); -1 and -1 when nothing is known. */
  async epochEnd(
    topic: string,
    partition: number,
    options: { leaderEpoch: number; currentLeaderEpoch: number },
  ): Promise<{ leaderEpoch: number; endOffset: number } | Failure> {
    const replica = await this.#options.access.requireLeader(topic, partition);
    if (replica instanceof Failure) return replica;
    const fenced = epochFault(replica.leaderEpoch, options.currentLeaderEpoch);
    if (fenced !== undefined) return fenced;
    const end = replica.log.epochEndOffset(leaderEpoch(options.leaderEpoch));
    return end === undefined
      ? { leaderEpoch: -1, endOffset: -1 }
      : { leaderEpoch: end.epoch, endOffset: end.endOffset };
  }

  #waitForAny(
    replicas: readonly (PartitionReplica | Failure)[],
    waitMs: number,
    signal: AbortSignal,
  ): Promise<void> {
    const { timers } = this.#options.environment;
    return untilAny(
      timers,
      { waitMs, signal },
      (finish) =>
        replicas.flatMap((replica) =>
          replica instanceof Failure ? [] : [replica.onReadable(finish)]
        ),
    );
  }

  #count(
    partitions: readonly FetchPartition[],
    results: readonly (FetchedPartition | Failure)[],
  ): void {
    results.forEach((result, index) => {
      if (result instanceof Failure || result.bytes.length === 0) return;
      let records = 0;
      for (const { header } of iterateBatches(result.bytes)) {
        if (!header.isControl) records += header.recordCount;
      }
      const { topic } = partitions[index];
      this.#options.metrics.consumed(topic, records, result.bytes.length);
    });
  }
}

interface Pass {
  readonly results: (FetchedPartition | Failure)[];
  readonly sizeBytes: number;
  /** An error, or a partition that gave all it may: answer at once. */
  readonly isUrgent: boolean;
}

function readAll(
  replicas: readonly (PartitionReplica | Failure)[],
  options: FetchOptions,
): Pass {
  let sizeBytes = 0;
  let isUrgent = replicas.length === 0;
  const results = replicas.map((replica, index) => {
    const asked = options.partitions[index];
    const room = options.maxBytes - sizeBytes;
    const result = replica instanceof Failure
      ? replica
      : replica.attempt(() =>
        readOne(replica, asked, options, room, sizeBytes === 0)
      );
    if (result instanceof Failure) isUrgent = true;
    else {
      sizeBytes += result.bytes.length;
      if (result.bytes.length >= asked.maxBytes) isUrgent = true;
    }
    return result;
  });
  return { results, sizeBytes, isUrgent };
}

const NO_BYTES = new Uint8Array();

function readOne(
  replica: PartitionReplica,
  asked: FetchPartition,
  options: FetchOptions,
  roomBytes: number,
  isFirst: boolean,
): FetchedPartition | Failure {
  if (!replica.isLeader) return replica.notLeader();
  const fenced = epochFault(replica.leaderEpoch, asked.currentLeaderEpoch);
  if (fenced !== undefined) return fenced;
  const { log, highWatermark } = replica;
  const bound = readBound(replica, options.readCommitted);
  const { fetchOffset } = asked;
  const outside = outOfRange(replica, fetchOffset);
  if (outside !== undefined) return outside;
  const maxBytes = Math.min(asked.maxBytes, roomBytes);
  const bytes = fetchOffset < bound && (isFirst || maxBytes > 0)
    ? log.read(offset(fetchOffset), {
      maxBytes: Math.max(0, maxBytes),
      upperBound: bound,
      minOneBatch: isFirst,
      allocate: options.allocate,
    }).bytes
    : NO_BYTES;
  return {
    highWatermark,
    lastStableOffset: replica.lastStableOffset,
    logStartOffset: log.logStartOffset,
    bytes,
    abortedTransactions: options.readCommitted
      ? log.abortedTransactions(
        offset(fetchOffset),
        offset(Math.max(fetchOffset, bound)),
      )
      : null,
  };
}
