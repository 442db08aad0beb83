/**
 * Transactions of real clients: all or nothing, seen by who reads committed
 * messages only, also when brokers die; an older producer is fenced.
 */
import { Producer, stringSerializers } from "@platformatic/kafka";
import type { KafkaMessage, Producer as KafkaProducer } from "kafkajs";
import { assertEquals, assertRejects } from "../support/assert.ts";
import { testWith } from "../support/require.ts";
import { TestCluster } from "../e2e/support/cluster.ts";
import {
  ok,
  readPartition,
  step,
  waitUntilReady,
} from "../e2e/support/http.ts";
import { waitFor } from "../e2e/support/process.ts";
import {
  brokersOf,
  KafkaJs,
  kcat,
  kcatIsHere,
  kcatRead,
  Member,
  numbered,
} from "./support.ts";

const UNCOMMITTED = ["-X", "isolation.level=read_uncommitted"];
const COMMITTED = ["-X", "isolation.level=read_committed"];

testWith([kcatIsHere], "Transactions of real clients", async (context) => {
  await using cluster = await TestCluster.start();
  const url = cluster.url();
  const client = new KafkaJs(cluster);
  const open = (transactionalId: string) =>
    client.producer({
      transactionalId,
      idempotent: true,
      maxInFlightRequests: 1,
    });

  await step(
    context,
    "commit shows, abort hides, in every partition",
    async () => {
      await ok(`${url}/create-topic`, { topic: "all", partitions: 3 });
      await using producer = await open("all");
      const write = async (name: string, end: "commit" | "abort") => {
        const transaction = await producer.transaction();
        for (const partition of [0, 1, 2]) {
          await transaction.send({
            topic: "all",
            messages: numbered(name, 10)
              .map((value) => ({ value, partition })),
          });
        }
        await transaction[end]();
      };
      await write("first", "commit");
      await write("second", "abort");
      await write("third", "commit");
      const committed = [...numbered("first", 10), ...numbered("third", 10)];
      const everything = [
        ...numbered("first", 10),
        ...numbered("second", 10),
        ...numbered("third", 10),
      ];
      for (const partition of [0, 1, 2]) {
        assertEquals(
          await kcatRead(cluster, "all", partition, "%s", COMMITTED),
          committed,
        );
        assertEquals(
          await kcatRead(cluster, "all", partition, "%s", UNCOMMITTED),
          everything,
        );
      }
      await using member = await Member.join(client.kafka, "all", ["all"]);
      await member.waitForCount(60);
      assertEquals(
        member.received.map(({ value }) => value).toSorted(),
        [...committed, ...committed, ...committed].toSorted(),
      );
      const records = await readPartition(url, "all", 1);
      assertEquals(records.map(({ message }) => message), committed);
    },
  );

  await step(context, "an open transaction holds readers back", async () => {
    await ok(`${url}/create-topic`, { topic: "held", partitions: 1 });
    await using producer = await open("held");
    const transaction = await producer.transaction();
    await transaction.send({ topic: "held", messages: [{ value: "open" }] });
    await ok(`${url}/produce`, { topic: "held", message: "plain" });
    const read = (isolation: string[]) =>
      kcatRead(cluster, "held", 0, "%s", isolation);
    assertEquals(await read(COMMITTED), []);
    assertEquals(await read(UNCOMMITTED), ["open", "plain"]);
    await transaction.commit();
    assertEquals(await read(COMMITTED), ["open", "plain"]);
  });

  await step(context, "an older producer is fenced", async () => {
    await ok(`${url}/create-topic`, { topic: "fence", partitions: 1 });
    await using older = await open("fence");
    const transaction = await older.transaction();
    await transaction.send({ topic: "fence", messages: [{ value: "old" }] });
    await using newer = await open("fence");
    // kafkajs asks for its identity here, which fences the older one.
    const second = await newer.transaction();
    await assertRejects(async () => {
      await transaction.send({ topic: "fence", messages: [{ value: "late" }] });
      await transaction.commit();
    }, Error);
    await second.send({ topic: "fence", messages: [{ value: "new" }] });
    await second.commit();
    assertEquals(await kcatRead(cluster, "fence", 0, "%s", COMMITTED), ["new"]);
  });

  await step(context, "kcat's transaction is all or nothing", async () => {
    await ok(`${url}/create-topic`, { topic: "kcat", partitions: 1 });
    const messages = numbered("kcat", 1000);
    await kcat(
      cluster,
      ["-P", "-t", "kcat", "-p", "0", "-X", "transactional.id=kcat"],
      messages.map((message) => `${message}\n`).join(""),
    );
    assertEquals(
      await kcatRead(cluster, "kcat", 0, "%s", COMMITTED),
      messages,
    );
  });

  await step(context, "@platformatic/kafka commits and aborts", async () => {
    await ok(`${url}/create-topic`, { topic: "young", partitions: 2 });
    const producer = new Producer({
      clientId: "interop",
      bootstrapBrokers: brokersOf(cluster),
      transactionalId: "young",
      idempotent: true,
      serializers: stringSerializers,
    });
    for (const end of ["commit", "abort", "commit"] as const) {
      const transaction = await producer.beginTransaction();
      for (const partition of [0, 1]) {
        await transaction.send({
          messages: [{ topic: "young", partition, value: end }],
        });
      }
      await transaction[end]();
    }
    await producer.close();
    for (const partition of [0, 1]) {
      assertEquals(
        await kcatRead(cluster, "young", partition, "%s", COMMITTED),
        ["commit", "commit"],
      );
    }
  });

  await step(
    context,
    "consume, transform, produce: exactly once through kill -9",
    async () => {
      const count = 300;
      for (const topic of ["input", "output"]) {
        await ok(`${url}/create-topic`, { topic, partitions: 3 });
      }
      await ok(`${url}/produce`, {
        topic: "input",
        messages: numbered("in", count)
          .map((message, index) => ({ message, partition: index % 3 })),
      });
      const loop = new TransformLoop(client);
      const kills = [60, 150];
      await loop.run(async (done) => {
        if (kills.length > 0 && done >= kills[0]) {
          kills.shift();
          Deno.kill(cluster.brokerPid(1 + done % 3), "SIGKILL");
        }
        if (done < count - 30) return false;
        return (await outputOf(cluster)).length >= count;
      });
      assertEquals(kills, []);
      await Promise.all([1, 2, 3].map((id) => waitUntilReady(cluster.url(id))));
      assertEquals(
        (await outputOf(cluster)).toSorted(),
        numbered("in", count).map((text) => `done ${text}`).toSorted(),
      );
    },
  );
});

