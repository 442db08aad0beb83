/**
 * At least once, whatever happens to members, answers and the coordinator: every
 * message is dealt with by some client, and no commit gets ahead of that.
 */
import fc from "../../support/fast_check.ts";
import { assert, assertEquals } from "../../support/assert.ts";
import { GroupCluster } from "./group_cluster.ts";

const PARTITIONS = 3;

/** A client that deals with what it receives, and remembers only its last poll. */
interface Client {
  readonly name: string;
  ack: string;
}

type Step =
  | { readonly type: "produce"; readonly partition: number }
  | { readonly type: "poll"; readonly client: number; readonly max: number }
  /** The answer arrives nowhere: it was sent, or the client died with it. */
  | { readonly type: "lose"; readonly client: number }
  | { readonly type: "leave"; readonly client: number }
  | { readonly type: "pass"; readonly ms: number }
  | { readonly type: "crash" };

const client = fc.nat(2);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      type: fc.constant("produce" as const),
      partition: fc.nat(PARTITIONS - 1),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      type: fc.constant("poll" as const),
      client,
      max: fc.integer({ min: 1, max: 4 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      type: fc.constant("lose" as const),
      client,
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      type: fc.constant("leave" as const),
      client,
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      type: fc.constant("pass" as const),
      ms: fc.constantFrom(100, 5_000, 40_000),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ type: "crash" as const }) },
);

class Checker {
  readonly clients: Client[] = ["a", "b", "c"].map((name) => ({
    name,
    ack: "none",
  }));
  readonly produced = Array.from({ length: PARTITIONS }, () => 0);
  readonly dealtWith = Array.from(
    { length: PARTITIONS },
    () => new Set<number>(),
  );
  readonly #committed = Array.from({ length: PARTITIONS }, () => 0);
  readonly #cluster: GroupCluster;
  #broker = 1;

  constructor(cluster: GroupCluster) {
    this.#cluster = cluster;
  }

  async run(step: Step): Promise<void> {
    const cluster = this.#cluster;
    switch (step.type) {
      case "produce":
        await cluster.produce(
          step.partition,
          `${this.produced[step.partition]++}`,
        );
        break;
      case "poll":
        await this.poll(this.clients[step.client], step.max, true);
        break;
      case "lose":
        await this.poll(this.clients[step.client], 2, false);
        break;
      case "leave": {
        const { name, ack } = this.clients[step.client];
        await cluster.call(
          this.#anyBroker(),
          "DELETE",
          `/v1/groups/g/members/${name}?ack=${ack}`,
        );
        break;
      }
      case "pass":
        await cluster.time.elapse(step.ms);
        break;
      case "crash": {
        const id = await cluster.coordinator();
        await cluster.kill(id);
        await cluster.restart(id);
      }
    }
    await this.#checkCommits();
  }

  #anyBroker(): number {
    return this.#broker = this.#broker % 2 + 1;
  }

  async poll(one: Client, max: number, arrives: boolean): Promise<void> {
    const { status, body } = await this.#cluster.call(
      this.#anyBroker(),
      "GET",
      `/v1/groups/g/records?topics=demo&member=${one.name}&max=${max}` +
        `&ack=${one.ack}&waitMs=100`,
    );
    if (status !== 200 || !arrives) return;
    one.ack = body.poll;
    for (const { partition, offset, message } of body.records) {
      assertEquals(message, `${offset}`);
      this.dealtWith[partition].add(offset);
    }
  }

  /** Commits never go back, nor ahead of what was dealt with. */
  async #checkCommits(): Promise<void> {
    const { status, body } = await this.#cluster.call(1, "GET", "/v1/groups/g");
    if (status !== 200) return;
    for (const { partition, committedOffset } of body.offsets) {
      if (committedOffset === null) continue;
      const before = this.#committed[partition];
      assert(committedOffset >= before, `${partition} went back`);
      for (let offset = before; offset < committedOffset; offset++) {
        assert(
          this.dealtWith[partition].has(offset),
          `offset ${offset} of ${partition} is committed and was not received`,
        );
      }
      this.#committed[partition] = committedOffset;
    }
  }

  get isComplete(): boolean {
    return this.produced.every((count, partition) =>
      this.dealtWith[partition].size === count
    );
  }
}

Deno.test("Every message is dealt with, and no commit is ahead of that", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 5, maxLength: 40 }),
      async (steps) => {
        const cluster = await GroupCluster.open(2);
        await cluster.createTopic(PARTITIONS);
        const checker = new Checker(cluster);
        for (const one of steps) await checker.run(one);
        for (let round = 0; round < 100 && !checker.isComplete; round++) {
          for (const one of checker.clients) await checker.poll(one, 10, true);
          await cluster.time.elapse(500);
        }
        assert(checker.isComplete, "every message arrives in the end");
        await cluster.stop();
      },
    ),
    { numRuns: 40 },
  );
});
