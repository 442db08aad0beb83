/**
 * Bodies that are read straight from their bytes mean what they mean to the
 * strict reading, which a byte order mark before a body brings about.
 */
import { HTTP_LIMITS } from "../../../broker/http/limits.ts";
import {
  type OneMessage,
  PlainProduceReader,
} from "../../../broker/http/plain_produce.ts";
import { assertEquals } from "../../support/assert.ts";

const BYTE_ORDER_MARK = "\ufeff";
const encoder = new TextEncoder();

function read(body: string | number[], topic?: string) {
  const bytes = typeof body === "string"
    ? encoder.encode(body)
    : new Uint8Array(body);
  return new PlainProduceReader(HTTP_LIMITS).read(bytes, topic);
}

function shown(message: OneMessage | undefined) {
  if (message === undefined) return undefined;
  const { settings: { topic }, record: { key, value }, partition } = message;
  const text = (bytes: Uint8Array | null) =>
    bytes === null ? null : new TextDecoder().decode(bytes);
  return { topic, partition, key: text(key), value: text(value) };
}

Deno.test("PlainProduceReader reads a topic, a message, a key and a partition", () => {
  const whole = { topic: "a.b", partition: 12, key: "ü", value: "Grüße 👋" };
  const body =
    ' {\n"message" :"Grüße 👋","key":"ü",\t"topic":"a.b" , "partition":12}\r\n';
  assertEquals(shown(read(body)), whole);
  assertEquals(shown(read('{"message":"","key":""}', "t")), {
    topic: "t",
    partition: undefined,
    key: "",
    value: "",
  });
  assertEquals(shown(read('{"topic":"t","message":"x","partition":0}')), {
    topic: "t",
    partition: 0,
    key: null,
    value: "x",
  });
});

Deno.test("PlainProduceReader gives the defaults of what it does not know", () => {
  assertEquals(read('{"topic":"t","message":"x"}'), {
    settings: {
      topic: "t",
      timeoutMs: HTTP_LIMITS.produceTimeoutMs,
      receipt: false,
      producer: undefined,
    },
    record: {
      key: null,
      value: encoder.encode("x"),
      headers: [],
      timestampMs: undefined,
    },
    partition: undefined,
  });
});

Deno.test("PlainProduceReader leaves to the strict reading what is not plain", () => {
  for (
    const body of [
      "",
      "{}",
      '{"topic":"t"}',
      '{"message":"x"}',
      '["topic","t","message","x"]',
      '{"topic":"t","message":"x"',
      '{"topic":"t","message":"x"} {}',
      '{"topic":"t","message":"x",}',
      '{"topic":"t","message":"a\\nb"}',
      '{"topic":"t","message":"a\nb"}',
      '{"topic":"t","message":"x","message":"y"}',
      '{"topic":"t","message":"x","receipt":true}',
      '{"topic":"t","message":{"a":1}}',
      '{"topic":"t","message":null}',
      '{"topic":"..","message":"x"}',
      '{"topic":"a b","message":"x"}',
      '{"topic":"tü","message":"x"}',
      `{"topic":"${"t".repeat(250)}","message":"x"}`,
      '{"topic":"","message":"x"}',
      '{"topic":"t","message":"x","partition":"0"}',
      '{"topic":"t","message":"x","partition":-1}',
      '{"topic":"t","message":"x","partition":01}',
      '{"topic":"t","message":"x","partition":1.0}',
      '{"topic":"t","message":"x","partition":1e1}',
      '{"topic":"t","message":"x","partition":2147483648}',
      '{"topic":"t","message":"x","partition":0000000000000000}',
      '{"topic":"t","message":"x","partition":}',
      `${BYTE_ORDER_MARK}{"topic":"t","message":"x"}`,
      '{"topic":"t","message":"x"}\u00a0',
    ]
  ) assertEquals(read(body), undefined, body);
  assertEquals(read('{"topic":"t","message":"x"}', "t"), undefined);
});

Deno.test("PlainProduceReader leaves what is not UTF-8 to be refused", () => {
  const before = [...encoder.encode('{"topic":"t","message":"')];
  const after = [...encoder.encode('"}')];
  assertEquals(shown(read([...before, 0xc3, 0xbc, ...after]))?.value, "ü");
  for (
    const bytes of [[0xff], [0xc3], [0xc0, 0x80], [0xed, 0xa0, 0x80], [
      0xf0,
      0x9f,
      0x98,
    ]]
  ) assertEquals(read([...before, ...bytes, ...after]), undefined);
});

Deno.test("PlainProduceReader tells names apart that share a place in its memory", () => {
  const reader = new PlainProduceReader(HTTP_LIMITS);
  const topicOf = (topic: string) =>
    reader.read(encoder.encode(`{"topic":"${topic}","message":"x"}`), undefined)
      ?.settings.topic;
  for (const topic of ["abc", "aXc", "abc", "a-c", "abbc", "abc"]) {
    assertEquals(topicOf(topic), topic);
  }
  assertEquals(topicOf("a c"), undefined);
  assertEquals(topicOf("a".repeat(249)), "a".repeat(249));
});

Deno.test("PlainProduceReader takes a body up to the bound of one message", () => {
  const limits = { ...HTTP_LIMITS, messageBodyBytes: 30 };
  const bodyOf = (bytes: number) =>
    encoder.encode('{"topic":"t","message":"x"}'.padEnd(bytes));
  for (
    const [bytes, isRead] of [[29, true], [30, true], [31, false]] as const
  ) {
    const found = new PlainProduceReader(limits).read(bodyOf(bytes), undefined);
    assertEquals(found !== undefined, isRead, `${bytes} bytes`);
  }
});
