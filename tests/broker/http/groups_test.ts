/** Consuming as a group's member over HTTP, across real brokers. */
import {
  decodeAssignment,
  encodeSubscription,
} from "../../../broker/group/consumer_protocol.ts";
import type { Groups } from "../../../broker/operations/groups.ts";
import { assert, assertEquals } from "../../support/assert.ts";
import { GroupCluster, texts } from "./group_cluster.ts";

async function withCluster(
  options: { brokers?: number; partitions?: number },
  test: (cluster: GroupCluster) => Promise<void>,
): Promise<void> {
  const cluster = await GroupCluster.open(options.brokers ?? 3);
  await cluster.createTopic(options.partitions ?? 3);
  await test(cluster);
  await cluster.stop();
}

Deno.test("A poll joins and returns records of all brokers' partitions", () =>
  withCluster({}, async (cluster) => {
    await cluster.produce(0, "a", "b");
    await cluster.produce(1, "c");
    await cluster.produce(2, "d");
    for (const id of [1, 2, 3]) {
      const answer = await cluster.settled(id, "m1", "&ack=none");
      assertEquals(texts(answer).sort(), ["0:a", "0:b", "1:c", "2:d"]);
      assertEquals(answer.assignment, [{
        topic: "demo",
        partitions: [0, 1, 2],
      }]);
      assertEquals(answer.generationId, 1);
      assertEquals(answer.records[0].topic, "demo");
    }
  }));

const GROUP = "/v1/groups/g";

/** What is committed for a partition, as the group is described. */
async function committed(
  cluster: GroupCluster,
  partition = 0,
): Promise<number | null> {
  const { body } = await cluster.call(2, "GET", GROUP);
  // deno-lint-ignore no-explicit-any
  const row = body.offsets.find((one: any) => one.partition === partition);
  return row?.committedOffset ?? null;
}

Deno.test("The next poll commits what the poll before returned", () =>
  withCluster({ partitions: 1 }, async (cluster) => {
    await cluster.produce(0, "a", "b", "c");
    const first = await cluster.settled(2, "m1", "&max=2");
    assertEquals(texts(first), ["0:a", "0:b"]);
    assertEquals(await committed(cluster), null);
    const second = await cluster.poll(3, "m1", "&max=2");
    assertEquals(texts(second), ["0:c"]);
    assertEquals(await committed(cluster), 2);
    const third = await cluster.poll(1, "m1", "&waitMs=50");
    assertEquals([texts(third), third.state], [[], "stable"]);
    assertEquals(await committed(cluster), 3);
  }));

Deno.test("ack says which answer was received; others come again", () =>
  withCluster({ partitions: 1 }, async (cluster) => {
    await cluster.produce(0, "a", "b", "c", "d");
    const first = await cluster.settled(1, "m1", "&max=1");
    const second = await cluster.poll(1, "m1", `&max=1&ack=${first.poll}`);
    assertEquals(texts(second), ["0:b"]);
    // The second answer was lost: the client is at the first still.
    const again = await cluster.poll(1, "m1", `&max=2&ack=${first.poll}`);
    assertEquals(texts(again), ["0:b", "0:c"]);
    assertEquals(await committed(cluster), 1);
    const fresh = await cluster.poll(1, "m1", "&ack=none");
    assertEquals(texts(fresh), ["0:b", "0:c", "0:d"]);
    assertEquals(await committed(cluster), 1);
  }));

Deno.test("A client that goes away commits nothing and loses nothing", () =>
  withCluster({ partitions: 1 }, async (cluster) => {
    await cluster.settled(1, "m1");
    const target = `${GROUP}/records?topics=demo&member=m1`;
    for (const id of [1, 2, 3]) {
      const gone = new AbortController();
      const waiting = cluster.send(id, "GET", `${target}&waitMs=20000`, {
        signal: gone.signal,
      });
      await cluster.time.elapse(100);
      gone.abort();
      assertEquals((await cluster.during(waiting)).status, 204);
    }
    await cluster.produce(0, "a");
    const id = await cluster.coordinator();
    const gone = new AbortController();
    const answered = await cluster.during(
      cluster.send(id, "GET", target, { signal: gone.signal }),
    );
    assertEquals(answered.body.records.length, 1);
    // It went while the answer was on its way.
    gone.abort();
    const next = await cluster.poll(1, "m1");
    assertEquals(texts(next), ["0:a"]);
    assertEquals(await committed(cluster), 0);
  }));

