/** Random histories of a partition; `replica_history.ts` says what must hold. */
import fc from "../../support/fast_check.ts";
import { action, broker, BROKERS } from "./replica_actions.ts";
import { runHistory } from "./replica_history.ts";

const RUNS = 80;

const histories = fc.array(action, {
  minLength: 5,
  maxLength: 60,
  size: "max",
});

/** Leaders come and go, while their followers hear of some and not of others. */
const moves = fc.array(
  fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({
        kind: fc.constant("produce" as const),
        broker,
        count: fc.constant(1),
        wait: fc.constant("inSync" as const),
        outlivesLeader: fc.constant(true),
      }),
    },
    {
      weight: 6,
      arbitrary: fc.record({
        kind: fc.constant("elapse" as const),
        ms: fc.constantFrom(1, 50, 600),
      }),
    },
    {
      weight: 4,
      arbitrary: fc.record({ kind: fc.constant("elect" as const), broker }),
    },
    {
      weight: 6,
      arbitrary: fc.record({
        kind: fc.constant("link" as const),
        broker,
        other: broker,
      }),
    },
  ),
  { minLength: 10, maxLength: 60 },
);

const PAGE_CACHE = { "min.insync.replicas": "2", "flush.messages": "1000000" };

for (const min of ["1", "2"]) {
  Deno.test(`Replicas that flush first lose nothing acknowledged, whatever loses its power, with min.insync.replicas=${min}`, async () => {
    await fc.assert(
      fc.asyncProperty(histories, (actions) =>
        runHistory(actions, {
          config: { "min.insync.replicas": min, "segment.bytes": "1024" },
          powerLost: BROKERS,
          replacesDisks: true,
        })),
      { numRuns: RUNS },
    );
  });
}

Deno.test("Replicas at the page-cache level lose nothing acknowledged when processes die", async () => {
  await fc.assert(
    fc.asyncProperty(
      histories,
      (actions) => runHistory(actions, { config: PAGE_CACHE, powerLost: [] }),
    ),
    { numRuns: RUNS },
  );
});

Deno.test("Replicas at the page-cache level lose nothing acknowledged when one machine alone loses its power, ever again", async () => {
  await fc.assert(
    fc.asyncProperty(
      histories,
      (actions) =>
        runHistory(actions, {
          config: PAGE_CACHE,
          powerLost: [1],
          mortal: [1],
        }),
    ),
    { numRuns: RUNS },
  );
});

for (const min of ["1", "2"]) {
  Deno.test(`Records that are said to be gone come back under no leader, with min.insync.replicas=${min}`, async () => {
    await fc.assert(
      fc.asyncProperty(moves, (actions) =>
        runHistory(actions, {
          config: { "min.insync.replicas": min },
          powerLost: BROKERS,
        })),
      { numRuns: RUNS },
    );
  });
}
