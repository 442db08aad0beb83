import { KEYS, type PartitionFact } from "../../../../broker/cluster/facts.ts";
import { fetchApi } from "../../../../broker/kafka/messages/fetch.ts";
import { listOffsetsApi } from "../../../../broker/kafka/messages/list_offsets.ts";
import { produceApi } from "../../../../broker/kafka/messages/produce.ts";
import type { PartitionReplica } from "../../../../broker/replication/partition_replica.ts";
import { ERRORS, Failure } from "../../../../contract/errors.ts";
import { RecordBatchBuilder } from "../../../../storage/log/record_batch.ts";
import { offset } from "../../../../storage/log/types.ts";
import { assert, assertEquals } from "../../../support/assert.ts";
import {
  KafkaCluster,
  type TestBroker,
} from "../../../support/kafka_cluster.ts";

const encoder = new TextEncoder();
const TOPIC = "demo";

/** Three brokers and a topic of one partition on all of them, led by the first. */
async function onThree(
  test: (cluster: KafkaCluster, brokers: TestBroker[]) => Promise<void>,
  config: Record<string, string> = {},
): Promise<void> {
  const cluster = new KafkaCluster();
  try {
    const brokers = [];
    for (const id of [1, 2, 3]) brokers.push(await cluster.open(id));
    const created = await cluster.settle(
      brokers[0].room.topics.create({
        topic: TOPIC,
        replicationFactor: 3,
        config,
      }),
    );
    assertEquals(created, { status: "created" });
    await cluster.pass(20);
    await test(cluster, brokers);
  } finally {
    await cluster.close();
  }
}

function replicaOf(broker: TestBroker): PartitionReplica {
  const replica = broker.room.replicas.replica(TOPIC, 0);
  assert(replica !== undefined, `broker ${broker.id} has a replica`);
  return replica;
}

function record(value: string) {
  return {
    key: null,
    value: encoder.encode(value),
    headers: [],
    timestampMs: 1_700_000_000_000,
  };
}

function batchOf(...values: string[]): Uint8Array {
  const builder = new RecordBatchBuilder({});
  for (const value of values) builder.add(record(value));
  return builder.build();
}

/** Over the Kafka door; the error code. */
async function produce(
  broker: TestBroker,
  acks: number,
  ...values: string[]
): Promise<number> {
  const { responses: [{ partitionResponses: [{ errorCode }] }] } = await broker
    .call(produceApi, 9, {
      transactionalId: null,
      acks,
      timeoutMs: 1000,
      topicData: [{
        name: TOPIC,
        partitionData: [{ index: 0, records: batchOf(...values) }],
      }],
    });
  return errorCode;
}

function produceRecords(broker: TestBroker, ...values: string[]) {
  return broker.room.operations.records.produce(
    TOPIC,
    0,
    values.map(record),
    { timeoutMs: 1000 },
  );
}

/** All bytes of the log. */
function bytesOf(broker: TestBroker): Uint8Array {
  return batchAt(broker, 0);
}

/** Nobody hears of the broker any more, and it of nobody. */
function cutOff(cluster: KafkaCluster, broker: TestBroker): void {
  broker.isReachable = false;
  for (const other of cluster.brokers.values()) {
    for (const pair of cluster.connectionsTo(other)) pair.cut();
  }
}

async function writeState(
  cluster: KafkaCluster,
  by: TestBroker,
  change: Partial<PartitionFact>,
): Promise<void> {
  const { view } = by.room;
  const topic = view.image.topics.get(TOPIC);
  const state = topic?.partitionStates[0];
  assert(topic !== undefined && state !== undefined, "the topic is known");
  const { modRevision: _, ...fact } = state;
  await cluster.settle(view.transact({
    compare: [],
    success: [{
      kind: "put",
      key: KEYS.partition(topic.topicId, 0),
      value: JSON.stringify({ ...fact, ...change }),
    }],
  }));
}

interface FollowerAsk {
  readonly brokerId: number;
  readonly fetchOffset: number;
  readonly epoch: number;
  readonly lastEpoch: number;
  readonly partition?: number;
  readonly topicId?: string;
  readonly maxWaitMs?: number;
  readonly clientId?: string;
}

const ZERO_ID = "00000000-0000-0000-0000-000000000000";

