import fc from "../../support/fast_check.ts";
import { assertEquals } from "../../support/assert.ts";
import {
  decodeAssignment,
  decodeSubscription,
  encodeAssignment,
  encodeSubscription,
  subscribedTopics,
} from "../../../broker/group/consumer_protocol.ts";

const topicPartitions = fc.array(fc.record({
  topic: fc.string(),
  partitions: fc.array(fc.nat(1000)),
}));
const blob = fc.option(fc.uint8Array());
const version = fc.constantFrom(0, 1, 2, 3) as fc.Arbitrary<0 | 1 | 2 | 3>;

Deno.test("a subscription decodes to what was encoded, by version", () => {
  const subscription = fc.record({
    topics: fc.array(fc.string()),
    userData: blob,
    ownedPartitions: topicPartitions,
    generationId: fc.integer({ min: -1, max: 0x7fffffff }),
    rackId: fc.option(fc.string()),
  });
  fc.assert(fc.property(subscription, version, (given, v) => {
    const bytes = encodeSubscription(given, v);
    assertEquals(decodeSubscription(bytes), {
      ...given,
      ownedPartitions: v >= 1 ? given.ownedPartitions : [],
      generationId: v >= 2 ? given.generationId : -1,
      rackId: v >= 3 ? given.rackId : null,
    });
    assertEquals(subscribedTopics(bytes), given.topics);
  }));
});

Deno.test("an assignment decodes to what was encoded", () => {
  const assignment = fc.record({ partitions: topicPartitions, userData: blob });
  fc.assert(fc.property(assignment, version, (given, v) => {
    assertEquals(decodeAssignment(encodeAssignment(given, v)), given);
  }));
  assertEquals(decodeAssignment(new Uint8Array()), {
    partitions: [],
    userData: null,
  });
});

Deno.test("a newer version is read as the newest known", () => {
  const bytes = encodeSubscription({
    topics: ["t"],
    userData: null,
    ownedPartitions: [],
    generationId: 4,
    rackId: "r",
  });
  bytes[1] = 9;
  assertEquals(decodeSubscription(bytes)?.rackId, "r");
});

Deno.test("golden bytes: what a Java consumer sends for one topic", () => {
  const bytes = new Uint8Array([
    ...[0, 0],
    ...[0, 0, 0, 1, 0, 4, 100, 101, 109, 111],
    ...[255, 255, 255, 255],
  ]);
  assertEquals(decodeSubscription(bytes)?.topics, ["demo"]);
  assertEquals(
    encodeSubscription({
      topics: ["demo"],
      userData: null,
      ownedPartitions: [],
      generationId: -1,
      rackId: null,
    }, 0),
    bytes,
  );
});

Deno.test("any bytes decode or are refused, without a crash", () => {
  fc.assert(fc.property(fc.uint8Array(), (bytes) => {
    decodeSubscription(bytes);
    decodeAssignment(bytes);
    subscribedTopics(bytes);
  }));
  const lying = new Uint8Array([0, 0, 0x7f, 255, 255, 255]);
  assertEquals(decodeSubscription(lying), undefined);
  assertEquals(decodeAssignment(lying), undefined);
  assertEquals(subscribedTopics(new Uint8Array([255, 255])), undefined);
});