Deno.test("Two polls of one member at one time: the second is refused", () =>
  withCluster({ partitions: 1 }, async (cluster) => {
    await cluster.settled(1, "m1");
    const target = `${GROUP}/records?topics=demo&member=m1&waitMs=5000`;
    const first = cluster.send(1, "GET", target);
    await cluster.time.elapse(50);
    const second = await cluster.call(2, "GET", target);
    assertEquals(second.status, 409);
    assertEquals(second.body.code, "DUPLICATE_RESOURCE");
    assert(
      second.body.detail.startsWith('Member "m1" of group "g" is polling'),
    );
    await cluster.produce(0, "a");
    assertEquals((await cluster.during(first)).body.records.length, 1);
  }));

Deno.test("A poll wakes when a record can be read, here or elsewhere", () =>
  withCluster({ partitions: 3 }, async (cluster) => {
    await cluster.settled(1, "m1");
    for (const partition of [0, 1, 2]) {
      const poll = cluster.send(
        1,
        "GET",
        `${GROUP}/records?topics=demo&member=m1&waitMs=30000&max=1`,
      );
      await cluster.time.elapse(2_500);
      const before = cluster.time.monotonicMs();
      await cluster.produce(partition, `r${partition}`);
      const { body } = await cluster.during(poll);
      assertEquals(texts(body), [`${partition}:r${partition}`]);
      assert(cluster.time.monotonicMs() - before <= 20, "it wakes at once");
    }
  }));

Deno.test("A poll that finds nothing ends when its time is up", () =>
  withCluster({ partitions: 2 }, async (cluster) => {
    await cluster.settled(1, "m1");
    const before = cluster.time.monotonicMs();
    const answer = await cluster.poll(1, "m1", "&waitMs=2500");
    assertEquals(answer.records, []);
    const tookMs = cluster.time.monotonicMs() - before;
    assert(tookMs >= 2500 && tookMs <= 2600, `took ${tookMs} ms`);
  }));

Deno.test("Members share the partitions; what is lost is read by the other", () =>
  withCluster({ partitions: 4 }, async (cluster) => {
    for (const partition of [0, 1, 2, 3]) {
      await cluster.produce(partition, `x${partition}`, `y${partition}`);
    }
    const first = await cluster.settled(1, "m1", "&max=4");
    assertEquals(texts(first), ["0:x0", "1:x1", "2:x2", "3:x3"]);
    const joining = await cluster.poll(2, "m2");
    assertEquals([joining.state, joining.generationId], ["rebalancing", null]);
    // Its return commits before it gives the half of them up.
    const second = await cluster.settled(1, "m1");
    assertEquals(second.assignment, [{ topic: "demo", partitions: [0, 1] }]);
    assertEquals(texts(second).sort(), ["0:y0", "1:y1"]);
    const other = await cluster.settled(2, "m2");
    assertEquals(texts(other).sort(), ["2:y2", "3:y3"]);
    assertEquals(second.generationId, other.generationId);
  }));

Deno.test("A member that stops polling loses its place; its records come again", () =>
  withCluster({ partitions: 1 }, async (cluster) => {
    await cluster.produce(0, "a", "b");
    const first = await cluster.settled(1, "m1", "&sessionTimeoutMs=6000");
    assertEquals(texts(first), ["0:a", "0:b"]);
    await cluster.poll(1, "m2");
    await cluster.time.elapse(6_000);
    const other = await cluster.settled(1, "m2");
    assertEquals(texts(other), ["0:a", "0:b"]);
    // It comes back late: what it had is not committed in its name.
    const late = await cluster.poll(1, "m1");
    assertEquals([late.state, late.notCommitted], ["rebalancing", undefined]);
    const done = await cluster.settled(1, "m2");
    assertEquals(done.notCommitted, undefined);
    assertEquals(await committed(cluster), 2);
  }));

