import { assert, assertEquals } from "../../support/assert.ts";
import { encodeSubscription } from "../../../broker/group/consumer_protocol.ts";
import { bytes, Harness } from "./harness.ts";

const text = (blob: Uint8Array | undefined) => new TextDecoder().decode(blob);

function subscription(...topics: string[]) {
  const metadata = encodeSubscription({
    topics,
    userData: null,
    ownedPartitions: [],
    generationId: -1,
    rackId: null,
  });
  return [{ name: "range", metadata }];
}

Deno.test("a member without an id is given one and joins with it", () => {
  const h = new Harness();
  const first = h.join({ requiresMemberId: true }).response!;
  assertEquals(first.error, "MEMBER_ID_REQUIRED");
  assert(first.memberId !== "");
  assertEquals(h.state, "Empty");
  const second = h.join({ memberId: first.memberId, requiresMemberId: true });
  assertEquals(second.response?.error, null);
  assertEquals(second.response?.memberId, first.memberId);
  assertEquals(second.response?.leader, first.memberId);
});

Deno.test("an id that is not used in a session's time is forgotten", () => {
  const h = new Harness();
  const { memberId } = h.join({ requiresMemberId: true }).response!;
  h.pass(9_999);
  assertEquals(h.state, "Empty");
  h.pass(1);
  assertEquals(h.state, "Dead");
  assertEquals(h.join({ memberId }).response?.error, "UNKNOWN_MEMBER_ID");
});

Deno.test("a rebalance waits for an id that was handed out", () => {
  const h = new Harness();
  const [id] = h.stable(1);
  h.join({ requiresMemberId: true });
  const rejoined = h.join({ memberId: id });
  assertEquals(rejoined.response, undefined);
  h.heartbeat(id, 1);
  h.pass(10_000);
  assertEquals(rejoined.response?.generationId, 2);
});

Deno.test("the first rebalance waits for newcomers, up to their timeout", () => {
  const h = new Harness({ initialRebalanceDelayMs: 3_000 });
  const first = h.join({ rebalanceTimeoutMs: 7_000 });
  h.pass(2_000);
  const second = h.join({ rebalanceTimeoutMs: 7_000 });
  h.pass(2_000);
  assertEquals(first.response, undefined, "extended once");
  h.pass(1_999);
  assertEquals(first.response, undefined);
  h.pass(1);
  assertEquals(first.response?.members.length, 2);
  assertEquals(second.response?.members, []);
  assertEquals(second.response?.leader, first.response?.memberId);
});

Deno.test("the first rebalance ends at the timeout however many come", () => {
  const h = new Harness({ initialRebalanceDelayMs: 3_000 });
  const first = h.join({ rebalanceTimeoutMs: 7_000 });
  for (let i = 0; i < 6; i++) {
    h.pass(1_000);
    h.join({ rebalanceTimeoutMs: 7_000 });
  }
  h.pass(999);
  assertEquals(first.response, undefined);
  h.pass(1);
  assertEquals(first.response?.members.length, 7);
});

Deno.test("only the leader is told of the members; all get one generation", () => {
  const h = new Harness();
  const ids = h.stable(3);
  h.join({ memberId: ids[0] });
  const answers = ids.map((id) => h.join({ memberId: id })).map((asked) =>
    asked.response
  );
  const last = answers.at(-1);
  assertEquals(last?.generationId, 4);
  assertEquals(last?.members, []);
  assertEquals(last?.leader, ids[0]);
});

Deno.test("every SyncGroup waits for the leader's, whatever the time", () => {
  const h = new Harness();
  const leader = h.join().response!.memberId;
  const follower = h.join();
  const rejoined = h.join({ memberId: leader }).response!;
  const followerId = follower.response!.memberId;
  const parked = h.sync(followerId, rejoined.generationId);
  h.pass(9_000);
  h.heartbeat(leader, rejoined.generationId);
  h.pass(9_000);
  assertEquals(parked.response, undefined);
  const led = h.sync(leader, rejoined.generationId, { [leader]: "mine" });
  assertEquals(text(led.response?.assignment), "mine");
  assertEquals(text(parked.response?.assignment), "", "left out: empty bytes");
  assertEquals(parked.response?.error, null);
  assertEquals(h.state, "Stable");
});

