/**
 * fast-check, with the seed of the tests. Every property imports it from here,
 * which `tidy_test.ts` holds, so that none draws other values at every run.
 */
import fc from "fast-check";
import { testSeed } from "./seed.ts";

fc.configureGlobal({ seed: testSeed() });

export default fc;
