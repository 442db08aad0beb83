/** The order of faults: from the seed alone, each kind once per round. */
import { assert, assertEquals, assertNotEquals } from "../support/assert.ts";
import { Random } from "../e2e/support/random.ts";
import { FAULT_KINDS, type FaultKind, type FaultStep, plan } from "./plan.ts";

const kinds = Object.keys(FAULT_KINDS) as FaultKind[];

function first(count: number, seed: number): FaultStep[] {
  const steps = plan({
    random: new Random(seed),
    kinds,
    brokers: 3,
    slots: 9,
    longestHoldMs: 6000,
    hastePercent: 30,
  });
  return Array.from({ length: count }, () => steps.next().value);
}

Deno.test("plan() is the same for the same seed, and another for another", () => {
  assertEquals(first(100, 7), first(100, 7));
  assertNotEquals(first(100, 7), first(100, 8));
});

Deno.test("plan() makes each kind of fault once in a round", () => {
  for (let seed = 0; seed < 20; seed++) {
    const steps = first(2 * kinds.length, seed);
    const rounds = [steps.slice(0, kinds.length), steps.slice(kinds.length)];
    for (const round of rounds) {
      assertEquals(round.map(({ kind }) => kind).sort(), kinds.toSorted());
    }
  }
});

Deno.test("plan() names brokers and times that there are", () => {
  for (const step of first(1000, 1)) {
    assert(step.broker >= 1 && step.broker <= 3);
    assert(step.other >= 1 && step.other <= 3);
    assertNotEquals(step.broker, step.other);
    assert(step.slot >= 0 && step.slot < 9);
    const isShort = step.kind === "pause shorter than the lease";
    assert(isShort ? step.holdMs < 1500 : step.holdMs > 1500);
    assert(step.holdMs >= 200 && step.holdMs <= 6000);
  }
});
