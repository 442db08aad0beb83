/** Producers whose leader leads no longer when it is known what they have. */
import type { Failure } from "../../../contract/errors.ts";
import { offset } from "../../../storage/log/types.ts";
import { assert, assertEquals } from "../../support/assert.ts";
import { failed, isSettled, succeeded } from "../../support/test_broker.ts";
import { ReplicaSet } from "./replica_set.ts";

const PLAIN = { outlivesLeader: true };

/** Broker 1 leads and wrote what those of `holders` have and nobody confirmed. */
async function inFlight(
  holders: readonly number[],
  options: { config?: Record<string, string>; timeoutMs?: number } = {},
) {
  const { config, timeoutMs } = options;
  const set = await ReplicaSet.of({ config });
  for (const id of [2, 3]) {
    // Its next request is what would acknowledge the record.
    if (holders.includes(id)) set.node(id).disk.holdSyncs = true;
    else set.cuts.add(`${id}>1`);
  }
  const answer = set.node(1)
    .produceBatch(["x"], "inSync", { ...PLAIN, timeoutMs });
  await set.time.elapse(600);
  for (const id of [2, 3]) {
    assertEquals(set.node(id).values(), holders.includes(id) ? ["0:x"] : []);
  }
  assertEquals(await isSettled(answer), false);
  return { set, answer };
}

function release(set: ReplicaSet): void {
  set.cuts.clear();
  for (const { disk } of set.nodes.values()) {
    disk.holdSyncs = false;
    disk.releaseSyncs();
  }
}

/** As the producer is told that must not send it again by itself. */
function assertOpen({ code, details }: Failure, expected: string): void {
  assertEquals(code, expected);
  assert(details.mayBeStored !== false, "nobody knows");
}

Deno.test("A record that the next leader has is acknowledged by the one that wrote it, at once", async () => {
  const { set, answer } = await inFlight([2, 3]);
  await set.elect(2);
  release(set);
  await set.time.elapse(150);
  assertEquals(set.node(1).replica().isLeader, false);
  const { baseOffset, leaderEpoch } = succeeded(await answer);
  assertEquals([baseOffset, leaderEpoch], [0, 0]);
  assertEquals(set.node(2).values(), ["0:x"]);
  assertEquals(Number(set.node(2).replica().highWatermark), 1);
  assertEquals(set.node(1).replica().owesAnswers, false);
  await set.stop();
});

Deno.test("A record that the next leader lacks is said to be gone, and is", async () => {
  const { set, answer } = await inFlight([]);
  await set.elect(2);
  release(set);
  await set.time.elapse(500);
  const failure = failed(await answer);
  assertEquals(failure.code, "NOT_LEADER_OR_FOLLOWER");
  assertEquals(failure.details.mayBeStored, false);
  const again = set.node(2).produceBatch(["x"], "inSync", PLAIN);
  await set.time.elapse(50);
  succeeded(await again);
  for (const node of set.nodes.values()) assertEquals(node.values(), ["0:x"]);
  await set.stop();
});

Deno.test("A record that is cut is not gone while a replica that may lead next could have it", async () => {
  const { set, answer } = await inFlight([3]);
  await set.elect(2);
  release(set);
  set.cuts.add("3>2");
  await set.time.elapse(1000);
  assertEquals(set.node(1).values(), []);
  assertEquals(await isSettled(answer), false);
  // It is still in sync, and the one that has not been heard of.
  await set.elect(3);
  await set.time.elapse(1000);
  assertOpen(failed(await answer), "NOT_LEADER_OR_FOLLOWER");
  for (const node of set.nodes.values()) assertEquals(node.values(), ["0:x"]);
  await set.stop();
});

Deno.test("A record that is cut is gone once who might have it is out of sync", async () => {
  const { set, answer } = await inFlight([3], {
    config: { "min.insync.replicas": "2" },
  });
  await set.elect(2);
  release(set);
  set.cuts.add("3>2");
  await set.time.elapse(4_000);
  assertEquals(await isSettled(answer), false);
  await set.time.elapse(3_000);
  assertEquals(set.state.isr, [1, 2]);
  assertEquals(failed(await answer).details.mayBeStored, false);
  set.cuts.clear();
  await set.time.elapse(3_000);
  for (const node of set.nodes.values()) assertEquals(node.values(), []);
  await set.stop();
});