Deno.test("a leader that never syncs is removed at the rebalance timeout", () => {
  const h = new Harness();
  const leader = h.join({ sessionTimeoutMs: 100_000 }).response!.memberId;
  const follower = h.join({ sessionTimeoutMs: 100_000 });
  h.join({ memberId: leader, sessionTimeoutMs: 100_000 });
  const parked = h.sync(follower.response!.memberId, 2);
  h.pass(60_000);
  assertEquals(parked.response?.error, "REBALANCE_IN_PROGRESS");
  assertEquals(h.describe().members.length, 1);
  const rejoined = h.join({ memberId: follower.response!.memberId });
  assertEquals(rejoined.response?.leader, follower.response!.memberId);
});

Deno.test("who does not rejoin in time is dropped from the generation", () => {
  const h = new Harness();
  const ids = h.stable(2, { sessionTimeoutMs: 100_000 });
  const other = h.join({ sessionTimeoutMs: 100_000 });
  const rejoined = h.join({ memberId: ids[1], sessionTimeoutMs: 100_000 });
  h.pass(59_999);
  assertEquals(rejoined.response, undefined);
  h.pass(1);
  assertEquals(rejoined.response?.leader, ids[1]);
  assertEquals(rejoined.response?.members.length, 2);
  assertEquals(other.response?.error, null);
  assertEquals(h.heartbeat(ids[0], 3), "UNKNOWN_MEMBER_ID");
});

Deno.test("a member's session ends without heartbeats, and with them not", () => {
  const h = new Harness();
  const [first, second] = h.stable(2);
  h.pass(6_000);
  assertEquals(h.heartbeat(first, 2), null);
  h.pass(3_999);
  assertEquals(h.state, "Stable");
  h.pass(1);
  assertEquals(h.state, "PreparingRebalance");
  assertEquals(h.heartbeat(second, 2), "UNKNOWN_MEMBER_ID");
  h.pass(5_000);
  assertEquals(h.heartbeat(first, 2), "REBALANCE_IN_PROGRESS");
  h.pass(9_999);
  assertEquals(h.describe().members.map((one) => one.memberId), [first]);
  h.pass(1);
  assertEquals(h.state, "Empty");
});

Deno.test("sessions do not care about jumps of the wall clock", () => {
  const h = new Harness();
  const [id] = h.stable(1);
  h.wallJumpMs = 3_600_000;
  h.pass(9_999);
  assertEquals(h.heartbeat(id, 1), null);
  h.wallJumpMs = -3_600_000;
  h.pass(9_999);
  assertEquals(h.state, "Stable");
  h.pass(1);
  assertEquals(h.state, "Empty");
});

Deno.test("the death of a member in any phase leaves the others served", () => {
  for (const phase of ["join", "sync", "stable"]) {
    const h = new Harness();
    const [dead, alive] = h.stable(2);
    let waiting;
    if (phase !== "stable") {
      waiting = h.join({ memberId: alive });
      h.join({
        memberId: dead,
        protocols: [{ name: "range", metadata: bytes("new") }],
      });
      if (phase === "join") h.join();
      else {
        const { generationId } = h.describe();
        h.sync(alive, generationId);
      }
    }
    for (let i = 0; i < 40; i++) {
      h.pass(5_000);
      const { generationId, state } = h.describe();
      if (state === "PreparingRebalance") {
        if (h.heartbeat(alive, generationId) === "REBALANCE_IN_PROGRESS") {
          waiting = h.join({ memberId: alive });
        }
      } else if (h.core.group("g")!.leader === alive && state !== "Stable") {
        h.sync(alive, generationId, { [alive]: "all" });
      } else h.heartbeat(alive, generationId);
    }
    assertEquals(h.state, "Stable", phase);
    assertEquals(h.describe().members.map((one) => one.memberId), [alive]);
    assert(waiting === undefined || waiting.response !== undefined);
    assertEquals(h.parked, 0);
  }
});

