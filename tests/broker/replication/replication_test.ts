import { METADATA_LIMITS } from "../../../storage/metadata/metadata_store.ts";
import { offset } from "../../../storage/log/types.ts";
import { assert, assertEquals } from "../../support/assert.ts";
import { failed, isSettled, succeeded } from "../../support/test_broker.ts";
import { ReplicaSet, TOPIC } from "./replica_set.ts";

const texts = (count: number, of = "v") =>
  Array.from({ length: count }, (_, index) => `${of}${index}`);

Deno.test("Replicas hold what was acknowledged, on every in-sync disk", async () => {
  const set = await ReplicaSet.of();
  const answer = set.node(1).produce(["a", "b"]);
  await set.time.elapse(5);
  assertEquals(succeeded(await answer).baseOffset, 0);
  for (const { disk, id } of set.nodes.values()) {
    const replica = set.node(id).replica();
    assertEquals(set.node(id).bytes(), set.node(1).bytes());
    assertEquals(Number(replica.log.flushedOffset), 2);
    assert(
      disk.durableBytes(
        `data/broker-${id}/${TOPIC}_0/00000000000000000000.log`,
      )!.length > 0,
    );
  }
  // Followers learn the high watermark with their next answers.
  await set.time.elapse(1_000);
  for (const { id } of set.nodes.values()) {
    assertEquals(Number(set.node(id).replica().highWatermark), 2);
  }
  await set.stop();
});

Deno.test("A leader acknowledges when every in-sync follower has flushed, not before", async () => {
  const set = await ReplicaSet.of();
  const three = set.node(3);
  three.disk.holdSyncs = true;
  const answer = set.node(1).produce(["a"]);
  await set.time.elapse(100);
  assertEquals(await isSettled(answer), false);
  assertEquals(Number(three.replica().log.logEndOffset), 1);
  assertEquals(Number(set.leader.highWatermark), 0);
  three.disk.holdSyncs = false;
  three.disk.releaseSyncs();
  await set.time.elapse(5);
  succeeded(await answer);
  await set.stop();
});

Deno.test("A leader at the page-cache level counts what followers have written", async () => {
  const set = await ReplicaSet.of({ config: { "flush.messages": "1000000" } });
  for (const { disk } of set.nodes.values()) disk.holdSyncs = true;
  const answer = set.node(1).produce(["a"]);
  await set.time.elapse(5);
  succeeded(await answer);
  for (const { disk } of set.nodes.values()) {
    disk.holdSyncs = false;
    disk.releaseSyncs();
  }
  await set.stop();
});

Deno.test("An acknowledgement of the leader alone waits for no follower, but for its own disk", async () => {
  const set = await ReplicaSet.of();
  set.cuts.add("2>1").add("3>1");
  const { disk } = set.node(1);
  disk.holdSyncs = true;
  succeeded(await set.node(1).produceBatch(["none"], "append"));
  const own = set.node(1).produceBatch(["own"], "leader");
  assertEquals(await isSettled(own), false);
  disk.holdSyncs = false;
  disk.releaseSyncs();
  await set.time.elapse(1);
  assertEquals(succeeded(await own).baseOffset, 1);
  assertEquals(Number(set.leader.highWatermark), 0);
  await set.stop();
});

Deno.test("A follower that stops fetching leaves the in-sync set after 5 s, and comes back when it has caught up", async () => {
  const set = await ReplicaSet.of();
  set.cuts.add("3>1");
  const answer = set.node(1).produce(["a"]);
  await set.time.elapse(4_900);
  assertEquals(set.state.isr, [1, 2, 3]);
  assertEquals(await isSettled(answer), false);
  await set.time.elapse(1_200);
  assertEquals(set.state.isr, [1, 2]);
  assertEquals(set.state.leaderEpoch, 0);
  succeeded(await answer);
  assertEquals(set.node(1).run.isrChanges, ["shrunk"]);
  set.cuts.clear();
  await set.time.elapse(2_000);
  assertEquals(set.state.isr, [1, 2, 3]);
  assertEquals(set.node(1).run.isrChanges, ["shrunk", "grown"]);
  assertEquals(set.node(3).values(), ["0:a"]);
  await set.stop();
});

