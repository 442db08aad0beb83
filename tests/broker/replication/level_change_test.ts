/** The durability level of a topic becomes a stricter one while it is written. */
import { assertEquals } from "../../support/assert.ts";
import { isSettled, succeeded } from "../../support/test_broker.ts";
import { ReplicaSet } from "./replica_set.ts";

const CACHE = { "flush.messages": "1000000" };
const DISK = { "flush.messages": "1" };

function twoInSync(): Promise<ReplicaSet> {
  return ReplicaSet.of({ brokers: 2, config: CACHE });
}

Deno.test("A follower that has not heard of the stricter level is served, and does not count", async () => {
  const set = await twoInSync();
  const { store } = set.node(2).run;
  store.faults.unreachable = true;
  await set.configure(DISK);
  await set.time.elapse(20);
  const answer = set.node(1).produce(["a"]);
  await set.time.elapse(1_000);
  // It has the record, in its page cache.
  assertEquals(set.node(2).values(), ["0:a"]);
  assertEquals(Number(set.node(2).replica().log.flushedOffset), 0);
  assertEquals(await isSettled(answer), false);
  store.reconnect();
  await set.time.elapse(1_000);
  succeeded(await answer);
  assertEquals(Number(set.node(2).replica().log.flushedOffset), 1);
  await set.stop();
});

Deno.test("A leader whose level becomes stricter forgets what was safe until then", async () => {
  const set = await twoInSync();
  const answer = set.node(1).produce(["a"]);
  await set.time.elapse(600);
  succeeded(await answer);
  const one = set.node(1).replica();
  const two = set.node(2).replica();
  assertEquals(one.inSync?.safeEndOf(2), 1);
  assertEquals(Number(two.log.flushedOffset), 0);
  await set.configure(DISK);
  assertEquals(one.inSync?.safeEndOf(2), undefined);
  // What is readable stays so.
  assertEquals(Number(one.highWatermark), 1);
  // Once the fetch that waits there has ended.
  await set.time.elapse(600);
  assertEquals(one.inSync?.safeEndOf(2), 1);
  assertEquals(Number(two.log.flushedOffset), 1);
  // A weaker one asks nobody.
  await set.configure(CACHE);
  assertEquals(one.inSync?.safeEndOf(2), 1);
  await set.stop();
});