Deno.test("What a member had of a partition it holds again still counts", () =>
  withCluster({ partitions: 2 }, async (cluster) => {
    await cluster.produce(0, "a");
    await cluster.produce(1, "b");
    await cluster.settled(1, "m1");
    // m2 joins; the rebalance ends without m1, which takes its time.
    await cluster.poll(1, "m2");
    await cluster.time.elapse(29_000);
    const back = await cluster.settled(1, "m1");
    assertEquals(back.records.length, 0);
    assertEquals(await committed(cluster, 0), 1);
    assertEquals(await committed(cluster, 1), 1);
  }));

Deno.test("The coordinator dies: members go on where the group's commits are", () =>
  withCluster({ partitions: 3 }, async (cluster) => {
    await cluster.produce(0, "a");
    await cluster.produce(1, "b");
    await cluster.produce(2, "c");
    const first = await cluster.settled(1, "m1");
    assertEquals(first.records.length, 3);
    await cluster.poll(1, "m1");
    await cluster.produce(1, "d");
    const lost = await cluster.poll(1, "m1");
    assertEquals(texts(lost), ["1:d"]);
    const id = await cluster.coordinator();
    await cluster.kill(id);
    const other = id === 1 ? 2 : 1;
    const down = await cluster.call(
      other,
      "GET",
      `${GROUP}/records?topics=demo&member=m1`,
    );
    assertEquals(down.status, 503);
    await cluster.restart(id);
    const again = await cluster.settled(other, "m1", `&ack=${lost.poll}`);
    assertEquals(texts(again), ["1:d"], "it was not committed");
    assertEquals(again.generationId, 1, "the static member keeps its place");
    await cluster.poll(other, "m1");
    assertEquals(await committed(cluster, 1), 2);
  }));

Deno.test("A partition whose leader is down is told of; the others go on", () =>
  withCluster({ partitions: 3 }, async (cluster) => {
    await cluster.settled(1, "m1");
    const id = await cluster.coordinator();
    const down = id === 3 ? 2 : 3;
    await cluster.produce(id - 1, "a");
    await cluster.kill(down);
    const answer = await cluster.poll(id, "m1");
    assertEquals(texts(answer), [`${id - 1}:a`]);
    assertEquals(answer.unavailable?.map(({ partition }) => partition), [
      down - 1,
    ]);
    await cluster.restart(down);
    await cluster.call(down, "POST", "/produce", {
      topic: "demo",
      partition: down - 1,
      message: "b",
    });
    const after = await cluster.poll(id, "m1", "&waitMs=5000");
    assertEquals(texts(after), [`${down - 1}:b`]);
  }));

Deno.test("commit=manual leaves commits to the client", () =>
  withCluster({ partitions: 2 }, async (cluster) => {
    await cluster.produce(0, "a", "b");
    const query = "&commit=manual";
    const first = await cluster.settled(1, "m1", `${query}&max=1`);
    const second = await cluster.poll(1, "m1", query);
    assertEquals([...texts(first), ...texts(second)], ["0:a", "0:b"]);
    assertEquals(await committed(cluster), null);
    const commit = (body: unknown) =>
      cluster.call(3, "POST", `${GROUP}/offsets`, body);
    const offsets = [{ topic: "demo", partition: 0, offset: 1 }];
    const { generationId } = second;
    const done = await commit({ member: "m1", generationId, offsets });
    assertEquals([done.status, done.body.committed], [200, offsets]);
    assertEquals(await committed(cluster), 1);
    const old = await commit({ member: "m1", generationId: 0, offsets });
    assertEquals([old.status, old.body.code], [409, "ILLEGAL_GENERATION"]);
    const some = await commit({
      member: "m1",
      offsets: [...offsets, { topic: "demo", partition: 7, offset: 1 }],
    });
    assertEquals(some.status, 207);
    assertEquals(some.body.committed, offsets);
    assertEquals(some.body.refused[0].partition, 7);
    const stranger = await commit({ member: "m9", offsets });
    assertEquals([stranger.status, stranger.body.code], [
      404,
      "UNKNOWN_MEMBER_ID",
    ]);
    const outside = await commit({ offsets });
    assertEquals([outside.status, outside.body.code], [409, "NON_EMPTY_GROUP"]);
    // A client that starts anew reads again what is not committed.
    const fresh = await cluster.poll(1, "m1", `${query}&ack=none`);
    assertEquals(texts(fresh), ["0:b"]);
    await cluster.call(1, "DELETE", `${GROUP}/members/m1`);
    assertEquals((await commit({ offsets })).status, 200);
  }));