Deno.test("a new member whose client has gone is dropped after five minutes", () => {
  const h = new Harness();
  const options = {
    rebalanceTimeoutMs: 3_600_000,
    sessionTimeoutMs: 1_800_000,
  };
  h.stable(1, options);
  const lost = h.join(options);
  h.pass(299_999);
  assertEquals(lost.response, undefined);
  h.pass(1);
  assertEquals(lost.response?.error, "UNKNOWN_MEMBER_ID");
});

Deno.test("the group takes as many members as it may, and no more", () => {
  const h = new Harness({ membersPerGroup: 3 });
  h.stable(2);
  const third = h.join({ requiresMemberId: true }).response!;
  assertEquals(third.error, "MEMBER_ID_REQUIRED");
  assertEquals(h.join().response?.error, "GROUP_MAX_SIZE_REACHED");
  assertEquals(
    h.join({ requiresMemberId: true }).response?.error,
    "GROUP_MAX_SIZE_REACHED",
  );
  assertEquals(h.join({ memberId: third.memberId }).response, undefined);
});

Deno.test("the coordinator holds as many groups as it may, and no more", () => {
  const h = new Harness({ groupsPerCoordinator: 2 });
  assertEquals(h.join({ groupId: "a" }).response?.error, null);
  assertEquals(h.join({ groupId: "b" }).response?.error, null);
  assertEquals(
    h.join({ groupId: "c" }).response?.error,
    "COORDINATOR_NOT_AVAILABLE",
  );
  assertEquals(h.describe("c").state, "Dead");
});

Deno.test("the protocol is one that all know and most prefer", () => {
  const h = new Harness({ initialRebalanceDelayMs: 3_000 });
  const named = (...names: string[]) => ({
    protocols: names.map((name) => ({ name, metadata: bytes(name) })),
  });
  const first = h.join(named("range", "roundrobin"));
  h.join(named("roundrobin", "range", "sticky"));
  h.join(named("roundrobin", "range"));
  assertEquals(
    h.join(named("sticky")).response?.error,
    "INCONSISTENT_GROUP_PROTOCOL",
  );
  h.pass(6_000);
  assertEquals(first.response?.protocolName, "roundrobin");
  assertEquals(
    first.response?.members.map(({ metadata }) => text(metadata)),
    ["roundrobin", "roundrobin", "roundrobin"],
  );
});

Deno.test("a follower that rejoins unchanged is told the generation", () => {
  const h = new Harness();
  const [leader, follower] = h.stable(2);
  const again = h.join({ memberId: follower }).response!;
  assertEquals([again.error, again.generationId], [null, 2]);
  assertEquals(h.state, "Stable");
  h.join({ memberId: leader });
  assertEquals(h.state, "PreparingRebalance", "a leader asks for a rebalance");
});

Deno.test("a static member comes back without a rebalance; its old id is fenced", () => {
  const h = new Harness();
  const [old, other] = h.stable(2, {
    groupInstanceId: "i",
    protocols: subscription("t"),
  });
  const joined = h.join({
    groupInstanceId: "i",
    protocols: subscription("t"),
  }).response!;
  assertEquals(joined.error, null);
  assertEquals(joined.generationId, 2);
  assertEquals(joined.leader, old, "it is not told that it leads");
  assertEquals(h.state, "Stable");
  assertEquals(h.core.group("g")?.leader, joined.memberId);
  const synced = h.sync(joined.memberId, 2, {}, "i").response!;
  assertEquals(text(synced.assignment), `of ${old}`);
  assertEquals(h.heartbeat(old, 2, "i"), "FENCED_INSTANCE_ID");
  assertEquals(h.heartbeat(old, 2), "UNKNOWN_MEMBER_ID");
  assertEquals(h.heartbeat(other, 2, "i1"), null);
  h.restart();
  assertEquals(h.heartbeat(joined.memberId, 2, "i"), null);
  assertEquals(h.heartbeat(old, 2, "i"), "FENCED_INSTANCE_ID");
});

