/**
 * A producer with a transactional id over the Kafka protocol: each step of a
 * transaction, at whoever coordinates it by then, until it is done. Owns the
 * protocol's steps; what is in a transaction is its subclasses'.
 */
import { addPartitionsToTxnApi } from "../../../broker/kafka/messages/add_partitions_to_txn.ts";
import { endTxnApi } from "../../../broker/kafka/messages/end_txn.ts";
import { findCoordinatorApi } from "../../../broker/kafka/messages/find_coordinator.ts";
import { initProducerIdApi } from "../../../broker/kafka/messages/init_producer_id.ts";
import { produceApi } from "../../../broker/kafka/messages/produce.ts";
import type { Api } from "../../../broker/kafka/codec/api.ts";
import { RecordBatchBuilder } from "../../../storage/log/record_batch_builder.ts";
import { KafkaClient } from "./kafka_client.ts";

const encoder = new TextEncoder();
/** Longer than any simulation: nobody but the client ends a transaction. */
const TIMEOUT_MS = 60_000;

export interface TransactionalRecord {
  readonly key: string | null;
  readonly value: string | null;
  readonly timestampMs: number;
}

export abstract class TransactionalClient extends KafkaClient {
  #coordinator: string | undefined;
  #identity = { producerId: -1, producerEpoch: -1 };
  readonly #sequences = new Map<string, number>();

  protected async begin(): Promise<void> {
    this.doing = "asking for a producer id";
    const answer = await this.#coordinated(initProducerIdApi, 4, {
      transactionalId: this.name,
      transactionTimeoutMs: TIMEOUT_MS,
    }, ({ errorCode }) => errorCode);
    this.#identity = answer;
    this.#sequences.clear();
  }

  protected async addPartitions(
    topic: string,
    partitions: readonly number[],
  ): Promise<void> {
    const { producerId, producerEpoch } = this.#identity;
    await this.#coordinated(
      addPartitionsToTxnApi,
      3,
      {
        v3AndBelowTransactionalId: this.name,
        v3AndBelowProducerId: producerId,
        v3AndBelowProducerEpoch: producerEpoch,
        v3AndBelowTopics: [{ name: topic, partitions: [...partitions] }],
      },
      (answer) =>
        answer.resultsByTopicV3AndBelow.flatMap((one) => one.resultsByPartition)
          .find((one) => one.partitionErrorCode !== 0)?.partitionErrorCode ?? 0,
    );
  }

  protected async end(committed: boolean): Promise<void> {
    const { producerId, producerEpoch } = this.#identity;
    await this.#coordinated(endTxnApi, 3, {
      transactionalId: this.name,
      producerId,
      producerEpoch,
      committed,
    }, ({ errorCode }) => errorCode);
  }

  /** Resolves to the first one's offset, once all are stored. */
  protected async produce(
    topic: string,
    partition: number,
    records: readonly TransactionalRecord[],
  ): Promise<number> {
    const place = `${topic}-${partition}`;
    const sequence = this.#sequences.get(place) ?? 0;
    const bytes = this.#batchOf(records, sequence);
    for (;;) {
      const leader = await this.leaderOf(topic, partition);
      const answer = leader && await this.request(leader, produceApi, 9, {
        transactionalId: this.name,
        acks: -1,
        timeoutMs: 2_000,
        topicData: [{
          name: topic,
          partitionData: [{ index: partition, records: bytes }],
        }],
      });
      const result = answer
        ? answer.responses[0].partitionResponses[0]
        : undefined;
      if (result?.errorCode === 0) {
        this.#sequences.set(place, sequence + records.length);
        return result.baseOffset;
      }
      this.forgetLeader(topic, partition);
      this.#complain(result?.errorCode);
      await this.backOff();
    }
  }

  #batchOf(
    records: readonly TransactionalRecord[],
    baseSequence: number,
  ): Uint8Array {
    const builder = new RecordBatchBuilder({
      ...this.#identity,
      baseSequence,
      transactional: true,
    });
    for (const { key, value, timestampMs } of records) {
      builder.add({
        key: key === null ? null : encoder.encode(key),
        value: value === null ? null : encoder.encode(value),
        headers: [],
        timestampMs,
      });
    }
    return builder.build();
  }

  /** Asks the coordinator until it has done it. */
  async #coordinated<RequestIn, Response>(
    api: Api<unknown, RequestIn, Response, unknown>,
    version: number,
    body: RequestIn,
    errorOf: (answer: Response) => number,
  ): Promise<Response> {
    for (;;) {
      const coordinator = this.#coordinator ?? await this.#find();
      const answer = coordinator === undefined
        ? undefined
        : await this.request(coordinator, api, version, body);
      const errorCode = answer === undefined ? undefined : errorOf(answer);
      if (answer !== undefined && errorCode === 0) return answer;
      const code = errorCode === undefined ? undefined : this.codeOf(errorCode);
      if (code !== "CONCURRENT_TRANSACTIONS") this.#coordinator = undefined;
      this.#complain(errorCode);
      await this.backOff();
    }
  }

  #complain(errorCode: number | undefined): void {
    const code = errorCode === undefined ? undefined : this.codeOf(errorCode);
    if (code === undefined) return;
    this.say(`${this.doing}: ${code}`);
    if (this.isRetriable(code)) return;
    this.load.world.violated(
      `${this.name} was refused for good while ${this.doing}: ${code}`,
    );
  }

  async #find(): Promise<string | undefined> {
    const answer = await this.request(
      this.anyMachine().name,
      findCoordinatorApi,
      3,
      { key: this.name, keyType: 1 },
    );
    if (answer?.errorCode === 0) this.#coordinator = answer.host;
    return this.#coordinator;
  }
}
