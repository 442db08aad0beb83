/** DescribeProducers 0: who writes to partitions, to find hanging transactions. */
import { Failure } from "../../../contract/errors.ts";
import type { Diagnostics } from "../../operations/diagnostics.ts";
import { errorFields } from "../answers.ts";
import { serve } from "../handler.ts";
import { describeProducersApi } from "../messages/describe_producers.ts";

export function describeProducersHandler(diagnostics: Diagnostics) {
  return serve(describeProducersApi, async (request) => ({
    topics: await Promise.all(
      request.topics.map(async ({ name, partitionIndexes }) => ({
        name,
        partitions: await Promise.all(
          partitionIndexes.map(async (partitionIndex) => {
            const found = await diagnostics.producers(name, partitionIndex);
            const producers = found instanceof Failure ? [] : found;
            return {
              partitionIndex,
              ...errorFields(found),
              activeProducers: producers.map((producer) => ({
                producerId: producer.producerId,
                producerEpoch: producer.producerEpoch,
                lastSequence: producer.lastSequence,
                lastTimestamp: producer.lastTimestampMs,
                coordinatorEpoch: producer.coordinatorEpoch,
                currentTxnStartOffset: producer.transactionStartOffset,
              })),
            };
          }),
        ),
      })),
    ),
  }));
}
