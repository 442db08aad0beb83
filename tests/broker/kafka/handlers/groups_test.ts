import { deleteGroupsApi } from "../../../../broker/kafka/messages/delete_groups.ts";
import { deleteTopicsApi } from "../../../../broker/kafka/messages/delete_topics.ts";
import { describeGroupsApi } from "../../../../broker/kafka/messages/describe_groups.ts";
import { findCoordinatorApi } from "../../../../broker/kafka/messages/find_coordinator.ts";
import { heartbeatApi } from "../../../../broker/kafka/messages/heartbeat.ts";
import { joinGroupApi } from "../../../../broker/kafka/messages/join_group.ts";
import { leaveGroupApi } from "../../../../broker/kafka/messages/leave_group.ts";
import { listGroupsApi } from "../../../../broker/kafka/messages/list_groups.ts";
import { offsetCommitApi } from "../../../../broker/kafka/messages/offset_commit.ts";
import { offsetDeleteApi } from "../../../../broker/kafka/messages/offset_delete.ts";
import { offsetFetchApi } from "../../../../broker/kafka/messages/offset_fetch.ts";
import { syncGroupApi } from "../../../../broker/kafka/messages/sync_group.ts";
import { assert, assertEquals } from "../../../support/assert.ts";
import {
  KafkaCluster,
  type KafkaClusterOptions,
  type TestBroker,
} from "../../../support/kafka_cluster.ts";
import {
  commit,
  heartbeat,
  join,
  joinAlone,
  leave,
  offsets,
  sync,
} from "./group_client.ts";

const decoder = new TextDecoder();

function groupTest(
  name: string,
  run: (broker: TestBroker, cluster: KafkaCluster) => Promise<void>,
  options: KafkaClusterOptions = {},
): void {
  Deno.test(name, async () => {
    const cluster = new KafkaCluster(options);
    try {
      const broker = await cluster.open();
      await cluster.settle(
        broker.room.topics.create({ topic: "demo", partitions: 4 }),
      );
      await cluster.settle(
        broker.coordinators.groups.coordinator("g").then(() => {}),
      );
      await run(broker, cluster);
    } finally {
      await cluster.close();
    }
  });
}

/** Two members of one generation, the first leading. */
async function joinTwo(broker: TestBroker, cluster: KafkaCluster) {
  const ids = [];
  for (let i = 0; i < 2; i++) {
    const asked = await broker.call(joinGroupApi, 9, {
      ...JOIN,
      memberId: "",
    });
    assertEquals(asked.errorCode, 79);
    ids.push(asked.memberId);
  }
  const joining = ids.map((memberId) => join(broker, { memberId }));
  const joined = await cluster.settle(Promise.all(joining));
  assertEquals(joined.map(({ errorCode }) => errorCode), [0, 0]);
  return joined;
}

const JOIN = {
  groupId: "g",
  sessionTimeoutMs: 10_000,
  rebalanceTimeoutMs: 30_000,
  protocolType: "consumer",
  protocols: [{ name: "range", metadata: new Uint8Array([1]) }],
};

for (const version of [0, 1, 2, 3, 4]) {
  groupTest(
    `FindCoordinator ${version} names this broker and makes the topic`,
    async (broker) => {
      const asked = version < 4
        ? { key: "g", ...(version > 0 ? { keyType: 0 } : {}) }
        : { keyType: 0, coordinatorKeys: ["g", "h"] };
      const answer = await broker.call(findCoordinatorApi, version, asked);
      const found = version < 4 ? [answer] : answer.coordinators;
      assertEquals(found.length, version < 4 ? 1 : 2);
      for (const { errorCode, nodeId, host, port } of found) {
        assertEquals({ errorCode, nodeId, host, port }, {
          errorCode: 0,
          nodeId: 1,
          host: "localhost",
          port: 9092,
        });
      }
      const topic = broker.room.view.image.topics.get("__consumer_offsets");
      assertEquals(topic?.isInternal, true);
      assertEquals(topic?.config["cleanup.policy"], "compact");
    },
  );
}

