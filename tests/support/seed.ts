/**
 * The seed of everything in the tests that is random: one and the same unless
 * STREAMNEST_TEST_SEED names another, so that the tests of a change say the
 * same at every run. `deno task properties` and `deno task torture` explore.
 */

export const SEED_VARIABLE = "STREAMNEST_TEST_SEED";

const DEFAULT_SEED = 20_261_124;

/** A whole number of 32 bits, with or without a sign. */
export function testSeed(): number {
  const given = Deno.env.get(SEED_VARIABLE);
  if (given === undefined || given === "") return DEFAULT_SEED;
  const seed = Number(given);
  if (!/^-?\d+$/.test(given) || seed < -(2 ** 31) || seed >= 2 ** 32) {
    throw new Error(
      `${SEED_VARIABLE} must be a whole number of 32 bits, not ${given}`,
    );
  }
  return seed;
}
