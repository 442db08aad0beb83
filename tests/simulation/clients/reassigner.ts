/**
 * Somebody who chooses brokers for partitions' replicas over the Kafka protocol
 * (KIP-455), takes some of it back half way, and asks what moves. Owns the asking,
 * and that answers are true: what is said to be begun is in the metadata, and what
 * is listed was so while it was asked.
 */
import type { PartitionFact } from "../../../broker/cluster/facts.ts";
import { targetOf } from "../../../broker/cluster/controller/reassignment.ts";
import { alterPartitionReassignmentsApi } from "../../../broker/kafka/messages/alter_partition_reassignments.ts";
import { listPartitionReassignmentsApi } from "../../../broker/kafka/messages/list_partition_reassignments.ts";
import type { ErrorCode } from "../../../contract/errors.ts";
import type { TopicSpec } from "../history.ts";
import { KafkaClient } from "./kafka_client.ts";

/** What may be said to a wish that cannot be carried out as things are. */
const REFUSALS: ReadonlySet<ErrorCode> = new Set([
  "INVALID_REPLICA_ASSIGNMENT",
  "INVALID_REPLICATION_FACTOR",
  "NO_REASSIGNMENT_IN_PROGRESS",
  "REASSIGNMENT_IN_PROGRESS",
]);
/** Of the brokers' own topics: partitions that coordinators may be on. */
const INTERNAL = ["__consumer_offsets", "__transaction_state"];
const INTERNAL_PARTITIONS = 50;

interface Wish {
  readonly topic: string;
  readonly partition: number;
  /** Null: what moves is taken back. */
  readonly replicas: readonly number[] | null;
}

export class Reassigner extends KafkaClient {
  override async run(): Promise<void> {
    const { random } = this.process;
    const actions = [
      () => this.#move(),
      () => this.#move(),
      () => this.#moveAndTakeBack(),
      () => this.#changeFactor(random.pick(this.load.topics)),
      () => this.#list(),
    ];
    while (!this.load.isOver) {
      await this.process.sleep(random.between(50, 600));
      await random.pick(actions)();
      this.doing = "nothing";
    }
  }

  #place(): { topic: string; partition: number } {
    const { random } = this.process;
    if (random.chance(0.3)) {
      const partition = random.integer(0, INTERNAL_PARTITIONS - 1);
      return { topic: random.pick(INTERNAL), partition };
    }
    const { name, partitions } = random.pick(this.load.topics);
    return { topic: name, partition: random.integer(0, partitions - 1) };
  }

  async #move(): Promise<Wish | undefined> {
    const place = this.#place();
    const fact = this.load.facts.now(place.topic, place.partition);
    if (fact === undefined) return undefined;
    const wish = { ...place, replicas: this.#some(targetOf(fact).length) };
    await this.#ask([wish], false);
    return wish;
  }

  async #moveAndTakeBack(): Promise<void> {
    const wish = await this.#move();
    if (wish === undefined) return;
    await this.process.sleep(this.process.random.exponential(60));
    await this.#ask([{ ...wish, replicas: null }], false);
  }

  /** All partitions of a topic in one request: its factor becomes another. */
  async #changeFactor(topic: TopicSpec): Promise<void> {
    const count = this.process.random.integer(2, 4);
    if (this.load.cluster.machines.length < count) return;
    // Fewer replicas need fewer acknowledgements, also before it is known.
    topic.replicationFactor = Math.min(topic.replicationFactor, count);
    const wishes = Array.from(
      { length: topic.partitions },
      (_, partition): Wish => ({
        topic: topic.name,
        partition,
        replicas: this.#some(count),
      }),
    );
    await this.#ask(wishes, true);
  }

  #some(count: number): number[] {
    const { cluster } = this.load;
    return this.process.random.shuffled(cluster.machines)
      .map(({ id }) => id).slice(0, count);
  }

  async #ask(
    wishes: readonly Wish[],
    allowReplicationFactorChange: boolean,
  ): Promise<void> {
    const askedMs = this.nowMs;
    const [{ topic }] = wishes;
    this.doing = `reassigning ${topic}`;
    const answer = await this.request(
      this.anyMachine().name,
      alterPartitionReassignmentsApi,
      1,
      {
        allowReplicationFactorChange,
        topics: [{
          name: topic,
          partitions: wishes.map(({ partition, replicas }) => ({
            partitionIndex: partition,
            replicas: replicas && [...replicas],
          })),
        }],
      },
    );
    if (answer === undefined) return this.say(`${this.doing}: no answer`);
    if (!this.#isAnswered(answer.errorCode)) return;
    const results = answer.responses.flatMap(({ partitions }) => partitions);
    for (const wish of wishes) {
      const result = results.find(({ partitionIndex }) =>
        partitionIndex === wish.partition
      );
      const { replicas } = wish;
      const what = replicas === null ? "taken back" : `to ${replicas}`;
      this.say(
        `${topic}-${wish.partition} ${what}: ${result?.errorCode} ` +
          (result?.errorMessage ?? ""),
      );
      if (this.#isAnswered(result?.errorCode)) this.#checkBegun(wish, askedMs);
    }
  }

  /** False: refused, and it may be. */
  #isAnswered(errorCode = -1): boolean {
    const code = this.codeOf(errorCode);
    if (code === undefined) return true;
    if (!this.isRetriable(code) && !REFUSALS.has(code)) {
      this.load.world.violated(
        `${this.name} was refused while ${this.doing}: ${code}`,
      );
    }
    return false;
  }

  /** The store had it by the time of the answer. */
  #checkBegun({ topic, partition, replicas }: Wish, askedMs: number): void {
    const states = this.load.facts.since(topic, partition, askedMs);
    const isSo = (fact: PartitionFact) =>
      replicas === null
        ? (fact.adding ?? []).length === 0
        : String(targetOf(fact)) === String(replicas);
    if (states.some(isSo)) return;
    this.load.world.violated(
      `${topic}-${partition}: ` +
        (replicas === null
          ? "its move was taken back, and some still come"
          : `it is said to move to ${replicas}, and does not`),
    );
  }

  /** Each partition as it was at some time while it was asked. */
  async #list(): Promise<void> {
    const askedMs = this.nowMs;
    this.doing = "listing reassignments";
    const answer = await this.request(
      this.anyMachine().name,
      listPartitionReassignmentsApi,
      0,
      {},
    );
    if (answer === undefined || !this.#isAnswered(answer.errorCode)) return;
    const listed = new Map(
      answer.topics.flatMap(({ name, partitions }) =>
        partitions.map((one) =>
          [
            `${name}-${one.partitionIndex}`,
            textOf(one.replicas, one.addingReplicas, one.removingReplicas),
          ] as const
        )
      ),
    );
    this.say(`${listed.size} partitions move`);
    for (const { name: topic, partitions } of this.load.topics) {
      for (let partition = 0; partition < partitions; partition++) {
        const told = listed.get(`${topic}-${partition}`) ?? "nothing moves";
        const states = this.load.facts.since(topic, partition, askedMs);
        const truths = states.map((fact) => {
          const { replicas, adding = [], removing = [] } = fact;
          return adding.length + removing.length === 0
            ? "nothing moves"
            : textOf(replicas, adding, removing);
        });
        if (truths.length === 0 || truths.includes(told)) continue;
        this.load.world.violated(
          `${topic}-${partition} is listed as "${told}", and was ` +
            `"${truths.join('", "')}"`,
        );
      }
    }
  }
}

function textOf(...lists: readonly (readonly number[])[]): string {
  const [replicas, adding, removing] = lists;
  return `${replicas}, of which ${adding} come and ${removing} go`;
}