groupTest(
  "FindCoordinator finds transactions, and knows no other keys",
  async (broker) => {
    const found = await broker.call(findCoordinatorApi, 4, {
      keyType: 1,
      coordinatorKeys: ["t"],
    });
    assertEquals(found.coordinators[0].errorCode, 0);
    assert(broker.room.view.image.topics.has("__transaction_state"));
    const share = await broker.call(findCoordinatorApi, 4, {
      keyType: 2,
      coordinatorKeys: ["s"],
    });
    assertEquals(share.coordinators[0].errorCode, 42);
    assertEquals(share.coordinators[0].nodeId, -1);
  },
);

groupTest(
  "Two members join, share an assignment, commit and leave",
  async (broker, cluster) => {
    const [leader, follower] = await joinTwo(broker, cluster);
    assertEquals(leader.leader, leader.memberId);
    assertEquals(leader.members.length, 2);
    assertEquals(follower.members, []);
    assertEquals(leader.protocolName, "range");
    const waiting = sync(broker, follower);
    const leading = sync(broker, leader, {
      [leader.memberId]: "0,1",
      [follower.memberId]: "2,3",
    });
    const assigned = await cluster.settle(Promise.all([leading, waiting]));
    assertEquals(
      assigned.map(({ assignment }) => decoder.decode(assignment)),
      ["0,1", "2,3"],
    );
    assertEquals((await heartbeat(broker, follower)).errorCode, 0);
    assertEquals(
      await commit(broker, { ...leader, offsets: { 0: 5, 1: 7 } }),
      { 0: 0, 1: 0 },
    );
    assertEquals(await offsets(broker), { "demo-0": 5, "demo-1": 7 });
    const left = await leave(broker, follower.memberId);
    assertEquals(left.members.map(({ errorCode }) => errorCode), [0]);
    assertEquals((await heartbeat(broker, leader)).errorCode, 27);
    const again = join(broker, { memberId: leader.memberId });
    assertEquals((await cluster.settle(again)).generationId, 2);
  },
);

groupTest(
  "A group is described and listed as it is",
  async (broker, cluster) => {
    const one = await cluster.settle(joinAlone(broker));
    const { groups: [group, unknown] } = await broker.call(
      describeGroupsApi,
      5,
      {
        groups: ["g", "nobody's"],
      },
    );
    assertEquals(group.groupState, "Stable");
    assertEquals(group.protocolType, "consumer");
    assertEquals(group.protocolData, "range");
    const [member] = group.members;
    assertEquals(member.memberId, one.memberId);
    assertEquals(member.clientId, "test");
    assertEquals(member.clientHost, "/127.0.0.1");
    assertEquals(decoder.decode(member.memberMetadata), "subscription");
    assertEquals(decoder.decode(member.memberAssignment), "all");
    assertEquals([unknown.errorCode, unknown.groupState], [0, "Dead"]);
    const states = async (statesFilter: string[]) =>
      (await broker.call(listGroupsApi, 4, { statesFilter })).groups
        .map(({ groupId, groupState }) => `${groupId} ${groupState}`);
    assertEquals(await states([]), ["g Stable"]);
    assertEquals(await states(["Stable"]), ["g Stable"]);
    assertEquals(await states(["Empty"]), []);
    for (const version of [0, 1, 2, 3]) {
      const { groups } = await broker.call(listGroupsApi, version, {});
      assertEquals(groups.map(({ groupId }) => groupId), ["g"]);
    }
  },
);

