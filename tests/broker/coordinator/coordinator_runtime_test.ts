import { assert, assertEquals } from "../../support/assert.ts";
import { Failure } from "../../../contract/errors.ts";
import { StorageError } from "../../../storage/error.ts";
import { CoordinatorRuntime } from "../../../broker/coordinator/coordinator_runtime.ts";
import { GROUP_DEFAULTS } from "../../../broker/group/config.ts";
import { GroupCoordinator } from "../../../broker/group/group_coordinator.ts";
import type { GroupApi, GroupNotice } from "../../../broker/group/messages.ts";
import type { GroupRecord } from "../../../broker/group/records.ts";
import { TRANSACTION_DEFAULTS } from "../../../broker/transaction/config.ts";
import type {
  TransactionAction,
  TransactionApi,
  TransactionNotice,
} from "../../../broker/transaction/messages.ts";
import type { TransactionRecord } from "../../../broker/transaction/records.ts";
import { TransactionCoordinator } from "../../../broker/transaction/transaction_coordinator.ts";
import { ManualTime, MemoryLog, settle } from "./runtime_support.ts";

function groups(
  log: MemoryLog<GroupRecord>,
  time: ManualTime,
  onFatal: (error: unknown) => void = (error) => {
    throw error;
  },
) {
  return new CoordinatorRuntime<GroupApi, GroupRecord, GroupNotice, never>({
    core: new GroupCoordinator({
      config: { ...GROUP_DEFAULTS, initialRebalanceDelayMs: 0 },
      partitionExists: () => true,
    }),
    log,
    clock: time,
    timers: time,
    onFatal,
  });
}

const commitOf = (offset: number) => ({
  groupId: "g",
  generationId: -1,
  memberId: "",
  groupInstanceId: null,
  retentionTimeMs: -1,
  topics: [{
    topic: "t",
    partitions: [{ partition: 0, offset, leaderEpoch: -1, metadata: null }],
  }],
});
const fetchOf = {
  groupId: "g",
  topics: [{ topic: "t", partitions: [0] }],
  requireStable: false,
};

Deno.test("the runtime refuses while it loads, serves, and refuses again", async () => {
  const log = new MemoryLog<GroupRecord>();
  const time = new ManualTime();
  const first = groups(log, time);
  await first.load();
  await first.request("offsetCommit", commitOf(5));

  let open = () => {};
  log.gate = new Promise<void>((resolve) => open = resolve);
  const second = groups(log, time);
  const loading = second.load();
  const early = await second.request("offsetFetch", fetchOf);
  assertEquals(early.error, "COORDINATOR_LOAD_IN_PROGRESS");
  assertEquals(early.topics[0].partitions[0].error, early.error);
  second.notify({ type: "topicDeleted", topic: "other" });
  open();
  await loading;
  const served = await second.request("offsetFetch", fetchOf);
  assertEquals(served.topics[0].partitions[0].offset, 5);

  first.resign();
  second.resign();
  second.resign();
  const late = await second.request("offsetFetch", fetchOf);
  assertEquals(late.error, "NOT_COORDINATOR");
  assertEquals(time.pending.size, 0, "no timer is left");
});

Deno.test("resigning while loading ends in silence", async () => {
  const log = new MemoryLog<GroupRecord>();
  const time = new ManualTime();
  let open = () => {};
  log.gate = new Promise<void>((resolve) => open = resolve);
  const runtime = groups(log, time);
  const loading = runtime.load();
  runtime.resign();
  open();
  await loading;
  assertEquals(runtime.isServing, false);
  assertEquals(time.pending.size, 0);
});