Deno.test("A wait goes on over several leaders, and at a broker that leads again", async () => {
  for (const last of [3, 1]) {
    const { set, answer } = await inFlight([2, 3]);
    // Nobody hears of the next leader.
    set.cuts.add("1>2").add("3>2");
    await set.elect(2);
    await set.time.elapse(1000);
    assertEquals(await isSettled(answer), false);
    assertEquals(set.node(1).replica().owesAnswers, true);
    await set.elect(last);
    await set.time.elapse(100);
    assertEquals(await isSettled(answer), false);
    release(set);
    await set.time.elapse(1000);
    assertEquals(succeeded(await answer).leaderEpoch, 0);
    for (const node of set.nodes.values()) assertEquals(node.values(), ["0:x"]);
    await set.stop();
  }
});

Deno.test("A wait goes on while nobody leads", async () => {
  const { set, answer } = await inFlight([2, 3]);
  await set.elect(null);
  await set.time.elapse(2000);
  assertEquals(await isSettled(answer), false);
  release(set);
  await set.elect(3);
  await set.time.elapse(1000);
  succeeded(await answer);
  await set.stop();
});

Deno.test("A wait that outlives its leader ends when its time is over, and not much later than the leader", async () => {
  for (const holders of [[3], [2, 3]]) {
    for (const [timeoutMs, endsAfterMs] of [[3_000, 2_400], [30_000, 7_000]]) {
      const { set, answer } = await inFlight(holders, { timeoutMs });
      await set.elect(2, [1, 2, 3]);
      release(set);
      // Whose silence keeps it from being known.
      if (holders.includes(2)) set.cuts.add("1>2");
      set.cuts.add("3>2");
      for (let passedMs = 100; passedMs < endsAfterMs; passedMs += 100) {
        await set.time.elapse(100);
        // It stays in sync for as long as this test wants it to.
        if (passedMs % 1000 === 0) set.node(2).replica().excuse(1000);
      }
      assertEquals(await isSettled(answer), false);
      await set.time.elapse(400);
      assertOpen(failed(await answer), "REQUEST_TIMED_OUT");
      assertEquals(set.node(1).replica().owesAnswers, false);
      release(set);
      await set.stop();
    }
  }
});

Deno.test("Who can send again is told of the other leader at once", async () => {
  const set = await ReplicaSet.of();
  set.cuts.add("2>1").add("3>1");
  set.node(1).disk.holdSyncs = true;
  const answers = (["inSync", "leader"] as const).map((wait) =>
    set.node(1).produceBatch([wait], wait)
  );
  await set.time.elapse(5);
  await set.elect(2);
  await set.time.elapse(5);
  for (const answer of answers) {
    assertOpen(failed(await answer), "NOT_LEADER_OR_FOLLOWER");
  }
  release(set);
  await set.stop();
});

Deno.test("A wait for the leader's own disk goes on until the next leader knows the record", async () => {
  for (const isHeld of [true, false]) {
    const set = await ReplicaSet.of();
    if (!isHeld) set.cuts.add("2>1").add("3>1");
    for (const { disk } of set.nodes.values()) disk.holdSyncs = true;
    const answer = set.node(1).produceBatch(["x"], "leader", PLAIN);
    await set.time.elapse(5);
    await set.elect(2);
    await set.time.elapse(5);
    assertEquals(await isSettled(answer), false);
    release(set);
    await set.time.elapse(1000);
    if (isHeld) succeeded(await answer);
    else assertEquals(failed(await answer).details.mayBeStored, false);
    await set.stop();
  }
});

