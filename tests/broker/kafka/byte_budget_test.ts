import fc from "../../support/fast_check.ts";
import { assert, assertEquals } from "../../support/assert.ts";
import { ByteBudget, type Share } from "../../../broker/kafka/byte_budget.ts";
import { settle } from "./door.ts";

function watched(share: Share) {
  const state = { share, isGranted: false };
  void share.granted.then(() => state.isGranted = true);
  return state;
}

Deno.test("ByteBudget gives up to its limit and no more", async () => {
  const budget = new ByteBudget(100);
  const first = budget.take(60);
  assert(budget.tryTake(41) === null);
  const second = budget.tryTake(40);
  assert(second !== null);
  assertEquals(budget.usedBytes, 100);
  const third = watched(budget.take(1));
  await settle();
  assert(!third.isGranted);
  first.release();
  first.release();
  await settle();
  assert(third.isGranted);
  assertEquals(budget.usedBytes, 41);
});

Deno.test("ByteBudget serves in the order of asking", async () => {
  const budget = new ByteBudget(100);
  const all = budget.take(100);
  const large = watched(budget.take(90));
  const small = watched(budget.take(20));
  all.release();
  await settle();
  // The small one would have fitted before; then large ones might wait forever.
  assert(large.isGranted && !small.isGranted);
  assert(budget.tryTake(1) === null, "it would overtake");
  large.share.release();
  await settle();
  assert(small.isGranted);
});

Deno.test("ByteBudget lets one who gave up not hold up others", async () => {
  const budget = new ByteBudget(100);
  const held = budget.take(50);
  const large = watched(budget.take(90));
  const small = watched(budget.take(50));
  large.share.release();
  await settle();
  assert(small.isGranted);
  assertEquals(budget.usedBytes, 100);
  held.release();
  large.share.release();
  assertEquals(budget.usedBytes, 50);
});

Deno.test("ByteBudget gives more than its limit to one alone", () => {
  const budget = new ByteBudget(100);
  const share = budget.tryTake(500);
  assert(share !== null && budget.tryTake(1) === null);
  share.release();
  assertEquals(budget.usedBytes, 0);
});

Deno.test("ByteBudget ends empty and never exceeds its limit", async () => {
  const step = fc.record({
    take: fc.boolean(),
    bytes: fc.integer({ min: 1, max: 100 }),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
      const budget = new ByteBudget(100);
      const shares: Share[] = [];
      for (const { take, bytes } of steps) {
        if (take) shares.push(budget.take(bytes));
        else shares.splice(bytes % (shares.length || 1), 1)[0]?.release();
        assert(budget.usedBytes <= 100);
      }
      for (const share of shares) {
        share.release();
        await share.granted;
      }
      assertEquals(budget.usedBytes, 0);
    }),
    { numRuns: 100 },
  );
});