Deno.test("a returning static leader that knows the flag skips the assignment", () => {
  const h = new Harness();
  h.stable(2, { groupInstanceId: "i" });
  const joined = h.join({ groupInstanceId: "i", knowsSkipAssignment: true })
    .response!;
  assertEquals(joined.skipAssignment, true);
  assertEquals(joined.leader, joined.memberId);
  assertEquals(joined.members.length, 2);
  assert(joined.members.some((one) => one.memberId === joined.memberId));
});

Deno.test("a static member that returns with other topics causes a rebalance", () => {
  const h = new Harness();
  h.stable(1, { groupInstanceId: "i", protocols: subscription("t") });
  const joined = h.join({
    groupInstanceId: "i",
    protocols: subscription("t", "u"),
  }).response!;
  assertEquals(joined.generationId, 2);
  assertEquals(joined.members.length, 1);
});

Deno.test("a static member replaced while its JoinGroup is parked fences it", () => {
  const h = new Harness();
  h.stable(1, { sessionTimeoutMs: 100_000 });
  const parked = h.join({ groupInstanceId: "i" });
  const again = h.join({ groupInstanceId: "i" });
  assertEquals(parked.response?.error, "FENCED_INSTANCE_ID");
  assertEquals(again.response, undefined);
  assertEquals(
    h.join({ groupInstanceId: "i", memberId: "stranger" }).response?.error,
    "FENCED_INSTANCE_ID",
  );
});

Deno.test("a static member stays through a rebalance until its session ends", () => {
  const h = new Harness();
  const [id] = h.stable(1, {
    groupInstanceId: "i",
    sessionTimeoutMs: 100_000,
  });
  const other = h.join({ sessionTimeoutMs: 100_000 });
  h.pass(60_000);
  assertEquals(other.response?.error, null);
  assertEquals(h.describe().members.length, 2);
  assertEquals(h.core.group("g")?.leader, other.response?.memberId);
  assert(h.core.group("g")?.members.has(id));
});

Deno.test("LeaveGroup answers each of its members", () => {
  const h = new Harness();
  const ids = h.stable(2);
  const pending = h.join({ requiresMemberId: true }).response!.memberId;
  h.join({ groupInstanceId: "i" });
  const { error, members } = h.get("leaveGroup", {
    groupId: "g",
    members: [
      { memberId: ids[0], groupInstanceId: null },
      { memberId: "stranger", groupInstanceId: null },
      { memberId: pending, groupInstanceId: null },
      { memberId: "wrong", groupInstanceId: "i" },
      { memberId: "", groupInstanceId: "i" },
      { memberId: "", groupInstanceId: "nobody" },
    ],
  });
  assertEquals(error, null);
  assertEquals(members.map((one) => one.error), [
    null,
    "UNKNOWN_MEMBER_ID",
    null,
    "FENCED_INSTANCE_ID",
    null,
    "UNKNOWN_MEMBER_ID",
  ]);
  assertEquals(h.describe().members.map((one) => one.memberId), [ids[1]]);
});