Deno.test("A follower under a steady stream stays in sync", async () => {
  const set = await ReplicaSet.of();
  for (let round = 0; round < 100; round++) {
    const answer = set.node(1).produce([`v${round}`]);
    await set.time.elapse(100);
    succeeded(await answer);
  }
  assertEquals(set.state.isr, [1, 2, 3]);
  assertEquals(set.node(1).run.isrChanges, []);
  await set.stop();
});

Deno.test("A leader that stood still puts nobody out for that", async () => {
  const set = await ReplicaSet.of();
  set.time.freeze(20_000);
  await set.time.elapse(3_000);
  assertEquals(set.state.isr, [1, 2, 3]);
  assertEquals(set.node(1).run.isrChanges, []);
  await set.stop();
});

Deno.test("min.insync.replicas refuses an append below it, and says so when it falls below during the wait", async () => {
  const set = await ReplicaSet.of({ config: { "min.insync.replicas": "3" } });
  set.cuts.add("3>1");
  const written = set.node(1).produce(["a"]);
  await set.time.elapse(7_000);
  assertEquals(
    failed(await written).code,
    "NOT_ENOUGH_REPLICAS_AFTER_APPEND",
  );
  const refused = failed(await set.node(1).produce(["b"]));
  assertEquals(refused.code, "NOT_ENOUGH_REPLICAS");
  assertEquals(refused.details.retryAfterMs, 1000);
  assert(refused.detail.includes("1, 2"), refused.detail);
  // Who does not ask for all of them is not refused.
  const own = set.node(1).produceBatch(["c"], "leader");
  await set.time.elapse(5);
  assertEquals(succeeded(await own).baseOffset, 1);
  set.cuts.clear();
  await set.time.elapse(2_000);
  const answer = set.node(1).produce(["d"]);
  await set.time.elapse(5);
  assertEquals(succeeded(await answer).baseOffset, 2);
  await set.stop();
});

Deno.test("A leader without its lease appends and acknowledges nothing", async () => {
  const set = await ReplicaSet.of();
  const { disk } = set.node(1);
  disk.holdSyncs = true;
  const all = set.node(1).produce(["a"]);
  const own = set.node(1).produceBatch(["b"], "leader");
  await set.time.elapse(10);
  set.node(1).hasLease = false;
  disk.holdSyncs = false;
  disk.releaseSyncs();
  await set.time.elapse(100);
  assertEquals(await isSettled(Promise.race([all, own])), false);
  assertEquals(Number(set.leader.highWatermark), 0);
  for (const wait of ["append", "leader", "inSync"] as const) {
    const refused = failed(await set.node(1).produceBatch(["c"], wait));
    assertEquals(refused.code, "NOT_LEADER_OR_FOLLOWER");
    assert(refused.detail.includes("lease"), refused.detail);
  }
  assertEquals(Number(set.leader.log.logEndOffset), 2);
  await set.node(1).takeLease();
  await set.time.elapse(10);
  succeeded(await all);
  succeeded(await own);
  await set.stop();
});

Deno.test("A lease that ends between the request and its write lets nothing be written", async () => {
  const set = await ReplicaSet.of();
  const answer = set.node(1).produceBatch(["a"], "append");
  set.node(1).hasLease = false;
  assertEquals(failed(await answer).code, "NOT_LEADER_OR_FOLLOWER");
  assertEquals(Number(set.leader.log.logEndOffset), 0);
  await set.stop();
});

