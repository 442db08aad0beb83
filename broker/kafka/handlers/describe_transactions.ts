/** DescribeTransactions 0: the state of transactional ids (KIP-664). */
import type { Transactions } from "../../operations/transactions.ts";
import type { TopicPartition } from "../../transaction/messages.ts";
import { kafkaCode } from "../answers.ts";
import { serve } from "../handler.ts";
import { describeTransactionsApi } from "../messages/describe_transactions.ts";

export function describeTransactionsHandler(transactions: Transactions) {
  return serve(describeTransactionsApi, async (request) => ({
    transactionStates: await Promise.all(
      request.transactionalIds.map(async (transactionalId) => {
        const found = await transactions.request("describeTransaction", {
          transactionalId,
        });
        return {
          errorCode: kafkaCode(found.error ?? undefined),
          transactionalId,
          transactionState: found.state,
          transactionTimeoutMs: found.transactionTimeoutMs,
          transactionStartTimeMs: found.startTimestampMs,
          producerId: found.producerId,
          producerEpoch: found.producerEpoch,
          topics: byTopic(found.partitions),
        };
      }),
    ),
  }));
}

function byTopic(partitions: readonly TopicPartition[]) {
  const topics = new Map<string, number[]>();
  for (const { topic, partition } of partitions) {
    const known = topics.get(topic);
    if (known === undefined) topics.set(topic, [partition]);
    else known.push(partition);
  }
  return [...topics].map(([topic, partitions]) => ({ topic, partitions }));
}
