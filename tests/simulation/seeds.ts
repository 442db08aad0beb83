/**
 * Which seeds are run in every test, and what a failure says. Owns the list of
 * seeds that once found an error; the rest are simply the first ones.
 */
import { assert } from "../support/assert.ts";
import { type Outcome, simulate } from "./simulation.ts";

/** Seeds that failed once, by what was wrong then. */
export const REGRESSION_SEEDS: readonly { seed: number; found: string }[] = [];

/** Runs seeds from `from` up to `to`, without it. */
export async function runSeeds(from: number, to: number): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  for (let seed = from; seed < to; seed++) {
    const outcome = await simulate({ seed });
    assert(outcome.violation === undefined, failureOf(outcome));
    outcomes.push(outcome);
  }
  return outcomes;
}

/** What one needs to know, and how to see all of it. */
export function failureOf({ seed, violation, lines }: Outcome): string {
  return [
    `Seed ${seed}: ${violation}`,
    ...lines.slice(-60),
    `All of it: deno task sim --seed=${seed}`,
  ].join("\n");
}
