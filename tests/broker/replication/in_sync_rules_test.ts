import fc from "../../support/fast_check.ts";
import type { PartitionFact } from "../../../broker/cluster/facts.ts";
import {
  type FollowerProgress,
  handedOver,
  isHeldBack,
  keepsEligible,
  laggards,
  maximalIsr,
  mayJoin,
  nextHighWatermark,
  progressAfterFetch,
  REPLICATION_LIMITS,
  stoodDown,
  truncationPoint,
  unheard,
  withInSync,
  withoutInSync,
} from "../../../broker/replication/in_sync_rules.ts";
import { assert, assertEquals } from "../../support/assert.ts";

const { lagTimeMaxMs } = REPLICATION_LIMITS;

const ids = fc.uniqueArray(fc.integer({ min: 1, max: 6 }), {
  minLength: 1,
  maxLength: 6,
});

const states: fc.Arbitrary<PartitionFact> = ids.chain((replicas) =>
  fc.record({
    leader: fc.constantFrom(...replicas),
    leaderEpoch: fc.nat(5),
    replicas: fc.constant(replicas),
    isr: fc.shuffledSubarray(replicas, { minLength: 1 }),
    adding: fc.option(fc.subarray(replicas), { nil: undefined }),
    removing: fc.option(fc.subarray(replicas), { nil: undefined }),
  })
).map(({ adding, removing, ...state }) => ({
  ...state,
  ...(adding === undefined ? {} : { adding }),
  ...(removing === undefined ? {} : { removing }),
}));

const sorted = (values: readonly number[]) => [...values].sort((a, b) => a - b);

Deno.test("nextHighWatermark() is the greatest offset below which all is safe everywhere", () => {
  fc.assert(
    fc.property(
      fc.nat(12),
      fc.array(fc.option(fc.nat(12), { nil: undefined }), { minLength: 1 }),
      (present, safeEnds) => {
        // Record by record, as far as every member is known to hold it.
        let slow = present;
        const holdsAll = (record: number) =>
          safeEnds.every((end) => end !== undefined && record < end);
        while (slow < 12 && holdsAll(slow)) slow++;
        const next = nextHighWatermark(present, safeEnds);
        assertEquals(next, slow);
        assert(next >= present);
      },
    ),
  );
});

Deno.test("maximalIsr() holds everyone who is, or may be, in sync, once", () => {
  fc.assert(
    fc.property(ids, fc.option(ids, { nil: undefined }), (isr, proposed) => {
      const maximal = maximalIsr(isr, proposed);
      assertEquals(
        sorted(maximal),
        sorted([...new Set([...isr, ...proposed ?? []])]),
      );
    }),
  );
});

/** A follower's fetches: where from, where the leader's log ended, and when. */
const histories = fc.array(
  fc.record({
    lag: fc.integer({ min: 0, max: 3 }),
    grow: fc.integer({ min: 0, max: 3 }),
    waitMs: fc.integer({ min: 1, max: 4000 }),
  }),
  { minLength: 1, maxLength: 12 },
).map((steps) => {
  let nowMs = 0;
  let logEndOffset = 3;
  let fetchOffset = 0;
  return steps.map(({ lag, grow, waitMs }) => {
    nowMs += waitMs;
    logEndOffset += grow;
    fetchOffset = Math.max(fetchOffset, logEndOffset - lag);
    return { nowMs, logEndOffset, fetchOffset };
  });
});

Deno.test("progressAfterFetch() knows when a follower last had everything", () => {
  fc.assert(
    fc.property(histories, (history) => {
      let progress = unheard(0);
      for (const fetched of history) {
        progress = progressAfterFetch(progress, fetched);
      }
      // At a fetch it has proven to have caught up at that fetch, or at the one
      // before it when it now asks from what was the end by then.
      const caughtUp = [0];
      history.forEach((fetched, index) => {
        const before = history[index - 1];
        if (fetched.fetchOffset >= fetched.logEndOffset) {
          caughtUp.push(fetched.nowMs);
        } else if (
          before !== undefined && fetched.fetchOffset >= before.logEndOffset
        ) caughtUp.push(before.nowMs);
      });
      assertEquals(progress.caughtUpMs, Math.max(...caughtUp));
      const last = history.at(-1)!;
      assertEquals(progress.safeEnd, last.fetchOffset);
      assertEquals(progress.endAtFetch, last.logEndOffset);
    }),
  );
});

