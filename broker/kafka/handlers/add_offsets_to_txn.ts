/** AddOffsetsToTxn 0-3: a group's offsets become part of a transaction. */
import { Failure } from "../../../contract/errors.ts";
import type { Groups } from "../../operations/groups.ts";
import type { Transactions } from "../../operations/transactions.ts";
import { kafkaCode } from "../answers.ts";
import { serve } from "../handler.ts";
import { addOffsetsToTxnApi } from "../messages/add_offsets_to_txn.ts";
import { transactionErrorCode } from "./transaction_errors.ts";

const FIRST_VERSION_WITH_FENCED = 2;

export function addOffsetsToTxnHandler(
  transactions: Transactions,
  groups: Groups,
) {
  return serve(addOffsetsToTxnApi, async (request, { apiVersion }) => {
    // The group's partition must be there before it can join a transaction.
    const coordinator = await groups.coordinator(request.groupId);
    if (coordinator instanceof Failure) {
      return { errorCode: kafkaCode(coordinator.code) };
    }
    const { error } = await transactions.request("addOffsets", request);
    return {
      errorCode: transactionErrorCode(
        error,
        apiVersion >= FIRST_VERSION_WITH_FENCED,
      ),
    };
  });
}
