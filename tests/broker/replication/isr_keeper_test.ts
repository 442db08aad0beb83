import { KEYS } from "../../../broker/cluster/facts.ts";
import { MetadataView } from "../../../broker/cluster/metadata_view.ts";
import { IsrKeeper } from "../../../broker/replication/isr_keeper.ts";
import { assertEquals } from "../../support/assert.ts";
import { ManualTime } from "../../support/manual_time.ts";
import { MemoryMetadata } from "../../support/memory_metadata_store.ts";
import { TOPIC, TOPIC_ID } from "./replica_set.ts";

const FACT = { leader: 1, leaderEpoch: 0, replicas: [1, 2], isr: [1, 2] };

async function keeperOf(partitions: number) {
  const time = new ManualTime();
  const metadata = new MemoryMetadata({ clock: time, timers: time });
  const store = metadata.connect();
  const view = new MetadataView(store, time, (fault) => {
    throw fault;
  });
  /** Somebody else's connection. */
  const other = metadata.connect();
  const put = (key: string, value: unknown) =>
    other.transact({
      compare: [],
      success: [{ kind: "put", key, value: JSON.stringify(value) }],
    });
  const topic = { topicId: TOPIC_ID, partitions, replicationFactor: 2 };
  await put(KEYS.topic(TOPIC), { ...topic, config: {}, isInternal: false });
  for (let index = 0; index < partitions; index++) {
    await put(KEYS.partition(TOPIC_ID, index), FACT);
  }
  await view.start();
  const changes: string[] = [];
  const say = () => {};
  const keeper = new IsrKeeper({
    view,
    environment: { timers: time } as never,
    logger: { debug: say, info: say, warn: say, error: say },
    onIsrChanged: (direction) => void changes.push(direction),
  });
  const stateOf = (partition: number) =>
    view.image.topics.get(TOPIC)!.partitionStates[partition]!;
  const propose = (partition: number, isr: number[]) =>
    keeper.propose({
      topic: TOPIC,
      topicId: TOPIC_ID,
      partition,
      base: stateOf(partition),
      next: { ...FACT, isr },
      joining: [],
    });
  const close = async () => {
    await keeper.close();
    view.close();
    await store.close();
    await other.close();
  };
  return { time, store, put, keeper, changes, stateOf, propose, close };
}

Deno.test("IsrKeeper makes what is proposed, whenever it is proposed", async () => {
  // In each turn around the one in which it comes to rest.
  for (let turns = 0; turns < 60; turns++) {
    const { time, stateOf, propose, close } = await keeperOf(2);
    propose(0, [1]);
    for (let turn = 0; turn < turns; turn++) await Promise.resolve();
    propose(1, [1]);
    await time.elapse(10);
    assertEquals([stateOf(0).isr, stateOf(1).isr], [[1], [1]]);
    await close();
  }
});

Deno.test("IsrKeeper changes nothing that somebody else has changed", async () => {
  const { time, put, changes, stateOf, propose, close } = await keeperOf(1);
  propose(0, [1]);
  await put(KEYS.partition(TOPIC_ID, 0), {
    ...FACT,
    leader: 2,
    leaderEpoch: 1,
  });
  await time.elapse(1_000);
  assertEquals(stateOf(0).leader, 2);
  assertEquals(stateOf(0).isr, [1, 2]);
  assertEquals(changes, []);
  await close();
});

Deno.test("IsrKeeper makes a change whose answer was lost once, and learns that it did", async () => {
  const { time, store, changes, stateOf, propose, close } = await keeperOf(1);
  let losses = 1;
  store.faults.loseAnswer = () => losses-- > 0;
  propose(0, [1]);
  await time.elapse(10);
  const { modRevision, isr } = stateOf(0);
  assertEquals(isr, [1]);
  await time.elapse(10_000);
  assertEquals(stateOf(0).modRevision, modRevision);
  // Whether it was the own one cannot be told.
  assertEquals(changes, []);
  await close();
});

Deno.test("IsrKeeper makes the change of a new state while one of the old state waits to be sent again", async () => {
  const { time, store, put, stateOf, propose, close } = await keeperOf(1);
  store.faults.timeoutMs = 1;
  store.faults.unreachable = true;
  propose(0, [1]);
  await time.elapse(50);
  await put(KEYS.partition(TOPIC_ID, 0), { ...FACT, isr: [2, 1] });
  store.reconnect();
  await time.elapse(50);
  assertEquals(stateOf(0).isr, [2, 1]);
  propose(0, [2]);
  await time.elapse(1_000);
  assertEquals(stateOf(0).isr, [2]);
  await close();
});

Deno.test("IsrKeeper.close() ends a pause", async () => {
  const { time, store, propose, close } = await keeperOf(1);
  store.faults.timeoutMs = 1;
  store.faults.unreachable = true;
  propose(0, [1]);
  await time.elapse(50);
  await close();
  assertEquals(time.pending, 0);
});
