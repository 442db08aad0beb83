/** Replicas where a client wants them: what is allowed, begun, and stays so. */
import { KEYS } from "../../../broker/cluster/facts.ts";
import type { WantedReplicas } from "../../../broker/operations/reassignment_rules.ts";
import {
  METADATA_LIMITS,
  MetadataUnavailableError,
} from "../../../storage/metadata/metadata_store.ts";
import { assert, assertEquals } from "../../support/assert.ts";
import { failed, succeeded } from "../../support/test_broker.ts";
import { Copying, three } from "./copying.ts";

type Replicas = readonly number[] | null;

/** Four brokers; the topic `demo` of `partitions` on 1, 2 and 3. */
async function four(partitions = 2): Promise<Copying> {
  const copying = await three(partitions);
  await copying.grow();
  return copying;
}

/** Error codes by partition; undefined: not refused. */
async function alter(
  copying: Copying,
  replicas: Record<number, Replicas>,
  { mayChangeFactor = true, topic = "demo" } = {},
): Promise<(string | undefined)[]> {
  const wanted = Object.entries(replicas)
    .map(([partition, replicas]): WantedReplicas => ({
      topic,
      partition: Number(partition),
      replicas,
    }));
  const { reassignments } = copying.brokers[0].operations.balance;
  const refused = succeeded(
    await reassignments.alter(wanted, { mayChangeFactor }),
  );
  await copying.rest();
  return wanted.map((one) => refused.get(one)?.code);
}

function factorOf(copying: Copying, topic = "demo"): number {
  return JSON.parse(copying.cluster.metadata.get(KEYS.topic(topic))!.value)
    .replicationFactor;
}

/** Copies arrive for a while, and the controller does what it likes. */
async function settle(copying: Copying): Promise<void> {
  for (let step = 0; step < 5; step++) {
    copying.copy("demo");
    await copying.rest(500);
  }
}

const replicasIn = (copying: Copying) =>
  copying.states("demo").map(({ replicas }) => replicas);

Deno.test("alter() moves a partition to other brokers, which stays there", async () => {
  const copying = await four();
  const before = replicasIn(copying);
  assertEquals(await alter(copying, { 0: [4, 2, 1] }), [undefined]);
  const [moving] = copying.states("demo");
  assertEquals(moving.replicas, [4, 2, 1, 3]);
  assertEquals([moving.adding, moving.removing], [[4], [3]]);
  assertEquals(moving.isr, [1, 2, 3]);
  const { reassignments } = copying.brokers[2].operations.balance;
  const ongoing = succeeded(await reassignments.list());
  assertEquals(
    ongoing.map(({ topic, partition, state }) => [
      topic,
      partition,
      state.adding,
    ]),
    [["demo", 0, [4]]],
  );
  await settle(copying);
  assertEquals(replicasIn(copying), [[4, 2, 1], before[1]]);
  assertEquals(copying.states("demo")[0].leader, 4);
  assertEquals(succeeded(await reassignments.list()), []);
  await copying.stop();
});

Deno.test("alter() with null takes a move back, and only a move", async () => {
  const copying = await four();
  const before = copying.states("demo");
  assertEquals(await alter(copying, { 0: null }), [
    "NO_REASSIGNMENT_IN_PROGRESS",
  ]);
  assertEquals(await alter(copying, { 0: [4, 2, 3], 1: [2, 3, 4] }), [
    undefined,
    undefined,
  ]);
  assertEquals(await alter(copying, { 0: null }), [undefined]);
  await copying.rest(500);
  assertEquals(copying.states("demo")[0].replicas, before[0].replicas);
  await settle(copying);
  assertEquals(replicasIn(copying), [[1, 2, 3], [2, 3, 4]]);
  assertEquals(await alter(copying, { 1: null }), [
    "NO_REASSIGNMENT_IN_PROGRESS",
  ]);
  await copying.stop();
});

