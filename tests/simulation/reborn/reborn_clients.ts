/**
 * Who uses a topic that is deleted and made again meanwhile: producers over both
 * doors and a reader, none of which knows of it, and who deletes and makes it.
 */
import { produceApi } from "../../../broker/kafka/messages/produce.ts";
import { RecordBatchBuilder } from "../../../storage/log/record_batch_builder.ts";
import type { Load } from "../clients/client.ts";
import { makeTopic, type NewTopic } from "../clients/errand.ts";
import { HttpClient } from "../clients/http_client.ts";
import { KafkaClient } from "../clients/kafka_client.ts";
import type { RebornHistory } from "./reborn_history.ts";

const encoder = new TextEncoder();
/** Sent again so often: a value may be stored in one life after the other. */
const ATTEMPTS = 4;

export const REBORN_TOPIC: NewTopic = {
  name: "reborn",
  partitions: 1,
  replicationFactor: 3,
  config: { "segment.bytes": 1500 },
};

/** Until it is there, one way or the other. */
export class Rebirther extends HttpClient {
  override async run(): Promise<void> {
    const { random } = this.process;
    const { name } = REBORN_TOPIC;
    while (!this.load.isOver) {
      // Mostly for longer than brokers may not hear of it.
      const lifeMs = random.chance(0.3) ? 300 : random.between(2_200, 4_000);
      await this.process.sleep(lifeMs);
      this.doing = `deleting ${name}`;
      await this.#delete(name);
      if (random.chance(0.5)) await this.process.sleep(random.between(0, 800));
      this.doing = `making ${name} again`;
      await makeTopic(this, REBORN_TOPIC);
      this.say(`${name} is made again`);
      this.doing = "nothing";
    }
  }

  async #delete(name: string): Promise<void> {
    for (;;) {
      const answer = await this.call("DELETE", `/v1/topics/${name}`);
      const status = answer?.status ?? 0;
      if (status === 200 || status === 204 || status === 404) break;
      if (status === 500) {
        this.load.world.violated(`DELETE ${name}: ${answer?.body?.detail}`);
      }
      await this.backOff();
    }
    this.say(`${name} is deleted`);
  }
}

/** 204: a broker that stops ends what waits. */
function mayEnd(status: number): boolean {
  return status === 204 || status === 410 || mayBeRefused(status);
}

/** What may be answered besides what is retriable. */
function mayBeRefused(status: number): boolean {
  return status === 503 || status === 404 || status === 207;
}

export class RebornHttpProducer extends HttpClient {
  readonly #history: RebornHistory;

  constructor(load: Load, history: RebornHistory) {
    super(load, "http-reborn");
    this.#history = history;
  }

  override async run(): Promise<void> {
    for (let number = 1; !this.load.isOver; number++) {
      await this.#store(`${this.name}:${number}`);
      await this.pause();
    }
  }

  async #store(value: string): Promise<void> {
    const { topic: { name }, partition } = this.#history;
    for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
      this.#history.sending(value);
      const answer = await this.call("POST", "/produce", {
        topic: name,
        partition,
        message: value,
        timeoutMs: 1_000,
      });
      if (answer?.status === 200) {
        return this.#history.acknowledged(value, answer.body.offset);
      }
      if (answer !== undefined && !mayBeRefused(answer.status)) {
        this.load.world.violated(
          `${this.name} was refused for good: ${answer.status} ` +
            `${answer.body?.code}: ${answer.body?.detail}`,
        );
      }
      await this.backOff();
    }
  }
}

export class RebornKafkaProducer extends KafkaClient {
  readonly #history: RebornHistory;

  constructor(load: Load, history: RebornHistory) {
    super(load, "kafka-reborn");
    this.#history = history;
  }

  override async run(): Promise<void> {
    for (let number = 1; !this.load.isOver; number++) {
      await this.#store(`${this.name}:${number}`);
      await this.pause();
    }
  }

  async #store(value: string): Promise<void> {
    const { topic: { name: topic }, partition: index } = this.#history;
    const records = this.#batchOf(value);
    for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
      const leader = await this.leaderOf(topic, index);
      if (leader === undefined) {
        await this.backOff();
        continue;
      }
      this.#history.sending(value);
      const answer = await this.request(leader, produceApi, 9, {
        acks: -1,
        timeoutMs: 1_000,
        topicData: [{ name: topic, partitionData: [{ index, records }] }],
      });
      const result = answer?.responses[0].partitionResponses[0];
      if (result?.errorCode === 0) {
        return this.#history.acknowledged(value, result.baseOffset);
      }
      this.forgetLeader(topic, index);
      const code = result && this.codeOf(result.errorCode);
      if (code !== undefined && !this.isRetriable(code)) {
        this.load.world.violated(`${this.name} was refused for good: ${code}`);
      }
      await this.backOff();
    }
  }

  #batchOf(value: string): Uint8Array {
    const builder = new RecordBatchBuilder({});
    builder.add({
      key: null,
      value: encoder.encode(value),
      headers: [],
      timestampMs: this.process.clock.nowMs(),
    });
    return builder.build();
  }
}

/** In order; from the start where its position is no more, or was never. */
export class RebornReader extends HttpClient {
  readonly #history: RebornHistory;
  #offset = 0;

  constructor(load: Load, history: RebornHistory) {
    super(load, "reader-reborn");
    this.#history = history;
  }

  override async run(): Promise<void> {
    while (!this.load.isOver) {
      if (!await this.#readOn()) await this.backOff();
      await this.pause();
    }
  }

  async #readOn(): Promise<boolean> {
    const { topic: { name }, partition } = this.#history;
    const askedMs = this.nowMs;
    const answer = await this.call(
      "GET",
      `/v1/topics/${name}/partitions/${partition}/records` +
        `?offset=${this.#offset}&max=100&waitMs=100`,
    );
    const status = answer?.status ?? 0;
    if (status === 410) {
      const { earliestOffset } = answer!.body;
      this.#history.outOfRange(this.#offset, earliestOffset, askedMs);
      this.#offset = 0;
    }
    if (status === 200) {
      for (const { offset, message } of answer!.body.records) {
        this.#history.read(offset, message ?? "", askedMs);
      }
      this.#offset = answer!.body.nextOffset;
      if (this.process.random.chance(0.1)) this.#offset = 0;
    } else if (answer !== undefined && !mayEnd(status)) {
      this.load.world.violated(
        `${this.name} was refused for good: ${status} ${answer.body?.code}`,
      );
    }
    return status === 200;
  }
}
