/**
 * Reads a partition over HTTP from its start on, in order, through any broker.
 * Owns its position; what it read is the checks' to judge.
 */
import type { ConsumeAnswer } from "../../../contract/http.ts";
import type { PartitionHistory } from "../history.ts";
import type { Load } from "./client.ts";
import { HttpClient } from "./http_client.ts";

export class HttpReader extends HttpClient {
  readonly #partition: PartitionHistory;
  #offset = 0;

  constructor(load: Load, name: string, partition: PartitionHistory) {
    super(load, name);
    this.#partition = partition;
  }

  override async run(): Promise<void> {
    while (!this.load.isOver) {
      if (!await this.readOn(this.process.random.integer(0, 300))) {
        await this.backOff();
      }
      await this.pause();
    }
  }

  /** False when the broker did not say what there is. */
  async readOn(waitMs: number): Promise<boolean> {
    const { topic, partition } = this.#partition;
    const answer = await this.call(
      "GET",
      `/v1/topics/${topic.name}/partitions/${partition}/records` +
        `?offset=${this.#offset}&max=100&waitMs=${waitMs}`,
    );
    if (answer === undefined) return false;
    if (answer.status === 410) this.#outOfRange(answer.body.detail);
    if (answer.status !== 200) return false;
    const { records, nextOffset } = answer.body as ConsumeAnswer;
    for (const { offset, message } of records) {
      if (offset !== this.#offset) {
        this.load.world.violated(
          `${this.#partition.name}: ${this.name} was at ${this.#offset} and ` +
            `got ${offset}`,
        );
      }
      this.load.checks.read(topic.name, partition, offset, message ?? "");
      this.#offset = offset + 1;
    }
    this.#offset = Math.max(this.#offset, nextOffset);
    return true;
  }

  #outOfRange(detail: string): void {
    if (!this.#partition.mayEndBefore(this.#offset)) {
      this.load.world.violated(
        `${this.#partition.name}: ${this.name} was at ${this.#offset}: ${detail}`,
      );
    }
    this.#offset = 0;
  }
}
