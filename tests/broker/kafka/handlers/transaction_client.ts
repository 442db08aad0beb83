/** A transactional producer and a reader, reduced to the requests they send. */
import { addOffsetsToTxnApi } from "../../../../broker/kafka/messages/add_offsets_to_txn.ts";
import { addPartitionsToTxnApi } from "../../../../broker/kafka/messages/add_partitions_to_txn.ts";
import { endTxnApi } from "../../../../broker/kafka/messages/end_txn.ts";
import { fetchApi } from "../../../../broker/kafka/messages/fetch.ts";
import { initProducerIdApi } from "../../../../broker/kafka/messages/init_producer_id.ts";
import { produceApi } from "../../../../broker/kafka/messages/produce.ts";
import { txnOffsetCommitApi } from "../../../../broker/kafka/messages/txn_offset_commit.ts";
import {
  decodeRecords,
  iterateBatches,
  RecordBatchBuilder,
} from "../../../../storage/log/record_batch.ts";
import { assertEquals } from "../../../support/assert.ts";
import type { TestBroker } from "../../../support/kafka_cluster.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

const CONCURRENT_TRANSACTIONS = 51;

function firstCode(
  { resultsByTopicV3AndBelow: [{ resultsByPartition }] }: {
    resultsByTopicV3AndBelow: readonly {
      resultsByPartition: readonly { partitionErrorCode: number }[];
    }[];
  },
): number {
  return resultsByPartition[0].partitionErrorCode;
}

export class TestProducer {
  /** Whom it asks. */
  broker: TestBroker;
  readonly transactionalId: string;
  producerId = -1;
  producerEpoch = -1;
  readonly #sequences = new Map<string, number>();

  constructor(broker: TestBroker, transactionalId = "t") {
    this.broker = broker;
    this.transactionalId = transactionalId;
  }

  /** Takes over the transactional id; the error code. */
  async init(timeoutMs = 60_000): Promise<number> {
    const answer = await this.#patiently(
      () =>
        this.broker.call(initProducerIdApi, 4, {
          transactionalId: this.transactionalId,
          transactionTimeoutMs: timeoutMs,
        }),
      ({ errorCode }) => errorCode,
    );
    if (answer.errorCode === 0) {
      this.producerId = answer.producerId;
      this.producerEpoch = answer.producerEpoch;
      this.#sequences.clear();
    }
    return answer.errorCode;
  }

  async add(
    partitions: readonly number[],
    { topic = "demo", version = 3 } = {},
  ): Promise<number[]> {
    const answer = await this.#patiently(
      () =>
        this.broker.call(addPartitionsToTxnApi, version, {
          v3AndBelowTransactionalId: this.transactionalId,
          v3AndBelowProducerId: this.producerId,
          v3AndBelowProducerEpoch: this.producerEpoch,
          v3AndBelowTopics: [{ name: topic, partitions }],
        }),
      firstCode,
    );
    return answer.resultsByTopicV3AndBelow[0].resultsByPartition
      .map((one) => one.partitionErrorCode);
  }

  /** The error code. */
  async send(partition: number, ...values: string[]): Promise<number> {
    const baseSequence = this.#sequences.get(`${partition}`) ?? 0;
    const builder = new RecordBatchBuilder({
      producerId: this.producerId,
      producerEpoch: this.producerEpoch,
      baseSequence,
      transactional: true,
    });
    for (const value of values) {
      builder.add({
        key: null,
        value: encoder.encode(value),
        headers: [],
        timestampMs: 1_700_000_000_000,
      });
    }
    const { responses: [{ partitionResponses: [{ errorCode }] }] } = await this
      .broker.call(produceApi, 9, {
        transactionalId: this.transactionalId,
        acks: -1,
        timeoutMs: 1000,
        topicData: [{
          name: "demo",
          partitionData: [{ index: partition, records: builder.build() }],
        }],
      });
    if (errorCode === 0) {
      this.#sequences.set(`${partition}`, baseSequence + values.length);
    }
    return errorCode;
  }

  async addOffsets(groupId = "g", version = 3): Promise<number> {
    const { errorCode } = await this.#patiently(
      () =>
        this.broker.call(addOffsetsToTxnApi, version, {
          transactionalId: this.transactionalId,
          producerId: this.producerId,
          producerEpoch: this.producerEpoch,
          groupId,
        }),
      (answer) => answer.errorCode,
    );
    return errorCode;
  }

  async commitOffset(
    offset: number,
    { groupId = "g", version = 3 } = {},
  ): Promise<number> {
    const { topics: [{ partitions: [{ errorCode }] }] } = await this.broker
      .call(txnOffsetCommitApi, version, {
        transactionalId: this.transactionalId,
        groupId,
        producerId: this.producerId,
        producerEpoch: this.producerEpoch,
        topics: [{
          name: "demo",
          partitions: [{
            partitionIndex: 0,
            committedOffset: offset,
            committedMetadata: null,
          }],
        }],
      });
    return errorCode;
  }

  async end(committed: boolean, version = 3): Promise<number> {
    const { errorCode } = await this.#patiently(
      () =>
        this.broker.call(endTxnApi, version, {
          transactionalId: this.transactionalId,
          producerId: this.producerId,
          producerEpoch: this.producerEpoch,
          committed,
        }),
      (answer) => answer.errorCode,
    );
    return errorCode;
  }

  /** As clients do while the markers of the last transaction are written. */
  async #patiently<Answer>(
    ask: () => Promise<Answer>,
    errorCode: (answer: Answer) => number,
  ): Promise<Answer> {
    for (let attempt = 1;; attempt++) {
      const answer = await ask();
      if (errorCode(answer) !== CONCURRENT_TRANSACTIONS || attempt === 5) {
        return answer;
      }
      await this.broker.rest(20);
    }
  }
}