groupTest(
  "Every version of the group's life is answered",
  async (broker, cluster) => {
    for (let version = 0; version <= 9; version++) {
      const groupId = `g${version}`;
      const asked = await cluster.settle(join(broker, { groupId, version }));
      assertEquals(asked.errorCode, version >= 4 ? 79 : 0);
      const { memberId } = asked;
      const joined = version < 4
        ? asked
        : await cluster.settle(join(broker, { groupId, version, memberId }));
      assertEquals(joined.errorCode, 0);
      const member = { groupId, memberId, generationId: joined.generationId };
      const synced = await cluster.settle(
        sync(broker, member, { [memberId]: "all" }, Math.min(version, 5)),
      );
      assertEquals(decoder.decode(synced.assignment), "all");
      const beat = await broker.call(
        heartbeatApi,
        Math.min(version, 4),
        member,
      );
      assertEquals(beat.errorCode, 0);
      const described = await broker.call(
        describeGroupsApi,
        Math.min(version, 5),
        { groups: [groupId] },
      );
      assertEquals(described.groups[0].members.length, 1);
      const left = await broker.call(leaveGroupApi, Math.min(version, 5), {
        groupId,
        ...(version < 3 ? { memberId } : { members: [{ memberId }] }),
      });
      assertEquals(left.errorCode, 0);
      const gone = await broker.call(leaveGroupApi, Math.min(version, 5), {
        groupId,
        ...(version < 3 ? { memberId } : { members: [{ memberId }] }),
      });
      const errorCode = version < 3
        ? gone.errorCode
        : gone.members[0].errorCode;
      assertEquals(errorCode, 25);
    }
  },
);

groupTest("A refused join is answered in every version", async (broker) => {
  for (let version = 0; version <= 9; version++) {
    const refused = await broker.call(joinGroupApi, version, {
      groupId: "g",
      sessionTimeoutMs: 1,
      memberId: "",
      protocolType: "consumer",
      protocols: [{ name: "range", metadata: new Uint8Array() }],
    });
    assertEquals(refused.errorCode, 26);
    assertEquals(refused.generationId, -1);
    assertEquals(refused.protocolName, version >= 7 ? null : "");
    const unknown = await broker.call(syncGroupApi, Math.min(version, 5), {
      groupId: "g",
      generationId: 1,
      memberId: "nobody",
      assignments: [],
    });
    assertEquals(unknown.errorCode, 25);
  }
});

groupTest(
  "A static member comes back without a rebalance and fences its old self",
  async (broker, cluster) => {
    const joining = { groupInstanceId: "i-1" };
    const first = await cluster.settle(joinAlone(broker, joining));
    const second = await cluster.settle(joinAlone(broker, joining));
    assertEquals(second.generationId, first.generationId);
    assert(second.memberId !== first.memberId);
    const stale = await broker.call(heartbeatApi, 4, {
      groupId: "g",
      ...first,
      groupInstanceId: "i-1",
    });
    assertEquals(stale.errorCode, 82);
    const byInstance = await broker.call(leaveGroupApi, 5, {
      groupId: "g",
      members: [{ memberId: "", groupInstanceId: "i-1" }],
    });
    assertEquals(byInstance.members.map(({ errorCode }) => errorCode), [0]);
  },
);

groupTest("A member that falls silent is left out", async (broker, cluster) => {
  const [leader, silent] = await joinTwo(broker, cluster);
  await cluster.settle(Promise.all([
    sync(broker, leader, { [leader.memberId]: "all" }),
    sync(broker, silent),
  ]));
  for (let i = 0; i < 4; i++) {
    await cluster.pass(3_000);
    await heartbeat(broker, leader);
  }
  assertEquals((await heartbeat(broker, silent)).errorCode, 25);
  const alone = await cluster.settle(
    join(broker, { memberId: leader.memberId }),
  );
  assertEquals(alone.members.map(({ memberId }) => memberId), [
    leader.memberId,
  ]);
});

groupTest(
  "A member's name is bounded, and an odd one stops nothing",
  async (broker) => {
    const asked = await broker.call(
      joinGroupApi,
      9,
      { ...JOIN, memberId: "" },
      { clientId: "ü".repeat(16_000) },
    );
    assertEquals(asked.errorCode, 79);
    assert(asked.memberId.length < 300);
    const named = await broker.call(
      joinGroupApi,
      3,
      { ...JOIN, groupId: "h", memberId: "" },
      { clientId: "ü".repeat(16_000) },
    );
    assertEquals(named.errorCode, 0);
  },
);

