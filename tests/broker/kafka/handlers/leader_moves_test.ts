/** What Kafka clients see while leaders and coordinators move. */
import { KEYS } from "../../../../broker/cluster/facts.ts";
import { OFFSETS_TOPIC } from "../../../../broker/group/group_partition.ts";
import { fetchApi } from "../../../../broker/kafka/messages/fetch.ts";
import { findCoordinatorApi } from "../../../../broker/kafka/messages/find_coordinator.ts";
import { initProducerIdApi } from "../../../../broker/kafka/messages/init_producer_id.ts";
import { metadataApi } from "../../../../broker/kafka/messages/metadata.ts";
import { produceApi } from "../../../../broker/kafka/messages/produce.ts";
import { TRANSACTIONS_TOPIC } from "../../../../broker/transaction/records.ts";
import { ERRORS } from "../../../../contract/errors.ts";
import { RecordBatchBuilder } from "../../../../storage/log/record_batch.ts";
import { assert, assertEquals } from "../../../support/assert.ts";
import {
  KafkaCluster,
  type TestBroker,
} from "../../../support/kafka_cluster.ts";
import { commit, heartbeat, join, joinAlone, offsets } from "./group_client.ts";
import { read, TestProducer } from "./transaction_client.ts";

const NOT_LEADER = ERRORS.NOT_LEADER_OR_FOLLOWER.kafkaCode;
const NO_LEADER = ERRORS.LEADER_NOT_AVAILABLE.kafkaCode;
const NOT_COORDINATOR = ERRORS.NOT_COORDINATOR.kafkaCode;
const NO_COORDINATOR = ERRORS.COORDINATOR_NOT_AVAILABLE.kafkaCode;
const LOADING = ERRORS.COORDINATOR_LOAD_IN_PROGRESS.kafkaCode;

/** Three brokers; "demo" and the internal topics have one partition on all. */
function moveTest(
  name: string,
  test: (cluster: KafkaCluster, brokers: TestBroker[]) => Promise<void>,
): void {
  Deno.test(name, async () => {
    const cluster = new KafkaCluster({
      replicationFactor: 3,
      internalPartitions: 1,
    });
    try {
      const brokers = [];
      for (const id of [1, 2, 3]) brokers.push(await cluster.open(id));
      const { topics } = brokers[0].room;
      await cluster.settle(topics.create({ topic: "demo" }));
      await cluster.pass(50);
      await test(cluster, brokers);
    } finally {
      await cluster.close();
    }
  });
}

function stateOf(broker: TestBroker, topic: string) {
  const image = broker.room.view.image.topics.get(topic);
  const state = image?.partitionStates[0];
  assert(image !== undefined && state !== undefined, `${topic} is known`);
  return { topicId: image.topicId, state };
}

/**
 * As the controller does it; the new leader is the preferred one as well. With
 * none, nobody is in sync either, so that none is elected.
 */
async function move(
  cluster: KafkaCluster,
  topic: string,
  leader: number | null,
): Promise<void> {
  const [by] = [...cluster.brokers.values()].filter((one) => one.isReachable);
  const { topicId, state } = stateOf(by, topic);
  const { modRevision, ...fact } = state;
  const first = leader ?? fact.replicas[0];
  const key = `${KEYS.partitions}${topicId}/0`;
  const value = JSON.stringify({
    ...fact,
    leader,
    leaderEpoch: fact.leaderEpoch + 1,
    isr: leader === null ? [] : fact.isr,
    replicas: [first, ...fact.replicas.filter((id) => id !== first)],
  });
  const { succeeded } = await cluster.settle(by.room.view.transact({
    compare: [{ key, target: "modRevision", equals: modRevision }],
    success: [{ kind: "put", key, value }],
    failure: [],
  }));
  assert(succeeded, "nobody else changes the state");
}

/** Broken off from all others, and from the metadata: as good as dead. */
function cutOff(cluster: KafkaCluster, broker: TestBroker): void {
  broker.isReachable = false;
  broker.store.faults.unreachable = true;
  for (const pair of cluster.connectionsTo(broker)) pair.cut();
}

function leaderOf(cluster: KafkaCluster, topic: string): TestBroker {
  const [some] = [...cluster.brokers.values()].filter((one) => one.isReachable);
  const { leader } = stateOf(some, topic).state;
  const broker = cluster.brokers.get(leader ?? -1);
  assert(broker !== undefined, `${topic} has a leader`);
  return broker;
}