Deno.test("laggards() are those behind for longer than the limit: at, above", () => {
  const at = (caughtUpMs: number): FollowerProgress => ({
    ...unheard(0),
    caughtUpMs,
  });
  const behind = (nowMs: number) =>
    laggards([1, 2, 3], 1, (id) => at(id === 2 ? 0 : 100), nowMs);
  assertEquals(behind(lagTimeMaxMs), []);
  assertEquals(behind(lagTimeMaxMs + 1), [2]);
  assertEquals(behind(lagTimeMaxMs + 101), [2, 3]);
  // Not the leader itself, and nobody of whom nothing is remembered.
  assertEquals(laggards([1, 2], 2, () => undefined, 1e9), []);
});

Deno.test("mayJoin() asks for all that is committed, and all from before the epoch", () => {
  fc.assert(
    fc.property(
      states,
      fc.integer({ min: 1, max: 7 }),
      fc.nat(9),
      fc.nat(9),
      fc.nat(9),
      (state, brokerId, fetchOffset, highWatermark, epochStartOffset) => {
        let slow = state.replicas.some((id) => id === brokerId) &&
          !state.isr.some((id) => id === brokerId);
        for (let record = 0; record < 9; record++) {
          const isNeeded = record < highWatermark || record < epochStartOffset;
          if (isNeeded && record >= fetchOffset) slow = false;
        }
        assertEquals(
          mayJoin(brokerId, fetchOffset, {
            state,
            highWatermark,
            epochStartOffset,
          }),
          slow,
        );
      },
    ),
  );
});

Deno.test("withInSync() and withoutInSync() change the in-sync set alone", () => {
  fc.assert(
    fc.property(states, fc.nat(5), (state, at) => {
      const id = state.replicas[at % state.replicas.length];
      const grown = withInSync(state, id);
      assertEquals({ ...grown, isr: [] }, { ...state, isr: [] });
      assertEquals(
        grown.isr,
        state.replicas.filter((each) =>
          each === id || state.isr.includes(each)
        ),
      );
      const shrunk = withoutInSync(state, [id]);
      assertEquals({ ...shrunk, isr: [] }, { ...state, isr: [] });
      assertEquals(shrunk.isr, state.isr.filter((each) => each !== id));
    }),
  );
});

Deno.test("handedOver() lets another one lead that is in sync and may, in a new epoch", () => {
  fc.assert(
    fc.property(states, ids, (state, fit) => {
      const self = state.leader!;
      const disk = { brokerId: self, minInsyncReplicas: 1, isReadable: true };
      const next = handedOver(state, disk, (id) => fit.includes(id));
      const candidates = state.replicas.filter((id) =>
        id !== self && state.isr.includes(id) && fit.includes(id)
      );
      if (candidates.length === 0) return assertEquals(next, undefined);
      assert(next !== undefined && next.leader !== null);
      assert(candidates.includes(next.leader));
      const staying = candidates.filter((id) => !state.removing?.includes(id));
      if (staying.length > 0) assertEquals(next.leader, staying[0]);
      assertEquals(next.leaderEpoch, state.leaderEpoch + 1);
      assertEquals(next.isr, state.isr.filter((id) => id !== self));
      assertEquals(next.replicas, state.replicas);
      assertEquals(next.adding, state.adding);
    }),
  );
});

Deno.test("handedOver() writes no more than a fact, whatever an image adds to it", () => {
  const image = {
    leader: 1,
    leaderEpoch: 3,
    replicas: [1, 2],
    isr: [1, 2],
    modRevision: 9,
  };
  const disk = { brokerId: 1, minInsyncReplicas: 1, isReadable: true };
  assertEquals(handedOver(image, disk, () => true), {
    leader: 2,
    leaderEpoch: 4,
    replicas: [1, 2],
    isr: [2],
  });
});

Deno.test("handedOver() turns to eligible replicas when nobody in sync may lead, and the leader cannot be read", () => {
  const state = {
    leader: 1,
    leaderEpoch: 3,
    replicas: [1, 2, 3, 4],
    isr: [1, 2],
    eligible: [3, 4],
  };
  const to = (isReadable: boolean, ...fit: number[]) => {
    const disk = { brokerId: 1, minInsyncReplicas: 2, isReadable };
    const next = handedOver(state, disk, (id) => fit.includes(id));
    return next && [next.leader, next.isr, next.eligible];
  };
  assertEquals(to(true, 2, 3), [2, [2], [1, 3, 4]]);
  assertEquals(to(false, 2, 3), [2, [2], [3, 4]]);
  assertEquals(to(true, 3), undefined);
  assertEquals(to(false, 3), [3, [3], [2, 4]]);
  assertEquals(to(false, 3, 4), [3, [3, 4], undefined]);
  assertEquals(to(true, 1), undefined);
});

