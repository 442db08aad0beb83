/** How the errors of transactions are told to clients of older versions. */
import { kafkaCode } from "../answers.ts";
import type { ErrorOrNone } from "../../transaction/messages.ts";

/** Clients from before PRODUCER_FENCED know INVALID_PRODUCER_EPOCH alone. */
export function transactionErrorCode(
  error: ErrorOrNone,
  knowsFenced: boolean,
): number {
  return kafkaCode(
    error === "PRODUCER_FENCED" && !knowsFenced
      ? "INVALID_PRODUCER_EPOCH"
      : error ?? undefined,
  );
}