Deno.test("A new leader holds the high watermark until every in-sync replica was heard of", async () => {
  const set = await ReplicaSet.of();
  const answer = set.node(1).produce(["a"]);
  await set.time.elapse(5);
  succeeded(await answer);
  await set.node(1).kill();
  set.cuts.add("3>2");
  await set.elect(2, [2, 3]);
  await set.time.elapse(100);
  const two = set.node(2).replica();
  assertEquals(two.isLeader, true);
  assertEquals(two.inSync?.epochStartOffset, 1);
  assertEquals(Number(two.highWatermark) <= 1, true);
  const before = Number(two.highWatermark);
  assertEquals(two.knowsCommitted, before === 1);
  const next = set.node(2).produce(["b"]);
  await set.time.elapse(100);
  assertEquals(Number(two.highWatermark), before);
  set.cuts.clear();
  await set.time.elapse(1_000);
  assertEquals(succeeded(await next).baseOffset, 1);
  assertEquals(two.knowsCommitted, true);
  await set.stop();
});

Deno.test("Logs that differ over several epochs become the same, byte for byte", async () => {
  const set = await ReplicaSet.of({ config: { "min.insync.replicas": "1" } });
  const lone = async (id: number, values: string[]) => {
    // What nobody else gets before the next leader is elected.
    for (const other of set.nodes.keys()) {
      if (other !== id) set.cuts.add(`${other}>${id}`);
    }
    await set.node(id).produceBatch(values, "leader");
    await set.time.elapse(5);
  };
  const first = set.node(1).produce(texts(3, "common"));
  await set.time.elapse(5);
  succeeded(await first);
  await lone(1, texts(5, "one"));
  await set.elect(2);
  await set.time.elapse(5);
  await lone(2, texts(1, "two"));
  await set.elect(1);
  await set.time.elapse(5);
  await lone(1, texts(2, "again"));
  await set.elect(3);
  await set.time.elapse(5);
  await lone(3, texts(4, "three"));
  set.cuts.clear();
  await set.time.elapse(3_000);
  const answer = set.node(3).produce(["last"]);
  await set.time.elapse(2_000);
  succeeded(await answer);
  await set.time.elapse(2_000);
  for (const id of [1, 2]) {
    assertEquals(set.node(id).values(), set.node(3).values());
    assertEquals(set.node(id).bytes(), set.node(3).bytes());
  }
  assertEquals(set.node(3).values().slice(0, 3), [
    "0:common0",
    "1:common1",
    "2:common2",
  ]);
  await set.stop();
});

Deno.test("A former leader that appended nothing takes records of older epochs", async () => {
  const set = await ReplicaSet.of();
  // Broker 3 leads for a moment and lacks what broker 2 holds of epoch 0.
  set.cuts.add("3>1");
  await set.node(1).produceBatch(["old"], "leader");
  await set.time.elapse(600);
  assertEquals(set.node(2).values(), ["0:old"]);
  set.cuts.clear();
  set.cuts.add("1>3").add("2>3");
  await set.elect(3);
  await set.time.elapse(5);
  assertEquals(Number(set.node(3).replica().log.latestEpoch), 1);
  set.cuts.clear();
  await set.elect(2);
  await set.time.elapse(1_000);
  const answer = set.node(2).produce(["new"]);
  await set.time.elapse(1_000);
  succeeded(await answer);
  assertEquals(set.node(3).values(), ["0:old", "1:new"]);
  assertEquals(set.node(3).bytes(), set.node(2).bytes());
  await set.stop();
});

Deno.test("A restarted follower counts for nothing until it has fetched in its new run", async () => {
  const set = await ReplicaSet.of({
    brokers: 2,
    config: { "flush.messages": "1000000", "min.insync.replicas": "1" },
  });
  set.node(1).disk.holdSyncs = true;
  set.node(2).disk.holdSyncs = true;
  const answer = set.node(1).produce(["a"]);
  await set.time.elapse(5);
  succeeded(await answer);
  const { inSync } = set.leader;
  assertEquals(inSync?.safeEndOf(2), 1);
  set.cuts.add("2>1");
  await set.node(2).crash();
  // Whoever is only dead has lost nothing yet.
  assertEquals(inSync?.safeEndOf(2), 1);
  await set.node(2).start();
  assertEquals(inSync?.safeEndOf(2), undefined);
  set.cuts.clear();
  await set.time.elapse(1_000);
  assertEquals(inSync?.safeEndOf(2), 1);
  set.node(1).disk.holdSyncs = false;
  set.node(1).disk.releaseSyncs();
  await set.stop();
});

