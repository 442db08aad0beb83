/** Members are bounded, and forgotten when their session is over. */
import { Failure } from "../../../contract/errors.ts";
import { GroupDesk } from "../../../broker/operations/group_desk.ts";
import type { GroupPollRequest } from "../../../broker/operations/group_operations.ts";
import type { ReadResult } from "../../../broker/operations/operations.ts";
import { assert, assertEquals } from "../../support/assert.ts";
import { succeeded, TestCluster } from "../../support/test_broker.ts";

const NOTHING: ReadResult = {
  records: [],
  nextOffset: 0,
  logStartOffset: 0,
  highWatermark: 0,
  skipped: [],
};

/** An empty partition, wherever it is. */
const EMPTY_RECORDS = {
  read: () => Promise.resolve(NOTHING),
  findOffset: () => Promise.resolve(0),
  ranges: () => Promise.resolve(new Map()),
};

function pollOf(member: string): GroupPollRequest {
  return {
    groupId: "g",
    member,
    clientHost: "h",
    topics: ["demo"],
    maxRecords: 10,
    maxBytes: 1000,
    waitMs: 0,
    commit: "auto",
    autoOffsetReset: "earliest",
    sessionTimeoutMs: 6_000,
    validate: false,
    ack: undefined,
  };
}

Deno.test("A broker serves so many members, and more when some are gone", async () => {
  const cluster = new TestCluster();
  const { time } = cluster;
  const broker = await cluster.broker();
  await broker.create("demo");
  const { groups } = broker.room.coordinators;
  const desk = new GroupDesk({
    groups,
    topics: broker.room.access,
    brokerId: 1,
    environment: {
      clock: time,
      timers: time,
      random: {
        bytes: (length) => new Uint8Array(length),
        uuid: () => cluster.uuid(),
        float: () => 0,
      },
    },
    limits: { members: 2 },
  });
  const poll = async (member: string) => {
    const answer = desk.poll(pollOf(member), EMPTY_RECORDS);
    await time.elapse(100);
    return await answer;
  };
  succeeded(await poll("a"));
  succeeded(await poll("b"));
  const third = await poll("c");
  assert(third instanceof Failure);
  assertEquals(third.code, "BROKER_NOT_AVAILABLE");
  assertEquals(third.details.retryAfterMs, 1000);
  succeeded(await poll("a"));
  assertEquals(desk.memberCount, 2);
  const left = desk.leave({ groupId: "g", member: "a", ack: undefined });
  await time.elapse(100);
  assertEquals(await left, undefined);
  succeeded(await poll("c"));
  assertEquals(desk.memberCount, 2);
  await time.elapse(5_000);
  assertEquals(desk.memberCount, 2);
  await time.elapse(2_000);
  assertEquals(desk.memberCount, 0, "their sessions are over");
  desk.close();
  await cluster.stop();
});