/** What committed messages of the topic "output" there are. */
async function outputOf(cluster: TestCluster): Promise<string[]> {
  const values: string[] = [];
  for (const partition of [0, 1, 2]) {
    values.push(
      ...await kcatRead(cluster, "output", partition, "%s", COMMITTED),
    );
  }
  return values;
}

/**
 * Reads "input" and writes it, changed, to "output": ten messages and their
 * offset in one transaction. After a failure nobody knows what became of the
 * transaction: a new producer settles it, and the committed offsets tell.
 */
class TransformLoop {
  readonly #client: KafkaJs;
  readonly #failures: string[] = [];
  /** Messages of transactions that were committed. */
  #count = 0;

  constructor(client: KafkaJs) {
    this.#client = client;
  }

  /** Goes on until `isDone`, which is told how many messages were committed. */
  async run(isDone: (count: number) => Promise<boolean>): Promise<void> {
    while (!await this.#attempt(isDone)) {
      if (this.#failures.length < 50) continue;
      const { complaints } = this.#client;
      throw new Error([...this.#failures, ...complaints.slice(-30)].join("\n"));
    }
  }

  async #attempt(
    isDone: (count: number) => Promise<boolean>,
  ): Promise<boolean> {
    const before = this.#failures.length;
    const consumer = this.#client.kafka.consumer({
      groupId: "transform",
      sessionTimeout: 6000,
      heartbeatInterval: 500,
      maxWaitTimeInMs: 100,
    });
    try {
      await using producer = await this.#client.producer({
        transactionalId: "transform",
        idempotent: true,
        maxInFlightRequests: 1,
      });
      // Asks for its identity, which settles what an older one left open.
      await (await producer.transaction()).abort();
      await consumer.connect();
      await consumer.subscribe({ topics: ["input"], fromBeginning: true });
      await consumer.run({
        autoCommit: false,
        partitionsConsumedConcurrently: 1,
        eachBatchAutoResolve: false,
        eachBatch: async ({ batch, resolveOffset }) => {
          for (let from = 0; from < batch.messages.length; from += 10) {
            if (this.#failures.length > before) return;
            await this.#transform(
              producer,
              batch.partition,
              batch.messages.slice(from, from + 10),
              resolveOffset,
            );
          }
        },
      });
      let done = false;
      await waitFor("all to be transformed", async () => {
        if (this.#failures.length > before) return true;
        return done = await isDone(this.#count);
      }, 40_000);
      return done;
    } catch (error) {
      this.#failures.push(`${error}`);
      return false;
    } finally {
      await consumer.disconnect();
    }
  }

  async #transform(
    producer: KafkaProducer,
    partition: number,
    messages: readonly KafkaMessage[],
    resolveOffset: (offset: string) => void,
  ): Promise<void> {
    const last = messages.at(-1)!.offset;
    try {
      const transaction = await producer.transaction();
      await transaction.send({
        topic: "output",
        messages: messages.map(({ value }) => ({
          value: `done ${value}`,
          partition,
        })),
      });
      const offset = `${Number(last) + 1}`;
      await transaction.sendOffsets({
        consumerGroupId: "transform",
        topics: [{ topic: "input", partitions: [{ partition, offset }] }],
      });
      await transaction.commit();
      resolveOffset(last);
      this.#count += messages.length;
    } catch (error) {
      this.#failures.push(`${error}`);
    }
  }
}
