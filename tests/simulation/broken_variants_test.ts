import { assert } from "../support/assert.ts";
import { BROKEN_VARIANTS, type BrokenVariant } from "./broken_variants.ts";
import { type Outcome, simulate } from "./simulation.ts";

/** The first seed that shows it. */
export async function firstCaught(
  { seeds, seams, plan, patch }: BrokenVariant,
): Promise<Outcome | undefined> {
  for (let seed = 1; seed <= seeds; seed++) {
    const mend = patch?.();
    try {
      const outcome = await simulate({ seed, seams, plan });
      if (outcome.violation !== undefined) return outcome;
    } finally {
      mend?.();
    }
  }
  return undefined;
}

for (const variant of BROKEN_VARIANTS) {
  Deno.test(`The simulation catches that ${variant.name}`, async () => {
    const outcome = await firstCaught(variant);
    assert(outcome !== undefined, `Not caught in ${variant.seeds} seeds`);
  });
}
