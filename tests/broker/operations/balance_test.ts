/** Rebalance, drain and their cancellation, from asking to the end. */
import { KEYS, type PartitionFact } from "../../../broker/cluster/facts.ts";
import type {
  BalanceAnswer,
  BalancePlanAnswer,
} from "../../../contract/balance.ts";
import { assert, assertEquals } from "../../support/assert.ts";
import {
  failed,
  succeeded,
  type TestBroker,
  TestCluster,
} from "../../support/test_broker.ts";

/** Brokers that do not copy: `copy` says that all replicas have caught up. */
class Copying {
  readonly cluster = new TestCluster();
  readonly brokers: TestBroker[] = [];

  async grow(config: { rack?: string } = {}): Promise<TestBroker> {
    const id = this.brokers.length + 1;
    const broker = await this.cluster.broker({
      id,
      kafkaPort: 9091 + id,
      ...config,
    });
    this.brokers.push(broker);
    await this.rest();
    return broker;
  }

  rest(ms = 10): Promise<void> {
    return this.cluster.time.elapse(ms);
  }

  states(topic: string): PartitionFact[] {
    const entry = this.cluster.metadata.get(KEYS.topic(topic))!;
    const { topicId, partitions } = JSON.parse(entry.value);
    return Array.from({ length: partitions }, (_, index) =>
      JSON.parse(
        this.cluster.metadata.get(KEYS.partition(topicId, index))!.value,
      ));
  }

  /** The leaders take all live replicas into the ISR. */
  copy(topic: string): void {
    const { topicId } = JSON.parse(
      this.cluster.metadata.get(KEYS.topic(topic))!.value,
    );
    for (const [index, state] of this.states(topic).entries()) {
      const alive = state.replicas.filter((id) =>
        this.cluster.metadata.get(KEYS.liveBroker(id)) !== undefined
      );
      if (state.leader === null || alive.length === state.isr.length) continue;
      this.cluster.metadata.transact({
        compare: [],
        success: [{
          kind: "put",
          key: KEYS.partition(topicId, index),
          value: JSON.stringify({ ...state, isr: alive }),
        }],
      });
    }
  }

  /** Lets copies arrive until the intent is gone. */
  async finish(...topics: string[]): Promise<void> {
    for (let step = 0; this.isRunning; step++) {
      assert(step < 300, "it goes on and on");
      for (const topic of topics) this.copy(topic);
      await this.rest(300);
    }
  }

  /** Handing over takes time. */
  async stop(): Promise<void> {
    let isOver = false;
    const stopping = this.cluster.stop().then(() => void (isOver = true));
    for (let step = 0; !isOver; step++) {
      assert(step < 2000, "a broker does not stop");
      await this.rest();
    }
    await stopping;
  }

  get isRunning(): boolean {
    return this.cluster.metadata.get(KEYS.balance) !== undefined;
  }

  loads(topic: string): { replicas: number[]; leaders: number[] } {
    const states = this.states(topic);
    const ids = this.brokers.map(({ config }) => config.id);
    const counted = (has: (state: PartitionFact, id: number) => boolean) =>
      ids.map((id) => states.filter((state) => has(state, id)).length);
    return {
      replicas: counted(({ replicas }, id) => replicas.includes(id)),
      leaders: counted(({ leader }, id) => leader === id),
    };
  }
}

function begun(answer: unknown): BalanceAnswer {
  const answered = succeeded(answer) as BalanceAnswer;
  assert(answered.running !== null);
  return answered;
}

async function three(partitions = 12): Promise<Copying> {
  const copying = new Copying();
  for (let id = 1; id <= 3; id++) await copying.grow();
  await copying.brokers[0].create("demo", { partitions, replicationFactor: 3 });
  await copying.rest();
  return copying;
}