Deno.test("Leaving gives the partitions up at once, and commits what ack names", () =>
  withCluster({ partitions: 1 }, async (cluster) => {
    await cluster.produce(0, "a", "b");
    const first = await cluster.settled(1, "m1", "&max=1");
    const leave = (query: string) =>
      cluster.call(2, "DELETE", `${GROUP}/members/m1${query}`);
    const left = await leave(`?ack=${first.poll}`);
    assertEquals([left.status, left.body], [200, { status: "left" }]);
    assertEquals(await committed(cluster), 1);
    assertEquals((await cluster.call(1, "GET", GROUP)).body.state, "Empty");
    assertEquals((await leave("")).status, 200, "leaving again is no fault");
    await cluster.settled(1, "m1");
    await leave("");
    assertEquals(await committed(cluster), 1, "without ack nothing is");
    const waiting = cluster.send(
      1,
      "GET",
      `${GROUP}/records?topics=demo&member=m2&waitMs=30000&autoOffsetReset=latest`,
    );
    await cluster.time.elapse(100);
    await cluster.call(2, "DELETE", `${GROUP}/members/m2`);
    const ended = await cluster.during(waiting);
    assertEquals(ended.status, 200, "a poll under way ends");
    await cluster.time.elapse(1_000);
    const { body } = await cluster.call(1, "GET", GROUP);
    assertEquals(body.members, [], "and brings nobody back");
  }));

Deno.test("autoOffsetReset says where a group without commits begins", () =>
  withCluster({ partitions: 1 }, async (cluster) => {
    await cluster.produce(0, "old");
    const latest = await cluster.settled(1, "m1", "&autoOffsetReset=latest");
    assertEquals(texts(latest), []);
    await cluster.poll(1, "m1", "&autoOffsetReset=latest");
    assertEquals(await committed(cluster), 1, "its beginning is kept");
    await cluster.produce(0, "new");
    const next = await cluster.poll(1, "m1");
    assertEquals(texts(next), ["0:new"]);
  }));

Deno.test("A position below the log's start is set anew", () =>
  withCluster({ partitions: 1 }, async (cluster) => {
    await cluster.produce(0, "a", "b", "c");
    const first = await cluster.settled(1, "m1", "&max=1");
    await cluster.call(
      1,
      "DELETE",
      "/v1/topics/demo/partitions/0/records?beforeOffset=2",
    );
    const next = await cluster.poll(1, "m1", `&ack=${first.poll}`);
    assertEquals(texts(next), ["0:c"]);
  }));

Deno.test("Each partition has its fair share of an answer", () =>
  withCluster({ partitions: 3 }, async (cluster) => {
    const many = Array.from({ length: 50 }, (_, i) => `m${i}`);
    await cluster.produce(0, ...many);
    await cluster.produce(1, ...many);
    await cluster.produce(2, "only");
    const answer = await cluster.settled(1, "m1", "&max=21");
    const counts = [0, 1, 2].map((partition) =>
      answer.records.filter((one) => one.partition === partition).length
    );
    assertEquals(counts[2], 1);
    assertEquals(counts[0] + counts[1], 20);
    assert(counts[0] >= 7 && counts[1] >= 7, `shares are ${counts}`);
    const seen = new Set<number>();
    for (let i = 0; i < 6; i++) {
      const { records } = await cluster.poll(1, "m1", "&max=1");
      assertEquals(records.length, 1);
      seen.add(records[0].partition);
    }
    assertEquals(seen.size, 2, "with room for one they take turns");
  }));

