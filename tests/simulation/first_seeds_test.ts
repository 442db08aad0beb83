import { assert } from "../support/assert.ts";
import { REGRESSION_SEEDS, runSeed, runSeeds } from "./seeds.ts";

Deno.test("The cluster keeps its promises in the seeds 1 to 100", async () => {
  const outcomes = await runSeeds(1, 101);
  const sum = (values: number[]) => values.reduce((one, two) => one + two, 0);
  // A simulation in which nothing happens would prove nothing.
  assert(sum(outcomes.map((each) => each.acknowledgements)) > 10_000);
  assert(sum(outcomes.map((each) => each.reads)) > 10_000);
  assert(sum(outcomes.map((each) => each.elections)) > 300);
  assert(sum(outcomes.map((each) => each.cleanings)) > 1_000);
});

for (const { seed, plan, found } of REGRESSION_SEEDS) {
  Deno.test(`Seed ${seed} does not fail again: ${found}`, async () => {
    await runSeed({ seed, plan });
  });
}