function othersThan(cluster: KafkaCluster, broker: TestBroker): TestBroker[] {
  return [...cluster.brokers.values()].filter((one) => one !== broker);
}

async function metadataOf(cluster: KafkaCluster, broker: TestBroker) {
  const { topics: [{ partitions: [partition] }] } = await cluster.settle(
    broker.begin(metadataApi, 12, {
      topics: [{ name: "demo" }],
      allowAutoTopicCreation: false,
    }),
  );
  return partition;
}

function produce(
  broker: TestBroker,
  version: number,
  value = "x",
  producer: {
    producerId?: number;
    producerEpoch?: number;
    baseSequence?: number;
  } = {},
) {
  const builder = new RecordBatchBuilder(producer);
  const text = new TextEncoder().encode(value);
  builder.add({ key: null, value: text, headers: [], timestampMs: 1 });
  return broker.begin(produceApi, version, {
    transactionalId: null,
    acks: -1,
    timeoutMs: 30_000,
    topicData: [{
      name: "demo",
      partitionData: [{ index: 0, records: builder.build() }],
    }],
  });
}

function fetch(broker: TestBroker, version: number, fetchOffset = 0) {
  const { topicId } = stateOf(broker, "demo");
  return broker.begin(fetchApi, version, {
    ...(version < 15 ? { replicaId: -1 } : {}),
    maxWaitMs: 30_000,
    minBytes: 1,
    maxBytes: 1_000_000,
    topics: [{
      ...(version < 13 ? { topic: "demo" } : { topicId }),
      partitions: [{ partition: 0, fetchOffset, partitionMaxBytes: 1_000_000 }],
    }],
  });
}

async function coordinatorOf(
  cluster: KafkaCluster,
  broker: TestBroker,
  keyType = 0,
  key = "g",
) {
  const { coordinators: [found] } = await cluster.settle(
    broker.begin(findCoordinatorApi, 4, { keyType, coordinatorKeys: [key] }),
  );
  return found;
}

/** What a client sees that keeps trying while the answer is to try again. */
async function patiently(
  cluster: KafkaCluster,
  ask: () => Promise<number>,
): Promise<number> {
  const again: number[] = [LOADING, NO_COORDINATOR, NOT_COORDINATOR];
  for (let attempt = 0;; attempt++) {
    const code = await ask();
    if (!again.includes(code) || attempt === 50) return code;
    await cluster.pass(50);
  }
}

moveTest(
  "Metadata names no leader while there is none, and the next one once elected",
  async (cluster, [one, two]) => {
    await move(cluster, "demo", 1);
    await cluster.pass(50);
    cutOff(cluster, one);
    await cluster.pass(10);
    assertEquals((await metadataOf(cluster, two)).leaderId, 1);
    // Its lease ends; the controller may have to be found first.
    let seen = await metadataOf(cluster, two);
    let hadNone = false;
    for (
      let i = 0;
      i < 500 && (seen.leaderId === 1 || seen.leaderId < 0);
      i++
    ) {
      await cluster.pass(10);
      seen = await metadataOf(cluster, two);
      if (seen.leaderId >= 0) continue;
      hadNone = true;
      assertEquals(seen.errorCode, NO_LEADER);
    }
    assert(
      seen.leaderId > 1,
      `${seen.leaderId} leads (none before: ${hadNone})`,
    );
    assertEquals(seen.errorCode, 0);
    const { responses } = await cluster.settle(
      produce(cluster.brokers.get(seen.leaderId)!, 11),
    );
    assertEquals(responses[0].partitionResponses[0].errorCode, 0);
  },
);