Deno.test("stoodDown() takes a follower with a failing disk out of the in-sync set, unless it is the last or leads", () => {
  const state = { leader: 1, leaderEpoch: 3, replicas: [1, 2, 3], isr: [1, 2] };
  const disk = { brokerId: 2, minInsyncReplicas: 2, isReadable: true };
  const alone = { ...state, isr: [1] };
  assertEquals(stoodDown(state, disk), { ...alone, eligible: [2] });
  assertEquals(stoodDown(state, { ...disk, isReadable: false }), alone);
  assertEquals(stoodDown(state, { ...disk, minInsyncReplicas: 1 }), alone);
  assertEquals(stoodDown(state, { ...disk, brokerId: 1 }), undefined);
  assertEquals(stoodDown(state, { ...disk, brokerId: 3 }), undefined);
  const last = { ...state, leader: null, isr: [2] };
  assertEquals(stoodDown(last, disk), undefined);
});

Deno.test("keepsEligible() lets them go with enough in sync, or something to read", () => {
  const state = { leader: 1, leaderEpoch: 0, replicas: [1, 2, 3], isr: [1] };
  for (const knowsCommitted of [true, false]) {
    for (const hasNewRecords of [true, false]) {
      const leader = { knowsCommitted, hasNewRecords };
      assertEquals(
        keepsEligible(state, { ...leader, minInsyncReplicas: 2 }),
        knowsCommitted && !hasNewRecords,
      );
      assert(!keepsEligible(state, { ...leader, minInsyncReplicas: 1 }));
    }
  }
});

Deno.test("isHeldBack() lets nobody read what is in the page caches of too few", () => {
  const state = { leader: 1, leaderEpoch: 0, replicas: [1, 2], isr: [1] };
  const isHeld = (flushMessages: number, minInsyncReplicas: number) =>
    isHeldBack(state, { flushMessages, minInsyncReplicas });
  assertEquals([1, 2, 3].map((min) => isHeld(100, min)), [false, true, true]);
  assertEquals([1, 2, 3].map((min) => isHeld(1, min)), [false, false, false]);
  // It has no more than one.
  const only = { ...state, replicas: [1] };
  const settings = { flushMessages: 100, minInsyncReplicas: 2 };
  assertEquals(isHeldBack(only, settings), false);
});

/** The epoch of each record, ascending. */
const logs = fc.array(fc.nat(4), { maxLength: 10 }).map(sorted);

/** The largest epoch at or below the asked one, and where its records end. */
function endOf(log: readonly number[], asked: number) {
  const known = log.filter((epoch) => epoch <= asked);
  return { epoch: known.at(-1) ?? asked, endOffset: known.length };
}

Deno.test("truncationPoint() leads, step by step, to what both logs have in common, and cuts no more than differs", () => {
  fc.assert(
    fc.property(
      // Both begin the same, and a record of an epoch has one place only.
      logs,
      logs,
      logs,
      (common, restOfLeader, restOfFollower) => {
        const base = common.at(-1) ?? 0;
        // Each epoch had one leader: no two logs hold different records of one
        // epoch at the same offset, so the tails have epochs of their own.
        const leader = [
          ...common,
          ...restOfLeader.map((epoch) => base + 1 + 2 * epoch),
        ];
        let follower = [
          ...common,
          ...restOfFollower.map((epoch) => base + 2 + 2 * epoch),
        ];
        for (let step = 0;; step++) {
          assert(step <= 12, "It comes to no end");
          const last = follower.at(-1);
          if (last === undefined) break;
          const answer = endOf(leader, last);
          const isSame = answer.epoch === last && leader.includes(last) &&
            answer.endOffset >= follower.length;
          if (isSame) break;
          const own = endOf(follower, answer.epoch).endOffset;
          const end = truncationPoint(own, answer.endOffset);
          assert(end < follower.length, "Each step cuts something");
          follower = follower.slice(0, end);
        }
        assertEquals(follower, leader.slice(0, follower.length));
        assert(follower.length >= common.length, "What is common stays");
      },
    ),
  );
});
