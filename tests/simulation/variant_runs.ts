/** Runs a broken variant seed by seed until its checks notice. */
import type { BrokenVariant } from "./broken_variants.ts";
import { NO_EXTRAS } from "./extras.ts";
import { type Outcome, simulate } from "./simulation.ts";

/** The first seed that shows it; without extras that it does not ask for. */
export async function firstCaught(
  { seeds, seams, plan, patch }: BrokenVariant,
): Promise<Outcome | undefined> {
  for (let seed = 1; seed <= seeds; seed++) {
    const mend = patch?.();
    try {
      const outcome = await simulate({
        seed,
        seams,
        plan: { extras: NO_EXTRAS, ...plan },
      });
      if (outcome.violation !== undefined) return outcome;
    } finally {
      mend?.();
    }
  }
  return undefined;
}
