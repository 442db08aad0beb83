/**
 * The records of a producer to a topic whose log is cleaned: some keys at a time,
 * old ones given up and new ones begun, now and then a tombstone. Values are
 * `<producer>:<number>:<padding>`.
 */
import type { KeyedRecord } from "../cleaning/cleaned_history.ts";
import { type CleanedTopic, isCompacted } from "../extras.ts";
import type { Client } from "./client.ts";

/** Records of all keys after which a key is written no more, and a new one is. */
const RECORDS_PER_KEY = 4;
const PADDING = "-".repeat(40);

export class KeyedRecords {
  readonly #producer: Client;
  readonly #topic: CleanedTopic;
  #number = 0;

  constructor(producer: Client, topic: CleanedTopic) {
    this.#producer = producer;
    this.#topic = topic;
  }

  /** The last one's number. */
  get number(): number {
    return this.#number;
  }

  next(): KeyedRecord[] {
    const { name, process: { random, clock } } = this.#producer;
    const timestampMs = clock.nowMs();
    const count = random.integer(2, 12);
    return Array.from({ length: count }, () => {
      const isTombstone = isCompacted(this.#topic) && random.chance(0.1);
      const value = `${name}:${++this.#number}:${PADDING}`;
      const oldest = Math.floor(this.#number / RECORDS_PER_KEY);
      return {
        key: `key-${oldest + random.integer(1, this.#topic.keys)}`,
        value: isTombstone ? null : value,
        timestampMs,
      };
    });
  }
}