async function beginFollowerFetch(
  broker: TestBroker,
  ask: FollowerAsk,
  version = 13,
) {
  const topicId = broker.room.view.image.topics.get(TOPIC)?.topicId ?? ZERO_ID;
  const { responses: [{ partitions: [answer] }] } = await broker.begin(
    fetchApi,
    version,
    {
      ...(version < 15
        ? { replicaId: ask.brokerId }
        : { replicaState: { replicaId: ask.brokerId } }),
      maxWaitMs: ask.maxWaitMs ?? 0,
      minBytes: 1,
      maxBytes: 1_000_000,
      topics: [{
        topic: TOPIC,
        topicId: ask.topicId ?? topicId,
        partitions: [{
          partition: ask.partition ?? 0,
          currentLeaderEpoch: ask.epoch,
          fetchOffset: ask.fetchOffset,
          lastFetchedEpoch: ask.lastEpoch,
          partitionMaxBytes: 1_000_000,
        }],
      }],
    },
    { clientId: ask.clientId },
  );
  return answer;
}

function followerFetch(broker: TestBroker, ask: FollowerAsk, version = 13) {
  return broker.await(beginFollowerFetch(broker, ask, version));
}

/** The bytes of the log from this offset on. */
function batchAt(broker: TestBroker, from: number): Uint8Array {
  const { log } = replicaOf(broker);
  return log.read(offset(from), {
    maxBytes: 1_000_000,
    upperBound: log.logEndOffset,
    minOneBatch: true,
  }).bytes;
}

async function listLatest(broker: TestBroker, version: number) {
  const { topics: [{ partitions: [answer] }] } = await broker.call(
    listOffsetsApi,
    version,
    {
      replicaId: -1,
      topics: [{
        name: TOPIC,
        partitions: [{ partitionIndex: 0, timestamp: -1 }],
      }],
    },
  );
  return answer;
}

Deno.test("What both doors store with acks=all is on every replica, byte for byte", async () => {
  await onThree(async (cluster, brokers) => {
    const [one] = brokers;
    assertEquals(await produce(one, -1, "a", "b"), 0);
    const produced = await cluster.settle(produceRecords(one, "c"));
    assert(!(produced instanceof Failure), "it is stored");
    assertEquals(produced.receipt(), {
      leaderEpoch: 0,
      replicas: [1, 2, 3],
      onDisk: [1, 2, 3],
    });
    const [first, ...others] = brokers.map(bytesOf);
    assert(first.length > 0, "there are bytes");
    for (const other of others) assertEquals(other, first);
    // Followers learn it with the next answer.
    await cluster.pass(1000);
    assertEquals(brokers.map((one) => replicaOf(one).highWatermark), [3, 3, 3]);
  });
});

Deno.test("A record that is not on the in-sync replicas is neither read nor acknowledged", async () => {
  await onThree(async (cluster, [one, two, three]) => {
    assertEquals(await produce(one, -1, "a"), 0);
    for (const broker of [two, three]) cutOff(cluster, broker);
    two.isReachable = false;
    one.isReachable = false;
    assertEquals(await produce(one, 1, "b"), 0);
    assertEquals(
      await produce(one, -1, "c"),
      ERRORS.REQUEST_TIMED_OUT.kafkaCode,
    );
    const replica = replicaOf(one);
    assertEquals([replica.highWatermark, replica.log.logEndOffset], [1, 3]);
    const { records } = one.room.operations;
    const options = { maxRecords: 10, maxBytes: 1000, validate: false };
    // From between the high watermark and the end of the log: a wait.
    const early = records.read(TOPIC, 0, {
      ...options,
      offset: 2,
      waitMs: 20_000,
    });
    const beyond = await cluster.settle(
      records.read(TOPIC, 0, { ...options, offset: 4, waitMs: 1000 }),
    );
    assert(beyond instanceof Failure, "beyond the end is out of range");
    assertEquals(beyond.code, "OFFSET_OUT_OF_RANGE");
    for (const broker of [one, two, three]) broker.isReachable = true;
    const read = await cluster.settle(early);
    assert(!(read instanceof Failure), "it is read once it is committed");
    assertEquals(read.records.map(({ offset }) => offset), [2]);
  });
});