for (const version of [11, 12, 15, 16, 17]) {
  moveTest(
    `Fetch ${version} that waits is told at once when its leader moves`,
    async (cluster, brokers) => {
      await move(cluster, "demo", 1);
      await cluster.pass(50);
      const waiting = fetch(brokers[0], version);
      await cluster.pass(20);
      await move(cluster, "demo", 2);
      const answer = await cluster.settle(waiting, 100);
      const { responses: [{ partitions: [partition] }], nodeEndpoints } =
        answer;
      assertEquals(partition.errorCode, NOT_LEADER);
      const { leaderEpoch } = stateOf(brokers[0], "demo").state;
      assertEquals(
        { ...partition.currentLeader },
        version >= 16
          ? { leaderId: 2, leaderEpoch }
          : { leaderId: -1, leaderEpoch: -1 },
      );
      assertEquals(
        nodeEndpoints.map(({ nodeId, port }) => ({ nodeId, port })),
        version >= 16 ? [{ nodeId: 2, port: brokers[1].kafkaPort }] : [],
      );
    },
  );
}

for (const version of [9, 10, 11]) {
  moveTest(
    `Produce ${version} that waits for replicas is told at once when its leader moves`,
    async (cluster, brokers) => {
      await move(cluster, "demo", 1);
      await cluster.pass(50);
      // Followers fetch nothing: the high watermark stays.
      const [one] = brokers;
      one.isReachable = false;
      for (const pair of cluster.connectionsTo(one)) pair.cut();
      const waiting = produce(one, version);
      await cluster.pass(20);
      one.isReachable = true;
      await move(cluster, "demo", 3);
      const answer = await cluster.settle(waiting, 100);
      const { responses: [{ partitionResponses: [partition] }] } = answer;
      assertEquals(partition.errorCode, NOT_LEADER);
      assertEquals(
        partition.currentLeader.leaderId,
        version >= 10 ? 3 : -1,
      );
      assertEquals(
        answer.nodeEndpoints.map(({ nodeId }) => nodeId),
        version >= 10 ? [3] : [],
      );
      // And so is whoever comes later.
      const late = await cluster.settle(produce(one, version));
      const [again] = late.responses[0].partitionResponses;
      assertEquals(again.errorCode, NOT_LEADER);
    },
  );
}

moveTest(
  "Produce without idempotence that waits when its leader moves is acknowledged once the next one has the records",
  async (cluster, [one, two, three]) => {
    await move(cluster, "demo", 1);
    await cluster.pass(50);
    // Followers have the records and cannot say so.
    for (const { disk } of [two, three]) disk.holdSyncs = true;
    const plain = produce(one, 11);
    const identity = { producerId: 7, producerEpoch: 0, baseSequence: 0 };
    const idempotent = produce(one, 11, "y", identity);
    await cluster.pass(20);
    await move(cluster, "demo", 2);
    const codeOf = async (asked: typeof plain) => {
      const { responses } = await cluster.settle(asked, 200);
      const [{ errorCode, baseOffset }] = responses[0].partitionResponses;
      return [errorCode, Number(baseOffset)];
    };
    // It sends them again elsewhere, and has them once.
    assertEquals(await codeOf(idempotent), [NOT_LEADER, -1]);
    for (const { disk } of [two, three]) {
      disk.holdSyncs = false;
      disk.releaseSyncs();
    }
    assertEquals(await codeOf(plain), [0, 0]);
    assertEquals(await codeOf(produce(two, 11, "y", identity)), [0, 1]);
    assertEquals(await codeOf(produce(two, 11, "z")), [0, 2]);
  },
);

moveTest(
  "A broker that stops answers whoever waits for what became of records, and stops in time",
  async (cluster, [one, two, three]) => {
    await move(cluster, "demo", 1);
    await cluster.pass(50);
    for (const { disk } of [two, three]) disk.holdSyncs = true;
    const waiting = produce(one, 11);
    await cluster.pass(20);
    // Nobody tells the old leader what is in the new one's log.
    two.isReachable = false;
    for (const pair of cluster.connectionsTo(two)) pair.cut();
    await move(cluster, "demo", 2);
    await cluster.pass(500);
    const [replica] = [...one.room.replicas.replicas()];
    assertEquals([replica.isLeader, replica.owesAnswers], [false, true]);
    const startedMs = cluster.time.monotonicMs();
    await cluster.settle(one.room.leave());
    assert(cluster.time.monotonicMs() - startedMs <= 1000, "it does not hang");
    const { responses } = await cluster.settle(waiting, 0);
    assertEquals(responses[0].partitionResponses[0].errorCode, NOT_LEADER);
    for (const { disk } of [two, three]) {
      disk.holdSyncs = false;
      disk.releaseSyncs();
    }
  },
);