Deno.test("alter() overrides a move that is under way", async () => {
  const copying = await four();
  assertEquals(await alter(copying, { 0: [4, 2, 3] }), [undefined]);
  assertEquals(await alter(copying, { 0: [1, 2, 4] }), [undefined]);
  const [state] = copying.states("demo");
  assertEquals([state.adding, state.removing], [[4], [3]]);
  await settle(copying);
  assertEquals(replicasIn(copying)[0], [1, 2, 4]);
  await copying.stop();
});

Deno.test("alter() with another order moves the leader and copies nothing", async () => {
  const copying = await four();
  assertEquals(await alter(copying, { 0: [3, 1, 2] }), [undefined]);
  await copying.rest(1000);
  const [state] = copying.states("demo");
  assertEquals([state.replicas, state.leader], [[3, 1, 2], 3]);
  // The same again writes nothing.
  const { revision } = copying.brokers[0].room.view.image;
  assertEquals(await alter(copying, { 0: [3, 1, 2] }), [undefined]);
  assertEquals(copying.brokers[0].room.view.image.revision, revision);
  await copying.stop();
});

Deno.test("alter() refuses brokers that could not hold a replica", async () => {
  const copying = await four();
  const before = copying.states("demo");
  for (
    const replicas of [[], [1, 1, 2], [1, 2, 9], [-1, 2, 3], [0, 1, 2]]
  ) {
    assertEquals(await alter(copying, { 0: replicas }), [
      "INVALID_REPLICA_ASSIGNMENT",
    ], `${replicas}`);
  }
  assertEquals(await alter(copying, { 2: [1, 2, 3], 0: [3, 2, 1] }), [
    undefined,
    "UNKNOWN_TOPIC_OR_PARTITION",
  ]);
  assertEquals(await alter(copying, { 0: null }, { topic: "none" }), [
    "UNKNOWN_TOPIC_OR_PARTITION",
  ]);
  assertEquals(await alter(copying, { [-1]: null }), [
    "UNKNOWN_TOPIC_OR_PARTITION",
  ]);
  await copying.brokers[3].kill();
  await copying.rest(3000);
  assertEquals(await alter(copying, { 1: [1, 2, 4] }), [
    "INVALID_REPLICA_ASSIGNMENT",
  ]);
  assertEquals(copying.states("demo")[1], before[1]);
  // A dead broker keeps what it holds.
  await copying.brokers[2].kill();
  await copying.rest(3000);
  assertEquals(await alter(copying, { 1: [1, 3, 2] }), [undefined]);
  await copying.stop();
});

Deno.test("alter() refuses a partition that is named twice", async () => {
  const copying = await four();
  const wanted = [[1, 2, 3], [3, 2, 1]].map((replicas) => ({
    topic: "demo",
    partition: 0,
    replicas,
  }));
  const { reassignments } = copying.brokers[0].operations.balance;
  const refused = succeeded(
    await reassignments.alter(wanted, { mayChangeFactor: true }),
  );
  assertEquals(
    wanted.map((one) => refused.get(one)?.code),
    ["INVALID_REQUEST", "INVALID_REQUEST"],
  );
  await copying.stop();
});

Deno.test("The replication factor changes when all partitions come to it together", async () => {
  const copying = await four();
  assertEquals(await alter(copying, { 0: [1, 2, 3, 4] }), [
    "INVALID_REPLICATION_FACTOR",
  ]);
  assertEquals(await alter(copying, { 0: [1, 2], 1: [2, 3, 4] }), [
    "INVALID_REPLICATION_FACTOR",
    undefined,
  ]);
  assertEquals(factorOf(copying), 3);
  const whole = { 0: [1, 4], 1: [4, 2] };
  assertEquals(await alter(copying, whole, { mayChangeFactor: false }), [
    "INVALID_REPLICATION_FACTOR",
    "INVALID_REPLICATION_FACTOR",
  ]);
  assertEquals(await alter(copying, whole), [undefined, undefined]);
  assertEquals(factorOf(copying), 2);
  await settle(copying);
  assertEquals(replicasIn(copying), [[1, 4], [4, 2]]);
  // The controller, left alone, changes nothing of it.
  await copying.rest(70_000);
  assertEquals(replicasIn(copying), [[1, 4], [4, 2]]);
  await copying.stop();
});

