/**
 * Operators who ask for all kinds of things, one after the other and before the
 * last is done: whatever they do, it comes to rest, and at rest nothing is undone.
 */
import fc from "../../support/fast_check.ts";
import { KEYS } from "../../../broker/cluster/facts.ts";
import { isMoving } from "../../../broker/cluster/controller/reassignment.ts";
import { assert, assertEquals } from "../../support/assert.ts";
import { type Copying, three } from "./copying.ts";

const PARTITIONS = 4;

type Action =
  | { kind: "reassign"; partitions: [number, number[] | null][] }
  | { kind: "factor"; factor: number }
  | { kind: "rebalance" }
  | { kind: "drain"; brokerId: number }
  | { kind: "undrain"; brokerId: number }
  | { kind: "cancel" }
  | { kind: "copy" }
  | { kind: "wait"; ms: number };

const brokerId = fc.integer({ min: 1, max: 4 });
const partition = fc.integer({ min: 0, max: PARTITIONS - 1 });
const replicas = fc.uniqueArray(brokerId, { minLength: 1, maxLength: 4 });

/** All partitions with as many replicas, which changes the topic's factor. */
const whole = fc.integer({ min: 1, max: 4 }).chain((length) =>
  fc.tuple(
    ...Array.from({ length: PARTITIONS }, (_, at) =>
      fc.tuple(
        fc.constant(at),
        fc.uniqueArray(brokerId, { minLength: length, maxLength: length }),
      )),
  )
);
const some = fc.array(
  fc.tuple(partition, fc.option(replicas, { freq: 4 })),
  { minLength: 1, maxLength: 3 },
);

const action: fc.Arbitrary<Action> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.oneof(some, whole).map((partitions) => ({
      kind: "reassign" as const,
      partitions: partitions as [number, number[] | null][],
    })),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("rebalance") }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("cancel") }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("copy") }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("factor"),
      factor: fc.integer({ min: 1, max: 4 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant("drain"), brokerId }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant("undrain"), brokerId }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("wait"),
      ms: fc.constantFrom(0, 10, 300),
    }),
  },
) as fc.Arbitrary<Action>;

async function act(copying: Copying, action: Action, at: number) {
  const { balance, topics } = copying.brokers[at % 4].operations;
  switch (action.kind) {
    case "reassign": {
      const wanted = action.partitions
        .map(([partition, replicas]) => ({
          topic: "demo",
          partition,
          replicas,
        }));
      return await balance.reassignments.alter(wanted, {
        mayChangeFactor: true,
      });
    }
    case "factor":
      return await topics.alter("demo", { replicationFactor: action.factor });
    case "rebalance":
      return await balance.rebalance({});
    case "drain":
      return await balance.drain(action);
    case "undrain":
      return await balance.undrain(action.brokerId);
    case "cancel":
      return await balance.cancel();
    case "copy":
      return copying.copy("demo");
    case "wait":
      return await copying.rest(action.ms);
  }
}

/** Whatever moves, one in sync leads. */
function checkSafe(copying: Copying): void {
  for (const { isr, leader, replicas } of copying.states("demo")) {
    assert(leader !== null && isr.includes(leader));
    assert(isr.every((id) => replicas.includes(id)));
    assertEquals(new Set(replicas).size, replicas.length);
  }
}

function isAtRest(copying: Copying): boolean {
  return !copying.isRunning && !copying.states("demo").some(isMoving);
}

/** What needed many seeds to be found. */
const FOUND: [Action[]][] = [
  // A drain that was begun while all was moving, and could not end.
  [[
    {
      kind: "reassign",
      partitions: [[0, [4, 1, 2]], [1, [2, 1, 4]], [2, [2, 4, 1]], [
        3,
        [1, 4, 2],
      ]],
    },
    { kind: "factor", factor: 4 },
    { kind: "drain", brokerId: 1 },
  ]],
];

Deno.test("What operators ask for comes to rest, and the controller leaves it so", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(action, { maxLength: 25 }), async (actions) => {
      const copying = await three(PARTITIONS);
      await copying.grow();
      for (const [at, one] of actions.entries()) {
        await act(copying, one, at);
        checkSafe(copying);
      }
      for (let step = 0; step < 60 || !isAtRest(copying); step++) {
        assert(step < 300, "it goes on and on");
        copying.copy("demo");
        await copying.rest(300);
        checkSafe(copying);
      }
      const states = copying.states("demo");
      const { replicationFactor } = JSON.parse(
        copying.cluster.metadata.get(KEYS.topic("demo"))!.value,
      );
      for (const { replicas, leader } of states) {
        assertEquals(replicas.length, replicationFactor);
        assertEquals(leader, replicas[0]);
      }
      await copying.rest(100_000);
      assertEquals(copying.states("demo"), states);
      await copying.stop();
    }),
    { numRuns: 25, examples: FOUND },
  );
});