Deno.test("ListGroups filters by state, whatever the case", () => {
  const h = new Harness();
  h.stable(1);
  h.ask("offsetCommit", {
    ...{ groupId: "simple", generationId: -1, memberId: "" },
    groupInstanceId: null,
    retentionTimeMs: -1,
    topics: [{
      topic: "t",
      partitions: [{
        partition: 0,
        offset: 1,
        leaderEpoch: -1,
        metadata: null,
      }],
    }],
  });
  const names = (states: string[]) =>
    h.get("listGroups", { states }).groups.map(({ groupId }) => groupId);
  assertEquals(names([]), ["g", "simple"]);
  assertEquals(names(["stable"]), ["g"]);
  assertEquals(names(["Empty"]), ["simple"]);
  assertEquals(names(["dead"]), []);
});

Deno.test("a group survives a restart with its members and their sessions", () => {
  const h = new Harness();
  const [first, second] = h.stable(2);
  h.pass(9_000);
  const before = h.describe();
  h.restart();
  assertEquals(h.describe(), before);
  h.pass(9_999);
  assertEquals(h.heartbeat(first, 2), null);
  h.pass(1);
  assertEquals(h.state, "PreparingRebalance", "the other's session ended");
  assertEquals(h.heartbeat(second, 2), "UNKNOWN_MEMBER_ID");
});

Deno.test("resigning answers every parked and queued request", () => {
  const h = new Harness();
  const [leader, follower] = h.stable(2);
  h.join({ memberId: leader });
  const joined = h.join({ memberId: follower });
  const generation = joined.response!.generationId;
  h.holdsAppends = true;
  const parked = h.sync(follower, generation);
  const led = h.sync(leader, generation, { [leader]: "a" });
  const queued = h.join();
  const commit = h.askCommit(leader, generation, 1);
  h.restart();
  for (const asked of [parked, led, queued]) {
    assertEquals(asked.response?.error, "NOT_COORDINATOR");
  }
  assertEquals(
    commit.response?.topics[0].partitions[0].error,
    "NOT_COORDINATOR",
  );
});

Deno.test("a failed assignment is not handed out, and a rebalance follows", () => {
  const h = new Harness();
  const [leader, follower] = h.stable(2);
  h.join({ memberId: leader });
  const { generationId } = h.join({ memberId: follower }).response!;
  h.holdsAppends = true;
  const parked = h.sync(follower, generationId);
  const led = h.sync(leader, generationId, { [follower]: "a" });
  assertEquals(led.response, undefined, "not before it is durable");
  assertEquals(h.heartbeat(leader, generationId), null);
  h.fail("NOT_ENOUGH_REPLICAS");
  assertEquals(led.response?.error, "COORDINATOR_NOT_AVAILABLE");
  assertEquals(parked.response?.error, "COORDINATOR_NOT_AVAILABLE");
  assertEquals(h.state, "PreparingRebalance");
});

Deno.test("an append that takes long is answered, yet counts when it commits", () => {
  const h = new Harness();
  const [leader, follower] = h.stable(2);
  h.join({ memberId: leader });
  const { generationId } = h.join({ memberId: follower }).response!;
  h.holdsAppends = true;
  const parked = h.sync(follower, generationId);
  const led = h.sync(leader, generationId, { [follower]: "late" });
  const queued = h.join();
  h.pass(4_999);
  assertEquals(h.parked, 3);
  h.pass(1);
  for (const asked of [parked, led, queued]) {
    assertEquals(asked.response?.error, "COORDINATOR_NOT_AVAILABLE");
  }
  h.commit();
  assertEquals(h.state, "Stable");
  const again = h.sync(follower, generationId).response!;
  assertEquals(text(again.assignment), "late");
});

Deno.test("what waits for an append is bounded", () => {
  const h = new Harness({ queuedRequestsPerGroup: 2 });
  h.holdsAppends = true;
  h.askCommit("", -1, 1);
  const queued = [2, 3, 4].map((offset) => h.askCommit("", -1, offset));
  assertEquals(
    queued.map(({ response }) => response?.topics[0].partitions[0].error),
    [undefined, undefined, "COORDINATOR_NOT_AVAILABLE"],
  );
});
