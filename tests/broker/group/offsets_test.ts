import { assertEquals } from "../../support/assert.ts";
import { encodeSubscription } from "../../../broker/group/consumer_protocol.ts";
import { Harness } from "./harness.ts";

const DAY_MS = 24 * 3_600_000;
const NONE = {
  partition: 0,
  offset: -1,
  leaderEpoch: -1,
  metadata: "",
  error: null,
} as const;

function consumerOf(topic: string) {
  const metadata = encodeSubscription({
    topics: [topic],
    userData: null,
    ownedPartitions: [],
    generationId: -1,
    rackId: null,
  });
  return { protocols: [{ name: "range", metadata }] };
}

Deno.test("an offset nobody committed is -1 without an error", () => {
  const h = new Harness();
  assertEquals(h.fetch(), NONE);
  h.stable(1);
  assertEquals(h.fetch(), NONE);
});

Deno.test("a commit is answered and seen once its record is committed", () => {
  const h = new Harness();
  h.holdsAppends = true;
  const asked = h.askCommit("", -1, 7, { metadata: "m" });
  assertEquals(asked.response, undefined);
  assertEquals(h.fetch(), NONE);
  h.commit();
  assertEquals(asked.response?.topics[0].partitions[0].error, null);
  const expected = { ...NONE, offset: 7, leaderEpoch: 3, metadata: "m" };
  assertEquals(h.fetch(), expected);
  h.restart();
  assertEquals(h.fetch(), expected);
});

Deno.test("a failed commit leaves the offset where it was", () => {
  const h = new Harness();
  h.commitError("", -1, 5);
  h.holdsAppends = true;
  for (
    const [cause, error] of [
      ["NOT_ENOUGH_REPLICAS", "COORDINATOR_NOT_AVAILABLE"],
      ["NOT_LEADER_OR_FOLLOWER", "NOT_COORDINATOR"],
      ["KAFKA_STORAGE_ERROR", "NOT_COORDINATOR"],
      ["MESSAGE_TOO_LARGE", "OFFSET_METADATA_TOO_LARGE"],
    ] as const
  ) {
    const asked = h.askCommit("", -1, 6);
    h.fail(cause);
    assertEquals(asked.response?.topics[0].partitions[0].error, error);
    assertEquals(h.fetch().offset, 5);
  }
});

Deno.test("commits that waited together share an append", () => {
  const h = new Harness({ offsetsPerAppend: 3 });
  h.holdsAppends = true;
  for (let offset = 0; offset < 6; offset++) h.askCommit("", -1, offset);
  assertEquals(h.held.map(({ records }) => records.length), [1]);
  h.commit();
  assertEquals(h.held.map(({ records }) => records.length), [3]);
  h.commit();
  assertEquals(h.held.map(({ records }) => records.length), [2]);
  h.commit();
  assertEquals([h.held.length, h.parked, h.fetch().offset], [0, 0, 5]);
});

Deno.test("OffsetCommit checks topic and metadata, partition by partition", () => {
  const h = new Harness();
  h.missingTopics.add("gone");
  const { topics } = h.get("offsetCommit", {
    groupId: "g",
    generationId: -1,
    memberId: "",
    groupInstanceId: null,
    retentionTimeMs: -1,
    topics: ["gone", "t"].map((topic) => ({
      topic,
      partitions: [4_096, 4_097].map((length, partition) => ({
        partition,
        offset: 1,
        leaderEpoch: -1,
        metadata: "x".repeat(length),
      })),
    })),
  });
  assertEquals(
    topics.map(({ partitions }) => partitions.map(({ error }) => error)),
    [
      ["UNKNOWN_TOPIC_OR_PARTITION", "UNKNOWN_TOPIC_OR_PARTITION"],
      [null, "OFFSET_METADATA_TOO_LARGE"],
    ],
  );
});

Deno.test("a heartbeat is not held up by a commit in flight", () => {
  const h = new Harness();
  const [id] = h.stable(1);
  h.holdsAppends = true;
  h.askCommit(id, 1, 1);
  assertEquals(h.heartbeat(id, 1), null);
});

Deno.test("offsets of a transaction count when it commits, not when it aborts", () => {
  for (const committed of [true, false]) {
    const h = new Harness();
    h.commitError("", -1, 5);
    h.askTxnCommit(9, 8);
    assertEquals(h.fetch().offset, 5);
    assertEquals(h.fetch(true), { ...NONE, error: "UNSTABLE_OFFSET_COMMIT" });
    h.restart();
    assertEquals(h.fetch(true), { ...NONE, error: "UNSTABLE_OFFSET_COMMIT" });
    h.notify({ type: "transactionEnded", producerId: 9, committed });
    const offset = committed ? 8 : 5;
    assertEquals(h.fetch(true).offset, offset);
    h.restart();
    assertEquals(h.fetch(true).offset, offset);
  }
});

Deno.test("a plain commit after the transaction's is not moved back by it", () => {
  const h = new Harness();
  h.askTxnCommit(9, 8);
  h.commitError("", -1, 12);
  h.notify({ type: "transactionEnded", producerId: 9, committed: true });
  assertEquals(h.fetch().offset, 12);
  h.restart();
  assertEquals(h.fetch().offset, 12);
});

Deno.test("the end of a transaction waits for its commit in flight", () => {
  const h = new Harness();
  h.holdsAppends = true;
  const asked = h.askTxnCommit(9, 8);
  h.core.handle({
    type: "notice",
    notice: { type: "transactionEnded", producerId: 9, committed: true },
  }, { monotonicMs: 0, wallMs: 0 });
  h.commit();
  assertEquals(asked.response?.topics[0].partitions[0].error, null);
  assertEquals(h.fetch(true).offset, 8);
});

