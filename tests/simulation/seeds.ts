/**
 * Which seeds are run in every test, and what a failure says. Owns the list of
 * seeds that once found an error; the rest are simply the first ones.
 */
import { assert } from "../support/assert.ts";
import { NO_EXTRAS } from "./extras.ts";
import type { Plan } from "./plan.ts";
import { namedPlan } from "./plans.ts";
import { type Outcome, simulate } from "./simulation.ts";

export interface RegressionSeed {
  readonly seed: number;
  readonly plan?: Partial<Plan>;
  readonly found: string;
}

/** Many readers while leaders are cut off, stand still, and are superseded. */
const SUPERSEDED: Partial<Plan> = {
  faults: ["storeSplit", "pause", "split"],
  meanFaultGapMs: 600,
  pauseMs: 15,
  httpReaders: 2,
  kafkaReaders: 2,
  groupMembers: 0,
  committers: 0,
  operators: 0,
  transactors: 0,
  extras: NO_EXTRAS,
};

/** As it was when it failed. */
const PLAIN: Partial<Plan> = { extras: NO_EXTRAS };

/** Seeds that failed once, by what was wrong then. */
export const REGRESSION_SEEDS: readonly RegressionSeed[] = [
  {
    seed: 3,
    plan: PLAIN,
    found: "an answer that a dead machine owed held up a transaction for 35 s",
  },
  ...[26, 77, 91].map((seed) => ({
    seed,
    plan: SUPERSEDED,
    found: "a superseded leader told readers that their offset is out of range",
  })),
  {
    seed: 510724,
    plan: PLAIN,
    found: "a change of the in-sync set was lost to one of an older state",
  },
  {
    seed: 520362,
    plan: PLAIN,
    found: "a fetch of a copy that was let go brought an empty one in sync",
  },
  {
    seed: 520809,
    plan: PLAIN,
    found: "a producer's second batch was taken before its first, refused one",
  },
  {
    seed: 520947,
    plan: PLAIN,
    found:
      "a superseded coordinator called a transaction aborted that was open",
  },
  {
    seed: 571030,
    plan: namedPlan("settings", 571030),
    found: "a follower that had not heard of the stricter level counted as it",
  },
  {
    seed: 1230056,
    plan: namedPlan("cleaning", 1230056),
    found: "a producer of whom only a marker was left was refused for good",
  },
  {
    seed: 1240026,
    plan: namedPlan("reborn", 1240026),
    found: "a move ended with one copy of what two had been promised to hold",
  },
  {
    seed: 1260047,
    plan: namedPlan("members", 1260047),
    found: "a lost broker could not be drained while a move waited for it",
  },
];

/** Runs seeds from `from` up to `to`, without it. */
export async function runSeeds(from: number, to: number): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  for (let seed = from; seed < to; seed++) {
    outcomes.push(await runSeed({ seed }));
  }
  return outcomes;
}

export async function runSeed(
  options: { seed: number; plan?: Partial<Plan> },
): Promise<Outcome> {
  const outcome = await simulate(options);
  assert(outcome.violation === undefined, failureOf(outcome));
  return outcome;
}

/** What one needs to know, and how to see all of it. */
export function failureOf({ seed, violation, lines }: Outcome): string {
  return [
    `Seed ${seed}: ${violation}`,
    ...lines.slice(-60),
    `All of it: deno task sim --seed=${seed}`,
  ].join("\n");
}
