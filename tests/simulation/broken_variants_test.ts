import { assert } from "../support/assert.ts";
import { BROKEN_VARIANTS } from "./broken_variants.ts";
import { firstCaught } from "./variant_runs.ts";

for (const variant of BROKEN_VARIANTS) {
  Deno.test(`The simulation catches that ${variant.name}`, async () => {
    const outcome = await firstCaught(variant);
    assert(outcome !== undefined, `Not caught in ${variant.seeds} seeds`);
  });
}
