import { EARLIER_RUN_LIMITS } from "../../../broker/cluster/earlier_run.ts";
import { KEYS } from "../../../broker/cluster/facts.ts";
import { ConfigurationError } from "../../../broker/config.ts";
import { assert, assertEquals } from "../../support/assert.ts";
import { brokerConfigOf } from "../../support/broker_config.ts";
import { MemoryFileSystem } from "../../support/memory_file_system.ts";
import {
  isSettled,
  succeeded,
  TestBroker,
  TestCluster,
} from "../../support/test_broker.ts";

/** Another process with a broker's id, on a folder of its own. */
function twinOf(broker: TestBroker): TestBroker {
  return new TestBroker(broker.cluster, brokerConfigOf(broker.config));
}

async function refusal(starting: Promise<void>): Promise<Error> {
  const refused: unknown = await starting.then(
    () => undefined,
    (fault) => fault,
  );
  assert(refused instanceof ConfigurationError, `no refusal: ${refused}`);
  return refused;
}

/** A clean stop takes time where others take over. */
async function stop(what: TestBroker | TestCluster): Promise<void> {
  const stopping = what.stop();
  const time = what instanceof TestCluster ? what.time : what.cluster.time;
  // Broker after broker.
  await time.elapse(6_000);
  await stopping;
}

const liveOf = (cluster: TestCluster, id: number) =>
  cluster.metadata.get(KEYS.liveBroker(id))?.value;

Deno.test("A broker is refused while another process of its id lives, and changes nothing of its", async () => {
  const cluster = new TestCluster();
  const one = await cluster.broker({ kafkaPort: 9092 });
  await cluster.broker({ kafkaPort: 9093 });
  await one.create("demo", { partitions: 2, replicationFactor: 2 });
  await cluster.time.elapse(10);
  const before = cluster.metadata.list(KEYS.partitions).entries;
  const live = liveOf(cluster, 1);
  const starting = twinOf(one).start();
  const refused = refusal(starting);
  await cluster.time.elapse(EARLIER_RUN_LIMITS.longestWaitMs - 100);
  assertEquals(await isSettled(refused), false);
  await cluster.time.elapse(400);
  const { message } = await refused;
  assert(message.includes("broker 1 is already running"), message);
  assertEquals(liveOf(cluster, 1), live);
  assertEquals(cluster.metadata.list(KEYS.partitions).entries, before);
  assert(one.room.membership.holdsLease);
  await stop(cluster);
});

Deno.test("A broker on a new folder waits until the lease of its earlier run has ended", async () => {
  const cluster = new TestCluster();
  const one = await cluster.broker();
  await one.kill();
  one.disk = new MemoryFileSystem();
  const starting = one.start();
  await cluster.time.elapse(1_400);
  assertEquals(await isSettled(starting), false);
  await cluster.time.elapse(200);
  await starting;
  assert(one.room.membership.holdsLease);
  await stop(cluster);
});

Deno.test("A broker that was killed comes back on its folder without waiting", async () => {
  const cluster = new TestCluster();
  const one = await cluster.broker();
  for (let round = 0; round < 3; round++) {
    const before = liveOf(cluster, 1);
    await one.crash();
    await one.start();
    assert(one.room.membership.holdsLease);
    assert(liveOf(cluster, 1) !== before);
    await cluster.time.elapse(10);
    assert(one.room.controller.isActive);
  }
  await stop(cluster);
});

Deno.test("Of two processes of one id that start together one is refused", async () => {
  const cluster = new TestCluster();
  const one = twinOf(new TestBroker(cluster, brokerConfigOf()));
  const other = twinOf(one);
  const starts = Promise.allSettled([one.start(), other.start()]);
  await cluster.time.elapse(10);
  const outcomes = (await starts).map(({ status }) => status);
  assertEquals(outcomes.toSorted(), ["fulfilled", "rejected"]);
  await stop(outcomes[0] === "fulfilled" ? one : other);
});

Deno.test("A broker whose id was taken while it was away ends, and acknowledges nothing", async () => {
  const cluster = new TestCluster();
  const one = await cluster.broker();
  one.store.faults.unreachable = true;
  await cluster.time.elapse(2_000);
  const twin = twinOf(one);
  await twin.start();
  const live = liveOf(cluster, 1);
  one.store.reconnect();
  await cluster.time.elapse(10_000);
  assert(one.faults[0] instanceof ConfigurationError);
  assertEquals(one.faults.length, 1);
  assertEquals(one.room.membership.holdsLease, false);
  assertEquals(liveOf(cluster, 1), live);
  assert(twin.room.membership.holdsLease);
  await one.kill();
  await stop(twin);
});