Deno.test("HTTP members and members that speak Kafka share one group", () =>
  withCluster({ partitions: 4 }, async (cluster) => {
    await cluster.settled(1, "m1");
    const { groups } = cluster.broker(await cluster.coordinator()).room
      .coordinators;
    const kafka = joinAsKafka(groups);
    await cluster.time.elapse(50);
    const second = await cluster.settled(1, "m1");
    assertEquals(second.assignment, [{ topic: "demo", partitions: [0, 1] }]);
    const joined = await cluster.during(kafka);
    const sync = await cluster.during(groups.request("syncGroup", {
      groupId: "g",
      generationId: joined.generationId,
      memberId: joined.memberId,
      groupInstanceId: null,
      protocolType: "consumer",
      protocolName: "range",
      assignments: [],
    }));
    assertEquals(decodeAssignment(sync.assignment)?.partitions, [
      { topic: "demo", partitions: [2, 3] },
    ]);
    const { body } = await cluster.call(1, "GET", GROUP);
    assertEquals([body.state, body.protocol], ["Stable", "range"]);
    // deno-lint-ignore no-explicit-any
    const shown = body.members.map((member: any) => [
      member.clientId,
      member.clientHost,
      member.instanceId,
      member.assignment[0].partitions,
    ]);
    assertEquals(shown, [
      ["m1", "10.0.0.7", "http-m1", [0, 1]],
      ["kafka", "/10.0.0.8", null, [2, 3]],
    ]);
    const { memberId } = joined;
    await cluster.during(groups.request("leaveGroup", {
      groupId: "g",
      members: [{ memberId, groupInstanceId: null }],
    }));
    const alone = await cluster.settled(1, "m1");
    assertEquals(alone.assignment[0].partitions, [0, 1, 2, 3]);
  }));

function joinAsKafka(groups: Groups) {
  return groups.request("joinGroup", {
    groupId: "g",
    memberId: "",
    groupInstanceId: null,
    clientId: "kafka",
    clientHost: "/10.0.0.8",
    protocolType: "consumer",
    protocols: [{
      name: "range",
      metadata: encodeSubscription({
        topics: ["demo"],
        userData: null,
        ownedPartitions: [],
        generationId: -1,
        rackId: null,
      }, 1),
    }],
    rebalanceTimeoutMs: 60_000,
    sessionTimeoutMs: 30_000,
    newMemberId: "kafka-1",
    requiresMemberId: false,
    knowsSkipAssignment: false,
  });
}

Deno.test("A group is described, listed and deleted on any broker", () =>
  withCluster({ partitions: 2 }, async (cluster) => {
    await cluster.produce(0, "a", "b", "c");
    await cluster.settled(1, "m1", "&max=2");
    await cluster.poll(1, "m1", "&max=1");
    for (const id of [1, 2, 3]) {
      const { body } = await cluster.call(id, "GET", GROUP);
      assertEquals(body.totalLag, 1);
      assertEquals(body.offsets[0], {
        topic: "demo",
        partition: 0,
        committedOffset: 2,
        metadata: "",
        logStartOffset: 0,
        logEndOffset: 3,
        lag: 1,
        memberId: body.members[0].memberId,
      });
      const list = await cluster.call(id, "GET", "/v1/groups?state=Stable");
      assertEquals(list.body, {
        groups: [{ group: "g", protocolType: "consumer", state: "Stable" }],
      });
    }
    const other = await cluster.call(1, "GET", "/v1/groups?state=Empty,Dead");
    assertEquals(other.body, { groups: [] });
    const refused = await cluster.call(1, "DELETE", GROUP);
    assertEquals([refused.status, refused.body.code], [409, "NON_EMPTY_GROUP"]);
    await cluster.call(1, "DELETE", `${GROUP}/members/m1`);
    const deleted = await cluster.call(2, "DELETE", GROUP);
    assertEquals([deleted.status, deleted.body], [200, { status: "deleted" }]);
    for (const method of ["GET", "DELETE"]) {
      const gone = await cluster.call(3, method, GROUP);
      assertEquals([gone.status, gone.body.code], [404, "GROUP_ID_NOT_FOUND"]);
    }
    const id = await cluster.coordinator();
    await cluster.kill(id);
    const rest = await cluster.call(id === 1 ? 2 : 1, "GET", "/v1/groups");
    assertEquals(rest.body, { groups: [], unreachableBrokers: [id] });
  }));

