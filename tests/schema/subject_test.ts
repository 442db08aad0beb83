import { assert, assertEquals, assertNotEquals } from "../support/assert.ts";
import {
  canonicalText,
  fingerprint,
  nextVersion,
  subjectOfTopic,
  topicOfSubject,
} from "../../schema/schema.ts";

Deno.test("subjectOfTopic() and topicOfSubject() are each other's reverse", () => {
  for (const topic of ["demo", "a-value", "-value"]) {
    assertEquals(topicOfSubject(subjectOfTopic(topic)), topic);
  }
  assertEquals(topicOfSubject("demo-key"), undefined);
  assertEquals(topicOfSubject("-value"), undefined);
});

Deno.test("nextVersion() never gives a number twice", () => {
  assertEquals(nextVersion([]), 1);
  assertEquals(nextVersion([1, 2]), 3);
  assertEquals(nextVersion([7, 3]), 8);
});

Deno.test("canonicalText() does not depend on the order of names", () => {
  assertEquals(
    canonicalText({ b: [1.0, { d: null, c: "x" }], a: -0 }),
    '{"a":0,"b":[1,{"c":"x","d":null}]}',
  );
  assertEquals(
    canonicalText(JSON.parse('{"__proto__":1,"a":2}')),
    '{"__proto__":1,"a":2}',
  );
});

Deno.test("fingerprint() is equal exactly for equal schemas", async () => {
  const one = await fingerprint({ a: 1, b: 2 });
  assert(/^[0-9a-f]{64}$/.test(one));
  assertEquals(one, await fingerprint({ b: 2, a: 1 }));
  assertNotEquals(one, await fingerprint({ a: 1, b: 3 }));
});