Deno.test("TxnOffsetCommit checks a member that is named, in any phase", () => {
  const h = new Harness();
  const { memberId } = h.join().response!;
  const error = (options: { memberId?: string; generationId?: number }) =>
    h.askTxnCommit(9, 1, options).response?.topics[0].partitions[0].error;
  assertEquals(h.state, "CompletingRebalance");
  assertEquals(error({ memberId, generationId: 1 }), null);
  assertEquals(error({ memberId, generationId: 0 }), "ILLEGAL_GENERATION");
  assertEquals(error({ memberId: "x", generationId: 1 }), "UNKNOWN_MEMBER_ID");
  assertEquals(error({}), null, "producers before KIP-447 name nobody");
});

Deno.test("offsets expire seven days after the group emptied, and the group too", () => {
  const h = new Harness();
  const [id] = h.stable(1, { sessionTimeoutMs: 1_800_000 });
  h.commitError(id, 1, 5);
  h.pass(1_000_000);
  h.leave(id);
  h.pass(7 * DAY_MS - 1_200_000);
  assertEquals(h.fetch().offset, 5);
  h.pass(1_800_000);
  assertEquals(h.fetch().offset, -1);
  assertEquals(h.state, "Dead");
  h.restart();
  assertEquals(h.state, "Dead");
});

Deno.test("a commit into an empty group starts its time anew", () => {
  const h = new Harness();
  const [id] = h.stable(1);
  h.leave(id);
  h.pass(6 * DAY_MS);
  h.commitError("", -1, 5);
  h.pass(6 * DAY_MS);
  assertEquals(h.fetch().offset, 5);
});

Deno.test("a simple group's offsets expire after their commit or as they say", () => {
  const h = new Harness();
  h.askCommit("", -1, 5);
  h.askCommit("", -1, 6, { topic: "u", retentionTimeMs: DAY_MS });
  h.askCommit("", -1, 7, { topic: "v", retentionTimeMs: 9 * DAY_MS });
  const offsets = () => ["t", "u", "v"].map((t) => h.fetch(false, t).offset);
  h.pass(DAY_MS + 600_000);
  assertEquals(offsets(), [5, -1, 7]);
  h.pass(6 * DAY_MS);
  assertEquals(offsets(), [-1, -1, 7]);
  h.pass(2 * DAY_MS);
  assertEquals(offsets(), [-1, -1, -1]);
});

Deno.test("in a living group only topics that nobody reads expire", () => {
  const h = new Harness();
  const [id] = h.stable(1, consumerOf("read"));
  h.askCommit(id, 1, 5, { topic: "read" });
  h.askCommit(id, 1, 6, { topic: "old" });
  for (let passed = 0; passed <= 7 * DAY_MS; passed += 9_000) {
    h.pass(9_000);
    h.heartbeat(id, 1);
  }
  assertEquals(h.fetch(false, "read").offset, 5);
  h.pass(600_000 - 1);
  assertEquals(h.fetch(false, "old").offset, -1);
});

Deno.test("DeleteGroups removes offsets, pending ones included, for good", () => {
  const h = new Harness();
  const [id] = h.stable(1);
  h.commitError(id, 1, 5);
  h.askTxnCommit(9, 8, { memberId: id, generationId: 1 });
  assertEquals(h.get("deleteGroup", { groupId: "g" }).error, "NON_EMPTY_GROUP");
  h.leave(id);
  assertEquals(h.get("deleteGroup", { groupId: "g" }).error, null);
  h.notify({ type: "transactionEnded", producerId: 9, committed: true });
  assertEquals([h.fetch().offset, h.state], [-1, "Dead"]);
  h.restart();
  assertEquals([h.fetch().offset, h.state], [-1, "Dead"]);
  assertEquals(
    h.get("deleteGroup", { groupId: "g" }).error,
    "GROUP_ID_NOT_FOUND",
  );
});

Deno.test("OffsetDelete spares topics that the group reads", () => {
  const h = new Harness();
  const [id] = h.stable(1, consumerOf("read"));
  h.askCommit(id, 1, 5, { topic: "read" });
  h.askCommit(id, 1, 6, { topic: "old" });
  const { topics } = h.get("offsetDelete", {
    groupId: "g",
    topics: ["read", "old", "never"].map((topic) => ({
      topic,
      partitions: [0],
    })),
  });
  assertEquals(topics.map(({ partitions }) => partitions[0].error), [
    "GROUP_SUBSCRIBED_TO_TOPIC",
    null,
    null,
  ]);
  h.restart();
  assertEquals(h.fetch(false, "read").offset, 5);
  assertEquals(h.fetch(false, "old").offset, -1);
});

Deno.test("offsets of a deleted topic go with it", () => {
  const h = new Harness();
  h.askCommit("", -1, 5, { topic: "t" });
  h.askCommit("", -1, 6, { topic: "u" });
  h.notify({ type: "topicDeleted", topic: "t" });
  h.restart();
  assertEquals([h.fetch().offset, h.fetch(false, "u").offset], [-1, 6]);
});

Deno.test("OffsetFetch of everything lists what is committed", () => {
  const h = new Harness();
  h.askCommit("", -1, 5, { topic: "a" });
  h.askTxnCommit(9, 8);
  const all = (requireStable: boolean) =>
    h.get("offsetFetch", { groupId: "g", topics: null, requireStable }).topics
      .map(({ topic, partitions }) => [topic, partitions[0].error]);
  assertEquals(all(false), [["a", null]]);
  assertEquals(all(true), [["a", null], ["t", "UNSTABLE_OFFSET_COMMIT"]]);
});