Deno.test("A fetch that a dead run of a follower left on the way acknowledges nothing", async () => {
  await onThree(async (cluster, [one, two, three]) => {
    // What follows is asked in their names.
    for (const broker of [two, three]) cutOff(cluster, broker);
    one.isReachable = false;
    assertEquals(await produce(one, 1, "a"), 0);
    const fetchAs = (broker: TestBroker, run: string) =>
      followerFetch(one, {
        brokerId: broker.id,
        fetchOffset: 1,
        epoch: 0,
        lastEpoch: 0,
        clientId: `streamnest-follower-${broker.id}@${run}`,
      });
    const { incarnation } = three.room.membership;
    assertEquals((await fetchAs(three, incarnation)).errorCode, 0);
    const refused = await fetchAs(two, "a-dead-run");
    assertEquals(refused.errorCode, ERRORS.UNKNOWN_TOPIC_ID.kafkaCode);
    assertEquals(replicaOf(one).highWatermark, 0);
    await fetchAs(two, two.room.membership.incarnation);
    assertEquals(replicaOf(one).highWatermark, 1);
  });
});

Deno.test("Fetch by consumers between high watermark and log end gives nothing, not an error", async () => {
  await onThree(async (cluster, [one, two, three]) => {
    for (const broker of [two, three]) cutOff(cluster, broker);
    one.isReachable = false;
    assertEquals(await produce(one, 1, "a", "b"), 0);
    for (const [fetchOffset, code] of [[0, 0], [1, 0], [2, 0], [3, 1]]) {
      for (const isolationLevel of [0, 1]) {
        const { responses: [{ partitions: [answer] }] } = await one.call(
          fetchApi,
          11,
          {
            maxWaitMs: 0,
            minBytes: 0,
            maxBytes: 1000,
            isolationLevel,
            topics: [{
              topic: TOPIC,
              partitions: [{
                partition: 0,
                fetchOffset,
                partitionMaxBytes: 99,
              }],
            }],
          },
        );
        assertEquals(answer.errorCode, code);
        assertEquals(answer.records?.length ?? 0, 0);
      }
    }
  });
});

Deno.test("acks=all is refused while too few are in sync, and says who and how many", async () => {
  await onThree(async (cluster, [one, two, three]) => {
    for (const broker of [two, three]) cutOff(cluster, broker);
    one.isReachable = false;
    await writeState(cluster, one, { isr: [1] });
    assertEquals(
      await produce(one, -1, "a"),
      ERRORS.NOT_ENOUGH_REPLICAS.kafkaCode,
    );
    const refused = await cluster.settle(produceRecords(one, "a"));
    assert(refused instanceof Failure, "it is refused");
    assertEquals(refused.code, "NOT_ENOUGH_REPLICAS");
    assert(refused.details.retryAfterMs !== undefined, "it can be retried");
    assert(/only broker 1 .* 2/.test(refused.detail), refused.detail);
    for (const broker of [one, two, three]) broker.isReachable = true;
    await cluster.pass(2000);
    assertEquals(replicaOf(one).log.logEndOffset, 0);
    assertEquals(await produce(one, -1, "b"), 0);
  });
});

