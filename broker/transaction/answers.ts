/** The answers of the transaction coordinator, and who is refused at once. */
import type { ErrorCode } from "../../contract/errors.ts";
import type { RequestOf, ResponseOf } from "../coordinator/core.ts";
import type {
  DescribedTransaction,
  TransactionalProducer,
  TransactionApi,
} from "./messages.ts";
import type { TransactionFacts } from "./transaction.ts";

export type TransactionRequest = RequestOf<TransactionApi>;
export type TransactionResponse = ResponseOf<TransactionApi>;

export function producerFault(
  facts: TransactionFacts | undefined,
  { producerId, producerEpoch }: TransactionalProducer,
): ErrorCode | undefined {
  if (facts === undefined || facts.producerId !== producerId) {
    return "INVALID_PRODUCER_ID_MAPPING";
  }
  return facts.producerEpoch === producerEpoch ? undefined : "PRODUCER_FENCED";
}

export function initialised({ producerId, producerEpoch }: TransactionFacts) {
  return { error: null, producerId, producerEpoch };
}

export function describe(
  facts: TransactionFacts | undefined,
): DescribedTransaction {
  return {
    error: facts === undefined ? "TRANSACTIONAL_ID_NOT_FOUND" : null,
    state: facts?.state ?? "",
    producerId: facts?.producerId ?? -1,
    producerEpoch: facts?.producerEpoch ?? -1,
    transactionTimeoutMs: facts?.timeoutMs ?? 0,
    startTimestampMs: facts?.startTimestampMs ?? -1,
    partitions: facts?.partitions ?? [],
  };
}

export function refusal(
  request: TransactionRequest,
  error: ErrorCode,
): TransactionResponse {
  switch (request.type) {
    case "initProducerId":
      return { error, producerId: -1, producerEpoch: -1 };
    case "describeTransaction":
      return { ...describe(undefined), error };
    case "listTransactions":
      return { error, transactions: [] };
    default:
      return { error };
  }
}
