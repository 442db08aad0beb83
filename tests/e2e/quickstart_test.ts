/** The quickstart's HTTP calls, to the letter, on three real brokers. */
import {
  assert,
  assertEquals,
  assertMatch,
  assertObjectMatch,
} from "../support/assert.ts";
import type {
  ConsumeAnswer,
  ConsumedRecord,
  ListTopicsAnswer,
  MetadataAnswer,
  ProducedMessage,
  TopicDescription,
} from "../../contract/http.ts";
import { TestCluster } from "./support/cluster.ts";
import { call, ok, step, waitUntilReady } from "./support/http.ts";
import { waitFor } from "./support/process.ts";

const PERSON = {
  type: "object",
  properties: { name: { type: "string" }, age: { type: "number" } },
  required: ["name", "age"],
};
const ALICE = '{"name":"Alice","age":30}';

Deno.test("The quickstart, on three brokers", async (context) => {
  await using cluster = await TestCluster.start();
  const brokers = [1, 2, 3].map((broker) => cluster.url(broker));
  const [first] = brokers;
  const hostOf = (broker: number) => `localhost:${cluster.httpPort(broker)}`;

  await step(context, "creates a topic, once", async () => {
    const shape = { topic: "demo", partitions: 7 };
    assertEquals(await ok(`${first}/create-topic`, shape), {
      status: "created",
    });
    for (const broker of brokers) {
      assertEquals(await ok(`${broker}/create-topic`, shape), {
        status: "exists",
      });
    }
    const other = await call(`${first}/create-topic`, {
      topic: "demo",
      partitions: 8,
    });
    assertEquals(other.status, 409);
    assertEquals(other.body.code, "TOPIC_ALREADY_EXISTS");
    assertEquals(
      other.headers.get("content-type"),
      "application/problem+json",
    );
    assertEquals(await ok(`${first}/list-topics`), { topics: ["demo"] });
  });

  await step(context, "spreads partitions round the brokers", async () => {
    for (const broker of brokers) {
      const { topic_partitions } = await ok<MetadataAnswer>(
        `${broker}/metadata`,
      );
      const places = topic_partitions.demo.partitions;
      assertEquals(
        places.map(({ partition, broker }) => [partition, broker]),
        [1, 2, 3, 1, 2, 3, 1].map((id, partition) => [partition, hostOf(id)]),
      );
    }
    // Partition 0 is led by the broker that was asked.
    await ok(`${brokers[2]}/create-topic`, { topic: "third", partitions: 4 });
    const { topic_partitions } = await ok<MetadataAnswer>(
      `${brokers[2]}/metadata`,
    );
    assertEquals(
      topic_partitions.third.partitions.map(({ broker }) => broker),
      [3, 1, 2, 3].map(hostOf),
    );
  });

  await step(context, "guards a topic by its schema", async () => {
    assertEquals(
      await ok(`${first}/register-schema`, { topic: "demo", schema: PERSON }),
      {
        status: "schema registered",
        id: 1,
        subject: "demo-value",
        version: 1,
      },
    );
    // The leader must know it before anything may be refused.
    await untilAll(
      brokers,
      async (broker) =>
        (await ok<string[]>(`${broker}/subjects`)).includes("demo-value"),
    );
    await untilAll(brokers, async (broker) => {
      const answer = await call(`${broker}/produce`, {
        topic: "demo",
        partition: 1,
        message: '{"name":7}',
      });
      if (answer.status !== 422) return false;
      assertEquals(answer.body.code, "INVALID_RECORD");
      const violations = answer.body.violations ?? [];
      assert(violations.length >= 2);
      assertObjectMatch(
        violations.find(({ pointer }) => pointer === "/name") ?? {},
        { rule: "type" },
      );
      return true;
    });
    // Nothing of what was refused is stored.
    for (const broker of brokers) {
      const end = await call(
        `${broker}/consume?topic=demo&partition=1&offset=0`,
      );
      assertEquals([end.status, end.body], [204, ""]);
    }
    const broken = await call(`${first}/register-schema`, {
      topic: "demo",
      schema: { type: "objekt" },
    });
    assertEquals(broken.status, 422);
    for (const broker of brokers) {
      assertEquals(await ok(`${broker}/subjects`), ["demo-value"]);
      assertEquals(await ok(`${broker}/subjects/demo-value/versions`), [1]);
      const { schema } = await ok<{ schema: string }>(
        `${broker}/schemas/ids/1`,
      );
      assertEquals(JSON.parse(schema), PERSON);
    }
  });

  await step(context, "produces by partition, by key, in turn", async () => {
    const byPartition = { topic: "demo", partition: 0, message: ALICE };
    for (const [index, broker] of brokers.entries()) {
      const answer = await ok<ProducedMessage>(
        `${broker}/produce`,
        byPartition,
      );
      assertObjectMatch(answer, { offset: index, partition: 0 });
    }
    const byKey = { topic: "demo", key: "id1", message: ALICE };
    const places = [];
    for (const broker of brokers) {
      places.push(
        (await ok<ProducedMessage>(`${broker}/produce`, byKey)).partition,
      );
    }
    assertEquals(new Set(places).size, 1);
    const inTurn = new Set<number>();
    for (let count = 0; count < 7; count++) {
      const answer = await ok<ProducedMessage>(`${first}/produce`, {
        topic: "demo",
        message: { name: "Bob", age: 31 },
      });
      inTurn.add(answer.partition);
    }
    assertEquals(inTurn.size, 7);
  });

  await step(context, "consumes on every broker", async () => {
    for (const broker of brokers) {
      for (const offset of [0, 1, 2]) {
        const answer = await ok<ConsumedRecord>(
          `${broker}/consume?topic=demo&partition=0&offset=${offset}`,
        );
        assertObjectMatch(answer, { offset, message: ALICE });
      }
      const json = await ok<ConsumedRecord>(
        `${broker}/consume?topic=demo&partition=0&offset=3`,
      );
      assertEquals(json.message, '{"name":"Bob","age":31}');
      for (const offset of ["4", "latest"]) {
        const end = await call(
          `${broker}/consume?topic=demo&partition=0&offset=${offset}`,
        );
        assertEquals([end.status, end.body], [204, ""]);
      }
    }
  });

  await step(context, "answers 410 below the start of the log", async () => {
    await ok(`${first}/create-topic`, { topic: "short", partitions: 1 });
    const messages = ["a", "b", "c", "d", "e"];
    await ok(`${first}/produce`, { topic: "short", partition: 0, messages });
    const partition = "v1/topics/short/partitions/0";
    const dropped = await call(
      `${brokers[1]}/${partition}/records?beforeOffset=3`,
      undefined,
      "DELETE",
    );
    assertEquals(dropped.status, 200, JSON.stringify(dropped.body));
    for (const broker of brokers) {
      const base = `${broker}/consume?topic=short&partition=0`;
      const gone = await call(`${base}&offset=2`);
      assertEquals(gone.status, 410);
      assertObjectMatch(gone.body, {
        code: "OFFSET_OUT_OF_RANGE",
        earliestOffset: 3,
      });
      assertObjectMatch(await ok<ConsumedRecord>(`${base}&offset=earliest`), {
        offset: 3,
        message: "d",
      });
    }
  });

  await step(context, "wakes a long poll on any broker", async () => {
    await ok(`${first}/create-topic`, { topic: "poll", partitions: 1 });
    for (const [offset, broker] of brokers.entries()) {
      let arrivedAt = 0;
      const poll = ok<ConsumedRecord>(
        `${broker}/consume?topic=poll&partition=0&offset=${offset}` +
          "&waitMs=20000",
      ).finally(() => arrivedAt = performance.now());
      // It must be waiting, not refused: the broker has had a round trip.
      await ok(`${broker}/list-topics`);
      assertEquals(arrivedAt, 0);
      await ok(`${first}/produce`, { topic: "poll", message: `${offset}` });
      const storedAt = performance.now();
      assertObjectMatch(await poll, { offset, message: `${offset}` });
      // 5 ms on a quiet machine; far below the 20 s it would else take.
      assert(
        arrivedAt - storedAt < 1000,
        `woke ${arrivedAt - storedAt} ms late`,
      );
    }
    const startedAt = performance.now();
    const end = await call(
      `${brokers[1]}/consume?topic=poll&partition=0&offset=3&waitMs=300`,
    );
    assertEquals(end.status, 204);
    assert(performance.now() - startedAt >= 290);
  });

  await step(context, "counts a batch of 500 as 500", async () => {
    await ok(`${first}/create-topic`, { topic: "counted", partitions: 1 });
    const messages = Array.from({ length: 500 }, (_, index) => `m${index}`);
    const count = async () => {
      const named = "streamnest_messages_";
      const ofTopic = 'streamnest_topic_messages_total{topic="counted"';
      return await Promise.all([
        total(brokers, `${named}produced_total`),
        total(brokers, `${named}consumed_total`),
        total(brokers, `${ofTopic},direction="produced"}`),
        total(brokers, `${ofTopic},direction="consumed"}`),
      ]);
    };
    const [produced, consumed] = await count();
    // Through a broker that has to forward it: counted once all the same.
    await ok(`${brokers[1]}/produce`, { topic: "counted", messages });
    assertEquals(await count(), [produced + 500, consumed, 500, 0]);
    await ok(
      `${brokers[2]}/consume?topic=counted&partition=0&offset=0&max=500`,
    );
    assertEquals(await count(), [produced + 500, consumed + 500, 500, 500]);
  });

  await step(context, "answers everywhere within 100 ms", async () => {
    for (let round = 0; round < 10; round++) {
      const topic = `fresh-${round}`;
      const broker = brokers[round % 3];
      await ok(`${broker}/create-topic`, { topic, partitions: 3 });
      const createdAt = performance.now();
      // The broker that was asked reads its own write.
      assert(
        (await ok<ListTopicsAnswer>(`${broker}/list-topics`)).topics.includes(
          topic,
        ),
      );
      await untilAll(brokers, async (other) => {
        const { topics } = await ok<ListTopicsAnswer>(`${other}/list-topics`);
        return topics.includes(topic);
      });
      const lateMs = performance.now() - createdAt;
      // 100 ms on a quiet machine; tests share theirs with others.
      assert(lateMs < 1000, `known everywhere after ${lateMs} ms`);
      await Promise.all(
        brokers.map((other, partition) =>
          ok(`${other}/produce`, { topic, partition, message: "x" })
        ),
      );
    }
  });

  await step(context, "keeps all through restarts", async () => {
    const seen = async () => {
      const topics =
        (await ok<ListTopicsAnswer>(`${first}/list-topics`)).topics;
      const { topic_partitions } = await ok<MetadataAnswer>(
        `${first}/metadata`,
      );
      const demo: ConsumeAnswer[] = [];
      for (let partition = 0; partition < 7; partition++) {
        demo.push(
          await ok(
            `${first}/consume?topic=demo&partition=${partition}` +
              "&offset=earliest&max=100",
          ),
        );
      }
      const shape = await ok<TopicDescription>(`${first}/v1/topics/short`);
      return {
        topics,
        places: Object.entries(topic_partitions).map(([topic, value]) => [
          topic,
          value.partitions.map(({ broker }) => broker),
        ]),
        demo,
        subjects: await ok(`${first}/subjects/demo-value/versions/latest`),
        config: shape.config,
        logStart: shape.partitions[0].logStartOffset,
      };
    };
    const patched = await call(`${first}/v1/topics/short`, {
      config: { "retention.ms": "123456789" },
    }, "PATCH");
    assertEquals(patched.status, 200, JSON.stringify(patched.body));
    const before = await seen();
    assertMatch(JSON.stringify(before.config), /123456789/);

    const pid = cluster.brokerPid(2);
    Deno.kill(pid, "SIGKILL");
    await waitFor("another broker 2", () => {
      try {
        return cluster.brokerPid(2) !== pid;
      } catch {
        return false;
      }
    });
    await waitUntilReady(brokers[1]);
    await Promise.all(brokers.map(waitUntilReady));
    const isLedAsBefore = async () =>
      JSON.stringify((await seen()).places) === JSON.stringify(before.places);
    await waitFor("the leaders to lead again", isLedAsBefore);
    assertEquals(await seen(), before);

    assertEquals(await cluster.stop(), 0);
    await cluster.start();
    await Promise.all(brokers.map(waitUntilReady));
    await waitFor("the leaders to lead again", isLedAsBefore);
    assertEquals(await seen(), before);
    const refused = await call(`${brokers[2]}/produce`, {
      topic: "demo",
      partition: 0,
      message: "not a person",
    });
    assertEquals(refused.status, 422);
    const next = await ok<ProducedMessage>(`${brokers[1]}/produce`, {
      topic: "demo",
      partition: 0,
      message: ALICE,
    });
    assertEquals(next.offset, before.demo[0].nextOffset);
  });
});

/** Waits until the check holds on each of the brokers. */
async function untilAll(
  brokers: readonly string[],
  check: (broker: string) => Promise<boolean>,
): Promise<void> {
  for (const broker of brokers) {
    await waitFor(`${broker} to know`, () => check(broker), 5000);
  }
}

/** Sum of a counter over all brokers. */
async function total(
  brokers: readonly string[],
  series: string,
): Promise<number> {
  let sum = 0;
  for (const broker of brokers) {
    const text = await ok<string>(`${broker}/metrics`);
    const line = text.split("\n").find((line) => line.startsWith(`${series} `));
    sum += Number(line?.split(" ").at(-1) ?? 0);
  }
  return sum;
}
