/**
 * One transactional id and its legal moves, as values: each move gives the
 * facts that are to be written, or the error that forbids it. Nothing here
 * changes anything; the coordinator applies facts once they are committed.
 */
import type { ErrorCode } from "../../contract/errors.ts";
import type { TopicPartition } from "./messages.ts";
import {
  TRANSACTION_STATUS,
  type TransactionLogValue,
  type TransactionState,
} from "./records.ts";

export interface TransactionFacts {
  readonly state: TransactionState;
  readonly producerId: number;
  readonly producerEpoch: number;
  /** The id before the last rotation; -1 when none. */
  readonly previousProducerId: number;
  /**
   * The epoch before the last bump that a producer asked for; -1 when none.
   * Not stored: after a restart such a producer's retry is fenced.
   */
  readonly previousProducerEpoch: number;
  readonly timeoutMs: number;
  readonly partitions: readonly TopicPartition[];
  /** Wall clock; -1 when no transaction is open. */
  readonly startTimestampMs: number;
  readonly lastUpdateTimestampMs: number;
}

/**
 * The last epoch that a producer may be given: one is kept back, so that it can
 * still be fenced (Kafka's isEpochExhausted).
 */
export const LAST_PRODUCER_EPOCH = 32_766;

export function isExhausted(epoch: number): boolean {
  return epoch >= LAST_PRODUCER_EPOCH;
}

/** Its end is decided and not yet done. */
export function isPrepared(facts: TransactionFacts | undefined): boolean {
  return facts?.state === "PrepareCommit" || facts?.state === "PrepareAbort";
}

/** Whether a producer that names its id is this one, or was before (KIP-360). */
export function recognises(
  facts: TransactionFacts,
  producerId: number,
  producerEpoch: number,
): boolean {
  return producerId === -1 || producerId === facts.producerId ||
    (producerId === facts.previousProducerId && isExhausted(producerEpoch));
}

export function firstFacts(
  producerId: number,
  timeoutMs: number,
  nowMs: number,
): TransactionFacts {
  return {
    state: "Empty",
    producerId,
    producerEpoch: 0,
    previousProducerId: -1,
    previousProducerEpoch: -1,
    timeoutMs,
    partitions: [],
    startTimestampMs: -1,
    lastUpdateTimestampMs: nowMs,
  };
}

/** The epochs of this id are used up and the producer may have a new id. */
export function needsRotation(
  facts: TransactionFacts,
  expectedEpoch: number,
): boolean {
  return isExhausted(facts.producerEpoch) &&
    (expectedEpoch === -1 || expectedEpoch === facts.producerEpoch);
}

export function rotated(
  facts: TransactionFacts,
  producerId: number,
  options: { timeoutMs: number; nowMs: number; expectedEpoch: number },
): TransactionFacts {
  return {
    ...firstFacts(producerId, options.timeoutMs, options.nowMs),
    previousProducerId: facts.producerId,
    previousProducerEpoch: options.expectedEpoch === -1
      ? -1
      : facts.producerEpoch,
  };
}

/** The next epoch of a producer that is at rest. */
export function bumped(
  facts: TransactionFacts,
  options: { timeoutMs: number; nowMs: number; expectedEpoch: number },
): TransactionFacts | ErrorCode {
  const { timeoutMs, nowMs, expectedEpoch } = options;
  const atRest = {
    ...facts,
    state: "Empty",
    timeoutMs,
    partitions: [],
    startTimestampMs: -1,
    lastUpdateTimestampMs: nowMs,
  } as const;
  const isCurrent = expectedEpoch === -1 ||
    expectedEpoch === facts.producerEpoch;
  if (isCurrent && !isExhausted(facts.producerEpoch)) {
    return {
      ...atRest,
      producerEpoch: facts.producerEpoch + 1,
      previousProducerEpoch: expectedEpoch === -1 ? -1 : facts.producerEpoch,
    };
  }
  // The answer to its last bump was lost: the same answer again.
  return expectedEpoch !== -1 && expectedEpoch === facts.previousProducerEpoch
    ? atRest
    : "PRODUCER_FENCED";
}

