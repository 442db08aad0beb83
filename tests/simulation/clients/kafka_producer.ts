/**
 * Produces over the Kafka protocol with acks=all, idempotent or not, as Kafka's
 * own producers do: to the leader, idempotent ones some batches at a time, the
 * same batches again until they are stored.
 */
import type { ErrorCode } from "../../../contract/errors.ts";
import { initProducerIdApi } from "../../../broker/kafka/messages/init_producer_id.ts";
import { produceApi } from "../../../broker/kafka/messages/produce.ts";
import { RecordBatchBuilder } from "../../../storage/log/record_batch_builder.ts";
import type { TopicSpec } from "../history.ts";
import type { Load } from "./client.ts";
import { KafkaClient } from "./kafka_client.ts";

const encoder = new TextEncoder();

interface Batch {
  readonly values: readonly string[];
  readonly bytes: Uint8Array;
}

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

  async #produceSome(): Promise<void> {
    const { random } = this.process;
    const topic = random.pick(this.load.topics);
    const partition = random.integer(0, topic.partitions - 1);
    const count = this.#isIdempotent ? random.pick([1, 1, 2, 4]) : 1;
    const batches = Array.from(
      { length: count },
      () => this.#newBatch(`${topic.name}-${partition}`),
    );
    await this.#store(topic, partition, batches);
  }

  #newBatch(place: string): Batch {
    const first = (this.#sent.get(place) ?? 0) + 1;
    const count = this.process.random.integer(1, 5);
    this.#sent.set(place, first + count - 1);
    const values = Array.from(
      { length: count },
      (_, i) => `${this.name}:${first + i}`,
    );
    const sequence = this.#sequences.get(place) ?? 0;
    this.#sequences.set(place, sequence + count);
    return { values, bytes: this.#batchOf(values, sequence) };
  }

  /** Until all are stored: giving up would be losing. */
  async #store(
    topic: TopicSpec,
    partition: number,
    batches: readonly Batch[],
  ): Promise<void> {
    const place = `${topic.name}-${partition}`;
    const sentMs = this.nowMs;
    for (const { values } of batches) {
      this.load.checks.sending(topic.name, partition, values);
    }
    let left = [...batches];
    for (let attempt = 1; left.length > 0; attempt++) {
      this.doing = `producing ${left[0].values[0]} to ${place}`;
      const results = await this.#attemptAll(topic, partition, left);
      const failures: Batch[] = [];
      left.forEach((batch, i) => {
        const result = results[i];
        if (typeof result === "number") {
          this.#acknowledged(topic, partition, batch, { result, sentMs });
          return;
        }
        failures.push(batch);
        if (attempt === 1) this.say(`${place} ${batch.values[0]}: ${result}`);
      });
      left = failures;
      if (this.#isIdempotent && this.#identity === undefined) return;
      if (left.length > 0) await this.backOff();
    }
    this.doing = "nothing";
  }

  #acknowledged(
    topic: TopicSpec,
    partition: number,
    { values }: Batch,
    { result, sentMs }: { result: number; sentMs: number },
  ): void {
    values.forEach((value, i) =>
      this.load.checks.acknowledged({
        topic: topic.name,
        partition,
        offset: result + i,
        value,
        sentMs,
      })
    );
    this.say(`${topic.name}-${partition} ${values[0]} is stored at ${result}`);
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

  /**
   * All in flight at one time, in order. For each the first offset, or why it has
   * to be sent again.
   */
  async #attemptAll(
    topic: TopicSpec,
    partition: number,
    batches: readonly Batch[],
  ): Promise<(number | string)[]> {
    const leader = await this.leaderOf(topic.name, partition);
    if (leader === undefined) return batches.map(() => "no leader is known");
    const answers = await Promise.all(
      batches.map(({ bytes }) =>
        this.request(leader, produceApi, 9, {
          acks: -1,
          timeoutMs: 2_000,
          topicData: [{
            name: topic.name,
            partitionData: [{ index: partition, records: bytes }],
          }],
        })
      ),
    );
    let isFirst = true;
    return answers.map((answer) => {
      const result = answer?.responses[0].partitionResponses[0];
      const code = result && this.codeOf(result.errorCode);
      if (result !== undefined && code === undefined) return result.baseOffset;
      this.forgetLeader(topic.name, partition);
      // What follows a batch that was not stored is out of order for now.
      if (code !== undefined && isFirst) this.#refused(topic, code);
      isFirst = false;
      return code ?? "no answer";
    });
  }

  #refused(topic: TopicSpec, code: ErrorCode): void {
    const isLost = code === "OUT_OF_ORDER_SEQUENCE_NUMBER" ||
      code === "UNKNOWN_PRODUCER_ID";
    if (isLost && topic.level === "cache") {
      this.#identity = undefined;
      this.#sequences.clear();
    } else if (!this.isRetriable(code)) {
      this.load.world.violated(`${this.name} was refused for good: ${code}`);
    }
  }
}