groupTest(
  "An assignment that fits in no batch is refused",
  async (broker, cluster) => {
    const asked = await cluster.settle(join(broker, { version: 3 }));
    assertEquals(asked.errorCode, 0);
    const synced = await broker.call(syncGroupApi, 3, {
      groupId: "g",
      generationId: asked.generationId,
      memberId: asked.memberId,
      assignments: [{
        memberId: asked.memberId,
        assignment: new Uint8Array(17 * 1024 * 1024),
      }],
    });
    assert(synced.errorCode !== 0);
    const again = await cluster.settle(
      join(broker, { version: 3, memberId: asked.memberId }),
    );
    assertEquals(again.errorCode, 0);
  },
);

groupTest(
  "Offsets: unknown partitions, long metadata and int64 ends are refused alone",
  async (broker) => {
    const { topics: [demo, other] } = await broker.call(offsetCommitApi, 8, {
      groupId: "g",
      memberId: "",
      topics: [{
        name: "demo",
        partitions: [
          partition(0, 3),
          partition(1, Number.MAX_SAFE_INTEGER),
          partition(2, 4, "x".repeat(4_097)),
          partition(3, 5, "x".repeat(4_096)),
          partition(4, 6),
        ],
      }, { name: "other", partitions: [partition(0, 1)] }],
    });
    assertEquals(demo.partitions.map(({ errorCode }) => errorCode), [
      0,
      28,
      12,
      0,
      3,
    ]);
    assertEquals(other.partitions.map(({ errorCode }) => errorCode), [3]);
    assertEquals(await offsets(broker), { "demo-0": 3, "demo-3": 5 });
  },
);

function partition(
  partitionIndex: number,
  committedOffset: number,
  committedMetadata: string | null = null,
) {
  return { partitionIndex, committedOffset, committedMetadata };
}

groupTest("OffsetCommit and OffsetFetch in every version", async (broker) => {
  for (let version = 2; version <= 8; version++) {
    const { topics } = await broker.call(offsetCommitApi, version, {
      groupId: "g",
      memberId: "",
      topics: [{ name: "demo", partitions: [partition(0, version)] }],
    });
    assertEquals(topics[0].partitions[0].errorCode, 0);
  }
  for (let version = 1; version <= 8; version++) {
    const asked = [{ name: "demo", partitionIndexes: [0, 1] }];
    const answer = await broker.call(
      offsetFetchApi,
      version,
      version < 8
        ? { groupId: "g", topics: asked }
        : { groups: [{ groupId: "g", topics: asked }] },
    );
    const { topics, errorCode } = version < 8 ? answer : answer.groups[0];
    assertEquals(errorCode, 0);
    assertEquals(topics[0].partitions.map((one) => one.committedOffset), [
      8,
      -1,
    ]);
    assertEquals(topics[0].partitions.map((one) => one.errorCode), [0, 0]);
  }
  for (const version of [2, 5, 7]) {
    const all = await broker.call(offsetFetchApi, version, {
      groupId: "g",
      topics: null,
    });
    assertEquals(all.topics.map(({ name }) => name), ["demo"]);
  }
  const { groups } = await broker.call(offsetFetchApi, 8, {
    groups: [
      { groupId: "g", topics: null },
      { groupId: "unheard-of", topics: null },
    ],
  });
  assertEquals(groups.map(({ topics }) => topics.length), [1, 0]);
});

