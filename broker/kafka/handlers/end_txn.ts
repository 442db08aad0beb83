/** EndTxn 0-3: commits or aborts; answered once the decision is stored. */
import type { Transactions } from "../../operations/transactions.ts";
import { serve } from "../handler.ts";
import { endTxnApi } from "../messages/end_txn.ts";
import { transactionErrorCode } from "./transaction_errors.ts";

const FIRST_VERSION_WITH_FENCED = 2;

export function endTxnHandler(transactions: Transactions) {
  return serve(endTxnApi, async (request, { apiVersion }) => {
    const { error } = await transactions.request("endTransaction", request);
    return {
      errorCode: transactionErrorCode(
        error,
        apiVersion >= FIRST_VERSION_WITH_FENCED,
      ),
    };
  });
}
