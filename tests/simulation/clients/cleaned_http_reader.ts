/**
 * Reads a partition whose log is cleaned, over HTTP, in order, and from its start
 * again now and then. Owns its position; what it read, and what it did not find,
 * is the history's to judge.
 */
import type { ConsumeAnswer } from "../../../contract/http.ts";
import type { CleanedHistory } from "../cleaning/cleaned_history.ts";
import type { Load } from "./client.ts";
import { HttpClient } from "./http_client.ts";

export class CleanedHttpReader extends HttpClient {
  readonly #history: CleanedHistory;
  #offset = 0;

  constructor(load: Load, name: string, history: CleanedHistory) {
    super(load, name);
    this.#history = history;
  }

  override async run(): Promise<void> {
    while (!this.load.isOver) {
      if (!await this.#readOn()) await this.backOff();
      await this.pause(2);
    }
  }

  /** False when the broker did not say what there is. */
  async #readOn(): Promise<boolean> {
    const history = this.#history;
    const answer = await this.call(
      "GET",
      `/v1/topics/${history.topic.name}/partitions/0/records?offset=${this.#offset}` +
        "&max=50&waitMs=100",
    );
    if (answer?.status === 410) this.#outOfRange(answer.body);
    if (answer?.status !== 200) return false;
    const { records, nextOffset, logStartOffset } = answer
      .body as ConsumeAnswer;
    history.startsAt(logStartOffset, this.name);
    for (const { offset, key, message, timestamp } of records) {
      history.passedOver(this.#offset, offset);
      history.read({
        offset,
        key: key ?? "",
        value: message,
        timestampMs: timestamp,
      });
      this.#offset = offset + 1;
    }
    history.passedOver(this.#offset, nextOffset);
    this.#offset = nextOffset;
    if (this.process.random.chance(0.1)) this.#offset = 0;
    return true;
  }

  #outOfRange(
    { earliestOffset, detail }: { earliestOffset: number; detail: string },
  ): void {
    const { name } = this.#history;
    if (earliestOffset <= this.#offset) {
      this.load.world.violated(
        `${name}: ${this.name} was at ${this.#offset}: ${detail}`,
      );
    }
    this.#history.startsAt(earliestOffset, this.name);
    this.#offset = earliestOffset;
  }
}
