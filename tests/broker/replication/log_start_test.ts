/** The start of a partition's log, raised on all that may lead next. */
import { offset } from "../../../storage/log/types.ts";
import { assert, assertEquals } from "../../support/assert.ts";
import { isSettled, succeeded } from "../../support/test_broker.ts";
import { ReplicaSet } from "./replica_set.ts";

/** Both have three records; the follower is cut off, and out of sync. */
async function leaderAlone(): Promise<ReplicaSet> {
  const set = await ReplicaSet.of({
    brokers: 2,
    config: { "min.insync.replicas": "1" },
  });
  const answer = set.node(1).produce(["a", "b", "c"]);
  await set.time.elapse(600);
  succeeded(await answer);
  set.cuts.add("2>1");
  await set.time.elapse(6_000);
  assertEquals(set.state.isr, [1]);
  return set;
}

Deno.test("A follower comes in sync once its log begins where the leader's does", async () => {
  const set = await leaderAlone();
  const one = set.node(1).replica();
  assertEquals(succeeded(await one.deleteRecords(offset(2), 100)), offset(2));
  const starts: number[] = [];
  const stopListening = set.view.subscribe(() => {
    if (!set.state.isr.includes(2)) return;
    starts.push(set.node(2).replica().log.logStartOffset);
  });
  set.cuts.clear();
  await set.time.elapse(2_000);
  stopListening();
  assertEquals([set.state.isr, starts], [[1, 2], [2]]);
  await set.stop();
});

Deno.test("A deletion waits for who is about to come in sync", async () => {
  const set = await leaderAlone();
  const { store } = set.node(1).run;
  store.faults.delayMs = () => 300;
  set.cuts.clear();
  const one = set.node(1).replica();
  for (let ms = 0; one.inSync?.proposed === undefined; ms += 10) {
    assert(ms < 2_000, "it is not proposed");
    await set.time.elapse(10);
  }
  // It cannot learn of the deletion before it is in sync.
  set.cuts.add("2>1");
  const deleted = one.deleteRecords(offset(2), 10_000);
  await set.time.elapse(200);
  assertEquals([set.state.isr, await isSettled(deleted)], [[1], false]);
  await set.time.elapse(1_000);
  assertEquals([set.state.isr, await isSettled(deleted)], [[1, 2], false]);
  set.cuts.clear();
  await set.time.elapse(1_500);
  assertEquals(succeeded(await deleted), offset(2));
  assertEquals(set.node(2).replica().log.logStartOffset, offset(2));
  await set.stop();
});