Deno.test("rebalance gives a broker that joined its share of replicas and leaders", async () => {
  const copying = await three();
  await copying.grow();
  const { balance } = copying.brokers[1].operations;
  const plan = succeeded(
    await balance.rebalance({ dryRun: true }),
  ) as BalancePlanAnswer;
  assertEquals(plan.replicasToCopy, 9);
  assertEquals(copying.isRunning, false);
  const answer = begun(await balance.rebalance({}));
  assertEquals(answer.replicasToCopy, 9);
  assertEquals(
    failed(await balance.rebalance({})).code,
    "REASSIGNMENT_IN_PROGRESS",
  );
  await copying.rest(100);
  const progress = copying.brokers[2].operations.balance.progress();
  assertEquals(progress.moving.length, 8);
  assertEquals(progress.replicasToCopy, 9);
  // Whatever moves, those that were in sync are.
  for (const { isr, replicas } of copying.states("demo")) {
    assertEquals(isr.length, 3);
    assert(replicas.length <= 4);
  }
  await copying.finish("demo");
  assertEquals(copying.loads("demo"), {
    replicas: [9, 9, 9, 9],
    leaders: [3, 3, 3, 3],
  });
  await copying.stop();
});

Deno.test("drain empties a broker, which stays empty until it is undrained", async () => {
  const copying = await three();
  await copying.grow();
  const { operations } = copying.brokers[0];
  begun(await operations.balance.drain({ brokerId: 2 }));
  await copying.finish("demo");
  assertEquals(copying.loads("demo").replicas, [12, 0, 12, 12]);
  assertEquals(copying.loads("demo").leaders[1], 0);
  await copying.brokers[1].stop();
  await copying.brokers[1].start();
  await copying.rest();
  await operations.topics.create({ topic: "new", partitions: 8 });
  await copying.rest();
  assertEquals(copying.loads("new").replicas[1], 0);
  begun(await operations.balance.rebalance({}));
  await copying.finish("demo", "new");
  assertEquals(copying.loads("demo").replicas, [12, 0, 12, 12]);
  const after = succeeded(await operations.balance.undrain(2));
  assertEquals(after.brokers[1].drained, false);
  begun(await operations.balance.rebalance({}));
  await copying.finish("demo", "new");
  assertEquals(copying.loads("demo").replicas, [9, 9, 9, 9]);
  await copying.stop();
});

Deno.test("drain says which partitions have no other broker to go to", async () => {
  const copying = await three(2);
  const { balance } = copying.brokers[0].operations;
  const failure = failed(await balance.drain({ brokerId: 2 }));
  assertEquals(failure.code, "INVALID_REPLICA_ASSIGNMENT");
  assert(failure.detail.includes('2 partitions (the first is 0 of "demo")'));
  assertEquals(
    failed(await balance.drain({ brokerId: 9 })).code,
    "BROKER_ID_NOT_REGISTERED",
  );
  assertEquals(copying.isRunning, false);
  assertEquals(balance.progress().brokers[1].drained, false);
  await copying.stop();
});

Deno.test("drain replaces a broker that is lost", async () => {
  const copying = await three();
  await copying.brokers[2].kill();
  await copying.rest(3000);
  await copying.grow();
  begun(await copying.brokers[0].operations.balance.drain({ brokerId: 3 }));
  await copying.finish("demo");
  assertEquals(copying.loads("demo").replicas, [12, 12, 0, 12]);
  await copying.stop();
});

Deno.test("cancel takes moves back; what has moved stays", async () => {
  const copying = await three();
  await copying.grow();
  const before = copying.states("demo");
  const { balance } = copying.brokers[0].operations;
  assertEquals(
    failed(await balance.cancel()).code,
    "NO_REASSIGNMENT_IN_PROGRESS",
  );
  begun(await balance.drain({ brokerId: 1 }));
  await copying.rest(100);
  const cancelled = succeeded(await balance.cancel());
  assertEquals(cancelled.reverted.length, 8);
  assertEquals(cancelled.kept, []);
  await copying.rest(2000);
  assertEquals(copying.states("demo"), before);
  assertEquals(balance.progress().brokers[0].drained, false);
  await copying.stop();
});