Deno.test("A changed replication factor is taken back with all of its moves, or not at all", async () => {
  const copying = await four();
  const before = replicasIn(copying);
  const grown = { 0: [1, 2, 3, 4], 1: [2, 3, 1, 4] };
  assertEquals(await alter(copying, grown), [undefined, undefined]);
  assertEquals(factorOf(copying), 4);
  assertEquals(await alter(copying, { 0: null }), [
    "INVALID_REPLICATION_FACTOR",
  ]);
  assertEquals(await alter(copying, { 0: null, 1: null }), [
    undefined,
    undefined,
  ]);
  assertEquals(factorOf(copying), 3);
  await settle(copying);
  assertEquals(replicasIn(copying), before);
  await copying.stop();
});

Deno.test("A factor that is on its way is not undone by a move of one partition", async () => {
  const copying = await four(1);
  const { topics } = copying.brokers[0].operations;
  succeeded(await topics.alter("demo", { replicationFactor: 4 }));
  assertEquals(
    await alter(copying, { 0: [1, 2, 3] }, {
      mayChangeFactor: false,
    }),
    ["INVALID_REPLICATION_FACTOR"],
  );
  assertEquals(await alter(copying, { 0: [4, 1, 2, 3] }), [undefined]);
  await settle(copying);
  assertEquals(replicasIn(copying), [[4, 1, 2, 3]]);
  await copying.stop();
});

Deno.test("The factor does not fall below the topic's min.insync.replicas", async () => {
  const copying = await four(1);
  const { topics } = copying.brokers[0].operations;
  const config = { "min.insync.replicas": 2 };
  succeeded(await topics.alter("demo", { config }));
  assertEquals(await alter(copying, { 0: [1] }), [
    "INVALID_REPLICATION_FACTOR",
  ]);
  assertEquals(await alter(copying, { 0: [1, 2] }), [undefined]);
  await copying.stop();
});

Deno.test("While a rebalance or a drain runs nothing is reassigned", async () => {
  const copying = await four(12);
  const { balance } = copying.brokers[1].operations;
  assertEquals(await alter(copying, { 0: [1, 2, 4] }), [undefined]);
  succeeded(await balance.rebalance({}));
  for (const replicas of [[1, 3, 4], null]) {
    assertEquals(await alter(copying, { 0: replicas, 1: replicas }), [
      "REASSIGNMENT_IN_PROGRESS",
      "REASSIGNMENT_IN_PROGRESS",
    ]);
  }
  await copying.finish("demo");
  assertEquals(copying.loads("demo").replicas, [9, 9, 9, 9]);
  succeeded(await balance.drain({ brokerId: 4 }));
  assertEquals(await alter(copying, { 0: [1, 3, 4] }), [
    "REASSIGNMENT_IN_PROGRESS",
  ]);
  await copying.finish("demo");
  assertEquals(await alter(copying, { 0: [1, 3, 4] }), [
    "INVALID_REPLICA_ASSIGNMENT",
  ]);
  assertEquals(await alter(copying, { 0: [3, 2, 1] }), [undefined]);
  await copying.stop();
});

Deno.test("A drain that begins meanwhile takes back what comes to its broker", async () => {
  const copying = await four();
  assertEquals(await alter(copying, { 0: [4, 2, 3], 1: [2, 3, 1] }), [
    undefined,
    undefined,
  ]);
  succeeded(
    await copying.brokers[1].operations.balance.drain({ brokerId: 4 }),
  );
  await copying.finish("demo");
  assertEquals(replicasIn(copying), [[1, 2, 3], [2, 3, 1]]);
  await copying.stop();
});

Deno.test("A move cannot be taken back when only the new replicas are in sync", async () => {
  const copying = await four(1);
  assertEquals(await alter(copying, { 0: [4, 2, 3] }), [undefined]);
  const [{ ...state }] = copying.states("demo");
  const { topicId } = JSON.parse(
    copying.cluster.metadata.get(KEYS.topic("demo"))!.value,
  );
  for (const broker of copying.brokers.slice(0, 3)) await broker.kill();
  await copying.rest(1000);
  copying.cluster.metadata.transact({
    compare: [],
    success: [{
      kind: "put",
      key: KEYS.partition(topicId, 0),
      value: JSON.stringify({ ...state, isr: [4], leader: 4 }),
    }],
  });
  const wanted = { topic: "demo", partition: 0, replicas: null };
  const { reassignments } = copying.brokers[3].operations.balance;
  const refused = succeeded(
    await reassignments.alter([wanted], { mayChangeFactor: true }),
  );
  assertEquals(refused.get(wanted)?.code, "INVALID_REPLICA_ASSIGNMENT");
  await copying.stop();
});

