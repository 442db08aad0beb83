/**
 * Batches of Kafka's producers that are refused, and what comes behind them; and
 * what fetches beyond an end are told.
 */
import { Failure } from "../../../contract/errors.ts";
import {
  Batches,
  type BatchesOptions,
} from "../../../broker/operations/batches.ts";
import {
  PartitionAccess,
  type PartitionAccessOptions,
} from "../../../broker/operations/partition_access.ts";
import { RecordBatchBuilder } from "../../../storage/log/record_batch.ts";
import { assertEquals } from "../../support/assert.ts";
import {
  bytesOf,
  succeeded,
  type TestBroker,
  TestCluster,
} from "../../support/test_broker.ts";

const PRODUCER = { producerId: 9, producerEpoch: 0 };

const OPTIONS = { acks: -1, timeoutMs: 1000 } as const;

/** One record of an idempotent producer. */
function batchOf(baseSequence: number, value: string): Uint8Array {
  const builder = new RecordBatchBuilder({ ...PRODUCER, baseSequence });
  builder.add({
    key: null,
    value: bytesOf(value),
    headers: [],
    timestampMs: 5,
  });
  return builder.build();
}

/** Resolves the offset, or why it was refused. */
async function send(
  one: TestBroker,
  baseSequence: number,
  value: string,
): Promise<number | string> {
  const bytes = batchOf(baseSequence, value);
  const appended = await one.room.batches.append("demo", 0, bytes, OPTIONS);
  return appended instanceof Failure ? appended.code : appended.baseOffset;
}

async function broker(): Promise<TestBroker> {
  const one = await new TestCluster().broker();
  await one.create("demo");
  return one;
}

Deno.test("Batches.append() takes no batch before one that the disk refused", async () => {
  const one = await broker();
  let writes = 0;
  one.disk.fault = ({ kind, path }) =>
    kind === "write" && path.endsWith(".log") && writes++ === 0
      ? { kind: "error", writtenBytes: 0 }
      : undefined;
  assertEquals(await send(one, 0, "a"), "KAFKA_STORAGE_ERROR");
  // The disk is well again when what was in flight behind it arrives.
  assertEquals(await send(one, 1, "b"), "OUT_OF_ORDER_SEQUENCE_NUMBER");
  assertEquals(await send(one, 0, "a"), 0);
  assertEquals(await send(one, 1, "b"), 1);
  await one.stop();
});

Deno.test("Batches.append() takes no batch before one that the schema refused", async () => {
  const one = await broker();
  succeeded(
    await one.operations.schemas.register("demo", { type: "number" }),
  );
  assertEquals(await send(one, 0, '"text"'), "INVALID_RECORD");
  // The producer numbers anew what was in flight when it hears of that.
  assertEquals(await send(one, 1, "1"), "OUT_OF_ORDER_SEQUENCE_NUMBER");
  assertEquals(await send(one, 0, "1"), 0);
  assertEquals(await send(one, 1, "2"), 1);
  await one.stop();
});

Deno.test("Batches.append() holds back nothing for bytes that are no batch", async () => {
  const one = await broker();
  const bytes = new Uint8Array(7);
  const appended = await one.room.batches.append("demo", 0, bytes, OPTIONS);
  assertEquals(appended instanceof Failure && appended.code, "CORRUPT_MESSAGE");
  assertEquals(await send(one, 5, "a"), 0);
  await one.stop();
});

Deno.test("Batches.append() lets nothing overtake a batch while the leader is looked for", async () => {
  const noted: number[] = [];
  const log = {
    noteRefused: ({ baseSequence }: { baseSequence: number }) =>
      void noted.push(baseSequence),
  };
  const asked = Promise.withResolvers<Failure>();
  const access = {
    appender: () => undefined,
    requireLeader: () => asked.promise,
    replica: () => ({ log }),
  };
  const batches = new Batches({ access } as unknown as BatchesOptions);
  const appended = batches.append("demo", 0, batchOf(0, "a"), OPTIONS);
  assertEquals(noted, [0]);
  asked.resolve(new Failure("NOT_LEADER_OR_FOLLOWER", "Another one leads"));
  assertEquals((await appended) instanceof Failure, true);
  assertEquals(noted, [0, 0]);
});

/** A broker that leads two partitions up to offset 3, as far as it knows. */
function leaderOfTwo(hears: (replica: LeaderState) => void) {
  const replicas = [0, 1].map((partition): LeaderState => ({
    topic: "demo",
    partition,
    isLeader: true,
    leaderEpoch: 4,
    highWatermark: 3,
    lastStableOffset: 3,
    log: { logStartOffset: 0, logEndOffset: 3 },
    attempt: (work) => work(),
    notLeader: () => new Failure("NOT_LEADER_OR_FOLLOWER", "Another leads"),
  }));
  const access = new PartitionAccess({
    brokerId: 1,
    replicas: {
      replica: (_: string, partition: number) => replicas[partition],
    },
    // What the store says is news for every replica at once.
    view: { catchUp: () => Promise.resolve(replicas.forEach(hears)) },
    holdsLease: () => true,
  } as unknown as PartitionAccessOptions);
  return new Batches({
    access,
    environment: { clock: { monotonicMs: () => 0 } },
  } as unknown as BatchesOptions);
}

interface LeaderState {
  readonly topic: string;
  readonly partition: number;
  isLeader: boolean;
  leaderEpoch: number | undefined;
  readonly highWatermark: number;
  readonly lastStableOffset: number;
  readonly log: { readonly logStartOffset: number; logEndOffset: number };
  attempt<T>(work: () => T): T;
  notLeader(): Failure;
}

async function fetchBeyond(
  hears: (replica: LeaderState) => void,
): Promise<string[]> {
  const results = await leaderOfTwo(hears).fetch({
    maxWaitMs: 0,
    minBytes: 0,
    maxBytes: 1000,
    readCommitted: false,
    partitions: [0, 1].map((partition) => ({
      topic: "demo",
      partition,
      fetchOffset: 5,
      maxBytes: 1000,
      currentLeaderEpoch: -1,
    })),
    signal: new AbortController().signal,
  });
  return results.map((result) =>
    result instanceof Failure ? result.code : "fetched"
  );
}

Deno.test("Batches.fetch() tells of an offset beyond the end what is so where it leads", async () => {
  const outOfRange = ["OFFSET_OUT_OF_RANGE", "OFFSET_OUT_OF_RANGE"];
  assertEquals(await fetchBeyond(() => {}), outOfRange);
});

Deno.test("Batches.fetch() calls no offset out of range where another leads, whichever partition it looks at first", async () => {
  const moved = ["NOT_LEADER_OR_FOLLOWER", "NOT_LEADER_OR_FOLLOWER"];
  const follows = (replica: LeaderState) => {
    replica.isLeader = false;
    replica.leaderEpoch = undefined;
  };
  assertEquals(await fetchBeyond(follows), moved);
  const hasFollowed = (replica: LeaderState) => {
    follows(replica);
    replica.log.logEndOffset = 9;
  };
  assertEquals(await fetchBeyond(hasFollowed), moved);
  const leadsAnew = (replica: LeaderState) => {
    replica.leaderEpoch = 6;
    replica.log.logEndOffset = 9;
  };
  assertEquals(await fetchBeyond(leadsAnew), moved);
});
