/** Clients that do one thing and end: make a topic, read a partition once. */
import type { FoundRecord } from "../history.ts";
import type { Load } from "./client.ts";
import { HttpClient } from "./http_client.ts";

export class Errand extends HttpClient {
  readonly #errand: (client: HttpClient) => Promise<void>;

  constructor(
    load: Load,
    name: string,
    errand: (client: HttpClient) => Promise<void>,
  ) {
    super(load, name);
    this.#errand = errand;
  }

  override run(): Promise<void> {
    return this.#errand(this);
  }
}

/** A topic as it is asked for. */
export interface NewTopic {
  readonly name: string;
  readonly partitions: number;
  readonly replicationFactor: number;
  readonly config: { readonly [name: string]: string | number };
}

/** Until it is there. */
export async function makeTopic(
  client: HttpClient,
  topic: NewTopic,
): Promise<void> {
  for (;;) {
    const answer = await client.call("POST", "/create-topic", {
      topic: topic.name,
      partitions: topic.partitions,
      replicationFactor: topic.replicationFactor,
      config: topic.config,
    });
    if (answer?.status === 200) return;
    await client.backOff();
  }
}

/** A leader that is new may not know yet how much of its log can be read. */
const LATE_MS = 3_000;

/** A partition as far as is known. */
export interface KnownPartition {
  readonly topic: { readonly name: string };
  readonly partition: number;
  /** After the last record that anybody was told of. */
  readonly knownEnd: number;
}

export async function readToEnd(
  client: HttpClient,
  partition: KnownPartition,
  found: FoundRecord[],
): Promise<void> {
  const { topic, partition: index, knownEnd } = partition;
  const startMs = client.nowMs;
  let offset = 0;
  for (;;) {
    const answer = await client.call(
      "GET",
      `/v1/topics/${topic.name}/partitions/${index}/records` +
        `?offset=${offset}&max=1000`,
    );
    if (answer?.status !== 200) {
      await client.backOff();
      continue;
    }
    for (const { offset, message } of answer.body.records) {
      found.push({ offset, value: message });
    }
    if (answer.body.nextOffset === offset) {
      const isAll = offset >= knownEnd && offset >= answer.body.highWatermark;
      if (isAll || client.nowMs > startMs + LATE_MS) return;
      await client.backOff();
    }
    offset = answer.body.nextOffset;
  }
}
