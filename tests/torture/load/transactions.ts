/**
 * A transactional producer of kafkajs on a topic of its own: some transactions
 * are committed, some aborted, and of some it is never learned. In the end all
 * records of a transaction are readable, or none.
 */
import { Partitioners, type Producer } from "kafkajs";
import { readPartition } from "../../e2e/support/http.ts";
import { until } from "../health.ts";
import { client } from "./kafkajs.ts";
import { type Load, pause, type Stage } from "./stage.ts";

export const TRANSACTIONS_TOPIC = "torture-transactions";
export const TRANSACTIONS_PARTITIONS = 3;

const MOST_RECORDS = 6;
/** One of so many is aborted. */
const ABORTED = 4;
const LATE_MS = 20_000;

interface Transaction {
  /** Value and partition. */
  readonly records: readonly { value: string; partition: number }[];
  outcome: "committed" | "aborted" | "unknown";
}

export class TransactionLoad {
  readonly #stage: Stage;
  readonly #transactions: Transaction[] = [];

  constructor(stage: Stage) {
    this.#stage = stage;
  }

  /** For a report: how many were committed, of how many. */
  get counts(): { begun: number; committed: number } {
    const committed = this.#transactions
      .filter(({ outcome }) => outcome === "committed");
    return { begun: this.#transactions.length, committed: committed.length };
  }

  run(): Load {
    return this.#stage.load("kafkajs-transactions", this.#run());
  }

  async #run(): Promise<void> {
    const { signal } = this.#stage;
    let producer: Producer | undefined;
    while (!signal.aborted) {
      try {
        producer ??= await this.#connect();
        await this.#transact(producer);
      } catch {
        // Whether it was committed is not known; the next one begins anew,
        // under the same name, which ends what is open.
        await producer?.disconnect().catch(() => {});
        producer = undefined;
      }
      await pause(this.#stage.paceMs, signal);
    }
    await producer?.disconnect().catch(() => {});
  }

  async #connect(): Promise<Producer> {
    const producer = client(this.#stage).producer({
      createPartitioner: Partitioners.DefaultPartitioner,
      transactionalId: "torture",
      idempotent: true,
      maxInFlightRequests: 1,
    });
    await producer.connect();
    return producer;
  }

  async #transact(producer: Producer): Promise<void> {
    const number = this.#transactions.length;
    const count = 1 + number % MOST_RECORDS;
    const records = Array.from({ length: count }, (_, index) => ({
      value: `${number}-${index}`,
      partition: (number + index) % TRANSACTIONS_PARTITIONS,
    }));
    const transaction = await producer.transaction();
    const entry: Transaction = { records, outcome: "unknown" };
    this.#transactions.push(entry);
    for (const record of records) {
      await transaction.send({
        topic: TRANSACTIONS_TOPIC,
        acks: -1,
        messages: [record],
      });
    }
    if (number % ABORTED === 0) {
      await transaction.abort();
      entry.outcome = "aborted";
    } else {
      await transaction.commit();
      entry.outcome = "committed";
    }
  }

  /** Compares with what a reader of committed records is given. */
  async check(url: string): Promise<void> {
    const expected = this.#transactions
      .filter(({ outcome }) => outcome === "committed")
      .flatMap(({ records }) => records);
    let values: string[] = [];
    await until(async () => {
      const logs = await Promise.all(
        Array.from(
          { length: TRANSACTIONS_PARTITIONS },
          (_, partition) => readPartition(url, TRANSACTIONS_TOPIC, partition),
        ),
      );
      values = logs.flat().map(({ message }) => message ?? "");
      const found = new Set(values);
      return expected.every(({ value }) => found.has(value));
    }, { deadlineMs: LATE_MS });
    this.#compare(values);
  }

  #compare(values: readonly string[]): void {
    const found = new Set(values);
    const complain = (detail: string) =>
      this.#stage.violation("transactions are all or nothing", detail);
    if (found.size < values.length) {
      complain(`${values.length - found.size} records are there twice`);
    }
    for (const { records, outcome } of this.#transactions) {
      const missing = records.filter(({ value }) => !found.has(value));
      const isRight = outcome === "committed"
        ? missing.length === 0
        : outcome === "aborted"
        ? missing.length === records.length
        : missing.length === 0 || missing.length === records.length;
      if (isRight) continue;
      complain(
        `${outcome}, and ${missing.length} of its ${records.length} records ` +
          `are missing: ${missing.map(({ value }) => value).join(", ")}`,
      );
    }
  }
}