Deno.test("Fetch by followers is checked before it counts", async () => {
  await onThree(async (cluster, [one, two, three]) => {
    assertEquals(await produce(one, -1, "a", "b"), 0);
    for (const broker of [two, three]) cutOff(cluster, broker);
    one.isReachable = false;
    assertEquals(await produce(one, 1, "c"), 0);
    const { highWatermark } = replicaOf(one);
    assertEquals(highWatermark, 2);
    const ok = { brokerId: 2, fetchOffset: 2, epoch: 0, lastEpoch: 0 };
    const answer = await followerFetch(one, ok);
    assertEquals(answer.errorCode, 0);
    assertEquals(answer.highWatermark, 2);
    assertEquals(answer.logStartOffset, 0);
    // Up to the end of the log, which nobody can read yet.
    assertEquals(answer.records, batchAt(one, 2));
    for (
      const [asked, code] of [
        [{ ...ok, epoch: 1 }, "UNKNOWN_LEADER_EPOCH"],
        [{ ...ok, brokerId: 4 }, "NOT_LEADER_OR_FOLLOWER"],
        [{ ...ok, partition: 1 }, "UNKNOWN_TOPIC_OR_PARTITION"],
        [{ ...ok, topicId: ZERO_ID }, "UNKNOWN_TOPIC_ID"],
      ] as const
    ) {
      const refused = await followerFetch(one, { ...asked, fetchOffset: 3 });
      assertEquals(refused.errorCode, ERRORS[code].kafkaCode, code);
    }
    // A tail that the leader does not have is no progress.
    for (const brokerId of [2, 3]) {
      const cut = await followerFetch(one, { ...ok, brokerId, fetchOffset: 4 });
      assertEquals(cut.errorCode, 0);
      assertEquals(cut.divergingEpoch, { epoch: 0, endOffset: 3 });
      assertEquals(cut.records?.length, 0);
    }
    const outside = await followerFetch(one, {
      ...ok,
      fetchOffset: 4,
      lastEpoch: -1,
    });
    assertEquals(outside.errorCode, ERRORS.OFFSET_OUT_OF_RANGE.kafkaCode);
    assertEquals(outside.logStartOffset, 0);
    assertEquals(outside.divergingEpoch.endOffset, 3);
    assertEquals(replicaOf(one).highWatermark, 2);
    for (const version of [12, 13, 15, 17]) {
      const at = await followerFetch(one, { ...ok, fetchOffset: 3 }, version);
      assertEquals(at.errorCode, 0);
    }
    assertEquals(replicaOf(one).highWatermark, 2);
    await followerFetch(one, { ...ok, brokerId: 3, fetchOffset: 3 });
    assertEquals(replicaOf(one).highWatermark, 3);
  });
});

Deno.test("Fetch by followers waits for an append, and for the end of the leadership", async () => {
  await onThree(async (cluster, [one, two, three]) => {
    for (const broker of [two, three]) cutOff(cluster, broker);
    one.isReachable = false;
    const ask = { brokerId: 2, fetchOffset: 0, epoch: 0, lastEpoch: -1 };
    const parked = beginFollowerFetch(one, { ...ask, maxWaitMs: 500 });
    const startMs = cluster.time.monotonicMs();
    assertEquals(await produce(one, 1, "a"), 0);
    const woken = await cluster.settle(parked);
    assertEquals(cluster.time.monotonicMs() - startMs < 50, true);
    assertEquals(woken.records, batchAt(one, 0));
    // At the end of the log: nothing, after the whole wait.
    const next = { ...ask, fetchOffset: 1, lastEpoch: 0 };
    const emptyMs = cluster.time.monotonicMs();
    const empty = await cluster.settle(
      beginFollowerFetch(one, { ...next, maxWaitMs: 200 }),
    );
    assertEquals(cluster.time.monotonicMs() - emptyMs >= 200, true);
    assertEquals([empty.errorCode, empty.records?.length], [0, 0]);
    const last = beginFollowerFetch(one, { ...next, maxWaitMs: 5000 });
    const movedMs = cluster.time.monotonicMs();
    await writeState(cluster, three, { leader: 3, leaderEpoch: 1 });
    const refused = await cluster.settle(last);
    assertEquals(cluster.time.monotonicMs() - movedMs < 100, true);
    assertEquals(refused.errorCode, ERRORS.NOT_LEADER_OR_FOLLOWER.kafkaCode);
  });
});

