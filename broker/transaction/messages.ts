/**
 * What the transaction coordinator is asked and answers, close to the fields of
 * Kafka's messages but of no version.
 */
import type { ErrorCode } from "../../contract/errors.ts";
import type { TransactionState } from "./records.ts";

/** Null is Kafka's NONE. */
export type ErrorOrNone = ErrorCode | null;

export interface TopicPartition {
  readonly topic: string;
  readonly partition: number;
}

export interface InitProducerIdRequest {
  readonly transactionalId: string;
  readonly transactionTimeoutMs: number;
  /** What the producer has (KIP-360), or -1. */
  readonly producerId: number;
  readonly producerEpoch: number;
}

export interface InitProducerIdResponse {
  readonly error: ErrorOrNone;
  /** -1 with an error. */
  readonly producerId: number;
  readonly producerEpoch: number;
}

/** Which producer speaks. */
export interface TransactionalProducer {
  readonly transactionalId: string;
  readonly producerId: number;
  readonly producerEpoch: number;
}

export interface ErrorResponse {
  readonly error: ErrorOrNone;
}

export interface DescribedTransaction {
  readonly error: ErrorOrNone;
  readonly state: TransactionState | "";
  readonly producerId: number;
  readonly producerEpoch: number;
  readonly transactionTimeoutMs: number;
  /** -1 when no transaction is open. */
  readonly startTimestampMs: number;
  readonly partitions: readonly TopicPartition[];
}

/** Requests and responses by name. A type, not an interface: it is indexed. */
export type TransactionApi = {
  initProducerId: {
    request: InitProducerIdRequest;
    response: InitProducerIdResponse;
  };
  addPartitions: {
    request: TransactionalProducer & {
      readonly partitions: readonly TopicPartition[];
    };
    response: ErrorResponse;
  };
  /** The group's partition of `__consumer_offsets` joins the transaction. */
  addOffsets: {
    request: TransactionalProducer & { readonly groupId: string };
    response: ErrorResponse;
  };
  endTransaction: {
    request: TransactionalProducer & { readonly committed: boolean };
    response: ErrorResponse;
  };
  describeTransaction: {
    request: { readonly transactionalId: string };
    response: DescribedTransaction;
  };
  /** Empty lists mean all. */
  listTransactions: {
    request: {
      readonly states: readonly string[];
      readonly producerIds: readonly number[];
    };
    response: {
      readonly error: ErrorOrNone;
      readonly transactions: readonly {
        readonly transactionalId: string;
        readonly producerId: number;
        readonly state: TransactionState;
      }[];
    };
  };
};

/**
 * Work for the edge. `allocateProducerId` is answered by `producerIdAllocated`
 * or `producerIdRefused`. `writeMarkers` is retried by the edge until every
 * partition that still exists has its marker, then answered `markersWritten`.
 */
export type TransactionAction =
  | { readonly type: "allocateProducerId"; readonly transactionalId: string }
  | {
    readonly type: "writeMarkers";
    readonly transactionalId: string;
    readonly producerId: number;
    readonly producerEpoch: number;
    readonly committed: boolean;
    readonly partitions: readonly TopicPartition[];
  };

export type TransactionNotice =
  | {
    readonly type: "producerIdAllocated";
    readonly transactionalId: string;
    readonly producerId: number;
  }
  | {
    readonly type: "producerIdRefused";
    readonly transactionalId: string;
    readonly error: ErrorCode;
  }
  | {
    readonly type: "markersWritten";
    readonly transactionalId: string;
    readonly producerId: number;
    readonly producerEpoch: number;
  };