Deno.test("A former leader counts for itself what is as safe there as the topic's level says", async () => {
  const { set, answer } = await inFlight([2, 3]);
  const one = set.node(1).produceBatch(["y"], "inSync", PLAIN);
  set.node(1).disk.holdSyncs = true;
  for (const id of [2, 3]) {
    set.node(id).disk.holdSyncs = false;
    set.node(id).disk.releaseSyncs();
  }
  set.cuts.add("2>1").add("3>1");
  await set.elect(2);
  await set.time.elapse(1000);
  assertEquals(set.node(2).values(), ["0:x"]);
  assertEquals(await isSettled(Promise.race([answer, one])), false);
  release(set);
  await set.time.elapse(1000);
  succeeded(await answer);
  assertEquals(failed(await one).details.mayBeStored, false);
  await set.stop();
});

Deno.test("A record that the next leader has on too few replicas is not acknowledged", async () => {
  const { set, answer } = await inFlight([2, 3], {
    config: { "min.insync.replicas": "3" },
  });
  await set.elect(2, [2]);
  release(set);
  set.cuts.add("3>2");
  await set.time.elapse(1000);
  const failure = failed(await answer);
  assertOpen(failure, "NOT_ENOUGH_REPLICAS_AFTER_APPEND");
  assert(failure.detail.includes("asks for 3"), failure.detail);
  await set.stop();
});

Deno.test("A broker that stops, and a replica that goes, answer at once that they do not know", async () => {
  for (const end of ["stop", "remove", "delete", "disk"] as const) {
    const { set, answer } = await inFlight([2, 3]);
    set.cuts.add("1>2");
    await set.elect(2);
    await set.time.elapse(5);
    assertEquals(await isSettled(answer), false);
    if (end === "stop") await set.node(1).stop();
    else if (end === "remove") {
      await set.change({ replicas: [2, 3], isr: [2, 3] });
    } else if (end === "delete") await set.deleteTopic();
    else {
      set.cuts.clear();
      set.node(1).disk.fault = () => ({ kind: "error" });
      set.node(2).disk.holdSyncs = false;
      set.node(2).disk.releaseSyncs();
      await set.elect(2);
    }
    await set.time.elapse(100);
    if (end === "disk") {
      // The next thing that it has to store.
      await set.node(2).produceBatch(["y"], "append");
      await set.time.elapse(100);
    }
    assertEquals(await isSettled(answer), true, end);
    assertOpen(
      failed(await answer),
      end === "disk" ? "KAFKA_STORAGE_ERROR" : "NOT_LEADER_OR_FOLLOWER",
    );
    if (set.node(1).isUp) set.node(1).disk.fault = undefined;
    release(set);
    await set.stop();
  }
});

Deno.test("A log that starts over does not tell what became of its records", async () => {
  const { set, answer } = await inFlight([2, 3]);
  set.cuts.add("1>2");
  await set.elect(2, [2, 3]);
  for (const id of [2, 3]) {
    set.node(id).disk.holdSyncs = false;
    set.node(id).disk.releaseSyncs();
  }
  await set.time.elapse(100);
  const later = set.node(2).produce(["y"]);
  await set.time.elapse(600);
  succeeded(await later);
  // What it lacks is committed, and deleted.
  const deleting = set.node(2).replica().deleteRecords(offset(2), 1_000);
  await set.time.elapse(100);
  succeeded(await deleting);
  assertEquals(await isSettled(answer), false);
  set.cuts.clear();
  await set.time.elapse(2000);
  assertOpen(failed(await answer), "NOT_LEADER_OR_FOLLOWER");
  assertEquals(Number(set.node(1).replica().log.logStartOffset), 2);
  await set.stop();
});

Deno.test("No wait outlives its leader any more once the broker is about to stop", async () => {
  const { set, answer } = await inFlight([2, 3]);
  set.node(1).run.manager.keepNoWaits();
  await set.time.elapse(100);
  assertEquals(await isSettled(answer), false, "it leads, and may get there");
  await set.elect(2);
  await set.time.elapse(5);
  assertOpen(failed(await answer), "NOT_LEADER_OR_FOLLOWER");
  release(set);
  await set.stop();
});
