/** The first seeds of each plan that concentrates on one danger. */
import { assert } from "../support/assert.ts";
import { namedPlan, PLAN_NAMES } from "./plans.ts";
import { runSeed } from "./seeds.ts";

for (const name of PLAN_NAMES) {
  Deno.test(`The cluster keeps its promises in the first seeds of the plan ${name}`, async () => {
    for (const seed of [1, 2]) {
      const outcome = await runSeed({ seed, plan: namedPlan(name, seed) });
      // A simulation in which nothing happens would prove nothing.
      assert(outcome.acknowledgements > 0 && outcome.elections > 0);
    }
  });
}