Deno.test("A broker that is not alive, or leaves, is not taken into the in-sync set", async () => {
  const set = await ReplicaSet.of();
  set.cuts.add("3>1");
  await set.time.elapse(6_500);
  assertEquals(set.state.isr, [1, 2]);
  await set.node(3).loseLease();
  set.cuts.clear();
  await set.time.elapse(3_000);
  assertEquals(set.state.isr, [1, 2]);
  await set.node(3).renewLease();
  await set.time.elapse(1_000);
  assertEquals(set.state.isr, [1, 2, 3]);
  await set.stop();
});

Deno.test("A leader whose disk is full hands over to who is in sync and alive", async () => {
  const set = await ReplicaSet.of({ config: { "min.insync.replicas": "1" } });
  const first = set.node(1).produce(["a"]);
  await set.time.elapse(5);
  succeeded(await first);
  set.node(1).disk.freeBytes = 0;
  const refused = failed(await set.node(1).produce(["b"]));
  assertEquals(refused.code, "KAFKA_STORAGE_ERROR");
  await set.time.elapse(100);
  assertEquals(set.state.leader, 2);
  assertEquals(set.state.leaderEpoch, 1);
  assertEquals(set.state.isr, [2, 3]);
  const second = set.node(2).produce(["c"]);
  await set.time.elapse(1_000);
  assertEquals(succeeded(await second).baseOffset, 1);
  // With room again it catches up and is in sync again.
  set.node(1).disk.freeBytes = Infinity;
  await set.time.elapse(8_000);
  assertEquals(set.state.isr, [1, 2, 3]);
  assertEquals(set.node(1).values(), ["0:a", "1:c"]);
  await set.stop();
});

Deno.test("A leader whose disk is full stays when nobody else is in sync", async () => {
  const set = await ReplicaSet.of({
    brokers: 1,
  });
  set.node(1).disk.freeBytes = 0;
  assertEquals(
    failed(await set.node(1).produce(["a"])).code,
    "KAFKA_STORAGE_ERROR",
  );
  await set.time.elapse(1_000);
  assertEquals(set.state.leader, 1);
  set.node(1).disk.freeBytes = Infinity;
  succeeded(await set.node(1).produce(["b"]));
  await set.stop();
});

Deno.test("A leader whose disk is full keeps what it has from who is eligible and full as well", async () => {
  const set = await ReplicaSet.of({ config: { "min.insync.replicas": "2" } });
  for (const id of [2, 3]) set.node(id).disk.freeBytes = 0;
  const first = set.node(1).produceBatch(["a"], "leader");
  // Both leave; one of them is too late with that, and tries again.
  await set.time.elapse(500);
  succeeded(await first);
  assertEquals(set.state.isr, [1]);
  assertEquals(set.state.eligible?.length, 1);
  const { modRevision } = set.state;
  set.node(1).disk.freeBytes = 0;
  for (let round = 0; round < 3; round++) {
    const refused = failed(await set.node(1).produceBatch(["b"], "leader"));
    assertEquals(refused.code, "KAFKA_STORAGE_ERROR");
    await set.time.elapse(100);
  }
  assertEquals(set.state.modRevision, modRevision);
  assertEquals(set.node(1).values(), ["0:a"]);
  await set.stop();
});

Deno.test("A leader whose fdatasync fails hands over, and its log is not written any more", async () => {
  const set = await ReplicaSet.of({ config: { "min.insync.replicas": "1" } });
  const { disk } = set.node(1);
  disk.holdSyncs = true;
  const answer = set.node(1).produce(["a"]);
  await set.time.elapse(10);
  disk.holdSyncs = false;
  disk.failSyncs();
  assertEquals(failed(await answer).code, "KAFKA_STORAGE_ERROR");
  await set.time.elapse(100);
  assertEquals(set.state.leader, 2);
  assertEquals(set.state.isr, [2, 3]);
  const next = set.node(2).produce(["b"]);
  await set.time.elapse(1_000);
  succeeded(await next);
  const before = set.fetches.filter(({ from }) => from === 1).length;
  await set.time.elapse(10_000);
  // It is not fetched for, and nobody turns in circles.
  assertEquals(set.fetches.filter(({ from }) => from === 1).length, before);
  assertEquals(set.node(1).replica().log.isOffline, true);
  assertEquals(set.state.isr, [2, 3]);
  await set.stop();
});

