import fc from "../../../support/fast_check.ts";
import {
  elect,
  type Liveness,
  preferLeader,
} from "../../../../broker/cluster/controller/election.ts";
import { completeReassignment } from "../../../../broker/cluster/controller/reassignment.ts";
import type { PartitionFact } from "../../../../broker/cluster/facts.ts";
import { assert, assertEquals } from "../../../support/assert.ts";

const CLEAN = { isUncleanAllowed: false, minInsyncReplicas: 1 };
const UNCLEAN = { ...CLEAN, isUncleanAllowed: true };
const MAJORITY = { ...CLEAN, minInsyncReplicas: 2 };

function brokers(alive: readonly number[], leaving: readonly number[] = []) {
  return {
    isAlive: (id: number) => alive.includes(id),
    isLeaving: (id: number) => leaving.includes(id),
  } satisfies Liveness;
}

function state(changes: Partial<PartitionFact> = {}): PartitionFact {
  return {
    leader: 1,
    leaderEpoch: 4,
    replicas: [1, 2, 3],
    isr: [1, 2, 3],
    ...changes,
  };
}

Deno.test("elect() leaves alone what is well", () => {
  assertEquals(elect(state(), brokers([1, 2, 3]), CLEAN), undefined);
  assertEquals(elect(state({ isr: [1] }), brokers([1, 2]), CLEAN), undefined);
});

Deno.test("elect() gives a dead leader's partition to the first in-sync replica that lives, in a new epoch", () => {
  assertEquals(
    elect(state(), brokers([2, 3]), CLEAN),
    state({ leader: 2, leaderEpoch: 5, isr: [2, 3] }),
  );
  assertEquals(
    elect(state({ isr: [1, 3] }), brokers([2, 3]), CLEAN),
    state({ leader: 3, leaderEpoch: 5, isr: [3] }),
  );
});

Deno.test("elect() takes a dead follower out of the ISR, in the same epoch", () => {
  assertEquals(
    elect(state(), brokers([1, 3]), CLEAN),
    state({ isr: [1, 3] }),
  );
});

Deno.test("elect() waits when nobody in sync lives, and keeps who was in sync", () => {
  const waiting = state({ isr: [1, 2] });
  assertEquals(elect(waiting, brokers([3]), CLEAN), undefined);
  assertEquals(elect(waiting, brokers([]), CLEAN), undefined);
  assertEquals(
    elect(waiting, brokers([2, 3]), CLEAN),
    state({ leader: 2, leaderEpoch: 5, isr: [2] }),
  );
});

Deno.test("elect() gives it to one that is not in sync only where the topic allows it", () => {
  assertEquals(
    elect(state({ isr: [1] }), brokers([2, 3]), UNCLEAN),
    state({ leader: 2, leaderEpoch: 5, isr: [2] }),
  );
  assertEquals(elect(state({ isr: [1] }), brokers([]), UNCLEAN), undefined);
});

Deno.test("elect() keeps who leaves an ISR that gets too small as eligible", () => {
  assertEquals(
    elect(state(), brokers([1, 3]), MAJORITY),
    state({ isr: [1, 3] }),
  );
  assertEquals(
    elect(state({ isr: [1, 3] }), brokers([1, 2]), MAJORITY),
    state({ isr: [1], eligible: [3] }),
  );
  assertEquals(
    elect(state({ isr: [1, 3], eligible: [2] }), brokers([3]), {
      ...MAJORITY,
      minInsyncReplicas: 3,
    }),
    state({ leader: 3, leaderEpoch: 5, isr: [3], eligible: [1, 2] }),
  );
});

Deno.test("elect() takes eligible replicas when nobody in sync lives, and who was in sync stays eligible", () => {
  const alone = state({ isr: [1], eligible: [2, 3] });
  assertEquals(elect(alone, brokers([]), MAJORITY), undefined);
  assertEquals(
    elect(alone, brokers([3]), MAJORITY),
    state({ leader: 3, leaderEpoch: 5, isr: [3], eligible: [1, 2] }),
  );
  // Enough of them are an in-sync set that may commit again.
  assertEquals(
    elect(alone, brokers([2, 3], [2]), MAJORITY),
    state({ leader: 3, leaderEpoch: 5, isr: [2, 3] }),
  );
  assertEquals(
    elect(state({ isr: [1], eligible: [3] }), brokers([2, 3]), UNCLEAN),
    state({ leader: 3, leaderEpoch: 5, isr: [3] }),
  );
  // Nothing that others have counts after an unclean election.
  assertEquals(
    elect(state({ isr: [1], eligible: [3] }), brokers([2]), UNCLEAN),
    state({ leader: 2, leaderEpoch: 5, isr: [2] }),
  );
});

Deno.test("elect() relieves a leader that is leaving, when somebody can", () => {
  assertEquals(
    elect(state(), brokers([1, 2, 3], [1]), CLEAN),
    state({ leader: 2, leaderEpoch: 5 }),
  );
  assertEquals(elect(state(), brokers([1, 2, 3], [1, 2, 3]), CLEAN), undefined);
  assertEquals(
    elect(state({ isr: [1] }), brokers([1, 2, 3], [1]), CLEAN),
    undefined,
  );
});

