import fc from "fast-check";
import {
  elect,
  type Liveness,
  preferLeader,
} from "../../../../broker/cluster/controller/election.ts";
import { completeReassignment } from "../../../../broker/cluster/controller/reassignment.ts";
import type { PartitionFact } from "../../../../broker/cluster/facts.ts";
import { assert, assertEquals } from "../../../support/assert.ts";

const CLEAN = { isUncleanAllowed: false };
const UNCLEAN = { isUncleanAllowed: true };

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
  assertEquals(
    completeReassignment({ ...moving, isr: [1, 2] }, brokers([1, 2, 4])),
    undefined,
  );
  assertEquals(
    completeReassignment({ ...moving, isr: [4, 1, 2] }, brokers([1, 2, 4])),
    { leader: 4, leaderEpoch: 5, replicas: [4, 2], isr: [4, 2] },
  );
  assertEquals(
    completeReassignment(
      { ...moving, leader: 2, isr: [4, 1, 2] },
      brokers([1, 2, 4]),
    ),
    { leader: 2, leaderEpoch: 4, replicas: [4, 2], isr: [4, 2] },
  );
});

/** The slow twin: tries every state that may be, and takes the best one. */
function slowElect(
  before: PartitionFact,
  { isAlive, isLeaving }: Liveness,
): PartitionFact | undefined {
  const inSync = before.isr.filter(isAlive);
  if (inSync.length === 0) return undefined;
  const score = (leader: number) => {
    const stays = leader === before.leader;
    const rank = before.replicas.indexOf(leader);
    return (isLeaving(leader) ? 1000 : 0) + (stays ? 0 : 100) + rank;
  };
  const leader = [...inSync].sort((a, b) => score(a) - score(b))[0];
  const isSame = leader === before.leader;
  if (isSame && inSync.length === before.isr.length) return undefined;
  return {
    ...before,
    leader,
    isr: inSync,
    leaderEpoch: before.leaderEpoch + (isSame ? 0 : 1),
  };
}

const ids = [1, 2, 3, 4, 5];

const arbitraryCase = fc.record({
  replicas: fc.shuffledSubarray(ids, { minLength: 1 }),
  isrMask: fc.array(fc.boolean(), { minLength: 5, maxLength: 5 }),
  leaderIndex: fc.integer({ min: -1, max: 4 }),
  alive: fc.subarray(ids),
  leaving: fc.subarray(ids),
  leaderEpoch: fc.nat(10),
}).map(({ replicas, isrMask, leaderIndex, alive, leaving, leaderEpoch }) => {
  const isr = replicas.filter((_, index) => isrMask[index]);
  const inSync = isr.length === 0 ? [replicas[0]] : isr;
  const leader = inSync[leaderIndex] ?? null;
  return {
    before: { leader, leaderEpoch, replicas, isr: inSync },
    liveness: brokers(alive, leaving.filter((id) => alive.includes(id))),
  };
});

Deno.test("elect() does what its slow twin does", () => {
  fc.assert(fc.property(arbitraryCase, ({ before, liveness }) => {
    assertEquals(
      elect(before, liveness, CLEAN),
      slowElect(before, liveness),
    );
  }));
});

Deno.test("elect() comes to rest, elects only who is in sync and lives, and never reuses an epoch", () => {
  fc.assert(fc.property(arbitraryCase, ({ before, liveness }) => {
    const after = elect(before, liveness, CLEAN);
    if (after === undefined) return;
    assertEquals(elect(after, liveness, CLEAN), undefined);
    assert(after.leader !== null && before.isr.includes(after.leader));
    assert(liveness.isAlive(after.leader));
    assert(after.isr.every((id) => before.isr.includes(id)));
    assertEquals(
      after.leaderEpoch > before.leaderEpoch,
      after.leader !== before.leader,
    );
  }));
});