export function withPartitions(
  facts: TransactionFacts,
  added: readonly TopicPartition[],
  nowMs: number,
): TransactionFacts {
  const isOpen = facts.state === "Ongoing";
  return {
    ...facts,
    state: "Ongoing",
    partitions: union(isOpen ? facts.partitions : [], added),
    startTimestampMs: isOpen ? facts.startTimestampMs : nowMs,
    lastUpdateTimestampMs: nowMs,
  };
}

function key({ topic, partition }: TopicPartition): string {
  return `${partition} ${topic}`;
}

function union(
  left: readonly TopicPartition[],
  right: readonly TopicPartition[],
): TopicPartition[] {
  return [
    ...new Map([...left, ...right].map((one) => [key(one), one])).values(),
  ];
}

export function holdsAll(
  facts: TransactionFacts,
  partitions: readonly TopicPartition[],
): boolean {
  const held = new Set(facts.partitions.map(key));
  return partitions.every((one) => held.has(key(one)));
}

export function ending(
  facts: TransactionFacts,
  committed: boolean,
  nowMs: number,
): TransactionFacts {
  return {
    ...facts,
    state: committed ? "PrepareCommit" : "PrepareAbort",
    lastUpdateTimestampMs: nowMs,
  };
}

/** Aborts against the producer's will: what it holds is no longer valid. */
export function fenced(
  facts: TransactionFacts,
  nowMs: number,
): TransactionFacts {
  return {
    ...ending(facts, false, nowMs),
    producerEpoch: facts.producerEpoch + 1,
    previousProducerEpoch: -1,
  };
}

export function completed(
  facts: TransactionFacts,
  nowMs: number,
): TransactionFacts {
  return {
    ...facts,
    state: facts.state === "PrepareCommit" ? "CompleteCommit" : "CompleteAbort",
    partitions: [],
    startTimestampMs: -1,
    lastUpdateTimestampMs: nowMs,
  };
}

export function toRecord(facts: TransactionFacts): TransactionLogValue {
  const byTopic = new Map<string, number[]>();
  for (const { topic, partition } of facts.partitions) {
    const ids = byTopic.get(topic);
    if (ids === undefined) byTopic.set(topic, [partition]);
    else ids.push(partition);
  }
  return {
    producerId: facts.producerId,
    previousProducerId: facts.previousProducerId,
    producerEpoch: facts.producerEpoch,
    transactionTimeoutMs: facts.timeoutMs,
    transactionStatus: TRANSACTION_STATUS[facts.state],
    transactionPartitions: byTopic.size === 0
      ? null
      : [...byTopic].map(([topic, partitionIds]) => ({ topic, partitionIds })),
    transactionLastUpdateTimestampMs: facts.lastUpdateTimestampMs,
    transactionStartTimestampMs: facts.startTimestampMs,
  };
}

/** Undefined for a status that is never stored. */
export function fromRecord(
  value: TransactionLogValue,
  previousProducerEpoch = -1,
): TransactionFacts | undefined {
  const entry = Object.entries(TRANSACTION_STATUS)
    .find(([, status]) => status === value.transactionStatus);
  if (entry === undefined) return undefined;
  return {
    state: entry[0] as TransactionState,
    producerId: value.producerId,
    producerEpoch: value.producerEpoch,
    previousProducerId: value.previousProducerId,
    previousProducerEpoch,
    timeoutMs: value.transactionTimeoutMs,
    partitions: (value.transactionPartitions ?? []).flatMap((
      { topic, partitionIds },
    ) => partitionIds.map((partition) => ({ topic, partition }))),
    startTimestampMs: value.transactionStartTimestampMs,
    lastUpdateTimestampMs: value.transactionLastUpdateTimestampMs,
  };
}
