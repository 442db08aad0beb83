/** A broker that is gone for good leaves the list, and only then. */
import { KEYS } from "../../../broker/cluster/facts.ts";
import { MetadataUnavailableError } from "../../../storage/metadata/metadata_store.ts";
import { assert, assertEquals } from "../../support/assert.ts";
import { failed, succeeded } from "../../support/test_broker.ts";
import { Copying, three } from "./copying.ts";

async function drained(): Promise<Copying> {
  const copying = await three(12);
  await copying.grow();
  const { balance } = copying.brokers[0].operations;
  succeeded(await balance.rebalance({}));
  await copying.finish("demo");
  succeeded(await balance.drain({ brokerId: 4 }));
  await copying.finish("demo");
  return copying;
}

const ids = (copying: Copying) =>
  copying.brokers[0].operations.cluster.describe().brokers
    .map(({ id }) => id);

Deno.test("A drained broker that was stopped is forgotten with its mark", async () => {
  const copying = await drained();
  const { cluster, balance, topics } = copying.brokers[0].operations;
  await copying.brokers[3].stop();
  assertEquals(ids(copying), [1, 2, 3, 4]);
  assertEquals(await cluster.forget(4), undefined);
  assertEquals(ids(copying), [1, 2, 3]);
  assertEquals(balance.progress().brokers.length, 3);
  for (const key of [KEYS.broker(4), KEYS.drainedBroker(4)]) {
    assertEquals(copying.cluster.metadata.get(key), undefined);
  }
  assertEquals(
    failed(await cluster.forget(4)).code,
    "BROKER_ID_NOT_REGISTERED",
  );
  // Under its id a new one begins, which takes its share.
  await copying.brokers[3].start();
  await copying.rest();
  assertEquals(ids(copying), [1, 2, 3, 4]);
  succeeded(await topics.create({ topic: "new", partitions: 8 }));
  assert(copying.loads("new").replicas[3] > 0);
  await copying.stop();
});

Deno.test("A broker that lives or holds replicas is not forgotten", async () => {
  const copying = await three(12);
  const { cluster } = copying.brokers[0].operations;
  const refusal = async (brokerId: number) => {
    const { code, detail } = failed(await cluster.forget(brokerId));
    assertEquals(code, "POLICY_VIOLATION");
    return detail;
  };
  assertEquals(
    await refusal(3),
    "Broker 3 is alive: empty it with " +
      "`streamnest cluster drain --broker=3` and stop it first",
  );
  await copying.brokers[2].kill();
  await copying.rest(3000);
  assertEquals(
    await refusal(3),
    "Broker 3 holds replicas of 12 partitions (demo-0, demo-1, demo-2, " +
      "demo-3, demo-4, demo-5, demo-6, demo-7, demo-8, demo-9 and 2 more): " +
      "empty it with `streamnest cluster drain --broker=3` first",
  );
  const fourth = await copying.grow();
  assertEquals(await refusal(4), "Broker 4 is alive: stop it first");
  // It holds nothing yet: something is on its way to it.
  const wanted = { topic: "demo", partition: 7, replicas: [1, 2, 4] };
  const { reassignments } = copying.brokers[0].operations.balance;
  const begun = await reassignments.alter([wanted], { mayChangeFactor: true });
  assertEquals([...succeeded(begun)], []);
  await fourth.kill();
  await copying.rest(3000);
  assert(
    (await refusal(4)).startsWith("Broker 4 holds replicas of 1 partition "),
  );
  assertEquals(ids(copying), [1, 2, 3, 4]);
  await copying.stop();
});

Deno.test("A broker that comes back in the same moment is not forgotten", async () => {
  const copying = await drained();
  const fourth = copying.brokers[3];
  await fourth.stop();
  const { store, operations } = copying.brokers[0];
  const transact = store.transact.bind(store);
  store.transact = async (transaction) => {
    store.transact = transact;
    await fourth.start();
    return await transact(transaction);
  };
  assertEquals(
    failed(await operations.cluster.forget(4)).code,
    "REQUEST_TIMED_OUT",
  );
  assert(copying.cluster.metadata.get(KEYS.broker(4)) !== undefined);
  await copying.stop();
});

Deno.test("forget() waits for the end of a drain, and says that the store is away", async () => {
  const copying = await three(12);
  const fourth = await copying.grow();
  const { operations, store } = copying.brokers[1];
  succeeded(await operations.balance.rebalance({}));
  await copying.finish("demo");
  await fourth.kill();
  await copying.rest(3000);
  succeeded(await operations.balance.drain({ brokerId: 4 }));
  assertEquals(
    failed(await operations.cluster.forget(4)).code,
    "POLICY_VIOLATION",
  );
  await copying.finish("demo");
  const catchUp = store.catchUp.bind(store);
  store.catchUp = () =>
    Promise.reject(new MetadataUnavailableError("It is away"));
  assertEquals(
    failed(await operations.cluster.forget(4)).code,
    "REQUEST_TIMED_OUT",
  );
  store.catchUp = catchUp;
  assertEquals(await operations.cluster.forget(4), undefined);
  assertEquals(ids(copying), [1, 2, 3]);
  await copying.stop();
});

Deno.test("What was to come to a forgotten broker is taken back", async () => {
  const copying = await three(1);
  const [state] = copying.states("demo");
  const { topicId } = JSON.parse(
    copying.cluster.metadata.get(KEYS.topic("demo"))!.value,
  );
  // As if it had been forgotten between the look and the write of another.
  copying.cluster.metadata.transact({
    compare: [],
    success: [{
      kind: "put",
      key: KEYS.partition(topicId, 0),
      value: JSON.stringify({
        ...state,
        replicas: [9, 2, 3, 1],
        adding: [9],
        removing: [1],
      }),
    }],
  });
  await copying.rest(500);
  assertEquals(copying.states("demo")[0].replicas, state.replicas);
  await copying.stop();
});