Deno.test("A follower whose disk is full leaves the ISR at once, holds nobody up, and comes back with room", async () => {
  const set = await ReplicaSet.of({
    partitions: 2,
    config: { "min.insync.replicas": "2" },
  });
  set.node(3).disk.freeBytes = 0;
  const answer = set.node(1).produce(["a"]);
  await set.time.elapse(50);
  succeeded(await answer);
  assertEquals(set.stateOf(0).isr, [1, 2]);
  // It does not come back only to leave again.
  const { modRevision } = set.stateOf(0);
  await set.time.elapse(20_000);
  assertEquals(set.stateOf(0).modRevision, modRevision);
  // Its other partition goes on.
  assertEquals(set.stateOf(1).isr, [1, 2, 3]);
  set.node(3).disk.freeBytes = Infinity;
  await set.time.elapse(8_000);
  assertEquals(set.stateOf(0).isr, [1, 2, 3]);
  assertEquals(
    set.node(3).logged.filter((line) => line.includes("disk")).length,
    1,
  );
  await set.stop();
});

Deno.test("A follower whose fdatasync fails leaves the ISR at once, and is not eligible", async () => {
  const set = await ReplicaSet.of({ config: { "min.insync.replicas": "3" } });
  const { disk } = set.node(3);
  disk.holdSyncs = true;
  const answer = set.node(1).produce(["a"]);
  await set.time.elapse(10);
  disk.holdSyncs = false;
  disk.failSyncs();
  await set.time.elapse(50);
  const { code } = failed(await answer);
  assertEquals(code, "NOT_ENOUGH_REPLICAS_AFTER_APPEND");
  assertEquals(set.state.isr, [1, 2]);
  assertEquals(set.state.eligible, undefined);
  await set.stop();
});

Deno.test("A follower starts over where its leader's log starts", async () => {
  const set = await ReplicaSet.of({ config: { "min.insync.replicas": "1" } });
  set.cuts.add("3>1");
  const one = set.node(1).produce(["a", "b"]);
  const two = set.node(1).produce(["c"]);
  await set.time.elapse(6_500);
  succeeded(await one);
  succeeded(await two);
  // Inside the batch that the three share.
  set.leader.log.advanceLogStart(1 as never);
  set.cuts.clear();
  await set.time.elapse(3_000);
  assertEquals(set.state.isr, [1, 2, 3]);
  for (const id of [2, 3]) {
    const { log } = set.node(id).replica();
    assertEquals(Number(log.logStartOffset), 1);
    assertEquals(set.node(id).bytes(), set.node(1).bytes());
  }
  await set.stop();
});

Deno.test("A follower that was ahead of an unclean leader takes what that one has", async () => {
  const set = await ReplicaSet.of({ config: { "min.insync.replicas": "1" } });
  set.cuts.add("3>1");
  const kept = set.node(1).produce(texts(4));
  await set.time.elapse(6_500);
  succeeded(await kept);
  // Nobody in sync is left: broker 3 has nothing.
  set.cuts.clear();
  set.cuts.add("1>3").add("2>3");
  await set.elect(3, [3]);
  const lost = set.node(3).produce(["new"]);
  await set.time.elapse(100);
  assertEquals(succeeded(await lost).baseOffset, 0);
  set.cuts.clear();
  await set.time.elapse(3_000);
  for (const id of [1, 2]) assertEquals(set.node(id).values(), ["0:new"]);
  assertEquals(set.state.isr, [1, 2, 3]);
  await set.stop();
});

