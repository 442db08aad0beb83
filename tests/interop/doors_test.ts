/**
 * Two doors, one room: what HTTP writes Kafka clients read, and the reverse, the
 * same key in the same partition, and the schema on guard at both.
 */
import { assert, assertEquals, assertMatch } from "../support/assert.ts";
import { testWith } from "../support/require.ts";
import type { ProducedMessage } from "../../contract/http.ts";
import { TestCluster } from "../e2e/support/cluster.ts";
import { ok, readPartition, step } from "../e2e/support/http.ts";
import {
  brokersOf,
  KafkaJs,
  kcat,
  kcatIsHere,
  Member,
  protocolErrorOf,
} from "./support.ts";

const ANY_BYTES = Uint8Array.from({ length: 256 }, (_, index) => index);
const ANY_BASE64 = btoa(String.fromCharCode(...ANY_BYTES));
const TIME = 1_700_000_000_123;
const KEYS = [
  ...Array.from({ length: 60 }, (_, index) => `key-${index}`),
  "",
  "ключ",
  "鍵 🔑",
  "x".repeat(1000),
];

testWith([kcatIsHere], "Both doors open on one room", async (context) => {
  await using cluster = await TestCluster.start();
  const url = cluster.url();
  const client = new KafkaJs(cluster);
  await using producer = await client.producer();

  await step(context, "HTTP writes, Kafka reads", async () => {
    await ok(`${url}/create-topic`, { topic: "there", partitions: 2 });
    const messages = [
      { message: "text ü", key: "k", headers: { a: ["1", "2"], b: null } },
      { message: null, key: "tombstone" },
      { message: ANY_BASE64, encoding: "base64" },
      {
        message: "bytes in key and header",
        key: ANY_BASE64,
        keyEncoding: "base64",
        headers: { any: { base64: ANY_BASE64 } },
      },
      { message: { json: [1, true, null] } },
      { message: "" },
      { message: "", key: "" },
    ].map((message) => ({ ...message, partition: 1, timestamp: TIME }));
    await ok(`${url}/produce`, { topic: "there", messages });

    const seen: unknown[] = [];
    const member = await Member.join(client.kafka, "there", ["there"], {
      // deno-lint-ignore require-await -- kafkajs wants a promise.
      take: async ({ partition, message }) => {
        const headers = Object.entries(message.headers ?? {});
        seen.push([
          partition,
          message.key?.toString("base64") ?? null,
          message.value?.toString("base64") ?? null,
          message.timestamp,
          headers.map(([name, value]) => [name, [value].flat().map(base64Of)]),
        ]);
      },
    });
    await member.waitForCount(messages.length);
    await member[Symbol.asyncDispose]();
    const base64 = (text: string) => new TextEncoder().encode(text).toBase64();
    const expected = [
      [base64("k"), base64("text ü"), [["a", ["MQ==", "Mg=="]], ["b", [null]]]],
      [base64("tombstone"), null, []],
      [null, ANY_BASE64, []],
      [ANY_BASE64, base64("bytes in key and header"), [["any", [ANY_BASE64]]]],
      [null, base64('{"json":[1,true,null]}'), []],
      [null, "", []],
      ["", "", []],
    ].map(([key, value, headers]) => [1, key, value, `${TIME}`, headers]);
    assertEquals(seen, expected);
  });

  await step(context, "Kafka writes, HTTP reads", async () => {
    await ok(`${url}/create-topic`, { topic: "back", partitions: 2 });
    await producer.send({
      topic: "back",
      messages: [
        {
          key: "k",
          value: "text ü",
          headers: { a: ["1", "2"], any: Buffer.from(ANY_BYTES) },
        },
        { key: "tombstone", value: null },
        { key: null, value: Buffer.from(ANY_BYTES) },
        { key: Buffer.from(ANY_BYTES), value: "" },
      ].map((message) => ({ ...message, partition: 1, timestamp: `${TIME}` })),
    });
    const common = { timestamp: TIME };
    assertEquals(await readPartition(cluster.url(3), "back", 1), [
      {
        offset: 0,
        message: "text ü",
        key: "k",
        headers: { a: ["1", "2"], any: { base64: ANY_BASE64 } },
        ...common,
      },
      { offset: 1, message: null, key: "tombstone", ...common },
      { offset: 2, message: ANY_BASE64, encoding: "base64", ...common },
      {
        offset: 3,
        message: "",
        key: ANY_BASE64,
        keyEncoding: "base64",
        ...common,
      },
    ]);
  });

  await step(context, "the same key, the same partition", async () => {
    const partitions = 11;
    await ok(`${url}/create-topic`, { topic: "keys", partitions });
    const places = new Map<string, number>();
    for (const key of KEYS) {
      const { partition } = await ok<ProducedMessage>(`${url}/produce`, {
        topic: "keys",
        key,
        message: "HTTP",
      });
      places.set(key, partition);
    }
    assert(new Set(places.values()).size === partitions);
    await producer.send({
      topic: "keys",
      messages: KEYS.map((key) => ({ key, value: "kafkajs" })),
    });
    await kcat(cluster, [
      ...["-P", "-t", "keys", "-K", "\t"],
      ...["-X", "partitioner=murmur2_random"],
    ], KEYS.map((key) => `${key}\tkcat\n`).join(""));
    const differing: string[] = [];
    const counts = { HTTP: 0, kafkajs: 0, kcat: 0 };
    for (let partition = 0; partition < partitions; partition++) {
      for (
        const { key, message } of await readPartition(url, "keys", partition)
      ) {
        const door = message as keyof typeof counts;
        counts[door]++;
        // librdkafka has no partition for an empty key: it picks any.
        if (door === "kcat" && (key ?? "") === "") continue;
        if (places.get(key ?? "") !== partition) {
          differing.push(`${door} ${key}: ${partition}`);
        }
      }
    }
    assertEquals(differing, []);
    const all = KEYS.length;
    assertEquals(counts, { HTTP: all, kafkajs: all, kcat: all });
  });

  await step(context, "the schema guards the Kafka door", async () => {
    await ok(`${url}/create-topic`, { topic: "guarded", partitions: 1 });
    await ok(`${url}/register-schema`, {
      topic: "guarded",
      schema: {
        type: "object",
        properties: { age: { type: "number" } },
        required: ["age"],
      },
    });
    await producer.send({
      topic: "guarded",
      messages: [{ value: '{"age":1}' }, { value: '{"age":2}' }],
    });
    const { code } = await protocolErrorOf(() =>
      producer.send({
        topic: "guarded",
        messages: [{ value: '{"age":3}' }, { value: '{"age":"4"}' }],
      })
    );
    // INVALID_RECORD; kafkajs is older than the name.
    assertEquals(code, 87);
    // The whole batch is refused.
    assertEquals(
      (await readPartition(url, "guarded", 0)).map(({ message }) => message),
      ['{"age":1}', '{"age":2}'],
    );
  });

  await step(context, "kcat is told of a schema's violation", async () => {
    const child = new Deno.Command("kcat", {
      args: ["-b", brokersOf(cluster)[0], "-P", "-t", "guarded"],
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const writer = child.stdin.getWriter();
    await writer.write(new TextEncoder().encode("not JSON\n"));
    await writer.close();
    const { stderr } = await child.output();
    assertMatch(
      new TextDecoder().decode(stderr),
      /Delivery failed for message: .*(validat|INVALID_RECORD|invalid)/i,
    );
    assertEquals((await readPartition(url, "guarded", 0)).length, 2);
  });
});

/** Of a header's value, which kafkajs gives as bytes. */
function base64Of(value: string | Uint8Array | null | undefined) {
  if (value === null || value === undefined) return null;
  return typeof value === "string"
    ? value
    : Buffer.from(value).toString("base64");
}
