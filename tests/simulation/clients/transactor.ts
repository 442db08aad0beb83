/**
 * Produces in transactions over the Kafka protocol: each has a record in every
 * partition of its topic and is committed or aborted. Owns what became of each
 * transaction: all of it is to be read, or nothing.
 */
import type { TopicSpec } from "../history.ts";
import type { Load } from "./client.ts";
import { TransactionalClient } from "./transactional_client.ts";

/** What the client was told of its transactions, by their numbers. */
export class TransactionHistory {
  readonly committed = new Set<string>();
  readonly aborted = new Set<string>();

  /** What is wrong with what a reader of committed records found. */
  fault(found: readonly string[]): string | undefined {
    const last = new Map<string, number>();
    for (const value of found) {
      if (this.aborted.has(value)) {
        return `transaction ${value} was aborted and can be read`;
      }
      const [producer, text] = value.split(":");
      const number = Number(text);
      const before = last.get(producer) ?? 0;
      if (number <= before) {
        return `transaction ${value} comes after ${before}`;
      }
      last.set(producer, number);
    }
    const there = new Set(found);
    const lost = [...this.committed].find((value) => !there.has(value));
    return lost === undefined
      ? undefined
      : `transaction ${lost} was committed and cannot be read`;
  }
}

export class Transactor extends TransactionalClient {
  readonly #topic: TopicSpec;
  readonly #history: TransactionHistory;
  #number = 0;

  constructor(
    load: Load,
    name: string,
    topic: TopicSpec,
    history: TransactionHistory,
  ) {
    super(load, name);
    this.#topic = topic;
    this.#history = history;
  }

  override async run(): Promise<void> {
    await this.begin();
    while (!this.load.isOver) {
      await this.#transact(++this.#number);
      this.doing = "nothing";
      await this.pause();
    }
  }

  async #transact(number: number): Promise<void> {
    const { name, partitions: count } = this.#topic;
    const partitions = Array.from({ length: count }, (_, i) => i);
    this.doing = `adding partitions to transaction ${number}`;
    await this.addPartitions(name, partitions);
    for (const partition of partitions) await this.#store(number, partition);
    const committed = this.process.random.chance(0.7);
    this.doing = `ending transaction ${number}`;
    await this.end(committed);
    this.#history[committed ? "committed" : "aborted"].add(
      this.#valueOf(number),
    );
    this.say(`${committed ? "committed" : "aborted"} ${number}`);
  }

  #valueOf(number: number): string {
    return `${this.name}:${number}`;
  }

  async #store(number: number, partition: number): Promise<void> {
    const topic = this.#topic.name;
    const value = this.#valueOf(number);
    this.doing = `producing in transaction ${number} to partition ${partition}`;
    const sentMs = this.nowMs;
    const timestampMs = this.process.clock.nowMs();
    const record = { key: null, value, timestampMs };
    const offset = await this.produce(topic, partition, [record]);
    this.load.checks.acknowledged({ topic, partition, offset, value, sentMs });
  }
}