Deno.test("failures of the log, returned or thrown, reach the client", async () => {
  const log = new MemoryLog<GroupRecord>();
  const time = new ManualTime();
  const runtime = groups(log, time);
  await runtime.load();
  log.failures.push(
    new Failure("NOT_ENOUGH_REPLICAS", "too few"),
    new StorageError("write", "x", "no"),
  );
  for (const expected of ["COORDINATOR_NOT_AVAILABLE", "NOT_COORDINATOR"]) {
    const { topics } = await runtime.request("offsetCommit", commitOf(5));
    assertEquals<string | null>(topics[0].partitions[0].error, expected);
  }
  runtime.resign();
});

Deno.test("a programmer's error in an append is not swallowed", async () => {
  const log = new MemoryLog<GroupRecord>();
  const time = new ManualTime();
  const seen: unknown[] = [];
  const runtime = groups(log, time, (error) => seen.push(error));
  await runtime.load();
  log.failures.push(new TypeError("a bug"));
  const asked = runtime.request("offsetCommit", commitOf(5));
  await settle();
  assert(seen[0] instanceof TypeError);
  runtime.resign();
  const { topics } = await asked;
  assertEquals(topics[0].partitions[0].error, "NOT_COORDINATOR");
});

Deno.test("timers of the core come from the environment's", async () => {
  const log = new MemoryLog<GroupRecord>();
  const time = new ManualTime();
  const runtime = groups(log, time);
  await runtime.load();
  const { memberId } = await runtime.request("joinGroup", {
    groupId: "g",
    memberId: "",
    groupInstanceId: null,
    clientId: "c",
    clientHost: "h",
    protocolType: "consumer",
    protocols: [{ name: "range", metadata: new Uint8Array() }],
    rebalanceTimeoutMs: 60_000,
    sessionTimeoutMs: 10_000,
    newMemberId: "c-1",
    requiresMemberId: false,
    knowsSkipAssignment: false,
  });
  const beat = {
    groupId: "g",
    generationId: 1,
    memberId,
    groupInstanceId: null,
  };
  await time.pass(6_000);
  assertEquals((await runtime.request("heartbeat", beat)).error, null);
  await time.pass(9_999);
  assertEquals(
    (await runtime.request("describeGroup", beat)).members.length,
    1,
  );
  await time.pass(1);
  assertEquals((await runtime.request("describeGroup", beat)).state, "Empty");
  runtime.resign();
});

Deno.test("actions are performed and what they bring is told to the core", async () => {
  const log = new MemoryLog<TransactionRecord>();
  const time = new ManualTime();
  const performed: TransactionAction[] = [];
  const runtime = new CoordinatorRuntime<
    TransactionApi,
    TransactionRecord,
    TransactionNotice,
    TransactionAction
  >({
    core: new TransactionCoordinator({
      config: TRANSACTION_DEFAULTS,
      offsetsPartition: () => ({ topic: "o", partition: 0 }),
    }),
    log,
    clock: time,
    timers: time,
    onFatal: (error) => {
      throw error;
    },
    perform: (action) => {
      performed.push(action);
      const { transactionalId } = action;
      return Promise.resolve(
        action.type === "allocateProducerId"
          ? { type: "producerIdAllocated", transactionalId, producerId: 7 }
          : { ...action, type: "markersWritten" },
      );
    },
  });
  await runtime.load();
  const { producerId, producerEpoch } = await runtime.request(
    "initProducerId",
    {
      transactionalId: "x",
      transactionTimeoutMs: 1_000,
      producerId: -1,
      producerEpoch: -1,
    },
  );
  assertEquals([producerId, producerEpoch], [7, 0]);
  const producer = { transactionalId: "x", producerId, producerEpoch };
  const partitions = [{ topic: "t", partition: 0 }];
  await runtime.request("addPartitions", { ...producer, partitions });
  await runtime.request("endTransaction", { ...producer, committed: true });
  await settle();
  const described = await runtime.request("describeTransaction", producer);
  assertEquals(described.state, "CompleteCommit");
  assertEquals(performed.map(({ type }) => type), [
    "allocateProducerId",
    "writeMarkers",
  ]);
  runtime.resign();
  assertEquals(time.pending.size, 0);
});
