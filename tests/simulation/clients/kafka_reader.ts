/**
 * Reads a partition over the Kafka protocol from its start on, in order, from
 * its leader. Owns its position; what it read is the checks' to judge.
 */
import { fetchApi } from "../../../broker/kafka/messages/fetch.ts";
import {
  decodeRecords,
  iterateBatches,
} from "../../../storage/log/record_batch.ts";
import type { PartitionHistory } from "../history.ts";
import type { Load } from "./client.ts";
import { KafkaClient } from "./kafka_client.ts";

const decoder = new TextDecoder();

export class KafkaReader extends KafkaClient {
  readonly #partition: PartitionHistory;
  #offset = 0;

  constructor(load: Load, name: string, partition: PartitionHistory) {
    super(load, name);
    this.#partition = partition;
  }

  override async run(): Promise<void> {
    while (!this.load.isOver) {
      if (!await this.#readOn()) await this.backOff();
      await this.pause();
    }
  }

  /** False when the broker did not say what there is. */
  async #readOn(): Promise<boolean> {
    const { topic, partition } = this.#partition;
    const leader = await this.leaderOf(topic.name, partition);
    if (leader === undefined) return false;
    const answer = await this.request(leader, fetchApi, 11, {
      maxWaitMs: this.process.random.integer(0, 300),
      minBytes: 1,
      topics: [{
        topic: topic.name,
        partitions: [{
          partition,
          fetchOffset: this.#offset,
          partitionMaxBytes: 64 * 1024,
        }],
      }],
    });
    const result = answer?.responses[0]?.partitions[0];
    const code = result === undefined
      ? undefined
      : this.codeOf(result.errorCode);
    if (result === undefined || code !== undefined) {
      this.forgetLeader(topic.name, partition);
      if (code === "OFFSET_OUT_OF_RANGE") this.#outOfRange();
      else if (code !== undefined && !this.isRetriable(code)) {
        this.load.world.violated(`${this.name} was refused for good: ${code}`);
      }
      return false;
    }
    this.#take(result.records ?? new Uint8Array());
    return true;
  }

  #take(bytes: Uint8Array): void {
    const { topic, partition, name } = this.#partition;
    for (const batch of iterateBatches(bytes)) {
      const { baseOffset } = batch.header;
      decodeRecords(batch.bytes).forEach(({ value }, i) => {
        const offset = baseOffset + i;
        if (offset < this.#offset) return;
        if (offset > this.#offset) {
          this.load.world.violated(
            `${name}: ${this.name} was at ${this.#offset} and got ${offset}`,
          );
        }
        const text = value === null ? "" : decoder.decode(value);
        this.load.checks.read(topic.name, partition, offset, text);
        this.#offset = offset + 1;
      });
    }
  }

  #outOfRange(): void {
    if (!this.#partition.mayEndBefore(this.#offset)) {
      this.load.world.violated(
        `${this.#partition.name}: ${this.name} was at ${this.#offset}, which ` +
          "is out of range",
      );
    }
    this.#offset = 0;
  }
}
