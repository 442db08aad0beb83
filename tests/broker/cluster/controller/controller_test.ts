import { KEYS, type PartitionFact } from "../../../../broker/cluster/facts.ts";
import { assert, assertEquals } from "../../../support/assert.ts";
import {
  isSettled,
  type TestBroker,
  TestCluster,
} from "../../../support/test_broker.ts";

/** Broker after broker: a clean stop takes time where others take over. */
async function stop(cluster: TestCluster): Promise<void> {
  const stopping = cluster.stop();
  await cluster.time.elapse(6_000);
  await stopping;
}

/** Brokers 1 to `size`, and "demo" on all of them, everything in sync. */
async function clusterOf(size: number, partitions = 3) {
  const cluster = new TestCluster();
  const brokers: TestBroker[] = [];
  for (let id = 1; id <= size; id++) {
    brokers.push(await cluster.broker({ id, kafkaPort: 9091 + id }));
  }
  await cluster.time.elapse(10);
  await brokers[0].create("demo", { partitions, replicationFactor: size });
  await cluster.time.elapse(10);
  const topicId = brokers[0].room.view.image.topics.get("demo")!.topicId;
  const key = (index: number) => KEYS.partition(topicId, index);
  const state = (index: number): PartitionFact =>
    JSON.parse(cluster.metadata.get(key(index))!.value);
  const put = (index: number, changes: Partial<PartitionFact>) => {
    const value = JSON.stringify({ ...state(index), ...changes });
    cluster.metadata.transact({
      compare: [],
      success: [{ kind: "put", key: key(index), value }],
    });
  };
  const indexes = Array.from({ length: partitions }, (_, index) => index);
  const states = () => indexes.map(state);
  const controller = () => {
    const entry = cluster.metadata.get(KEYS.controller);
    return entry && JSON.parse(entry.value).brokerId as number;
  };
  return { cluster, brokers, state, states, put, controller, topicId, key };
}

Deno.test("Controller gives a killed broker's partitions to others within two seconds", async () => {
  const { cluster, brokers, state, controller } = await clusterOf(3);
  assertEquals(controller(), 1);
  assertEquals(state(1).leader, 2);
  await brokers[1].kill();
  await cluster.time.elapse(1_990);
  assertEquals(state(1), {
    leader: 3,
    leaderEpoch: 1,
    replicas: [2, 3, 1],
    isr: [3, 1],
  });
  assertEquals(state(0), {
    leader: 1,
    leaderEpoch: 0,
    replicas: [1, 2, 3],
    isr: [1, 3],
  });
  assert(
    brokers[0].logged.some((line) =>
      line.includes('"alive":"1, 3","newLeaders":"1 to broker 3"')
    ),
  );
  await stop(cluster);
});

Deno.test("Controller tells who stops, apart from who is alive", async () => {
  const { cluster, brokers } = await clusterOf(3);
  const stopping = brokers[1].stop();
  await cluster.time.elapse(100);
  await stopping;
  assert(
    brokers[0].logged.some((line) =>
      line.includes(
        '"alive":"1, 3","stopping":"2","newLeaders":"1 to broker 3"',
      )
    ),
  );
  await stop(cluster);
});

Deno.test("The office goes to another broker within two seconds of its holder's death, and the holder's partitions too", async () => {
  const { cluster, brokers, states, controller } = await clusterOf(3, 9);
  await brokers[0].kill();
  await cluster.time.elapse(1_990);
  assert(controller() === 2 || controller() === 3);
  for (const { leader, isr } of states()) {
    assert(leader !== null && leader !== 1 && !isr.includes(1));
  }
  await stop(cluster);
});

Deno.test("Controller waits when nobody in sync lives, and elects who comes back", async () => {
  const { cluster, brokers, state, put } = await clusterOf(3);
  put(1, { isr: [2] });
  await brokers[1].kill();
  await cluster.time.elapse(4_000);
  assertEquals(state(1).leader, 2);
  assertEquals(state(1).isr, [2]);
  await brokers[1].start();
  await cluster.time.elapse(100);
  assertEquals(state(1), {
    leader: 2,
    leaderEpoch: 1,
    replicas: [2, 3, 1],
    isr: [2],
  });
  await stop(cluster);
});

Deno.test("A broker that is killed and comes back at once does not go on in its epoch", async () => {
  const { cluster, brokers, states } = await clusterOf(3);
  const before = states();
  await brokers[1].kill();
  await brokers[1].start();
  await cluster.time.elapse(100);
  const after = states();
  assert(after[1].leader !== null);
  assert(after[1].leaderEpoch > before[1].leaderEpoch);
  assertEquals(after[0].leaderEpoch, before[0].leaderEpoch);
  await stop(cluster);
});

Deno.test("A controller that dies after any of its transactions, answered or not, leaves what the next one finishes", async () => {
  const partitions = 300;
  let steps = 0;
  for (const isCarriedOut of [true, false]) {
    for (let nth = 1;; nth++) {
      const { cluster, brokers, states } = await clusterOf(3, partitions);
      const [one, two, three] = brokers;
      const { store } = one;
      const transact = store.transact.bind(store);
      let transactions = 0;
      let isOver = false;
      store.transact = async (transaction) => {
        if (++transactions < nth) return await transact(transaction);
        if (transactions === nth && isCarriedOut) await transact(transaction);
        isOver = true;
        return await new Promise<never>(() => {});
      };
      await two.kill();
      await cluster.time.elapse(1_700);
      const wasReached = isOver;
      await one.kill();
      await cluster.time.elapse(1_990);
      for (const [index, after] of states().entries()) {
        assertEquals(after.leader, 3, `${index} after ${nth}`);
        assertEquals(after.isr, [3]);
        // 2's went to 3 or to 1; each elects at most once.
        assert(after.leaderEpoch <= 2);
      }
      assertEquals(three.faults, []);
      await stop(cluster);
      if (!wasReached) break;
      steps++;
    }
  }
  // 300 partitions take three transactions, twice.
  assert(steps >= 6, `${steps} steps`);
});

