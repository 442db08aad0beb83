/** ListTransactions 0-1: the transactional ids that this broker coordinates. */
import type { Clock } from "../../environment.ts";
import type { Transactions } from "../../operations/transactions.ts";
import { TRANSACTION_STATUS } from "../../transaction/records.ts";
import { kafkaCode } from "../answers.ts";
import { serve } from "../handler.ts";
import { listTransactionsApi } from "../messages/list_transactions.ts";

/** Kafka's other two, which are never the state of a stored transaction. */
const UNSTORED_STATES = ["Dead", "PrepareEpochFence"];
const STATES: ReadonlySet<string> = new Set([
  ...Object.keys(TRANSACTION_STATUS),
  ...UNSTORED_STATES,
]);

export function listTransactionsHandler(
  transactions: Transactions,
  clock: Clock,
) {
  /** Whether it has been open for longer than `durationMs`. */
  const isOpenFor = async (transactionalId: string, durationMs: number) => {
    const { startTimestampMs } = await transactions.request(
      "describeTransaction",
      { transactionalId },
    );
    return startTimestampMs >= 0 &&
      clock.nowMs() - startTimestampMs > durationMs;
  };
  return serve(listTransactionsApi, async (request) => {
    const { stateFilters, producerIdFilters, durationFilter } = request;
    const listed = await transactions.list({
      states: stateFilters,
      producerIds: producerIdFilters,
    });
    const kept = [];
    for (const { transactionalId, producerId, state } of listed.transactions) {
      const isKept = durationFilter < 0 ||
        await isOpenFor(transactionalId, durationFilter);
      if (!isKept) continue;
      kept.push({ transactionalId, producerId, transactionState: state });
    }
    return {
      errorCode: kafkaCode(listed.error ?? undefined),
      unknownStateFilters: stateFilters.filter((state) => !STATES.has(state)),
      transactionStates: kept,
    };
  });
}