Deno.test("A new leader tells no end before it knows it, and then all that was acknowledged", async () => {
  await onThree(async (cluster, [one, two, three]) => {
    assertEquals(await produce(one, -1, "a", "b"), 0);
    // Followers do not know yet that it is committed.
    assertEquals(replicaOf(two).highWatermark, 0);
    cutOff(cluster, one);
    one.store.faults.unreachable = true;
    two.isReachable = false;
    await cluster.pass(2500);
    assert(replicaOf(two).isLeader, "the second broker is elected");
    for (
      const [version, code] of [
        [4, ERRORS.LEADER_NOT_AVAILABLE.kafkaCode],
        [5, ERRORS.OFFSET_NOT_AVAILABLE.kafkaCode],
        [7, ERRORS.OFFSET_NOT_AVAILABLE.kafkaCode],
      ]
    ) assertEquals((await listLatest(two, version)).errorCode, code);
    const { records } = two.room.operations;
    const latest = await cluster.settle(records.findOffset(TOPIC, 0, "latest"));
    assert(latest instanceof Failure, "the end is not known");
    assertEquals(latest.code, "OFFSET_NOT_AVAILABLE");
    const range = await cluster.settle(records.offsets(TOPIC, 0));
    assert(range instanceof Failure, "nor are its offsets");
    assertEquals(range.code, "OFFSET_NOT_AVAILABLE");
    assertEquals(
      await cluster.settle(records.findOffset(TOPIC, 0, "earliest")),
      0,
    );
    // What a consumer saw at the old leader is no reason to begin anew.
    const waiting = records.read(TOPIC, 0, {
      offset: 2,
      maxRecords: 10,
      maxBytes: 1000,
      waitMs: 20_000,
      validate: false,
    });
    two.isReachable = true;
    await cluster.pass(1500);
    assertEquals((await listLatest(two, 7)).offset, 2);
    assertEquals(await produce(two, -1, "c"), 0);
    const read = await cluster.settle(waiting);
    assert(!(read instanceof Failure), "the consumer goes on");
    assertEquals(read.records.map(({ offset }) => offset), [2]);
    one.isReachable = true;
    one.store.faults.unreachable = false;
    await cluster.pass(5000);
    assertEquals(replicaOf(one).log.logEndOffset, 3);
    assertEquals(bytesOf(one), bytesOf(two));
    assertEquals(bytesOf(three), bytesOf(two));
    assert(replicaOf(one).isLeader, "the preferred leader leads again");
    assertEquals(await produce(one, -1, "d"), 0);
  });
});

Deno.test("A leader whose lease is gone acknowledges nothing, and says why", async () => {
  await onThree(async (cluster, [one]) => {
    one.store.faults.unreachable = true;
    await cluster.pass(2500);
    for (const acks of [1, -1]) {
      assertEquals(
        await produce(one, acks, "a"),
        ERRORS.NOT_LEADER_OR_FOLLOWER.kafkaCode,
      );
    }
    const refused = await cluster.settle(produceRecords(one, "b"));
    assert(refused instanceof Failure, "it is refused");
    assert(/lease/.test(refused.detail), refused.detail);
    assertEquals(replicaOf(one).log.logEndOffset, 0);
  });
});

Deno.test("Metrics tell what is out of sync, how far, and what passed between brokers", async () => {
  await onThree(async (cluster, [one, two, three]) => {
    const valueOf = async (broker: TestBroker, name: string) => {
      const text = await cluster.settle(broker.room.metrics.text());
      const line = text.split("\n").find((each) => each.startsWith(`${name} `));
      return Number(line?.slice(name.length + 1));
    };
    const bytes = (direction: string) =>
      `streamnest_replication_bytes_total{direction="${direction}"}`;
    const lagOf = (follower: number) =>
      `streamnest_replica_lag_records{topic="${TOPIC}",partition="0",follower="${follower}"}`;
    assertEquals(await produce(one, -1, "a"), 0);
    const size = bytesOf(one).length;
    assertEquals(await valueOf(one, bytes("out")), 2 * size);
    assertEquals(await valueOf(two, bytes("in")), size);
    assertEquals(await valueOf(one, bytes("in")), 0);
    const underReplicated = "streamnest_under_replicated_partitions";
    const underMinimum = "streamnest_under_min_isr_partitions";
    assertEquals(await valueOf(one, underReplicated), 0);
    assertEquals(await valueOf(one, lagOf(2)), 0);
    for (const broker of [two, three]) cutOff(cluster, broker);
    one.isReachable = false;
    assertEquals(await produce(one, 1, "b", "c"), 0);
    assertEquals(await valueOf(one, lagOf(2)), 2);
    assertEquals(await valueOf(one, lagOf(3)), 2);
    await cluster.pass(8000);
    assertEquals(await valueOf(one, "streamnest_isr_shrinks_total"), 1);
    assertEquals(await valueOf(one, underReplicated), 1);
    assertEquals(await valueOf(one, underMinimum), 1);
    // Only its leader counts it.
    assertEquals(await valueOf(two, underReplicated), 0);
    for (const broker of [one, two, three]) broker.isReachable = true;
    await cluster.pass(3000);
    assertEquals(await valueOf(one, underReplicated), 0);
    assertEquals(await valueOf(one, underMinimum), 0);
    assertEquals(await valueOf(one, "streamnest_isr_expands_total") > 0, true);
    assertEquals(await valueOf(one, lagOf(3)), 0);
  });
});
