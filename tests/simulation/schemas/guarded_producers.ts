/**
 * Produce records of all kinds to a topic with a schema, one at a time over HTTP,
 * some in a batch over the Kafka protocol. What may be refused is sent once:
 * whether it was stored is known only where an answer came.
 */
import { produceApi } from "../../../broker/kafka/messages/produce.ts";
import { RecordBatchBuilder } from "../../../storage/log/record_batch_builder.ts";
import type { Load } from "../clients/client.ts";
import { HttpClient } from "../clients/http_client.ts";
import { KafkaClient } from "../clients/kafka_client.ts";
import type { SeededRandom } from "../random.ts";
import type { GuardedHistory, GuardedRecord } from "./guarded_history.ts";
import { VERSIONS } from "./registrar.ts";

const encoder = new TextEncoder();

function newRecord(
  name: string,
  number: number,
  random: SeededRandom,
): GuardedRecord {
  const kind = random.chance(0.4) ? 0 : random.integer(1, VERSIONS + 1);
  const value = JSON.stringify({ id: `${name}:${number}`, kind });
  return { value, kind };
}

export class GuardedHttpProducer extends HttpClient {
  readonly #history: GuardedHistory;

  constructor(load: Load, history: GuardedHistory) {
    super(load, "http-1");
    this.#history = history;
  }

  override async run(): Promise<void> {
    for (let number = 1; !this.load.isOver; number++) {
      const record = newRecord(this.name, number, this.process.random);
      this.#history.sending(record);
      this.doing = `producing ${record.value}`;
      const mustBeStored = record.kind === 0;
      while (!await this.#attempt(record) && mustBeStored) await this.backOff();
      this.doing = "nothing";
      await this.pause(2);
    }
  }

  /** False when it is not known to be stored, or refused. */
  async #attempt(record: GuardedRecord): Promise<boolean> {
    const { topic, partition } = this.#history;
    const answer = await this.call("POST", "/produce", {
      topic: topic.name,
      partition,
      message: record.value,
      timeoutMs: 2_000,
    });
    if (answer?.status === 200) {
      this.#history.acknowledged(record.value, answer.body.offset);
      return true;
    }
    const isRefused = answer?.body?.code === "INVALID_RECORD";
    if (isRefused) this.#history.refused([record]);
    return isRefused;
  }
}

export class GuardedKafkaProducer extends KafkaClient {
  readonly #history: GuardedHistory;
  #number = 0;

  constructor(load: Load, history: GuardedHistory) {
    super(load, "kafka-1");
    this.#history = history;
  }

  override async run(): Promise<void> {
    while (!this.load.isOver) {
      const records = Array.from(
        { length: this.process.random.integer(1, 3) },
        () => newRecord(this.name, ++this.#number, this.process.random),
      );
      for (const record of records) this.#history.sending(record);
      await this.#attempt(records);
      await this.pause(2);
    }
  }

  async #attempt(records: readonly GuardedRecord[]): Promise<void> {
    const { topic: { name: topic }, partition } = this.#history;
    const leader = await this.leaderOf(topic, partition);
    const answer = leader && await this.request(leader, produceApi, 9, {
      acks: -1,
      timeoutMs: 2_000,
      topicData: [{
        name: topic,
        partitionData: [{ index: partition, records: this.#batchOf(records) }],
      }],
    });
    const result = answer
      ? answer.responses[0].partitionResponses[0]
      : undefined;
    const code = result && this.codeOf(result.errorCode);
    if (result === undefined || code !== undefined) {
      this.forgetLeader(topic, partition);
      if (code === "INVALID_RECORD") this.#history.refused(records);
      return;
    }
    records.forEach(({ value }, i) =>
      this.#history.acknowledged(value, result.baseOffset + i)
    );
  }

  #batchOf(records: readonly GuardedRecord[]): Uint8Array {
    const builder = new RecordBatchBuilder({});
    for (const { value } of records) {
      builder.add({
        key: null,
        value: encoder.encode(value),
        headers: [],
        timestampMs: this.process.clock.nowMs(),
      });
    }
    return builder.build();
  }
}
