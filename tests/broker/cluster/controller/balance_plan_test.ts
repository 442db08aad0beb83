import fc from "../../../support/fast_check.ts";
import {
  type BalancedBroker,
  type BalancedPartition,
  balanceTarget,
  type BalanceWish,
} from "../../../../broker/cluster/controller/balance_plan.ts";
import { assert, assertEquals } from "../../../support/assert.ts";

function broker(id: number, changes: Partial<BalancedBroker> = {}) {
  return { id, rack: null, role: "takes", ...changes } as const;
}

function rebalance(...ids: number[]): BalanceWish {
  return { brokers: ids.map((id) => broker(id)), isEvened: true };
}

function partition(
  key: string,
  replicas: readonly number[],
  changes: Partial<BalancedPartition> = {},
): BalancedPartition {
  return {
    key,
    topic: "demo",
    replicas,
    replicationFactor: replicas.length,
    leader: replicas[0],
    isr: replicas,
    isFixed: false,
    ...changes,
  };
}

function partitions(...all: number[][]): BalancedPartition[] {
  return all.map((replicas, index) => partition(`p${index}`, replicas));
}

/** The partitions after all moves. */
function after(
  before: readonly BalancedPartition[],
  moves: ReadonlyMap<string, readonly number[]>,
): BalancedPartition[] {
  return before.map((each) => ({
    ...each,
    replicas: moves.get(each.key) ?? each.replicas,
  }));
}

function loads(
  all: readonly BalancedPartition[],
  ids: readonly number[],
): number[] {
  return ids.map((id) =>
    all.filter(({ replicas }) => replicas.includes(id)).length
  );
}

function leads(
  all: readonly BalancedPartition[],
  ids: readonly number[],
): number[] {
  return ids.map((id) =>
    all.filter(({ replicas }) => replicas[0] === id).length
  );
}

const gap = (counts: readonly number[]) =>
  Math.max(...counts) - Math.min(...counts);

Deno.test("balanceTarget() leaves an even spread alone", () => {
  const even = partitions([1, 2], [2, 3], [3, 1]);
  const { moves, stuck } = balanceTarget(even, rebalance(1, 2, 3));
  assertEquals([...moves], []);
  assertEquals(stuck, []);
});

Deno.test("balanceTarget() gives a broker that joined its share, with as few moves as it takes", () => {
  const before = partitions([1, 2], [2, 3], [3, 1], [1, 2], [2, 3], [3, 1]);
  const ids = [1, 2, 3, 4];
  const { moves } = balanceTarget(before, rebalance(...ids));
  const done = after(before, moves);
  assertEquals(loads(done, ids), [3, 3, 3, 3]);
  assert(gap(leads(done, ids)) <= 1);
  const copied = done.map(({ replicas }, index) =>
    replicas.filter((id) => !before[index].replicas.includes(id)).length
  );
  assertEquals(copied.reduce((sum, one) => sum + one), 3);
});

Deno.test("balanceTarget() empties a broker, and says what cannot move", () => {
  const before = partitions([1, 2], [2, 3], [2, 1, 3]);
  const { moves, stuck } = balanceTarget(before, {
    brokers: [broker(1), broker(2, { role: "empties" }), broker(3)],
    isEvened: false,
  });
  assertEquals(stuck, ["p2"]);
  assertEquals(loads(after(before, moves).slice(0, 2), [2]), [0]);
});

Deno.test("balanceTarget() says what cannot leave a broker once it has moved", () => {
  const moving = (replicas: number[], replicationFactor: number) =>
    partition(replicas.join(), replicas, { replicationFactor, isFixed: true });
  const { moves, stuck } = balanceTarget([
    moving([1, 2], 2), // 3 takes it
    moving([2, 1], 3), // it gets 3, and then there is nobody else
    moving([1, 2, 3], 2), // 2 is one too many
    moving([2, 1, 3], 3),
    moving([1, 3], 3), // it has nothing on 2
  ], {
    brokers: [broker(1), broker(2, { role: "empties" }), broker(3)],
    isEvened: false,
  });
  assertEquals(stuck, ["2,1", "2,1,3"]);
  assertEquals(moves.size, 0);
});

Deno.test("balanceTarget() brings partitions to their replication factor, over racks", () => {
  const brokers = [1, 2, 3, 4].map((id) =>
    broker(id, { rack: id <= 2 ? "a" : "b" })
  );
  const { moves } = balanceTarget(
    [partition("p0", [1], { replicationFactor: 2 })],
    { brokers, isEvened: false },
  );
  assertEquals(moves.get("p0"), [1, 3]);
  const fewer = balanceTarget(
    [partition("p0", [1, 3, 4], { replicationFactor: 2 })],
    { brokers, isEvened: false },
  );
  assertEquals(fewer.moves.get("p0"), [1, 3]);
});

