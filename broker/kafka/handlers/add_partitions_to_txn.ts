/**
 * AddPartitionsToTxn 0-3: the partitions that a transaction is about to write.
 * All or none: when one does not exist, the others are not attempted.
 */
import type { MetadataView } from "../../cluster/metadata_view.ts";
import { orUnavailable } from "../../operations/metadata_failure.ts";
import type { Transactions } from "../../operations/transactions.ts";
import type { TopicPartition } from "../../transaction/messages.ts";
import { kafkaCode } from "../answers.ts";
import { serve } from "../handler.ts";
import { addPartitionsToTxnApi } from "../messages/add_partitions_to_txn.ts";
import { transactionErrorCode } from "./transaction_errors.ts";

const FIRST_VERSION_WITH_FENCED = 2;

export function addPartitionsToTxnHandler(
  transactions: Transactions,
  view: MetadataView,
) {
  return serve(addPartitionsToTxnApi, async (request, { apiVersion }) => {
    const topics = request.v3AndBelowTopics;
    const asked = topics.flatMap(({ name, partitions }) =>
      partitions.map((partition) => ({ topic: name, partition }))
    );
    const exists = await existence(view, asked);
    const isComplete = asked.every(exists);
    const errorCode = isComplete
      ? transactionErrorCode(
        (await transactions.request("addPartitions", {
          transactionalId: request.v3AndBelowTransactionalId,
          producerId: request.v3AndBelowProducerId,
          producerEpoch: request.v3AndBelowProducerEpoch,
          partitions: asked,
        })).error,
        apiVersion >= FIRST_VERSION_WITH_FENCED,
      )
      : kafkaCode("OPERATION_NOT_ATTEMPTED");
    return {
      resultsByTopicV3AndBelow: topics.map(({ name, partitions }) => ({
        name,
        resultsByPartition: partitions.map((partition) => ({
          partitionIndex: partition,
          partitionErrorCode: exists({ topic: name, partition })
            ? errorCode
            : kafkaCode("UNKNOWN_TOPIC_OR_PARTITION"),
        })),
      })),
    };
  });
}

/**
 * Asks the store before it calls a partition unknown; where that cannot be had,
 * unknown is right too: clients ask again.
 */
async function existence(
  view: MetadataView,
  asked: readonly TopicPartition[],
): Promise<(one: TopicPartition) => boolean> {
  const exists = ({ topic, partition }: TopicPartition) =>
    partition >= 0 &&
    partition < (view.image.topics.get(topic)?.partitions ?? 0);
  if (!asked.every(exists)) await orUnavailable(() => view.catchUp());
  return exists;
}