Deno.test("elect() gives a partition without leader to a leaving one rather than to nobody", () => {
  assertEquals(
    elect(state({ leader: null, isr: [3] }), brokers([3], [3]), CLEAN),
    state({ leader: 3, leaderEpoch: 5, isr: [3] }),
  );
});

Deno.test("preferLeader() brings the first replica back once it is in sync", () => {
  const moved = state({ leader: 2 });
  assertEquals(
    preferLeader(moved, brokers([1, 2, 3])),
    state({ leader: 1, leaderEpoch: 5 }),
  );
  assertEquals(preferLeader(moved, brokers([2, 3])), undefined);
  assertEquals(preferLeader(moved, brokers([1, 2, 3], [1])), undefined);
  assertEquals(
    preferLeader(state({ leader: 2, isr: [2, 3] }), brokers([1, 2, 3])),
    undefined,
  );
  assertEquals(preferLeader(state(), brokers([1, 2, 3])), undefined);
});

Deno.test("completeReassignment() waits for all that come, then lets go", () => {
  const moving = state({ replicas: [4, 1, 2], adding: [4], removing: [1] });
  const complete = (isr: number[], leader = 1) =>
    completeReassignment(
      { ...moving, isr, leader },
      brokers([1, 2, 4]),
      { minInsyncReplicas: 2 },
    );
  assertEquals(
    complete([1, 2]),
    undefined,
  );
  assertEquals(
    complete([4, 1, 2]),
    { leader: 4, leaderEpoch: 5, replicas: [4, 2], isr: [4, 2] },
  );
  assertEquals(
    complete([4, 1, 2], 2),
    { leader: 2, leaderEpoch: 5, replicas: [4, 2], isr: [4, 2] },
  );
});

/** The slow twin: ranks everybody who may lead, and takes the best one. */
function slowElect(
  before: PartitionFact,
  { isAlive, isLeaving }: Liveness,
  { minInsyncReplicas }: { minInsyncReplicas: number },
): PartitionFact | undefined {
  const { eligible: had = [], ...rest } = before;
  const isClean = before.isr.some(isAlive);
  const isr = (isClean ? before.isr : had).filter(isAlive);
  if (isr.length === 0) return undefined;
  const score = (leader: number) => {
    const stays = isClean && leader === before.leader;
    const rank = before.replicas.indexOf(leader);
    return (isLeaving(leader) ? 1000 : 0) + (stays ? 0 : 100) + rank;
  };
  const leader = [...isr].sort((a, b) => score(a) - score(b))[0];
  const isSame = isClean && leader === before.leader;
  if (isSame && isr.length === before.isr.length) return undefined;
  const needed = Math.min(minInsyncReplicas, before.replicas.length);
  const eligible = before.replicas.filter((id) =>
    isr.length < needed && !isr.includes(id) &&
    (before.isr.includes(id) || had.includes(id))
  );
  return {
    ...rest,
    leader,
    isr,
    leaderEpoch: before.leaderEpoch + (isSame ? 0 : 1),
    ...(eligible.length > 0 ? { eligible } : {}),
  };
}

const ids = [1, 2, 3, 4, 5];

const arbitraryCase = fc.record({
  replicas: fc.shuffledSubarray(ids, { minLength: 1 }),
  roles: fc.array(fc.constantFrom("in sync", "eligible", "neither"), {
    minLength: 5,
    maxLength: 5,
  }),
  leaderIndex: fc.integer({ min: -1, max: 4 }),
  alive: fc.subarray(ids),
  leaving: fc.subarray(ids),
  leaderEpoch: fc.nat(10),
  minInsyncReplicas: fc.integer({ min: 1, max: 4 }),
}).map(({ replicas, roles, leaderIndex, alive, leaving, ...rest }) => {
  const isr = replicas.filter((_, index) => roles[index] === "in sync");
  const inSync = isr.length === 0 ? [replicas[0]] : isr;
  const eligible = replicas.filter((id, index) =>
    roles[index] === "eligible" && !inSync.includes(id)
  );
  const leader = inSync[leaderIndex] ?? null;
  const { leaderEpoch, minInsyncReplicas } = rest;
  const before: PartitionFact = {
    leader,
    leaderEpoch,
    replicas,
    isr: inSync,
    ...(eligible.length > 0 ? { eligible } : {}),
  };
  return {
    before,
    liveness: brokers(alive, leaving.filter((id) => alive.includes(id))),
    rules: { isUncleanAllowed: false, minInsyncReplicas },
  };
});

Deno.test("elect() does what its slow twin does", () => {
  fc.assert(fc.property(arbitraryCase, ({ before, liveness, rules }) => {
    assertEquals(
      elect(before, liveness, rules),
      slowElect(before, liveness, rules),
    );
  }));
});

Deno.test("elect() comes to rest, elects only who has everything and lives, and never reuses an epoch", () => {
  fc.assert(fc.property(arbitraryCase, ({ before, liveness, rules }) => {
    const after = elect(before, liveness, rules);
    if (after === undefined) return;
    assertEquals(elect(after, liveness, rules), undefined);
    const had = before.isr.some((id) => liveness.isAlive(id))
      ? before.isr
      : before.eligible ?? [];
    assert(after.leader !== null && had.includes(after.leader));
    assert(liveness.isAlive(after.leader));
    assert(after.isr.every((id) => had.includes(id)));
    assertEquals(
      after.leaderEpoch > before.leaderEpoch,
      after.leader !== before.leader,
    );
  }));
});
