import fc from "../../support/fast_check.ts";
import type { PartitionFact } from "../../../broker/cluster/facts.ts";
import {
  type StartCondition,
  stateAtStart,
} from "../../../broker/cluster/start_state.ts";
import { assert, assertEquals } from "../../support/assert.ts";

function state(changes: Partial<PartitionFact> = {}): PartitionFact {
  return {
    leader: 1,
    leaderEpoch: 4,
    replicas: [1, 2, 3],
    isr: [1, 2, 3],
    ...changes,
  };
}

const CRASHED: StartCondition = {
  brokerId: 1,
  wasStoppedCleanly: false,
  isNewDisk: false,
  flushesFirst: true,
  isUsable: true,
  minInsyncReplicas: 2,
};

Deno.test("A broker that starts gives up what an earlier run of it led", () => {
  assertEquals(
    stateAtStart(state(), CRASHED),
    state({ leader: null, leaderEpoch: 5 }),
  );
  assertEquals(stateAtStart(state({ leader: 2 }), CRASHED), undefined);
});

Deno.test("It goes on in a new epoch where nobody else could lead", () => {
  assertEquals(
    stateAtStart(state({ isr: [1] }), CRASHED),
    state({ isr: [1], leaderEpoch: 5 }),
  );
});

Deno.test("A partition of one replica stays as it is", () => {
  const alone = state({ replicas: [1], isr: [1] });
  assertEquals(stateAtStart(alone, CRASHED), undefined);
  assertEquals(stateAtStart(alone, { ...CRASHED, isNewDisk: true }), undefined);
});

Deno.test("It leaves the ISR where it may have lost what it acknowledged, unless it is alone", () => {
  const fromCache = { ...CRASHED, flushesFirst: false };
  assertEquals(
    stateAtStart(state({ leader: 2 }), fromCache),
    state({ leader: 2, isr: [2, 3] }),
  );
  assertEquals(
    stateAtStart(state(), fromCache),
    state({ leader: null, leaderEpoch: 5, isr: [2, 3] }),
  );
  assertEquals(
    stateAtStart(state({ isr: [1] }), fromCache),
    state({ isr: [1], leaderEpoch: 5 }),
  );
  assertEquals(
    stateAtStart(state({ leader: 2 }), {
      ...fromCache,
      wasStoppedCleanly: true,
    }),
    undefined,
  );
});

Deno.test("It leaves the ISR to those that are eligible, where it may have lost what it acknowledged", () => {
  const fromCache = { ...CRASHED, flushesFirst: false };
  const alone = state({ isr: [1], eligible: [2, 3] });
  assertEquals(
    stateAtStart(alone, fromCache),
    state({ leader: null, leaderEpoch: 5, isr: [2, 3] }),
  );
  assertEquals(
    stateAtStart(state({ isr: [1], eligible: [3] }), fromCache),
    state({ leader: null, leaderEpoch: 5, isr: [3] }),
  );
  assertEquals(
    stateAtStart(alone, CRASHED),
    state({ isr: [1], leaderEpoch: 5, eligible: [2, 3] }),
  );
  assertEquals(
    stateAtStart(alone, { ...CRASHED, isNewDisk: true }),
    state({ leader: null, leaderEpoch: 5, isr: [2, 3] }),
  );
});

Deno.test("It is eligible no more where it may have lost what it acknowledged", () => {
  const fromCache = { ...CRASHED, flushesFirst: false };
  const eligible = state({ leader: 2, isr: [2], eligible: [1, 3] });
  const after = state({ leader: 2, isr: [2], eligible: [3] });
  assertEquals(stateAtStart(eligible, fromCache), after);
  assertEquals(stateAtStart(eligible, { ...CRASHED, isNewDisk: true }), after);
  assertEquals(stateAtStart(eligible, { ...CRASHED, isUsable: false }), after);
  assertEquals(stateAtStart(eligible, CRASHED), undefined);
  assertEquals(
    stateAtStart(eligible, { ...fromCache, wasStoppedCleanly: true }),
    undefined,
  );
});

Deno.test("On a new disk it leaves every ISR, also as the last one", () => {
  const isNewDisk = { ...CRASHED, isNewDisk: true };
  assertEquals(
    stateAtStart(state({ leader: 2 }), isNewDisk),
    state({ leader: 2, isr: [2, 3] }),
  );
  assertEquals(
    stateAtStart(state({ isr: [1] }), isNewDisk),
    state({ isr: [], leader: null, leaderEpoch: 5 }),
  );
});

Deno.test("With files that cannot be used it leaves the ISR to the others, and stays in it alone", () => {
  const isUsable = { ...CRASHED, isUsable: false };
  assertEquals(
    stateAtStart(state({ leader: 2 }), isUsable),
    state({ leader: 2, isr: [2, 3] }),
  );
  assertEquals(
    stateAtStart(state({ leader: null, isr: [1] }), isUsable),
    undefined,
  );
});

Deno.test("Whatever the state, a broker never goes on in an epoch in which it led before", () => {
  const ids = [1, 2, 3, 4];
  const states = fc.record({
    replicas: fc.shuffledSubarray(ids, { minLength: 2 }),
    isrSize: fc.nat(4),
    eligibleSize: fc.nat(3),
    leaderIndex: fc.integer({ min: -1, max: 3 }),
    leaderEpoch: fc.nat(9),
  });
  const conditions = fc.record({
    brokerId: fc.constantFrom(...ids),
    wasStoppedCleanly: fc.boolean(),
    isNewDisk: fc.boolean(),
    flushesFirst: fc.boolean(),
    isUsable: fc.boolean(),
    minInsyncReplicas: fc.integer({ min: 1, max: 4 }),
  });
  fc.assert(fc.property(states, conditions, (parts, condition) => {
    const isr = parts.replicas.slice(0, parts.isrSize);
    const eligible = parts.replicas.slice(
      parts.isrSize,
      parts.isrSize + parts.eligibleSize,
    );
    const before: PartitionFact = {
      leader: isr[parts.leaderIndex] ?? null,
      leaderEpoch: parts.leaderEpoch,
      replicas: parts.replicas,
      isr,
      ...(eligible.length > 0 ? { eligible } : {}),
    };
    const { brokerId } = condition;
    const after = stateAtStart(before, condition) ?? before;
    if (before.leader === brokerId) {
      assertEquals(after.leaderEpoch, before.leaderEpoch + 1);
      const leads = after.leader === brokerId;
      assertEquals(leads, after.isr.length === 1 && after.isr[0] === brokerId);
    } else assertEquals(after.leader, before.leader);
    const others = (ids: readonly number[] = []) =>
      ids.filter((id) => id !== brokerId);
    const heirs = others(before.isr).length > 0 ||
        after.isr.includes(brokerId) || !before.isr.includes(brokerId)
      ? before.isr
      : before.eligible;
    assertEquals(others(after.isr), others(heirs));
    assert((after.eligible ?? []).every((id) => !after.isr.includes(id)));
    assertEquals(stateAtStart(after, { ...condition, brokerId: 9 }), undefined);
    if (condition.isNewDisk) assert(!after.isr.includes(brokerId));
  }));
});