Deno.test("A change of many partitions' in-sync sets takes few transactions, and one that fails takes no other along", async () => {
  const partitions = 150;
  const set = await ReplicaSet.of({ brokers: 2, partitions });
  set.cuts.add("2>1");
  let transactions = 0;
  const { store } = set.node(1).run;
  const transact = store.transact.bind(store);
  store.transact = (transaction) => {
    transactions++;
    assert(
      transaction.compare.length <= METADATA_LIMITS.operationsPerTransaction,
    );
    // Somebody else was faster with one of them.
    if (transactions === 1) {
      return set.change({ adding: [] }, 7).then(() => transact(transaction));
    }
    return transact(transaction);
  };
  await set.time.elapse(8_000);
  // Each of a hundred transactions takes a few turns.
  for (let turn = 0; turn < 200; turn++) await set.time.elapse(1);
  for (let index = 0; index < partitions; index++) {
    assertEquals(set.stateOf(index).isr, [1], `partition ${index}`);
  }
  // One failed, a hundred alone, the rest at once, and number 7 again.
  assert(transactions <= 104, `${transactions} transactions`);
  await set.stop();
});

Deno.test("A proposal whose answer is lost counts as made and as not made until that is known", async () => {
  const set = await ReplicaSet.of({ config: { "min.insync.replicas": "1" } });
  const { store } = set.node(1).run;
  set.cuts.add("2>1").add("3>1");
  const answer = set.node(1).produce(["a"]);
  store.faults.unreachable = true;
  await set.time.elapse(9_000);
  // It proposed to go on alone, and cannot know whether that was decided.
  assertEquals(set.state.isr, [1, 2, 3]);
  assertEquals(set.leader.inSync?.proposed?.isr, [1]);
  assertEquals(await isSettled(answer), false);
  store.reconnect();
  await set.time.elapse(4_000);
  assertEquals(set.state.isr, [1]);
  assertEquals(set.leader.inSync?.proposed, undefined);
  succeeded(await answer);
  await set.stop();
});

Deno.test("A lost answer is not asked for in a tight loop", async () => {
  const set = await ReplicaSet.of();
  const { store } = set.node(1).run;
  store.faults.timeoutMs = 1;
  set.cuts.add("2>1").add("3>1");
  store.faults.unreachable = true;
  let calls = 0;
  const transact = store.transact.bind(store);
  store.transact = (transaction) => {
    calls++;
    return transact(transaction);
  };
  await set.time.elapse(16_000);
  assert(calls > 10 && calls < 60, `${calls} calls`);
  store.reconnect();
  await set.stop();
});

Deno.test("A partition that comes while a request waits is fetched at once", async () => {
  const set = await ReplicaSet.of({ partitions: 3, brokers: 2 });
  await set.time.elapse(5_000);
  const before = set.fetches.length;
  // Nothing happens: at most two requests each 500 ms.
  await set.time.elapse(5_000);
  assert(set.fetches.length - before <= 20);
  await set.change({ leader: 2, leaderEpoch: 1 }, 2);
  await set.change({ leader: 1, leaderEpoch: 2 }, 2);
  await set.time.elapse(1);
  const answer = set.node(1).produce(["a"], { partition: 2 });
  await set.time.elapse(5);
  succeeded(await answer);
  await set.stop();
});

Deno.test("New replicas are copied no faster than the throttle says; those in sync are not held back", async () => {
  const set = await ReplicaSet.of({
    replicas: [1, 2],
    config: { "min.insync.replicas": "1" },
  });
  const chunk = "x".repeat(100_000);
  for (let round = 0; round < 20; round++) {
    const answer = set.node(1).produceBatch([`${round}${chunk}`], "inSync");
    await set.time.elapse(5);
    succeeded(await answer);
  }
  await set.store.transact({
    compare: [],
    success: [{
      kind: "put",
      key: "/balance",
      value: JSON.stringify({
        kind: "rebalance",
        throttleBytesPerSecond: 500_000,
        startedAtMs: 0,
      }),
    }],
  });
  await set.change({ replicas: [1, 2, 3], adding: [3] });
  await set.time.elapse(1_500);
  assertEquals(set.state.isr, [1, 2]);
  const acknowledged = set.node(1).produce(["b"]);
  await set.time.elapse(5);
  succeeded(await acknowledged);
  await set.time.elapse(4_500);
  assertEquals(set.state.isr, [1, 2, 3]);
  assertEquals(set.node(3).bytes(), set.node(1).bytes());
  await set.stop();
});

