/**
 * Deletes the oldest records of a partition now and then, over HTTP through any
 * broker: what was acknowledged as deleted is not there any more, whoever leads.
 */
import type { CleanedHistory } from "../cleaning/cleaned_history.ts";
import type { Load } from "./client.ts";
import { HttpClient } from "./http_client.ts";

export class Eraser extends HttpClient {
  readonly #history: CleanedHistory;

  constructor(load: Load, name: string, history: CleanedHistory) {
    super(load, name);
    this.#history = history;
  }

  override async run(): Promise<void> {
    while (!this.load.isOver) {
      await this.process.sleep(this.process.random.between(100, 800));
      const { knownEnd, erasedTo } = this.#history;
      const before = this.process.random.integer(erasedTo, knownEnd);
      if (before > erasedTo) await this.#erase(before);
      this.doing = "nothing";
    }
  }

  /** Until it is done: an answer that is lost says nothing. */
  async #erase(before: number): Promise<void> {
    const { topic, name } = this.#history;
    this.doing = `deleting what is below ${before} in ${name}`;
    this.#history.erasing(before);
    for (;;) {
      const answer = await this.call(
        "DELETE",
        `/v1/topics/${topic.name}/partitions/0/records?beforeOffset=${before}`,
        undefined,
        { patienceMs: 12_000 },
      );
      if (answer?.status === 200) {
        const { logStartOffset } = answer.body;
        if (logStartOffset < before) {
          this.load.world.violated(
            `${name}: all below ${before} is deleted, and the log begins at ` +
              logStartOffset,
          );
        }
        this.#history.erased(before);
        this.say(`${name}: deleted below ${before}`);
        return;
      }
      this.say(`${this.doing}: ${answer?.status} ${answer?.body?.code}`);
      await this.backOff();
    }
  }
}
