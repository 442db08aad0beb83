/** Rebalance, drain and their cancellation, from asking to the end. */
import { KEYS } from "../../../broker/cluster/facts.ts";
import type {
  BalanceAnswer,
  BalancePlanAnswer,
} from "../../../contract/balance.ts";
import { assert, assertEquals } from "../../support/assert.ts";
import { failed, succeeded } from "../../support/test_broker.ts";
import { Copying, three } from "./copying.ts";

function begun(answer: unknown): BalanceAnswer {
  const answered = succeeded(answer) as BalanceAnswer;
  assert(answered.running !== null);
  return answered;
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
    failed(await balance.drain({ brokerId: 1 })).code,
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

Deno.test("rebalance and drain join one of theirs that runs", async () => {
  const copying = await three();
  await copying.grow();
  const [one, other] = copying.brokers
    .map(({ operations }) => operations.balance);
  const begin: ((throttleBytesPerSecond?: number) => Promise<unknown>)[] = [
    (throttleBytesPerSecond) => one.rebalance({ throttleBytesPerSecond }),
    (throttleBytesPerSecond) =>
      one.drain({ brokerId: 2, throttleBytesPerSecond }),
  ];
  for (const again of begin) {
    const first = begun(await again(5000));
    assertEquals(first.joined, undefined);
    const { modRevision } = copying.cluster.metadata.get(KEYS.balance)!;
    await copying.rest(100);
    const joined = begun(await again());
    assertEquals([joined.joined, joined.running], [true, first.running]);
    begun(await again(5000));
    assertEquals(
      copying.cluster.metadata.get(KEYS.balance)?.modRevision,
      modRevision,
    );
    const faster = begun(await again(9000));
    assertEquals([faster.joined, faster.running], [true, {
      ...first.running,
      throttleBytesPerSecond: 9000,
    }]);
    assertEquals(
      failed(await other.drain({ brokerId: 3 })).code,
      "REASSIGNMENT_IN_PROGRESS",
    );
    await copying.finish("demo");
  }
  assertEquals(copying.loads("demo").replicas, [12, 0, 12, 12]);
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
  assertEquals(after.wasDrained, true);
  const again = succeeded(await operations.balance.undrain(2));
  assertEquals(again.wasDrained, false);
  begun(await operations.balance.rebalance({}));
  await copying.finish("demo", "new");
  assertEquals(copying.loads("demo").replicas, [9, 9, 9, 9]);
  await copying.stop();
});

Deno.test("drain of the only broker says what it would take", async () => {
  const copying = new Copying();
  const { operations } = await copying.grow();
  succeeded(await operations.topics.create({ topic: "demo", partitions: 2 }));
  const failure = failed(await operations.balance.drain({ brokerId: 1 }));
  assertEquals(
    failure.detail,
    'Broker 1 cannot be emptied: nobody could take over 2 partitions (the first is 0 of "demo"): ' +
      "that takes a broker that is alive, has a Kafka port, and is not drained",
  );
  await copying.stop();
});

Deno.test("drain says which partitions have no other broker to go to", async () => {
  const copying = await three(2);
  const { balance } = copying.brokers[0].operations;
  const failure = failed(await balance.drain({ brokerId: 2 }));
  assertEquals(failure.code, "INVALID_REPLICA_ASSIGNMENT");
  assert(
    failure.detail.includes('2 partitions (the first is 0 of "demo") have'),
    failure.detail,
  );
  assertEquals(
    failed(await balance.drain({ brokerId: 9 })).code,
    "BROKER_ID_NOT_REGISTERED",
  );
  assertEquals(copying.isRunning, false);
  assertEquals(balance.progress().brokers[1].drained, false);
  await copying.stop();
});

Deno.test("drain sees that what moves now has nowhere to go afterwards", async () => {
  const copying = await three(1);
  await copying.grow();
  const { topics, balance } = copying.brokers[0].operations;
  const to = [{ topic: "demo", partition: 0, replicas: [4, 1, 2] }];
  succeeded(await balance.reassignments.alter(to, { mayChangeFactor: true }));
  succeeded(await topics.alter("demo", { replicationFactor: 4 }));
  const failure = failed(await balance.drain({ brokerId: 1 }));
  assertEquals(failure.code, "INVALID_REPLICA_ASSIGNMENT");
  assertEquals(copying.isRunning, false);
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
  // Taking a move back ends the epochs in which there was another replica.
  const places = () =>
    copying.states("demo").map(({ leaderEpoch: _, ...place }) => place);
  const before = places();
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
  assertEquals(places(), before);
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

Deno.test("A replication factor that is raised holds up no producer until the copies are there", async () => {
  const copying = new Copying();
  for (let id = 1; id <= 3; id++) await copying.grow();
  const [one] = copying.brokers;
  await one.create("demo", { replicationFactor: 1 });
  await copying.rest();
  const { topics } = one.operations;
  succeeded(await topics.alter("demo", { replicationFactor: 3 }));
  await copying.rest(500);
  assertEquals(copying.states("demo")[0].adding, [2, 3]);
  const stored = one.produce("demo", ["a"]);
  await copying.rest(50);
  assertEquals(succeeded(await stored).baseOffset, 0);
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