Deno.test("A throttle that is raised, or goes, holds nothing back from then on", async () => {
  for (const raised of [50_000_000, null]) {
    const set = await ReplicaSet.of({ replicas: [1, 2] });
    const chunk = "x".repeat(500_000);
    for (let round = 0; round < 5; round++) {
      const answer = set.node(1).produceBatch([`${round}${chunk}`], "inSync");
      await set.time.elapse(5);
      succeeded(await answer);
    }
    const throttle = async (throttleBytesPerSecond: number | null) => {
      const intent = { kind: "rebalance", throttleBytesPerSecond };
      const value = JSON.stringify({ ...intent, startedAtMs: 0 });
      await set.store.transact({
        compare: [],
        success: [{ kind: "put", key: "/balance", value }],
      });
    };
    await throttle(1024);
    await set.change({ replicas: [1, 2, 3], adding: [3] });
    // What has come takes minutes at that rate.
    await set.time.elapse(10_000);
    assertEquals(set.state.isr, [1, 2]);
    await throttle(raised);
    await set.time.elapse(2000);
    assertEquals(set.state.isr, [1, 2, 3]);
    await set.stop();
  }
});

Deno.test("A topic that goes, and comes again under its name, is followed anew", async () => {
  const set = await ReplicaSet.of();
  const first = set.node(1).produce(["old"]);
  await set.time.elapse(5);
  succeeded(await first);
  const id = "20000000-0000-4000-8000-000000000000";
  const fact = {
    partitions: 1,
    replicationFactor: 3,
    config: {},
    isInternal: false,
  };
  await set.store.transact({
    compare: [],
    success: [
      {
        kind: "put",
        key: `/partitions/${id}/0`,
        value: JSON.stringify({
          leader: 2,
          leaderEpoch: 0,
          replicas: [1, 2, 3],
          isr: [1, 2, 3],
        }),
      },
      {
        kind: "put",
        key: `/topics/${TOPIC}`,
        value: JSON.stringify({ ...fact, topicId: id }),
      },
    ],
  });
  await set.time.elapse(100);
  const answer = set.node(2).produce(["new"]);
  await set.time.elapse(1_000);
  succeeded(await answer);
  for (const node of set.nodes.values()) {
    assertEquals(node.values(), ["0:new"]);
    assertEquals(node.run.faults, []);
  }
  await set.stop();
});

Deno.test("A replica that is taken away goes, while its leader goes on", async () => {
  const set = await ReplicaSet.of();
  const first = set.node(1).produce(["a"]);
  await set.time.elapse(5);
  succeeded(await first);
  await set.change({ replicas: [1, 2], isr: [1, 2] });
  await set.time.elapse(10);
  assertEquals(set.node(3).run.manager.replica(TOPIC, 0), undefined);
  assertEquals(set.node(3).disk.exists(`data/broker-3/${TOPIC}_0`), false);
  const answer = set.node(1).produce(["b"]);
  await set.time.elapse(5);
  succeeded(await answer);
  await set.stop();
});

Deno.test("A broker never goes on in an epoch in which an earlier run of it led", async () => {
  const set = await ReplicaSet.of();
  const before = set.node(1).produceBatch(["lost"], "append");
  set.node(1).disk.holdSyncs = true;
  succeeded(await before);
  await set.time.elapse(10);
  assertEquals(set.node(2).values(), ["0:lost"]);
  await set.node(1).crash();
  await set.node(1).start();
  await set.time.elapse(100);
  assertEquals(set.node(1).replica().isLeader, false);
  await set.elect(1);
  await set.time.elapse(100);
  assertEquals(set.node(1).replica().isLeader, true);
  const answer = set.node(1).produce(["new"]);
  await set.time.elapse(1_000);
  succeeded(await answer);
  for (const node of set.nodes.values()) {
    assertEquals(node.values(), ["0:new"]);
  }
  await set.stop();
});

