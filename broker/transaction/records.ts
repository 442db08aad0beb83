/**
 * The records of `__transaction_state` as plain objects, field by field as
 * Kafka's TransactionLogKey and TransactionLogValue. Bytes are the codec's
 * business. A null value is a tombstone.
 */
import { coordinatorPartition } from "../coordinator/java_hash.ts";

export const TRANSACTIONS_TOPIC = "__transaction_state";

/** `transactionStatus` on disk. 6 (Dead) and 7 (fencing) are never stored. */
export const TRANSACTION_STATUS = {
  Empty: 0,
  Ongoing: 1,
  PrepareCommit: 2,
  PrepareAbort: 3,
  CompleteCommit: 4,
  CompleteAbort: 5,
} as const;

export type TransactionState = keyof typeof TRANSACTION_STATUS;

export interface TransactionLogKey {
  readonly transactionalId: string;
}

/** Written as value version 1 when a tagged field is set, else 0. */
export interface TransactionLogValue {
  readonly producerId: number;
  /** Tagged; the id before the last rotation, -1 when none. */
  readonly previousProducerId: number;
  readonly producerEpoch: number;
  readonly transactionTimeoutMs: number;
  readonly transactionStatus: number;
  /** Null when no transaction is open or being ended. */
  readonly transactionPartitions:
    | readonly {
      readonly topic: string;
      readonly partitionIds: readonly number[];
    }[]
    | null;
  /** Milliseconds since the Unix epoch. */
  readonly transactionLastUpdateTimestampMs: number;
  /** Milliseconds since the Unix epoch; -1 when none is open. */
  readonly transactionStartTimestampMs: number;
}

export interface TransactionRecord {
  readonly key: TransactionLogKey;
  readonly value: TransactionLogValue | null;
}

/** The partition of `__transaction_state` that coordinates an id. */
export function transactionPartition(
  transactionalId: string,
  partitions: number,
): number {
  return coordinatorPartition(transactionalId, partitions);
}
