/**
 * What may happen to four brokers, three of which hold a partition: appends,
 * leader changes, losses of power and of processes, clean stops, new disks, disks
 * that are slow, full or broken, broken links, lost leases, stores out of reach,
 * moves of replicas, changes of settings. Owns how often each comes; what it does
 * is `replica_history.ts`.
 */
import fc from "../../support/fast_check.ts";

export const BROKERS = [1, 2, 3, 4];

export const broker = fc.constantFrom(...BROKERS);

export const action = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant("produce" as const),
      broker,
      count: fc.integer({ min: 1, max: 3 }),
      wait: fc.constantFrom("inSync" as const, "inSync", "leader", "append"),
      outlivesLeader: fc.boolean(),
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant("elapse" as const),
      ms: fc.constantFrom(0, 0, 1, 1, 5, 50, 600, 3_000, 7_000),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant("elect" as const), broker }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("link" as const),
      broker,
      other: broker,
    }),
  },
  // Each does or undoes, whichever there is to do.
  ...(["power", "store", "deaf", "disk"] as const).map((kind) => ({
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant(kind), broker }),
  })),
  ...(["stop", "newDisk", "fail", "full"] as const).map((kind) => ({
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant(kind), broker }),
  })),
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("move" as const),
      target: fc.shuffledSubarray(BROKERS, { minLength: 1, maxLength: 3 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("cancel" as const) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("min" as const),
      min: fc.constantFrom("1", "2", "3"),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("level" as const),
      flushMessages: fc.constantFrom("1", "1000000"),
    }),
  },
);

export type Action = typeof action extends fc.Arbitrary<infer T> ? T : never;
