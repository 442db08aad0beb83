/**
 * Produces in transactions over the Kafka protocol: each has a record in every
 * partition of its topic and is committed or aborted. Owns the protocol's steps
 * and what became of each transaction: all of it is to be read, or nothing.
 */
import { addPartitionsToTxnApi } from "../../../broker/kafka/messages/add_partitions_to_txn.ts";
import { endTxnApi } from "../../../broker/kafka/messages/end_txn.ts";
import { findCoordinatorApi } from "../../../broker/kafka/messages/find_coordinator.ts";
import { initProducerIdApi } from "../../../broker/kafka/messages/init_producer_id.ts";
import { produceApi } from "../../../broker/kafka/messages/produce.ts";
import type { Api } from "../../../broker/kafka/codec/api.ts";
import { RecordBatchBuilder } from "../../../storage/log/record_batch_builder.ts";
import type { TopicSpec } from "../history.ts";
import type { Load } from "./client.ts";
import { KafkaClient } from "./kafka_client.ts";

const encoder = new TextEncoder();
/** Longer than any simulation: nobody but the client ends a transaction. */
const TIMEOUT_MS = 60_000;

/** What the client was told of its transactions, by their numbers. */
export class TransactionHistory {
  readonly committed = new Set<string>();
  readonly aborted = new Set<string>();

  /** What is wrong with what a reader of committed records found. */
  fault(found: readonly string[]): string | undefined {
    const last = new Map<string, number>();
    for (const value of found) {
      if (this.aborted.has(value)) {
        return `transaction ${value} was aborted and can be read`;
      }
      const [producer, text] = value.split(":");
      const number = Number(text);
      const before = last.get(producer) ?? 0;
      if (number <= before) {
        return `transaction ${value} comes after ${before}`;
      }
      last.set(producer, number);
    }
    const there = new Set(found);
    const lost = [...this.committed].find((value) => !there.has(value));
    return lost === undefined
      ? undefined
      : `transaction ${lost} was committed and cannot be read`;
  }
}

export class Transactor extends KafkaClient {
  readonly #topic: TopicSpec;
  readonly #history: TransactionHistory;
  #coordinator: string | undefined;
  #identity = { producerId: -1, producerEpoch: -1 };
  readonly #sequences = new Map<number, number>();
  #number = 0;

  constructor(
    load: Load,
    name: string,
    topic: TopicSpec,
    history: TransactionHistory,
  ) {
    super(load, name);
    this.#topic = topic;
    this.#history = history;
  }

  override async run(): Promise<void> {
    await this.#begin();
    while (!this.load.isOver) {
      await this.#transact(++this.#number);
      this.doing = "nothing";
      await this.pause();
    }
  }

  async #begin(): Promise<void> {
    this.doing = "asking for a producer id";
    const answer = await this.#coordinated(initProducerIdApi, 4, {
      transactionalId: this.name,
      transactionTimeoutMs: TIMEOUT_MS,
    }, ({ errorCode }) => errorCode);
    this.#identity = answer;
    this.#sequences.clear();
  }

  async #transact(number: number): Promise<void> {
    const { producerId, producerEpoch } = this.#identity;
    const partitions = Array.from(
      { length: this.#topic.partitions },
      (_, i) => i,
    );
    this.doing = `adding partitions to transaction ${number}`;
    await this.#coordinated(
      addPartitionsToTxnApi,
      3,
      {
        v3AndBelowTransactionalId: this.name,
        v3AndBelowProducerId: producerId,
        v3AndBelowProducerEpoch: producerEpoch,
        v3AndBelowTopics: [{ name: this.#topic.name, partitions }],
      },
      (answer) =>
        answer.resultsByTopicV3AndBelow.flatMap((one) => one.resultsByPartition)
          .find((one) => one.partitionErrorCode !== 0)?.partitionErrorCode ?? 0,
    );
    for (const partition of partitions) await this.#produce(number, partition);
    const committed = this.process.random.chance(0.7);
    this.doing = `ending transaction ${number}`;
    await this.#coordinated(endTxnApi, 3, {
      transactionalId: this.name,
      producerId,
      producerEpoch,
      committed,
    }, ({ errorCode }) => errorCode);
    this.#history[committed ? "committed" : "aborted"].add(
      this.#valueOf(number),
    );
    this.say(`${committed ? "committed" : "aborted"} ${number}`);
  }

  #valueOf(number: number): string {
    return `${this.name}:${number}`;
  }

  async #produce(number: number, partition: number): Promise<void> {
    const { name: topic } = this.#topic;
    const sequence = this.#sequences.get(partition) ?? 0;
    const value = this.#valueOf(number);
    const builder = new RecordBatchBuilder({
      ...this.#identity,
      baseSequence: sequence,
      transactional: true,
    });
    builder.add({
      key: null,
      value: encoder.encode(value),
      headers: [],
      timestampMs: this.process.clock.nowMs(),
    });
    const bytes = builder.build();
    this.doing = `producing in transaction ${number} to partition ${partition}`;
    const sentMs = this.nowMs;
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
        const offset = result.baseOffset;
        this.load.checks.acknowledged({
          topic,
          partition,
          offset,
          value,
          sentMs,
        });
        break;
      }
      this.forgetLeader(topic, partition);
      this.#complain(result?.errorCode);
      await this.backOff();
    }
    this.#sequences.set(partition, sequence + 1);
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
