/**
 * Produces over the Kafka protocol with acks=all, idempotent or not, as Kafka's
 * own producers do: to the leader, one batch at a time, the same batch again
 * until it is stored.
 */
import { initProducerIdApi } from "../../../broker/kafka/messages/init_producer_id.ts";
import { produceApi } from "../../../broker/kafka/messages/produce.ts";
import { RecordBatchBuilder } from "../../../storage/log/record_batch_builder.ts";
import type { TopicSpec } from "../history.ts";
import type { Load } from "./client.ts";
import { KafkaClient } from "./kafka_client.ts";

const encoder = new TextEncoder();

export class KafkaProducer extends KafkaClient {
  readonly #isIdempotent: boolean;
  #identity: { producerId: number; producerEpoch: number } | undefined;
  readonly #sent = new Map<string, number>();
  readonly #sequences = new Map<string, number>();

  constructor(load: Load, name: string, isIdempotent: boolean) {
    super(load, `${isIdempotent ? "idempotent" : "plain"}-${name}`);
    this.#isIdempotent = isIdempotent;
  }

  override async run(): Promise<void> {
    while (!this.load.isOver) {
      if (this.#isIdempotent && this.#identity === undefined) {
        await this.#getIdentity();
        continue;
      }
      await this.#produceSome();
      await this.pause();
    }
  }

  async #getIdentity(): Promise<void> {
    const answer = await this.request(
      this.anyMachine().name,
      initProducerIdApi,
      4,
      { transactionalId: null, transactionTimeoutMs: 60_000 },
    );
    if (answer?.errorCode === 0) this.#identity = answer;
    else await this.backOff();
  }

  /** Until it is stored: giving up would be losing. */
  async #produceSome(): Promise<void> {
    const { random } = this.process;
    const topic = random.pick(this.load.topics);
    const partition = random.integer(0, topic.partitions - 1);
    const place = `${topic.name}-${partition}`;
    const first = (this.#sent.get(place) ?? 0) + 1;
    const count = random.integer(1, 5);
    this.#sent.set(place, first + count - 1);
    const values = Array.from(
      { length: count },
      (_, i) => `${this.name}:${first + i}`,
    );
    const sequence = this.#sequences.get(place) ?? 0;
    const batch = this.#batchOf(values, sequence);
    const sentMs = this.nowMs;
    this.doing = `producing ${values[0]} to ${place}`;
    for (let attempt = 1;; attempt++) {
      const result = await this.#attempt(topic, partition, batch);
      if (typeof result === "number") {
        values.forEach((value, i) =>
          this.load.checks.acknowledged({
            topic: topic.name,
            partition,
            offset: result + i,
            value,
            sentMs,
          })
        );
        this.say(`${place} ${values[0]} is stored at ${result}`);
        break;
      }
      if (attempt === 1) this.say(`${place} ${values[0]}: ${result}`);
      if (this.#isIdempotent && this.#identity === undefined) return;
      await this.backOff();
    }
    this.#sequences.set(place, sequence + count);
    this.doing = "nothing";
  }

  #batchOf(values: readonly string[], sequence: number): Uint8Array {
    const builder = new RecordBatchBuilder(
      this.#identity === undefined
        ? {}
        : { ...this.#identity, baseSequence: sequence },
    );
    for (const value of values) {
      builder.add({
        key: null,
        value: encoder.encode(value),
        headers: [],
        timestampMs: this.process.clock.nowMs(),
      });
    }
    return builder.build();
  }

  /** The first offset, or why the batch has to be sent again. */
  async #attempt(
    topic: TopicSpec,
    partition: number,
    batch: Uint8Array,
  ): Promise<number | string> {
    const leader = await this.leaderOf(topic.name, partition);
    if (leader === undefined) return "no leader is known";
    const answer = await this.request(leader, produceApi, 9, {
      acks: -1,
      timeoutMs: 2_000,
      topicData: [{
        name: topic.name,
        partitionData: [{ index: partition, records: batch }],
      }],
    });
    const result = answer?.responses[0].partitionResponses[0];
    const code = result === undefined
      ? undefined
      : this.codeOf(result.errorCode);
    if (result !== undefined && code === undefined) return result.baseOffset;
    this.forgetLeader(topic.name, partition);
    if (code === undefined) return "no answer";
    const isLost = code === "OUT_OF_ORDER_SEQUENCE_NUMBER" ||
      code === "UNKNOWN_PRODUCER_ID";
    if (isLost && topic.level === "cache") {
      this.#identity = undefined;
      this.#sequences.clear();
    } else if (!this.isRetriable(code)) {
      this.load.world.violated(
        `${this.name} was refused for good: ${code}: ${result?.errorMessage}`,
      );
    }
    return code;
  }
}