moveTest(
  "Fetch sends no code that Kafka's consumer ends on",
  async (cluster, [one, two]) => {
    await move(cluster, "demo", null);
    await cluster.pass(10);
    for (const broker of [one, two]) {
      const answer = await cluster.settle(fetch(broker, 12), 100);
      const [{ errorCode }] = answer.responses[0].partitions;
      assertEquals(errorCode, NOT_LEADER);
      const { leaderId, errorCode: told } = await metadataOf(cluster, broker);
      assertEquals([leaderId, told], [-1, NO_LEADER]);
    }
  },
);

moveTest(
  "A group moves with its members, generation and offsets",
  async (cluster, [one]) => {
    await coordinatorOf(cluster, one);
    await cluster.pass(100);
    const before = leaderOf(cluster, OFFSETS_TOPIC);
    const member = await cluster.settle(joinAlone(before));
    assertEquals(
      await commit(before, { ...member, offsets: { 0: 7 } }),
      { 0: 0 },
    );
    const [after, third] = othersThan(cluster, before);
    await move(cluster, OFFSETS_TOPIC, after.id);
    await cluster.pass(20);
    assertEquals((await heartbeat(before, member)).errorCode, NOT_COORDINATOR);
    assertEquals(
      await commit(before, { ...member, offsets: { 0: 8 } }),
      { 0: NOT_COORDINATOR },
    );
    assertEquals(await offsets(before), NOT_COORDINATOR);
    for (const broker of [before, after, third]) {
      const found = await coordinatorOf(cluster, broker);
      assertEquals([found.errorCode, found.nodeId], [0, after.id]);
    }
    const code = await patiently(
      cluster,
      async () => (await heartbeat(after, member)).errorCode,
    );
    assertEquals(code, 0, "the member goes on in its generation");
    assertEquals(await offsets(after), { "demo-0": 7 });
    assertEquals(await commit(after, { ...member, offsets: { 0: 9 } }), {
      0: 0,
    });
    assertEquals(await offsets(after), { "demo-0": 9 });
  },
);

moveTest(
  "Whoever waits to join is told when the coordinator moves",
  async (cluster, [one]) => {
    await coordinatorOf(cluster, one);
    await cluster.pass(100);
    const before = leaderOf(cluster, OFFSETS_TOPIC);
    await cluster.settle(joinAlone(before));
    const asked = await cluster.settle(join(before));
    const waiting = join(before, { memberId: asked.memberId });
    await cluster.pass(100);
    const [after] = othersThan(cluster, before);
    await move(cluster, OFFSETS_TOPIC, after.id);
    const { errorCode } = await cluster.settle(waiting, 100);
    assertEquals(errorCode, NOT_COORDINATOR);
  },
);

moveTest(
  "A coordinator that dies is followed by one that knows all that was committed",
  async (cluster, [one]) => {
    await coordinatorOf(cluster, one);
    await cluster.pass(100);
    const before = leaderOf(cluster, OFFSETS_TOPIC);
    const member = await cluster.settle(joinAlone(before));
    assertEquals(
      await commit(before, { ...member, offsets: { 0: 7, 1: 0 } }),
      { 0: 0, 1: ERRORS.UNKNOWN_TOPIC_OR_PARTITION.kafkaCode },
    );
    cutOff(cluster, before);
    const [other] = othersThan(cluster, before);
    let found = await coordinatorOf(cluster, other);
    const codes = new Set<number>();
    for (
      let i = 0;
      i < 500 && found.nodeId === before.id || found.nodeId < 0;
    ) {
      i++;
      if (found.errorCode !== 0) codes.add(found.errorCode);
      await cluster.pass(10);
      found = await coordinatorOf(cluster, other);
    }
    for (const code of codes) assertEquals(code, NO_COORDINATOR);
    const after = cluster.brokers.get(found.nodeId)!;
    const code = await patiently(
      cluster,
      async () => (await heartbeat(after, member)).errorCode,
    );
    assertEquals(code, 0);
    assertEquals(await offsets(after), { "demo-0": 7 });
    // The one that was cut off commits nothing, whatever it believes.
    const [late] = Object.values(
      await commit(before, { ...member, offsets: { 0: 1 } }),
    );
    assert(late !== 0, "a deposed coordinator refuses");
    assertEquals(await offsets(after), { "demo-0": 7 });
  },
);