Deno.test("OffsetFetch tells of another coordinator on every partition", async () => {
  const cluster = new KafkaCluster();
  try {
    const one = await cluster.open(1);
    const two = await cluster.open(2);
    await cluster.settle(one.room.topics.create({ topic: "demo" }));
    const { coordinators } = await one.call(findCoordinatorApi, 4, {
      keyType: 0,
      coordinatorKeys: ["g", "h"],
    });
    assertEquals(coordinators.map(({ nodeId }) => nodeId).sort(), [1, 2]);
    for (const { key, nodeId, port } of coordinators) {
      assertEquals(port, 9091 + nodeId);
      const elsewhere = nodeId === 1 ? two : one;
      for (let version = 1; version <= 7; version++) {
        const refused = await elsewhere.call(offsetFetchApi, version, {
          groupId: key,
          topics: [{ name: "demo", partitionIndexes: [0] }],
        });
        assertEquals(refused.errorCode, version === 1 ? 0 : 16);
        assertEquals(refused.topics[0].partitions[0].errorCode, 16);
      }
      assertEquals(
        await commit(elsewhere, { groupId: key, offsets: { 0: 1 } }),
        {
          0: 16,
        },
      );
      const here = nodeId === 1 ? one : two;
      assertEquals(await commit(here, { groupId: key, offsets: { 0: 1 } }), {
        0: 0,
      });
    }
  } finally {
    await cluster.close();
  }
});

groupTest(
  "Groups and offsets are deleted when nobody uses them",
  async (broker, cluster) => {
    const member = await cluster.settle(joinAlone(broker));
    await commit(broker, { ...member, offsets: { 0: 1, 1: 2 } });
    const remove = (groupId: string) =>
      broker.call(deleteGroupsApi, 2, { groupsNames: [groupId, "none"] });
    assertEquals(
      (await remove("g")).results.map(({ errorCode }) => errorCode),
      [68, 69],
    );
    await leave(broker, member.memberId);
    const forgotten = await broker.call(offsetDeleteApi, 0, {
      groupId: "g",
      topics: [{ name: "demo", partitions: [{ partitionIndex: 0 }] }],
    });
    assertEquals(forgotten.errorCode, 0);
    assertEquals(forgotten.topics[0].partitions[0].errorCode, 0);
    assertEquals(await offsets(broker), { "demo-1": 2 });
    assertEquals(
      (await remove("g")).results.map(({ errorCode }) => errorCode),
      [0, 69],
    );
    assertEquals(await offsets(broker), {});
    const missing = await broker.call(offsetDeleteApi, 0, {
      groupId: "g",
      topics: [],
    });
    assertEquals(missing.errorCode, 69);
  },
);

groupTest("Offsets go with their topic", async (broker, cluster) => {
  await cluster.settle(
    broker.room.topics.create({ topic: "brief", partitions: 1 }),
  );
  await commit(broker, { topic: "brief", offsets: { 0: 9 } });
  await commit(broker, { offsets: { 0: 1 } });
  await broker.call(deleteTopicsApi, 6, {
    timeoutMs: 1000,
    topics: [{
      name: "brief",
      topicId: "00000000-0000-0000-0000-000000000000",
    }],
  });
  await cluster.pass(10);
  assertEquals(await offsets(broker), { "demo-0": 1 });
});

groupTest(
  "A group outlives its broker: offsets, members, generation",
  async (broker, cluster) => {
    const member = await cluster.settle(joinAlone(broker));
    await commit(broker, { ...member, offsets: { 0: 41 } });
    await commit(broker, { ...member, offsets: { 0: 42, 3: 7 } });
    await broker.close();
    const next = await cluster.open(1, broker.disk);
    assertEquals(await offsets(next), { "demo-0": 42, "demo-3": 7 });
    assertEquals((await heartbeat(next, member)).errorCode, 0);
    assertEquals(await commit(next, { ...member, offsets: { 0: 43 } }), {
      0: 0,
    });
    await cluster.pass(11_000);
    assertEquals((await heartbeat(next, member)).errorCode, 25);
  },
);

groupTest(
  "What was acknowledged survives a loss of power",
  async (broker, cluster) => {
    const member = await cluster.settle(joinAlone(broker));
    await commit(broker, { ...member, offsets: { 0: 41 } });
    const disk = broker.disk.crash(() => false);
    const next = await cluster.open(1, disk);
    await broker.close().catch(() => {});
    assertEquals(await offsets(next), { "demo-0": 41 });
    assertEquals((await heartbeat(next, member)).errorCode, 0);
  },
);
