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

/** Those that fit, of all whose first record is committed. */
export function list(
  transactions: Iterable<{
    readonly transactionalId: string;
    readonly facts: TransactionFacts | undefined;
  }>,
  request: Extract<TransactionRequest, { type: "listTransactions" }>,
): TransactionResponse {
  const states = new Set(request.states);
  const ids = new Set(request.producerIds);
  const listed = [];
  for (const { transactionalId, facts } of transactions) {
    if (facts === undefined) continue;
    const { state, producerId } = facts;
    if (states.size > 0 && !states.has(state)) continue;
    if (ids.size > 0 && !ids.has(producerId)) continue;
    listed.push({ transactionalId, producerId, state });
  }
  return { error: null, transactions: listed };
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
