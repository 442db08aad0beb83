/**
 * Produces records with keys over HTTP to a topic whose log is cleaned. With an
 * identity it sends the same again until it is stored; without one it sends some
 * requests at a time, and soon goes on with what is next, so that a later record
 * of a key may be one that is never committed.
 */
import type {
  ProducedMessage,
  ProducerIdentity,
} from "../../../contract/http.ts";
import type {
  CleanedHistory,
  KeyedRecord,
} from "../cleaning/cleaned_history.ts";
import type { Load } from "./client.ts";
import { HttpClient } from "./http_client.ts";
import { KeyedRecords } from "./keyed_records.ts";

/** What a client tries again by itself, besides all that is 503. */
const TRANSIENT = new Set([
  "UNKNOWN_TOPIC_OR_PARTITION",
  "KAFKA_STORAGE_ERROR",
]);

export class KeyedProducer extends HttpClient {
  readonly #history: CleanedHistory;
  readonly #isIdempotent: boolean;
  readonly #records: KeyedRecords;
  #identity: Omit<ProducerIdentity, "sequence"> | undefined;
  #sequence = 0;

  constructor(load: Load, history: CleanedHistory) {
    const { name, isIdempotent } = history.topic;
    super(load, `${isIdempotent ? "idempotent" : "plain"}-${name}`);
    this.#history = history;
    this.#isIdempotent = isIdempotent;
    this.#records = new KeyedRecords(this, history.topic);
  }

  override async run(): Promise<void> {
    while (!this.load.isOver) {
      if (this.#isIdempotent && this.#identity === undefined) {
        const answer = await this.call("POST", "/v1/producers", {});
        if (answer?.status === 200) this.#identity = answer.body;
        else await this.backOff();
        continue;
      }
      const count = this.#isIdempotent
        ? 1
        : this.process.random.pick([1, 1, 3]);
      await Promise.all(
        Array.from({ length: count }, () => this.#store(this.#records.next())),
      );
      await this.pause(2);
    }
  }

  /** What became of a tombstone must be known: nobody can tell it by reading. */
  #givesUp(records: readonly KeyedRecord[]): boolean {
    return !this.#isIdempotent && records.every(({ value }) => value !== null);
  }

  async #store(records: readonly KeyedRecord[]): Promise<void> {
    const { name } = this.#history;
    const producer = this.#identity === undefined
      ? undefined
      : { ...this.#identity, sequence: this.#sequence };
    const body = {
      topic: this.#history.topic.name,
      messages: records.map(({ key, value, timestampMs }) => ({
        key,
        message: value,
        timestamp: timestampMs,
        partition: 0,
      })),
      producer,
      timeoutMs: this.#isIdempotent ? 2_000 : 300,
    };
    const sentMs = this.nowMs;
    this.#history.sending(records.map(({ value }) => value));
    this.doing = `producing up to ${this.#records.number} to ${name}`;
    for (;;) {
      const answer = await this.call("POST", "/produce", body);
      if (answer?.status === 200) {
        const results: ProducedMessage[] = answer.body.results;
        results.forEach(({ offset }, i) =>
          this.#history.acknowledged({ ...records[i], offset }, sentMs)
        );
        this.say(`${name}: ${records.length} stored at ${results[0].offset}`);
        break;
      }
      this.#refused(answer?.status, answer?.body);
      if (this.#givesUp(records)) break;
      await this.backOff();
    }
    this.#sequence += records.length;
    this.doing = "nothing";
  }

  #refused(
    status: number | undefined,
    body: {
      code: string;
      detail: string;
      results?: { code: string; detail: string }[];
    },
  ): void {
    if (status === undefined) return this.say("no answer");
    const { code, detail } = status === 207
      ? body.results!.find((one) => "code" in one)!
      : body;
    this.say(`${code}: ${detail}`);
    if (status === 503 || status === 207 || TRANSIENT.has(code)) return;
    this.load.world.violated(
      `${this.name} was refused for good: ${status} ${code}: ${detail}`,
    );
  }
}