const arbitraryCluster = fc.record({
  ids: fc.subarray([1, 2, 3, 4, 5, 6], { minLength: 2 }),
  all: fc.array(fc.shuffledSubarray([1, 2, 3, 4, 5, 6], { minLength: 1 }), {
    maxLength: 25,
  }),
}).map(({ ids, all }) => ({
  ids,
  before: partitions(
    ...all.map((replicas) => replicas.filter((id) => ids.includes(id)))
      .filter((replicas) => replicas.length > 0),
  ),
}));

Deno.test("balanceTarget() ends in the evenest spread, and there it rests", () => {
  fc.assert(fc.property(arbitraryCluster, ({ ids, before }) => {
    const wish = rebalance(...ids);
    const { moves } = balanceTarget(before, wish);
    const done = after(before, moves);
    // Without racks every spread that is not even has a move that evens it.
    if (done.length > 0) assert(gap(loads(done, ids)) <= 1);
    for (const { replicas, replicationFactor } of done) {
      assertEquals(replicas.length, replicationFactor);
      assertEquals(new Set(replicas).size, replicas.length);
    }
    const again = balanceTarget(done, wish);
    assertEquals([...again.moves], []);
  }));
});

Deno.test("balanceTarget() step by step comes to rest as well, whatever is moved at a time", () => {
  fc.assert(
    fc.property(
      arbitraryCluster,
      fc.integer({ min: 1, max: 4 }),
      ({ ids, before }, limit) => {
        const wish = { ...rebalance(...ids), limit };
        let all: BalancedPartition[] = before;
        let steps = 0;
        for (;;) {
          const { moves } = balanceTarget(all, wish);
          if (moves.size === 0) break;
          all = after(all, moves);
          assert(steps++ < 300, "it goes on and on");
        }
        if (all.length > 0) assert(gap(loads(all, ids)) <= 1);
      },
    ),
  );
});

Deno.test("balanceTarget() moves no more replicas than its slow twin finds necessary", () => {
  fc.assert(fc.property(arbitraryCluster, ({ ids, before }) => {
    const { moves } = balanceTarget(before, rebalance(...ids));
    const done = after(before, moves);
    const copied = done.reduce((sum, { replicas }, index) =>
      sum +
      replicas.filter((id) => !before[index].replicas.includes(id)).length, 0);
    // What stands above the even share has to go, and nothing else does.
    const counts = loads(before, ids).sort((a, b) => b - a);
    const total = counts.reduce((sum, one) => sum + one, 0);
    const least = Math.floor(total / ids.length);
    const larger = total - least * ids.length;
    const necessary = counts.reduce(
      (sum, count, index) =>
        sum + Math.max(0, count - (least + (index < larger ? 1 : 0))),
      0,
    );
    assertEquals(copied, necessary);
  }));
});

Deno.test("balanceTarget() spreads ten thousand partitions in reasonable time", () => {
  const before = Array.from({ length: 10_000 }, (_, index) =>
    partition(
      `p${index}`,
      [index % 3 + 1, (index + 1) % 3 + 1, (index + 2) % 3 + 1],
      { topic: `topic-${index % 100}` },
    ));
  const ids = [1, 2, 3, 4];
  const { moves } = balanceTarget(before, rebalance(...ids));
  const done = after(before, moves);
  assertEquals(loads(done, ids), [7500, 7500, 7500, 7500]);
  assert(gap(leads(done, ids)) <= 1);
});

/** Every way to give `count` of `ids` as replicas, in id order. */
function subsets(ids: readonly number[], count: number): number[][] {
  if (count === 0) return [[]];
  return ids.flatMap((id, at) =>
    subsets(ids.slice(at + 1), count - 1).map((rest) => [id, ...rest])
  );
}

/** The most and the fewest replicas of one rack, as far as its brokers go. */
function isSpreadOverRacks(
  replicas: readonly number[],
  rackOf: (id: number) => string,
  ids: readonly number[],
): boolean {
  const racks = [...new Set(ids.map(rackOf))];
  const sizes = racks.map((rack) =>
    ids.filter((id) => rackOf(id) === rack).length
  );
  const counts = racks.map((rack) =>
    replicas.filter((id) => rackOf(id) === rack).length
  );
  // Nothing can go from a rack with two more to one that has room.
  return counts.every((count, from) =>
    counts.every((other, to) =>
      count - other < 2 || other === sizes[to] ||
      from === to
    )
  );
}

const squares = (counts: readonly number[]) =>
  counts.reduce((sum, count) => sum + count * count, 0);

const arbitraryRacks = fc.record({
  racks: fc.array(fc.constantFrom("a", "b", "c"), {
    minLength: 2,
    maxLength: 5,
  }),
  all: fc.array(fc.shuffledSubarray([1, 2, 3, 4, 5], { minLength: 1 }), {
    minLength: 1,
    maxLength: 3,
  }),
}).map(({ racks, all }) => {
  const ids = racks.map((_, index) => index + 1);
  const before = all.map((replicas) =>
    replicas.filter((id) => ids.includes(id))
  )
    .map((replicas) => replicas.length > 0 ? replicas : [1]);
  return { racks, ids, before };
});