Deno.test("Offsets of a group without members are reset, or shown to be", () =>
  withCluster({ partitions: 3 }, async (cluster) => {
    for (const partition of [0, 1, 2]) {
      await cluster.produce(partition, "a", "b", "c", "d");
    }
    await cluster.call(
      1,
      "DELETE",
      "/v1/topics/demo/partitions/1/records?beforeOffset=2",
    );
    const reset = async (body: unknown) => {
      const reply = await cluster.call(2, "POST", `${GROUP}/reset`, body);
      assertEquals(reply.status, 200, JSON.stringify(reply.body));
      // deno-lint-ignore no-explicit-any
      return reply.body.offsets.map((one: any) => [
        one.partition,
        one.before,
        one.after,
      ]);
    };
    const earliest = { to: "earliest", topic: "demo" };
    const expected = [[0, null, 0], [1, null, 2], [2, null, 0]];
    assertEquals(await reset({ ...earliest, dryRun: true }), expected);
    const none = await cluster.call(1, "GET", GROUP);
    assertEquals(none.status, 404, "a dry run does nothing");
    assertEquals(await reset(earliest), expected);
    assertEquals(await committed(cluster, 1), 2);
    assertEquals(await reset({ to: "latest", topic: "demo", partition: 2 }), [
      [2, 0, 4],
    ]);
    assertEquals(await reset({ offset: 3 }), [[0, 0, 3], [1, 2, 3], [2, 4, 3]]);
    const late = cluster.time.nowMs() + 1_000_000;
    assertEquals(
      await reset({ timestamp: late, topic: "demo", partition: 1 }),
      [
        [1, 3, 4],
      ],
    );
    assertEquals(await reset({ timestamp: 0, topic: "demo" }), [
      [0, 3, 0],
      [1, 4, 2],
      [2, 3, 0],
    ]);
    const refused = async (body: unknown) => {
      const reply = await cluster.call(2, "POST", `${GROUP}/reset`, body);
      return [reply.status, reply.body.code];
    };
    assertEquals(await refused({ offset: 1 }), [410, "OFFSET_OUT_OF_RANGE"]);
    assertEquals(await refused({ to: "latest", topic: "nope" }), [
      404,
      "UNKNOWN_TOPIC_OR_PARTITION",
    ]);
    assertEquals(await refused({ to: "latest", topic: "demo", partition: 3 }), [
      404,
      "UNKNOWN_TOPIC_OR_PARTITION",
    ]);
    await cluster.settled(1, "m1");
    assertEquals(await refused({ to: "latest" }), [409, "NON_EMPTY_GROUP"]);
    await cluster.call(1, "DELETE", `${GROUP}/members/m1`);
    const other = await cluster.call(1, "POST", "/v1/groups/new/reset", {
      to: "latest",
    });
    assertEquals([other.status, other.body.code], [404, "GROUP_ID_NOT_FOUND"]);
  }));