export interface Seen {
  /** What a client shows: aborted data is left out, as the answer says. */
  readonly values: string[];
  readonly highWatermark: number;
  readonly lastStableOffset: number;
  readonly aborted: { producerId: number; firstOffset: number }[] | null;
}

export async function read(
  broker: TestBroker,
  partition = 0,
  { committed = true, from = 0 } = {},
): Promise<Seen> {
  const { responses: [{ partitions: [answer] }] } = await broker.call(
    fetchApi,
    11,
    {
      maxWaitMs: 0,
      minBytes: 0,
      maxBytes: 1_000_000,
      isolationLevel: committed ? 1 : 0,
      topics: [{
        topic: "demo",
        partitions: [{
          partition,
          fetchOffset: from,
          partitionMaxBytes: 1_000_000,
        }],
      }],
      forgottenTopicsData: [],
    },
  );
  assertEquals(answer.errorCode, 0);
  return {
    values: shown(
      answer.records ?? new Uint8Array(),
      answer.abortedTransactions,
    ),
    highWatermark: answer.highWatermark,
    lastStableOffset: answer.lastStableOffset,
    aborted: answer.abortedTransactions?.map((one) => ({ ...one })) ?? null,
  };
}

/** As Kafka's clients filter (KIP-98). */
function shown(
  bytes: Uint8Array,
  abortedTransactions:
    | readonly { producerId: number; firstOffset: number }[]
    | null,
): string[] {
  const waiting = [...abortedTransactions ?? []];
  const aborting = new Set<number>();
  const values: string[] = [];
  for (const { header, bytes: batch } of iterateBatches(bytes)) {
    while (waiting.length > 0 && waiting[0].firstOffset <= header.lastOffset) {
      aborting.add(waiting.shift()!.producerId);
    }
    if (header.isControl) aborting.delete(header.producerId);
    else if (!header.isTransactional || !aborting.has(header.producerId)) {
      for (const { value } of decodeRecords(batch)) {
        values.push(decoder.decode(value ?? new Uint8Array()));
      }
    }
  }
  return values;
}
