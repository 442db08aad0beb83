import { assert, assertEquals } from "../../support/assert.ts";
import { Failure } from "../../../contract/errors.ts";
import { CoordinatorRuntime } from "../../../broker/coordinator/coordinator_runtime.ts";
import { GROUP_DEFAULTS } from "../../../broker/group/config.ts";
import {
  decodeAssignment,
  encodeSubscription,
} from "../../../broker/group/consumer_protocol.ts";
import { GroupCoordinator } from "../../../broker/group/group_coordinator.ts";
import { HttpMember } from "../../../broker/group/http_member.ts";
import type { GroupApi, GroupNotice } from "../../../broker/group/messages.ts";
import type { GroupRecord } from "../../../broker/group/records.ts";
import {
  ManualTime,
  MemoryLog,
  settle,
} from "../coordinator/runtime_support.ts";

class World {
  readonly time = new ManualTime();
  readonly log = new MemoryLog<GroupRecord>();
  readonly counts = new Map([["t", 4]]);
  runtime = this.#start();
  #uuids = 0;

  #start() {
    return new CoordinatorRuntime<GroupApi, GroupRecord, GroupNotice, never>({
      core: new GroupCoordinator({
        config: { ...GROUP_DEFAULTS, initialRebalanceDelayMs: 0 },
        partitionExists: () => true,
      }),
      log: this.log,
      clock: this.time,
      timers: this.time,
      onFatal: (error) => {
        throw error;
      },
    });
  }

  async restart(): Promise<void> {
    this.runtime.resign();
    this.runtime = this.#start();
    await this.runtime.load();
  }

  member(name: string): HttpMember {
    return new HttpMember({
      groupId: "g",
      name,
      clientHost: "h",
      sessionTimeoutMs: 30_000,
      rebalanceTimeoutMs: 30_000,
      group: { request: (...call) => this.runtime.request(...call) },
      partitionCount: (topic) => this.counts.get(topic),
      uuid: () => `${++this.#uuids}`,
    });
  }
}

async function held(member: HttpMember): Promise<readonly number[]> {
  const holding = await member.settle(["t"]);
  assert(!(holding instanceof Failure), "the member is settled");
  return holding.partitions.flatMap(({ partitions }) => partitions);
}

Deno.test("HTTP members share the partitions as they come and go", async () => {
  const world = new World();
  await world.runtime.load();
  const [one, two] = [world.member("one"), world.member("two")];
  assertEquals(await held(one), [0, 1, 2, 3]);
  const joining = held(two);
  await settle();
  assertEquals(await held(one), [0, 1]);
  assertEquals(await joining, [2, 3]);
  assertEquals(await two.leave(), undefined);
  assertEquals(await two.leave(), undefined, "it has left already");
  assertEquals(await held(one), [0, 1, 2, 3]);
  world.runtime.resign();
});

Deno.test("a second call while settling waits for the same", async () => {
  const world = new World();
  await world.runtime.load();
  const member = world.member("one");
  const calls = [held(member), held(member)];
  assertEquals(await Promise.all(calls), [[0, 1, 2, 3], [0, 1, 2, 3]]);
  world.runtime.resign();
});

Deno.test("a member that stops polling loses its place when its lease ends", async () => {
  const world = new World();
  await world.runtime.load();
  const [one, two] = [world.member("one"), world.member("two")];
  await held(one);
  const joining = held(two);
  await settle();
  await held(one);
  await joining;
  await world.time.pass(20_000);
  assertEquals(await held(one), [0, 1]);
  await world.time.pass(10_000);
  assertEquals(await held(one), [0, 1, 2, 3]);
  world.runtime.resign();
});

Deno.test("a client keeps its place through another broker and a fail-over", async () => {
  const world = new World();
  await world.runtime.load();
  const first = world.member("one");
  await held(first);
  await world.restart();
  const elsewhere = world.member("one");
  assertEquals(await held(elsewhere), [0, 1, 2, 3]);
  const group = await world.runtime.request("describeGroup", { groupId: "g" });
  assertEquals([group.members.length, group.generationId], [1, 1]);
  world.runtime.resign();
});

Deno.test("the leader sees a topic grow and assigns anew", async () => {
  const world = new World();
  await world.runtime.load();
  const member = world.member("one");
  await held(member);
  world.counts.set("t", 6);
  assertEquals(await held(member), [0, 1, 2, 3, 4, 5]);
  world.runtime.resign();
});

Deno.test("other topics are subscribed to by a rebalance", async () => {
  const world = new World();
  await world.runtime.load();
  world.counts.set("u", 1);
  const member = world.member("one");
  await held(member);
  const holding = await member.settle(["u", "t"]);
  assert(!(holding instanceof Failure));
  assertEquals(holding.partitions.map(({ topic }) => topic), ["t", "u"]);
  world.runtime.resign();
});

Deno.test("a Kafka member and an HTTP member share one group", async () => {
  const world = new World();
  await world.runtime.load();
  const http = world.member("one");
  await held(http);
  const metadata = encodeSubscription({
    topics: ["t"],
    userData: null,
    ownedPartitions: [],
    generationId: -1,
    rackId: null,
  }, 1);
  const joining = world.runtime.request("joinGroup", {
    groupId: "g",
    memberId: "",
    groupInstanceId: null,
    clientId: "kafka",
    clientHost: "h",
    protocolType: "consumer",
    protocols: [{ name: "roundrobin", metadata }],
    rebalanceTimeoutMs: 60_000,
    sessionTimeoutMs: 10_000,
    newMemberId: "kafka-1",
    requiresMemberId: false,
    knowsSkipAssignment: false,
  });
  await settle();
  const polled = held(http);
  const joined = await joining;
  assertEquals(joined.protocolName, "roundrobin");
  const synced = await world.runtime.request("syncGroup", {
    groupId: "g",
    generationId: joined.generationId,
    memberId: joined.memberId,
    groupInstanceId: null,
    protocolType: "consumer",
    protocolName: "roundrobin",
    assignments: [],
  });
  assertEquals(await polled, [0, 2], "static members come first");
  assertEquals(decodeAssignment(synced.assignment)?.partitions, [
    { topic: "t", partitions: [1, 3] },
  ]);
  world.runtime.resign();
});

Deno.test("commits count for the generation that handed the records out", async () => {
  const world = new World();
  await world.runtime.load();
  const member = world.member("one");
  await held(member);
  const topics = [{
    topic: "t",
    partitions: [{ partition: 0, offset: 3, leaderEpoch: -1, metadata: null }],
  }];
  const errorOf = async (generation: number) =>
    (await member.commit(generation, topics)).topics[0].partitions[0].error;
  assertEquals(await errorOf(1), null);
  assertEquals(await errorOf(0), "ILLEGAL_GENERATION");
  world.runtime.resign();
});

Deno.test("a group of another kind is a failure that says so", async () => {
  const world = new World();
  await world.runtime.load();
  await world.runtime.request("joinGroup", {
    groupId: "g",
    memberId: "",
    groupInstanceId: null,
    clientId: "c",
    clientHost: "h",
    protocolType: "connect",
    protocols: [{ name: "compatible", metadata: new Uint8Array() }],
    rebalanceTimeoutMs: 60_000,
    sessionTimeoutMs: 10_000,
    newMemberId: "c-1",
    requiresMemberId: false,
    knowsSkipAssignment: false,
  });
  const holding = await world.member("one").settle(["t"]);
  assert(holding instanceof Failure);
  assertEquals(holding.code, "INCONSISTENT_GROUP_PROTOCOL");
  world.runtime.resign();
});
