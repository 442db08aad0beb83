/**
 * InitProducerId 0-4: the id and epoch of an idempotent producer, or of a
 * transactional one, which it fences from its predecessor.
 */
import { Failure } from "../../../contract/errors.ts";
import type { ProducerOperations } from "../../operations/operations.ts";
import { allocationError } from "../../operations/producers.ts";
import type { Transactions } from "../../operations/transactions.ts";
import { kafkaCode } from "../answers.ts";
import { serve } from "../handler.ts";
import { initProducerIdApi } from "../messages/init_producer_id.ts";
import { transactionErrorCode } from "./transaction_errors.ts";

const FIRST_VERSION_WITH_FENCED = 4;
const NO_PRODUCER = { producerId: -1, producerEpoch: -1 };

export function initProducerIdHandler(
  producers: ProducerOperations,
  transactions: Transactions,
) {
  return serve(initProducerIdApi, async (request, { apiVersion }) => {
    const { transactionalId, producerId, producerEpoch } = request;
    if (transactionalId === null) {
      const allocated = await producers.allocate();
      return allocated instanceof Failure
        ? { errorCode: kafkaCode(allocationError(allocated)), ...NO_PRODUCER }
        : { errorCode: 0, ...allocated };
    }
    if ((producerId < 0) !== (producerEpoch < 0)) {
      return { errorCode: kafkaCode("INVALID_REQUEST"), ...NO_PRODUCER };
    }
    const { error, ...producer } = await transactions.request(
      "initProducerId",
      {
        transactionalId,
        transactionTimeoutMs: request.transactionTimeoutMs,
        producerId,
        producerEpoch,
      },
    );
    return {
      errorCode: transactionErrorCode(
        error,
        apiVersion >= FIRST_VERSION_WITH_FENCED,
      ),
      ...producer,
    };
  });
}