Deno.test("alter() tries again what others changed, and nothing twice", async () => {
  // More than one transaction holds, and leaders that change states between.
  const count = METADATA_LIMITS.operationsPerTransaction + 20;
  const copying = await four(count);
  // Not the controller, which writes too.
  const { store, operations } = copying.brokers[1];
  const transact = store.transact.bind(store);
  let transactions = 0;
  store.transact = async (transaction) => {
    transactions++;
    const result = await transact(transaction);
    if (transactions === 1) {
      assert(result.succeeded);
      // As if the ISR of one that is not written yet had changed.
      const { topicId } = JSON.parse(
        copying.cluster.metadata.get(KEYS.topic("demo"))!.value,
      );
      const key = KEYS.partition(topicId, count - 1);
      const { value } = copying.cluster.metadata.get(key)!;
      const success = [{ kind: "put" as const, key, value }];
      await transact({ compare: [], success });
    }
    return result;
  };
  const wanted = copying.states("demo").map(({ replicas }, partition) => ({
    topic: "demo",
    partition,
    replicas: [...replicas, 4],
  }));
  const { reassignments } = operations.balance;
  const begin = await reassignments.alter(wanted, { mayChangeFactor: true });
  assertEquals([...succeeded(begin)], []);
  assertEquals(transactions, 3);
  assertEquals(factorOf(copying), 4);
  for (const { adding } of copying.states("demo")) assertEquals(adding, [4]);
  transactions = 0;
  const back = wanted.map((one) => ({ ...one, replicas: null }));
  const end = await reassignments.alter(back, { mayChangeFactor: true });
  assertEquals([...succeeded(end)], []);
  assertEquals([transactions, factorOf(copying)], [3, 3]);
  store.transact = transact;
  await copying.rest(2000);
  for (const { adding, removing, replicas } of copying.states("demo")) {
    assertEquals([adding, removing, replicas.length], [
      undefined,
      undefined,
      3,
    ]);
  }
  await copying.stop();
});

Deno.test("alter() and list() say that the metadata cannot be reached", async () => {
  const copying = await four(1);
  const { store, operations } = copying.brokers[0];
  const { reassignments } = operations.balance;
  const catchUp = store.catchUp.bind(store);
  store.catchUp = () =>
    Promise.reject(new MetadataUnavailableError("It is away"));
  const wanted = [{ topic: "demo", partition: 0, replicas: [3, 2, 1] }];
  const answers: unknown[] = [
    await reassignments.alter(wanted, { mayChangeFactor: true }),
    await reassignments.list(),
  ];
  for (const answer of answers) {
    assertEquals(failed(answer).code, "REQUEST_TIMED_OUT");
  }
  store.catchUp = catchUp;
  await copying.stop();
});

Deno.test("Nothing is reassigned when a rebalance begins in the same moment", async () => {
  const copying = await four();
  // The rebalance moves the first partition only.
  const before = copying.states("demo");
  const [one, other] = copying.brokers;
  const { store, operations } = other;
  const transact = store.transact.bind(store);
  store.transact = async (transaction) => {
    store.transact = transact;
    succeeded(await one.operations.balance.rebalance({}));
    return await transact(transaction);
  };
  const wanted = { topic: "demo", partition: 1, replicas: [1, 3, 2] };
  const refused = succeeded(
    await operations.balance.reassignments.alter([wanted], {
      mayChangeFactor: true,
    }),
  );
  assertEquals(refused.get(wanted)?.code, "REASSIGNMENT_IN_PROGRESS");
  assertEquals(copying.states("demo")[1], before[1]);
  await copying.stop();
});