Deno.test("What a deposed controller writes late changes nothing", async () => {
  const { cluster, brokers, states } = await clusterOf(3, 6);
  const [one, two] = brokers;
  const { store } = one;
  const transact = store.transact.bind(store);
  const release = Promise.withResolvers<void>();
  const outcomes: boolean[] = [];
  const isAwayMs = 2_500;
  await two.kill();
  // Everything of 1 stands still from its first election on.
  store.transact = async (transaction) => {
    store.keepAlive = () => new Promise<never>(() => {});
    await release.promise;
    const result = await transact(transaction);
    outcomes.push(result.succeeded);
    return result;
  };
  await cluster.time.elapse(1_700 + isAwayMs);
  const before = states();
  for (const { leader, isr } of before) {
    assertEquals([leader, isr], [3, [3]]);
  }
  release.resolve();
  await cluster.time.elapse(1);
  assertEquals(outcomes.includes(true), false);
  assert(outcomes.length >= 1);
  assertEquals(states(), before);
  assertEquals(one.room.controller.isActive, false);
  await one.kill();
  await stop(cluster);
});

Deno.test("What others changed meanwhile is left out of a portion, and the rest is written at once", async () => {
  const { cluster, brokers, states, put } = await clusterOf(3, 100);
  const [one, two] = brokers;
  const { store } = one;
  const transact = store.transact.bind(store);
  let failures = 0;
  let isFirst = true;
  await two.kill();
  store.transact = async (transaction) => {
    if (isFirst && transaction.success.length > 50) {
      isFirst = false;
      for (const index of [3, 50, 99]) put(index, { isr: [1, 2] });
    }
    const result = await transact(transaction);
    if (!result.succeeded) failures++;
    return result;
  };
  await cluster.time.elapse(1_990);
  for (const { leader, isr } of states()) {
    assert(leader !== 2 && !isr.includes(2));
  }
  assertEquals(failures, 1);
  await stop(cluster);
});

Deno.test("A clean stop hands over first, the office too", async () => {
  for (const id of [1, 2, 3]) {
    const { cluster, brokers, states, controller } = await clusterOf(3, 6);
    const { room } = brokers[id - 1];
    const leaving = room.leave();
    await cluster.time.elapse(20);
    assert(await isSettled(leaving));
    for (const { leader, isr } of states()) {
      assert(leader !== id && leader !== null);
      assert(isr.includes(id));
    }
    assert(controller() !== id);
    const checks = room.operations.cluster.readiness();
    assertEquals(checks.filter(({ ok }) => !ok).map(({ name }) => name), [
      "stopping",
    ]);
    for (const one of brokers) await one.kill();
  }
});

Deno.test("A clean stop waits for nobody when nobody stays", async () => {
  for (const size of [1, 3]) {
    const { cluster, brokers } = await clusterOf(size, 20);
    const stopping = Promise.all(brokers.map((one) => one.stop()));
    await cluster.time.elapse(50);
    assert(await isSettled(stopping));
  }
});

Deno.test("A clean stop does not wait for ever for a controller that stands still", async () => {
  const { cluster, brokers } = await clusterOf(3, 6);
  await brokers[0].kill();
  const leaving = brokers[1].room.leave();
  await cluster.time.elapse(1_100);
  assertEquals(await isSettled(leaving), false);
  await cluster.time.elapse(200);
  assert(await isSettled(leaving));
  for (const one of brokers) await one.kill();
});

Deno.test("A rolling restart leaves every partition with a leader at every moment but the restarted one's start", async () => {
  const { cluster, brokers, states, put } = await clusterOf(3, 6);
  for (const one of brokers) {
    const stopping = one.stop();
    await cluster.time.elapse(20);
    await stopping;
    for (const { leader } of states()) {
      assert(leader !== null && leader !== one.config.id);
    }
    await one.start();
    for (const { leader } of states()) assert(leader !== null);
    // No network here: what a fetch would have brought about.
    states().forEach((_, index) => put(index, { isr: [1, 2, 3] }));
    await cluster.time.elapse(2_000);
    for (const { leader, replicas } of states()) {
      assertEquals(leader, replicas[0]);
    }
  }
  await stop(cluster);
});

Deno.test("Preferred leaders return in portions, with a pause between them", async () => {
  const { cluster, states, put } = await clusterOf(3, 120);
  const away = () =>
    states().filter(({ leader, replicas }) => leader !== replicas[0]).length;
  for (const [index, { replicas }] of states().entries()) {
    put(index, { leader: replicas[1], leaderEpoch: 1 });
  }
  await cluster.time.elapse(20);
  assertEquals(away(), 70);
  await cluster.time.elapse(200);
  assertEquals(away(), 20);
  await cluster.time.elapse(200);
  assertEquals(away(), 0);
  await stop(cluster);
});