Deno.test("A registration whose answer was lost is found again", async () => {
  const cluster = new TestCluster();
  const one = await cluster.broker();
  one.store.faults.unreachable = true;
  await cluster.time.elapse(2_000);
  const transact = one.store.transact.bind(one.store);
  let lost = 0;
  one.store.transact = async (transaction) => {
    const result = await transact(transaction);
    const isPut = transaction.success.some(({ kind }) => kind === "put");
    if (isPut && lost++ === 0) throw new Error("the answer was lost");
    return result;
  };
  one.store.reconnect();
  await cluster.time.elapse(10_000);
  assert(lost > 0);
  assertEquals(one.faults, []);
  assert(one.room.membership.holdsLease);
  await stop(cluster);
});

/** Fails a start where it writes that file. */
async function failStart(two: TestBroker, file = "last-run"): Promise<void> {
  two.disk.fault = ({ kind, path }) =>
    kind !== "read" && path.includes(file) ? { kind: "error" } : undefined;
  const fault = await two.start().then(() => undefined, (fault) => fault);
  assert(fault !== undefined);
  two.disk.fault = undefined;
}

async function pair(config: Record<string, string>) {
  const cluster = new TestCluster();
  const one = await cluster.broker({ kafkaPort: 9092 });
  const two = await cluster.broker({ kafkaPort: 9093 });
  await one.create("demo", { partitions: 1, replicationFactor: 2, config });
  await cluster.time.elapse(10);
  const { topicId } = one.room.view.image.topics.get("demo")!;
  const key = KEYS.partition(topicId, 0);
  const state = () => JSON.parse(cluster.metadata.get(key)!.value);
  return {
    one,
    two,
    isr: (): number[] => state().isr,
    /** As if both had been in sync, and nobody there to judge who lives. */
    putInSync: async () => {
      await one.kill();
      const value = JSON.stringify({ ...state(), isr: [1, 2] });
      cluster.metadata.transact({
        compare: [],
        success: [{ kind: "put", key, value }],
      });
    },
  };
}

const MARK = "data/broker-2/clean-stop";
const PAGE_CACHE = { "flush.messages": "10000" };

Deno.test("A broker stays in sync after a clean stop, and leaves after a crash, at the page-cache level", async () => {
  for (const isClean of [true, false]) {
    const { one, two, isr, putInSync } = await pair(PAGE_CACHE);
    await (isClean ? stop(two) : two.crash());
    assertEquals(two.disk.exists(MARK), isClean);
    await putInSync();
    await two.start();
    assertEquals(isr(), isClean ? [1, 2] : [1]);
    for (const broker of [one, two]) await broker.kill();
  }
});

Deno.test("A start that failed does not make a crash a clean stop, and takes the mark of one", async () => {
  for (const isClean of [true, false]) {
    const { two, isr, putInSync } = await pair(PAGE_CACHE);
    await (isClean ? stop(two) : two.crash());
    await failStart(two);
    assert(!two.disk.exists(MARK));
    await putInSync();
    await two.start();
    assertEquals(isr(), [1]);
    await two.kill();
  }
});

Deno.test("A disk stays new until a start on it was completed", async () => {
  const { two, isr, putInSync } = await pair({});
  await two.kill();
  await two.cluster.time.elapse(2_000);
  two.disk = new MemoryFileSystem();
  await failStart(two, "broker.json");
  await putInSync();
  await two.start();
  assertEquals(isr(), [1]);
  await two.kill();
});

Deno.test("A partition that broke in a run is not stopped cleanly", async () => {
  const { one, two } = await pair(PAGE_CACHE);
  const { log } = two.replica("demo");
  Object.defineProperty(log, "isOffline", { value: true });
  await stop(two);
  assert(!two.disk.exists(MARK));
  await one.kill();
});

Deno.test("A folder of another broker gets no mark of a clean stop from the one that was refused", async () => {
  const cluster = new TestCluster();
  const one = await cluster.broker();
  succeeded(await one.operations.topics.create({ topic: "demo" }));
  await one.crash();
  const stranger = await new TestCluster(2).broker();
  await stop(stranger);
  stranger.disk = one.disk;
  await refusal(stranger.start());
  assert(!stranger.disk.exists("data/broker-1/clean-stop"));
});