Deno.test("A follower whose folder cannot be made asks again later, and the others go on", async () => {
  const set = await ReplicaSet.of({ config: { "min.insync.replicas": "1" } });
  const { disk } = set.node(3);
  disk.fault = ({ kind }) =>
    kind === "createDirectory" ? { kind: "error" } : undefined;
  const answer = set.node(1).produce(["a"]);
  await set.time.elapse(7_000);
  succeeded(await answer);
  assertEquals(set.state.isr, [1, 2]);
  assertEquals(set.node(3).run.faults, []);
  assertEquals(
    set.node(3).logged.filter((line) => line.includes("disk")).length,
    1,
  );
  disk.fault = undefined;
  await set.time.elapse(3_000);
  assertEquals(set.state.isr, [1, 2, 3]);
  await set.stop();
});

Deno.test("A follower that restarted with less does not come in sync by what its last run had", async () => {
  const set = await ReplicaSet.of({
    brokers: 2,
    config: { "flush.messages": "1000000", "min.insync.replicas": "1" },
  });
  set.cuts.add("2>1");
  await set.time.elapse(6000);
  assertEquals(set.state.isr, [1]);
  const answer = set.node(1).produce(["a"]);
  await set.time.elapse(5);
  succeeded(await answer);
  const { faults } = set.node(1).run.store;
  faults.timeoutMs = 50;
  faults.unreachable = true;
  set.cuts.clear();
  await set.time.elapse(1200);
  assertEquals(Number(set.node(2).replica().log.logEndOffset), 1);
  assertEquals(set.state.isr, [1]);
  await set.node(2).crash();
  set.cuts.add("2>1");
  await set.node(2).start();
  assertEquals(Number(set.node(2).replica().log.logEndOffset), 0);
  faults.unreachable = false;
  await set.time.elapse(1000);
  assertEquals(set.state.isr, [1]);
  set.cuts.clear();
  await set.time.elapse(2000);
  assertEquals(set.state.isr, [1, 2]);
  assertEquals(set.node(2).values(), ["0:a"]);
  await set.stop();
});

Deno.test("Deleted records stay deleted, whoever in sync leads next", async () => {
  const set = await ReplicaSet.of();
  const answer = set.node(1).produce(["a", "b", "c"]);
  await set.time.elapse(600);
  succeeded(await answer);
  const deleted = set.node(1).replica().deleteRecords(offset(2), 10_000);
  await set.time.elapse(5);
  assertEquals(await isSettled(deleted), true);
  assertEquals(succeeded(await deleted), offset(2));
  await set.node(1).kill();
  await set.elect(2, [2, 3]);
  await set.time.elapse(50);
  assertEquals(set.node(2).replica().log.logStartOffset, offset(2));
  await set.stop();
});

Deno.test("A deletion waits for who is in sync and does not answer, and needs the lease", async () => {
  const set = await ReplicaSet.of();
  const answer = set.node(1).produce(["a", "b", "c"]);
  await set.time.elapse(600);
  succeeded(await answer);
  set.cuts.add("3>1");
  const one = set.node(1).replica();
  const late = one.deleteRecords(offset(1), 1_000);
  const deleted = one.deleteRecords(offset(2), 10_000);
  await set.time.elapse(1_500);
  assertEquals(failed(await late).code, "REQUEST_TIMED_OUT");
  assertEquals(await isSettled(deleted), false);
  // It leaves the in-sync set.
  await set.time.elapse(5_000);
  assertEquals(succeeded(await deleted), offset(2));
  await set.node(1).loseLease();
  const without = failed(await one.deleteRecords(offset(3), 1_000));
  assertEquals(without.code, "NOT_LEADER_OR_FOLLOWER");
  assertEquals(one.log.logStartOffset, offset(2));
  await set.stop();
});
