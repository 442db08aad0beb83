import { assert } from "../support/assert.ts";
import { BROKEN_CLEANING } from "./broken_cleaning.ts";
import { BROKEN_EXTRAS } from "./broken_extras.ts";
import { BROKEN_PLACEMENT } from "./broken_placement.ts";
import { firstCaught } from "./variant_runs.ts";

// Beside `broken_variants_test.ts`, so that two cores share the work.
for (
  const variant of [
    ...BROKEN_CLEANING,
    ...BROKEN_EXTRAS,
    ...BROKEN_PLACEMENT,
  ]
) {
  Deno.test(`The simulation catches that ${variant.name}`, async () => {
    const outcome = await firstCaught(variant);
    assert(outcome !== undefined, `Not caught in ${variant.seeds} seeds`);
  });
}
