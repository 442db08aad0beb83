/** The records of `__transaction_state` in Kafka's bytes. */
import type { RecordFormat } from "../coordinator/replica_log.ts";
import { keyKind } from "../kafka/codec/record_schema.ts";
import {
  transactionLogKey,
  transactionLogValue,
} from "../kafka/messages/data/transaction_state.ts";
import type { TransactionRecord } from "./records.ts";

/** The tagged fields need the flexible version. */
const FLEXIBLE_VERSION = 1;
const PLAIN_VERSION = 0;

export const TRANSACTION_RECORD_FORMAT: RecordFormat<TransactionRecord> = {
  encode({ key, value }) {
    return {
      key: transactionLogKey.encode(key),
      value: value && transactionLogValue.encode(
        value.previousProducerId === -1 ? PLAIN_VERSION : FLEXIBLE_VERSION,
        value,
      ),
    };
  },

  decode(key, value) {
    if (keyKind(key) !== transactionLogKey.kind) return undefined;
    return {
      key: transactionLogKey.decode(key),
      value: value && transactionLogValue.decode(value).value,
    };
  },
};