Deno.test("balanceTarget() with racks is as even as its slow twin, which tries everything", () => {
  fc.assert(
    fc.property(arbitraryRacks, ({ racks, ids, before }) => {
      const rackOf = (id: number) => racks[id - 1];
      const brokers = ids.map((id) => broker(id, { rack: rackOf(id) }));
      const all = partitions(...before);
      const { moves } = balanceTarget(all, { brokers, isEvened: true });
      const done = after(all, moves);
      for (const { replicas } of done) {
        assert(isSpreadOverRacks(replicas, rackOf, ids), `${replicas}`);
      }
      let best = Infinity;
      const tryAll = (index: number, counts: readonly number[]) => {
        if (index === before.length) {
          best = Math.min(best, squares(counts));
          return;
        }
        for (const replicas of subsets(ids, before[index].length)) {
          if (!isSpreadOverRacks(replicas, rackOf, ids)) continue;
          tryAll(
            index + 1,
            counts.map((count, at) =>
              count + (replicas.includes(ids[at]) ? 1 : 0)
            ),
          );
        }
      };
      tryAll(0, ids.map(() => 0));
      assertEquals(squares(loads(done, ids)), best);
      const again = balanceTarget(done, { brokers, isEvened: true });
      assertEquals([...again.moves], []);
    }),
    { numRuns: 300 },
  );
});

Deno.test("balanceTarget() spreads preferred leaders as evenly as its slow twin, which tries all of them", () => {
  const arbitrary = fc.array(
    fc.shuffledSubarray([1, 2, 3, 4], { minLength: 1 }),
    { minLength: 1, maxLength: 6 },
  );
  fc.assert(
    fc.property(arbitrary, (before) => {
      const ids = [1, 2, 3, 4];
      const all = partitions(...before);
      const { moves } = balanceTarget(all, rebalance(...ids));
      const done = after(all, moves);
      let best = Infinity;
      const tryAll = (index: number, counts: readonly number[]) => {
        if (index === done.length) {
          best = Math.min(best, squares(counts));
          return;
        }
        for (const id of done[index].replicas) {
          tryAll(
            index + 1,
            counts.map((count, at) => count + (ids[at] === id ? 1 : 0)),
          );
        }
      };
      tryAll(0, ids.map(() => 0));
      assertEquals(squares(leads(done, ids)), best);
    }),
    { numRuns: 300 },
  );
});

Deno.test("balanceTarget() empties brokers, keeps what others have, moves nothing that is fixed, in whatever steps", () => {
  const arbitrary = fc.record({
    roles: fc.array(fc.constantFrom("takes", "takes", "keeps", "empties"), {
      minLength: 2,
      maxLength: 6,
    }),
    all: fc.array(
      fc.record({
        replicas: fc.shuffledSubarray([1, 2, 3, 4, 5, 6], { minLength: 1 }),
        isFixed: fc.boolean(),
        factor: fc.integer({ min: 1, max: 4 }),
      }),
      { maxLength: 15 },
    ),
    isEvened: fc.boolean(),
    limit: fc.integer({ min: 1, max: 5 }),
  });
  fc.assert(fc.property(arbitrary, ({ roles, all, isEvened, limit }) => {
    const brokers = roles.map((role, index) =>
      ({ id: index + 1, rack: null, role }) as const
    );
    const takers = brokers.filter(({ role }) => role === "takes").length;
    const roleOf = (id: number) => roles[id - 1];
    const before = all.map(({ replicas, isFixed, factor }, index) => {
      const known = replicas.filter((id) => id <= roles.length);
      return partition(`p${index}`, known.length > 0 ? known : [1], {
        isFixed,
        replicationFactor: factor,
      });
    });
    let now: BalancedPartition[] = before;
    for (let step = 0;; step++) {
      assert(step < 300, "it goes on and on");
      const { moves } = balanceTarget(now, { brokers, isEvened, limit });
      if (moves.size === 0) break;
      now = after(now, moves);
    }
    for (
      const [index, { replicas, isFixed, replicationFactor }] of now.entries()
    ) {
      if (isFixed) {
        assertEquals(replicas, before[index].replicas);
        continue;
      }
      assertEquals(new Set(replicas).size, replicas.length);
      assert(replicas.length <= replicationFactor);
      const isComing = (id: number) =>
        !before[index].replicas.includes(id) && roleOf(id) !== "takes";
      assert(!replicas.some(isComing));
      const hasAllTakers = replicas.filter((id) =>
        roleOf(id) === "takes"
      ).length === takers;
      const isShort = replicas.length < replicationFactor ||
        replicas.some((id) => roleOf(id) === "empties");
      assert(!isShort || hasAllTakers);
    }
  }));
});
