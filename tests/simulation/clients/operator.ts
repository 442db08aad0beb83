/**
 * Somebody who runs the cluster: moves replicas, drains brokers and takes them
 * back, changes replication factors, makes topics and removes them, all while
 * faults happen. Owns what is asked for; whether it may be refused is the
 * brokers' to say, and whatever comes of it, no record is lost.
 */
import type { History, TopicSpec } from "../history.ts";
import type { Load } from "./client.ts";
import { HttpClient } from "./http_client.ts";

/** Records of a topic that is removed again. */
const DOOMED_RECORDS = 10;

export class Operator extends HttpClient {
  readonly #history: History;
  #madeTopics = 0;
  #doomed = 0;

  constructor(load: Load, name: string, history: History) {
    super(load, name);
    this.#history = history;
  }

  override async run(): Promise<void> {
    const { random } = this.process;
    const actions = [
      () => this.#rebalance(),
      () => this.#rebalance(),
      () => this.#drain(),
      () => this.#undrain(),
      () => this.#cancel(),
      () => this.#changeFactor(),
      () => this.#makeTopic(),
      () => this.#removeTopic(),
    ];
    while (!this.load.isOver) {
      await this.process.sleep(random.between(100, 900));
      await random.pick(actions)();
      this.doing = "nothing";
    }
    this.doing = "taking drained brokers back";
    for (const { id } of [...this.load.cluster.machines]) {
      await this.#insist("POST", "/v1/cluster/undrain", { brokerId: id }, 404);
    }
  }

  async #rebalance(): Promise<void> {
    await this.#ask("POST", "/v1/cluster/rebalance", {});
  }

  async #drain(): Promise<void> {
    const { id } = this.anyMachine();
    await this.#ask("POST", "/v1/cluster/drain", { brokerId: id });
  }

  async #undrain(): Promise<void> {
    const { id } = this.anyMachine();
    await this.#ask("POST", "/v1/cluster/undrain", { brokerId: id });
  }

  async #cancel(): Promise<void> {
    await this.#ask("DELETE", "/v1/cluster/balance");
  }

  async #changeFactor(): Promise<void> {
    const { random } = this.process;
    const topic = random.pick(this.load.topics);
    const replicationFactor = random.integer(1, 4);
    // Fewer replicas need fewer acknowledgements, also before it is known.
    topic.replicationFactor = Math.min(
      topic.replicationFactor,
      replicationFactor,
    );
    const askedMs = this.nowMs;
    const path = `/v1/topics/${topic.name}`;
    const status = await this.#ask("PATCH", path, { replicationFactor });
    if (status !== 200) return;
    const { placement } = this.load.facts;
    const factors = placement.factorsSince(topic.name, askedMs);
    if (factors.includes(replicationFactor)) return;
    this.load.world.violated(
      `topic "${topic.name}" is said to have ${replicationFactor} replicas, ` +
        `and the metadata says ${factors}`,
    );
  }

  async #makeTopic(): Promise<void> {
    if (this.#madeTopics === 2) return;
    const { random } = this.process;
    const topic: TopicSpec = {
      name: `late-${++this.#madeTopics}`,
      partitions: random.integer(1, 2),
      replicationFactor: random.integer(1, 3),
      level: "disk",
    };
    this.#history.add(topic);
    const { name, partitions, replicationFactor } = topic;
    const body = { topic: name, partitions, replicationFactor };
    await this.#insist("POST", "/create-topic", body);
    this.load.topics.push(topic);
  }

  /** What is made again under a name has nothing of what was there before. */
  async #removeTopic(): Promise<void> {
    const topic = "doomed";
    const number = ++this.#doomed;
    const shape = {
      topic,
      partitions: 1,
      replicationFactor: this.process.random.integer(1, 3),
    };
    // An earlier request of ours may be carried out late, and in its own shape.
    await this.#insist("POST", "/create-topic", shape, 409);
    const messages = Array.from(
      { length: DOOMED_RECORDS },
      (_, i) => ({ message: `${number}:${i}`, partition: 0 }),
    );
    const stored = await this.call("POST", "/produce", { topic, messages });
    if (stored?.status === 200) {
      const { offset } = stored.body.results[0];
      if (offset >= DOOMED_RECORDS) {
        this.load.world.violated(
          `the first record of topic "${topic}", made the ${number}th time, is ` +
            `stored at ${offset}`,
        );
      }
    }
    await this.#insist("DELETE", `/v1/topics/${topic}`, undefined, 404);
  }

  async #ask(
    method: "POST" | "DELETE" | "PATCH",
    path: string,
    body?: unknown,
  ): Promise<number | undefined> {
    const answer = await this.call(method, path, body);
    const detail = answer === undefined
      ? "no answer"
      : `${answer.status} ${answer.body?.code ?? ""}`;
    this.say(`${method} ${path} ${JSON.stringify(body ?? "")}: ${detail}`);
    if (answer?.status === 500) {
      this.load.world.violated(
        `${method} ${path} ${JSON.stringify(body)} was answered with ` +
          `${answer.status}: ${answer.body?.detail}`,
      );
    }
    return answer?.status;
  }

  /** Until it is done, or was done already. */
  async #insist(
    method: "POST" | "DELETE",
    path: string,
    body: unknown,
    alsoFine = 200,
  ): Promise<void> {
    this.doing = `asking ${method} ${path}`;
    for (;;) {
      const answer = await this.call(method, path, body);
      const status = answer?.status ?? 0;
      if (status === 200 || status === 204 || status === alsoFine) break;
      await this.backOff();
    }
    this.say(`${method} ${path} is done`);
  }
}
