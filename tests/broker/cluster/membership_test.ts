import { KEYS } from "../../../broker/cluster/facts.ts";
import {
  Membership,
  type MembershipOptions,
} from "../../../broker/cluster/membership.ts";
import { MetadataUnavailableError } from "../../../storage/metadata/metadata_store.ts";
import { ManualTime } from "../../support/manual_time.ts";
import { assert, assertEquals } from "../../support/assert.ts";
import {
  isSettled,
  TestBroker,
  TestCluster,
} from "../../support/test_broker.ts";

async function pair() {
  const cluster = new TestCluster();
  const one = await cluster.broker();
  const two = await cluster.broker();
  await cluster.time.elapse(0);
  return { cluster, one, two };
}

const sees = (one: TestBroker, id: number) => one.room.view.image.isAlive(id);
const isReady = (one: TestBroker) =>
  one.operations.cluster.readiness().every(({ ok }) => ok);

Deno.test("Membership shows a broker alive while it renews, and dead soon after it was killed", async () => {
  const { cluster, one, two } = await pair();
  await cluster.time.elapse(60_000);
  assert(sees(one, 2) && sees(two, 1) && isReady(one));
  await two.kill();
  await cluster.time.elapse(1_000);
  assert(sees(one, 2));
  await cluster.time.elapse(600);
  assert(!sees(one, 2));
  const described = one.operations.cluster.describe().brokers;
  assertEquals(described.map(({ id, alive }) => [id, alive]), [
    [1, true],
    [2, false],
  ]);
  await two.start();
  assert(sees(one, 2));
  await cluster.stop();
});

Deno.test("Membership leaves at once", async () => {
  const { cluster, one, two } = await pair();
  await two.stop();
  await cluster.time.elapse(0);
  assert(!sees(one, 2));
  await cluster.stop();
});

Deno.test("Membership loses its lease while the store is away, says so, and takes a new one", async () => {
  const { cluster, one, two } = await pair();
  two.store.faults.unreachable = true;
  await cluster.time.elapse(1_600);
  assert(!two.room.membership.holdsLease && !isReady(two));
  assert(!sees(one, 2) && sees(one, 1));
  await cluster.time.elapse(30_000);
  two.store.reconnect();
  await cluster.time.elapse(5_000);
  assert(two.room.membership.holdsLease && isReady(two));
  assert(sees(one, 2));
  assert(
    two.logged.some((line) => /registering again .*store was away/.test(line)),
  );
  assert(two.logged.some((line) => line.includes("do not arrive")));
  assert(two.logged.some((line) => line.includes("arrive again")));
  await cluster.stop();
});

Deno.test("Membership of a broker that was paused past its lease does not claim to hold it", async () => {
  const { cluster, one } = await pair();
  cluster.time.freeze(2_000);
  assertEquals(one.room.membership.holdsLease, false);
  await cluster.time.elapse(1_000);
  assertEquals(one.room.membership.holdsLease, true);
  assert(one.logged.some((line) => line.includes("stood still for")));
  await cluster.stop();
});

Deno.test("Membership tells what waits when a lease that seemed to have ended is renewed", async () => {
  const time = new ManualTime();
  let isAnswering = true;
  let leases = 0;
  const said: string[] = [];
  const say = (message: string) => said.push(message);
  // The store keeps the lease all the while, as a restarted etcd does.
  const store = {
    grantLease: () => Promise.resolve({ leaseId: "1", ttlMs: 1500 }),
    keepAlive: () =>
      isAnswering
        ? Promise.resolve(true)
        : Promise.reject(new MetadataUnavailableError("away")),
    revokeLease: () => Promise.resolve(),
  };
  const membership = new Membership({
    view: { store, transact: () => Promise.resolve({ succeeded: true }) },
    environment: { clock: time, timers: time, random: { uuid: () => "run" } },
    logger: { warn: say, info: say, debug() {} },
    broker: { id: 1 },
    onLease: () => leases++,
    onDisplaced() {},
  } as unknown as MembershipOptions);
  await membership.join();
  await time.elapse(3000);
  assertEquals([membership.holdsLease, leases], [true, 1]);
  isAnswering = false;
  await time.elapse(2000);
  assertEquals([membership.holdsLease, leases], [false, 1]);
  isAnswering = true;
  await time.elapse(400);
  assertEquals([membership.holdsLease, leases], [true, 2]);
  await time.elapse(3000);
  assertEquals(leases, 2);
  // Once each, though it tried again and again.
  assertEquals(said, [
    "Cannot renew this broker's lease",
    "This broker's lease is renewed again",
  ]);
  await membership.leave();
});

Deno.test("Membership does not come back after it left in the middle of a registration", async () => {
  for (const delayMs of [10, 100, 300]) {
    const { cluster, one, two } = await pair();
    two.store.faults.unreachable = true;
    await cluster.time.elapse(2_000);
    two.store.faults.delayMs = () => 100;
    two.store.reconnect();
    await cluster.time.elapse(1_000 + delayMs);
    const leaving = two.room.membership.leave();
    await cluster.time.elapse(5_000);
    assert(await isSettled(leaving));
    assertEquals(two.room.membership.holdsLease, false);
    assertEquals(cluster.metadata.get(KEYS.liveBroker(2)), undefined);
    assert(!sees(one, 2));
    two.store.faults.delayMs = () => 0;
    await cluster.stop();
  }
});

Deno.test("Membership leaves without a fault when the store is away", async () => {
  const { cluster, two } = await pair();
  two.store.faults.unreachable = true;
  const leaving = two.room.membership.leave();
  await cluster.time.elapse(3_000);
  await leaving;
  two.store.reconnect();
  await cluster.stop();
});