Deno.test("A topic gets another replication factor", async () => {
  const copying = await three(6);
  const { topics } = copying.brokers[0].operations;
  const alter = (replicationFactor: number) =>
    topics.alter("demo", { replicationFactor });
  succeeded(await alter(2));
  await copying.rest(500);
  for (const { replicas, isr, leader } of copying.states("demo")) {
    assertEquals(replicas.length, 2);
    assertEquals(isr.length, 2);
    assert(isr.includes(leader!));
  }
  assertEquals(copying.loads("demo").replicas, [4, 4, 4]);
  succeeded(await alter(3));
  await copying.rest(500);
  copying.copy("demo");
  await copying.rest(500);
  assertEquals(copying.loads("demo").replicas, [6, 6, 6]);
  for (const { adding } of copying.states("demo")) {
    assertEquals(adding, undefined);
  }
  assertEquals(failed(await alter(4)).code, "INVALID_REPLICATION_FACTOR");
  assertEquals(
    failed(
      await topics.alter("demo", {
        replicationFactor: 1,
        config: { "min.insync.replicas": 2 },
      }),
    ).code,
    "INVALID_CONFIG",
  );
  await copying.stop();
});

Deno.test("A rebalance ends well whichever transaction its controller dies in", async () => {
  let deaths = 0;
  for (const isCarriedOut of [true, false]) {
    for (let nth = 1;; nth++) {
      const copying = await three(8);
      await copying.grow();
      const [controller, other] = copying.brokers;
      begun(await other.operations.balance.rebalance({}));
      const { store } = controller;
      const transact = store.transact.bind(store);
      let transactions = 0;
      let isDead = false;
      store.transact = async (transaction) => {
        if (++transactions < nth) return await transact(transaction);
        if (transactions === nth && isCarriedOut) await transact(transaction);
        isDead = true;
        return await new Promise<never>(() => {});
      };
      for (let step = 0; copying.isRunning && !isDead; step++) {
        assert(step < 300, "it goes on and on");
        copying.copy("demo");
        await copying.rest(100);
      }
      store.transact = transact;
      if (isDead) {
        deaths++;
        await controller.kill();
        await copying.rest(3000);
        await controller.start();
        await copying.rest(1000);
      }
      await copying.finish("demo");
      copying.copy("demo");
      await copying.rest(1000);
      const { replicas, leaders } = copying.loads("demo");
      assertEquals(replicas, [6, 6, 6, 6], `transaction ${nth}`);
      assertEquals(leaders, [2, 2, 2, 2], `transaction ${nth}`);
      await copying.stop();
      if (!isDead) break;
    }
  }
  assert(deaths > 6, `${deaths}`);
});

Deno.test("A rebalance waits for the broker that joined and restarts", async () => {
  const copying = await three();
  const fourth = await copying.grow();
  begun(await copying.brokers[0].operations.balance.rebalance({}));
  await copying.rest(100);
  await fourth.kill();
  await copying.rest(5000);
  const { moving } = copying.brokers[0].operations.balance
    .progress();
  assertEquals(moving.length, 8);
  for (const { waitsFor } of moving) {
    assertEquals(waitsFor, "broker 4, which is down");
  }
  await fourth.start();
  await copying.finish("demo");
  assertEquals(copying.loads("demo").replicas, [9, 9, 9, 9]);
  await copying.stop();
});

Deno.test("A rebalance waits a minute for a broker that is lost, and ends without it", async () => {
  const copying = await three();
  const fourth = await copying.grow();
  begun(await copying.brokers[0].operations.balance.rebalance({}));
  await copying.rest(100);
  await fourth.kill();
  await copying.rest(70_000);
  await copying.finish("demo");
  assertEquals(copying.loads("demo").replicas, [12, 12, 12, 0]);
  await copying.stop();
});
