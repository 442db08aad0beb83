/**
 * Produces records with keys to a topic that is compacted, in transactions of
 * one batch or some, of which it aborts a part: what is aborted is never read,
 * and no record of it takes the place of one that stays.
 */
import type {
  CleanedHistory,
  PlacedRecord,
} from "../cleaning/cleaned_history.ts";
import type { Load } from "./client.ts";
import { KeyedRecords } from "./keyed_records.ts";
import { TransactionalClient } from "./transactional_client.ts";

export class KeyedTransactor extends TransactionalClient {
  readonly #history: CleanedHistory;
  readonly #records: KeyedRecords;
  #number = 0;

  constructor(load: Load, history: CleanedHistory) {
    super(load, `idempotent-transactor-${history.topic.name}`);
    this.#history = history;
    this.#records = new KeyedRecords(this, history.topic);
  }

  override async run(): Promise<void> {
    await this.begin();
    while (!this.load.isOver) {
      await this.#transact(++this.#number);
      this.doing = "nothing";
      await this.pause(2);
    }
  }

  async #transact(number: number): Promise<void> {
    const { random } = this.process;
    const { topic, name } = this.#history;
    this.doing = `adding ${name} to transaction ${number}`;
    await this.addPartitions(topic.name, [0]);
    const sentMs = this.nowMs;
    const stored: PlacedRecord[] = [];
    for (let left = random.pick([1, 1, 2, 3]); left > 0; left--) {
      stored.push(...await this.#store(number));
    }
    const isCommitted = random.chance(0.6);
    // What others read from now on may be it.
    if (!isCommitted) this.#history.aborting(stored, sentMs);
    this.doing = `ending transaction ${number}`;
    await this.end(isCommitted);
    if (isCommitted) {
      for (const record of stored) this.#history.acknowledged(record, sentMs);
    }
    this.say(
      `${name}: ${isCommitted ? "committed" : "aborted"} ${number}, ` +
        `${stored.length} records up to ${stored.at(-1)!.offset}`,
    );
  }

  async #store(number: number): Promise<PlacedRecord[]> {
    const { topic, name } = this.#history;
    const records = this.#records.next();
    this.#history.sending(records.map(({ value }) => value));
    this.doing = `producing in transaction ${number} to ${name}`;
    const first = await this.produce(topic.name, 0, records);
    return records.map((record, i) => ({ ...record, offset: first + i }));
  }
}
