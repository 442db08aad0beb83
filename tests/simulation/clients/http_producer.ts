/**
 * Produces over HTTP, one message or a few at a time, with or without an
 * identity, and sends the same again until it is stored. Values are
 * `<name>:<number>`, numbered within each partition.
 */
import type {
  ProducedMessage,
  ProduceMessageFault,
  ProducerIdentity,
} from "../../../contract/http.ts";
import type { Load } from "./client.ts";
import { HttpClient } from "./http_client.ts";

/** What a client tries again by itself, besides all that is 503. */
const TRANSIENT = new Set([
  "UNKNOWN_TOPIC_OR_PARTITION",
  "KAFKA_STORAGE_ERROR",
]);
/** What a producer with an identity meets where acknowledged records are lost. */
const SEQUENCE_FAULTS = new Set([
  "OUT_OF_ORDER_SEQUENCE_NUMBER",
  "UNKNOWN_PRODUCER_ID",
]);

type Fault = Pick<ProduceMessageFault, "detail" | "mayBeStored"> & {
  readonly code: string;
};

interface Refusal {
  readonly why: string;
  /** The records may be stored all the same. */
  readonly isOpen: boolean;
}

export class HttpProducer extends HttpClient {
  readonly #isIdempotent: boolean;
  #identity: Omit<ProducerIdentity, "sequence"> | undefined;
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
    const answer = await this.call("POST", "/v1/producers", {});
    if (answer?.status === 200) this.#identity = answer.body;
    else await this.backOff();
  }

  async #produceSome(): Promise<void> {
    const { random } = this.process;
    const topic = random.pick(this.load.topics);
    const partition = random.integer(0, topic.partitions - 1);
    const place = `${topic.name}-${partition}`;
    const first = (this.#sent.get(place) ?? 0) + 1;
    const count = random.chance(0.7) ? 1 : random.integer(2, 4);
    this.#sent.set(place, first + count - 1);
    const values = Array.from(
      { length: count },
      (_, i) => `${this.name}:${first + i}`,
    );
    await this.#store(topic.name, partition, values);
  }

  /** Until it is stored: giving up would be losing. */
  async #store(
    topic: string,
    partition: number,
    values: readonly string[],
  ): Promise<void> {
    const place = `${topic}-${partition}`;
    this.doing = `producing ${values[0]} to ${place}`;
    const sequence = this.#sequences.get(place) ?? 0;
    const sentMs = this.nowMs;
    this.load.checks.sending(topic, partition, values);
    const counting = () => this.load.checks.counting(topic, partition, values);
    if (!this.#isIdempotent) counting();
    for (let attempt = 1;; attempt++) {
      const results = await this.#attempt(topic, partition, values, sequence);
      if (!Array.isArray(results)) {
        if (results.isOpen && !this.#isIdempotent) counting();
        if (attempt === 1) this.say(`${place} ${values[0]}: ${results.why}`);
        if (this.#identity === undefined && this.#isIdempotent) return;
        await this.backOff();
        continue;
      }
      results.forEach((result, i) => {
        this.load.checks.acknowledged({
          topic,
          partition,
          offset: result.offset,
          value: values[i],
          sentMs,
        });
        this.load.receipts?.check(topic, result, sentMs);
      });
      this.say(`${place} ${values[0]} is stored at ${results[0].offset}`);
      this.#sequences.set(place, sequence + values.length);
      this.doing = "nothing";
      return;
    }
  }

  /** Or why it has to be sent again, and whether it may be stored. */
  async #attempt(
    topic: string,
    partition: number,
    values: readonly string[],
    sequence: number,
  ): Promise<ProducedMessage[] | Refusal> {
    const producer = this.#identity === undefined
      ? undefined
      : { ...this.#identity, sequence };
    const content = values.length === 1
      ? { message: values[0], partition }
      : { messages: values.map((message) => ({ message, partition })) };
    const timeoutMs = 2_000;
    const receipt = this.load.receipts === undefined ? undefined : true;
    const body = { topic, ...content, producer, timeoutMs, receipt };
    const answer = await this.call("POST", "/produce", body);
    if (answer === undefined) return { why: "no answer", isOpen: true };
    if (answer.status === 200) return answer.body.results ?? [answer.body];
    const fault: Fault = answer.status === 207
      ? answer.body.results.find((one: ProduceMessageFault) => "code" in one)
      : answer.body;
    return this.#refused(topic, answer.status, fault);
  }

  #refused(
    topic: string,
    status: number,
    { code, detail, mayBeStored }: Fault,
  ): Refusal {
    const { level } = this.load.topics.find(({ name }) => name === topic)!;
    if (SEQUENCE_FAULTS.has(code) && level === "cache") {
      // A producer begins anew, and its records may be there twice.
      this.#identity = undefined;
      this.#sequences.clear();
    } else if (status !== 503 && status !== 207 && !TRANSIENT.has(code)) {
      this.load.world.violated(
        `${this.name} was refused for good: ${status} ${code}: ${detail}`,
      );
    }
    const isOpen = mayBeStored === true || code === "REQUEST_TIMED_OUT";
    return { why: `${code}: ${detail}`, isOpen };
  }
}