moveTest(
  "A transaction goes on at the next coordinator, and at its partition's next leader",
  async (cluster, [one]) => {
    await coordinatorOf(cluster, one, 1, "t");
    await cluster.pass(100);
    await move(cluster, "demo", 1);
    await cluster.pass(100);
    const before = leaderOf(cluster, TRANSACTIONS_TOPIC);
    const [after] = othersThan(cluster, before);
    const producer = new TestProducer(before);
    assertEquals(await producer.init(), 0);
    assertEquals(await producer.add([0]), [0]);
    producer.broker = leaderOf(cluster, "demo");
    assertEquals(await producer.send(0, "a", "b"), 0);
    await move(cluster, TRANSACTIONS_TOPIC, after.id);
    await cluster.pass(20);
    producer.broker = before;
    assertEquals(await producer.end(true), NOT_COORDINATOR);
    await move(cluster, "demo", 2);
    producer.broker = after;
    assertEquals(await patiently(cluster, () => producer.end(true)), 0);
    await cluster.pass(500);
    const { values } = await read(cluster.brokers.get(2)!);
    assertEquals(values, ["a", "b"]);
  },
);

moveTest(
  "A transaction's end that is decided is carried out by the next coordinator",
  async (cluster, [one]) => {
    await coordinatorOf(cluster, one, 1, "t");
    await cluster.pass(100);
    const before = leaderOf(cluster, TRANSACTIONS_TOPIC);
    const [after] = othersThan(cluster, before);
    await move(cluster, "demo", after.id);
    await cluster.pass(100);
    const producer = new TestProducer(before);
    assertEquals(await producer.init(), 0);
    assertEquals(await producer.add([0]), [0]);
    producer.broker = after;
    assertEquals(await producer.send(0, "a"), 0);
    // Markers cannot be written: nobody can reach the partition's leader.
    after.isReachable = false;
    for (const pair of cluster.connectionsTo(after)) pair.cut();
    producer.broker = before;
    assertEquals(await producer.end(true), 0);
    await cluster.pass(200);
    assertEquals((await read(after)).values, []);
    const [third] = othersThan(cluster, before).filter((one) => one !== after);
    await move(cluster, TRANSACTIONS_TOPIC, third.id);
    await cluster.pass(100);
    after.isReachable = true;
    await cluster.pass(3000);
    assertEquals((await read(after)).values, ["a"]);
  },
);

moveTest(
  "Producer ids of brokers that come and go are never given twice",
  async (cluster, brokers) => {
    const ids = new Set<number>();
    let count = 0;
    for (let round = 0; round < 3; round++) {
      for (const broker of brokers) {
        const answer = await cluster.settle(
          broker.begin(initProducerIdApi, 4, {
            transactionalId: null,
            transactionTimeoutMs: 1000,
          }),
        );
        assertEquals(answer.errorCode, 0);
        ids.add(answer.producerId);
        count++;
      }
      const [gone] = brokers.splice(1, 1);
      await gone.close();
      brokers.push(await cluster.open(gone.id, gone.disk));
    }
    assertEquals(ids.size, count);
  },
);

moveTest(
  "A broker that stops hands over without leaving anyone in doubt",
  async (cluster, brokers) => {
    await move(cluster, "demo", 2);
    await cluster.pass(50);
    const [, two] = brokers;
    const codes: number[] = [];
    let isOver = false;
    const producing = Array.from({ length: 8 }, async () => {
      while (!isOver) {
        const { responses } = await produce(two, 9);
        codes.push(responses[0].partitionResponses[0].errorCode);
        await new Promise<void>((go) => cluster.time.after(3, go));
      }
    });
    await cluster.pass(200);
    const leaving = two.room.leave();
    await cluster.settle(leaving);
    isOver = true;
    await cluster.settle(Promise.all(producing));
    const stored = codes.filter((code) => code === 0).length;
    assert(stored > 100 && codes.includes(NOT_LEADER), `${codes}`);
    assertEquals(new Set(codes), new Set([0, NOT_LEADER]));
    const next = leaderOf(cluster, "demo");
    assert(next !== two, "another leads");
    const { highWatermark } = await read(next);
    assertEquals(highWatermark, stored, "who was refused has written nothing");
  },
);