Deno.test("Requests for groups that cannot be read name the field", () =>
  withCluster({ brokers: 2, partitions: 1 }, async (cluster) => {
    const cases: [string, string, unknown, string][] = [
      ["GET", "/records?member=m", undefined, "topics"],
      ["GET", "/records?topics=demo", undefined, "member"],
      ["GET", "/records?topics=demo&member=a%2Fb", undefined, "member"],
      [
        "GET",
        `/records?topics=demo&member=${"m".repeat(201)}`,
        undefined,
        "member",
      ],
      ["GET", "/records?topics=demo,&member=m", undefined, "topics"],
      ["GET", "/records?topics=a%2Fb&member=m", undefined, "topics"],
      ["GET", "/records?topics=demo&member=m&max=0", undefined, "max"],
      ["GET", "/records?topics=demo&member=m&max=1x", undefined, "max"],
      [
        "GET",
        "/records?topics=demo&member=m&waitMs=60001",
        undefined,
        "waitMs",
      ],
      ["GET", "/records?topics=demo&member=m&commit=no", undefined, "commit"],
      ["GET", "/records?topics=demo&member=m&x=1", undefined, "x"],
      [
        "GET",
        "/records?topics=demo&member=m&sessionTimeoutMs=5999",
        undefined,
        "sessionTimeoutMs",
      ],
      [
        "GET",
        "/records?topics=demo&member=m&autoOffsetReset=none",
        undefined,
        "autoOffsetReset",
      ],
      ["POST", "/offsets", {}, "offsets"],
      ["POST", "/offsets", { offsets: [] }, "offsets"],
      [
        "POST",
        "/offsets",
        { offsets: [{ topic: "demo" }] },
        "offsets[0].partition",
      ],
      ["POST", "/offsets", {
        offsets: [{ topic: "demo", partition: 0, offset: -1 }],
      }, "offsets[0].offset"],
      ["POST", "/offsets", { generationId: 1, offsets: [1] }, "generationId"],
      ["POST", "/reset", {}, "to"],
      ["POST", "/reset", { to: "earliest", offset: 1 }, "to"],
      ["POST", "/reset", { to: "newest" }, "to"],
      ["POST", "/reset", { to: "latest", partition: 0 }, "partition"],
      ["POST", "/reset", { to: "latest", topic: "../x" }, "topic"],
      ["POST", "/reset", { to: "latest", when: 1 }, "when"],
      ["DELETE", "/members/a%20b", undefined, "member"],
    ];
    for (const [method, path, body, field] of cases) {
      const reply = await cluster.call(1, method, GROUP + path, body);
      assertEquals([reply.status, reply.body.field], [400, field], path);
    }
    const states = await cluster.call(1, "GET", "/v1/groups?state=Fine");
    assertEquals([states.status, states.body.field], [400, "state"]);
    const head = await cluster.call(
      1,
      "HEAD",
      `${GROUP}/records?topics=demo&member=m`,
    );
    assertEquals(head.status, 405, "its records would be lost");
    const nameless = await cluster.call(1, "GET", "/v1/groups/");
    assertEquals([nameless.status, nameless.body.code], [
      400,
      "INVALID_GROUP_ID",
    ]);
    const unknown = await cluster.call(
      1,
      "GET",
      `${GROUP}/records?topics=demo,nope&member=m`,
    );
    assertEquals([unknown.status, unknown.body.code], [
      404,
      "UNKNOWN_TOPIC_OR_PARTITION",
    ]);
    assertEquals((await cluster.call(1, "GET", "/v1/groups")).body.groups, []);
  }));

Deno.test("Any text names a group", () =>
  withCluster({ brokers: 3, partitions: 1 }, async (cluster) => {
    for (const name of ["a/b", "..", "ä ö", "x".repeat(300), '"\\']) {
      const path = `/v1/groups/${encodeURIComponent(name)}`;
      const offsets = [{ topic: "demo", partition: 0, offset: 0 }];
      const set = await cluster.call(1, "POST", `${path}/offsets`, { offsets });
      assertEquals(set.status, 200, name);
      const { body } = await cluster.call(2, "GET", path);
      assertEquals(body.group, name);
    }
  }));

Deno.test("A broker that does not coordinate a group passes no request on twice", () =>
  withCluster({ brokers: 2, partitions: 1 }, async (cluster) => {
    await cluster.settled(1, "m1");
    const id = await cluster.coordinator();
    const reply = await cluster.forwarded(
      id === 1 ? 2 : 1,
      `${GROUP}/records?topics=demo&member=m1`,
    );
    assertEquals([reply.status, reply.body.code], [503, "NOT_COORDINATOR"]);
  }));
