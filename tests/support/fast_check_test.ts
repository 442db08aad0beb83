import { assert, assertEquals } from "./assert.ts";
import fc from "./fast_check.ts";
import { SEED_VARIABLE, testSeed } from "./seed.ts";
import { ROOT } from "./source_tree.ts";

const MODULE = new URL("./fast_check.ts", import.meta.url).href;

/** What a property draws, in a program of its own. */
async function drawn(seed?: string): Promise<string> {
  const program = `import fc from "${MODULE}";
    const values = [];
    fc.assert(fc.property(fc.string(), fc.integer(), (...both) => {
      values.push(both);
    }));
    console.log(JSON.stringify(values));`;
  const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["eval", `--config=${ROOT}deno.json`, program],
    env: { [SEED_VARIABLE]: seed ?? "" },
  }).output();
  const decoder = new TextDecoder();
  return decoder.decode(stdout) || decoder.decode(stderr);
}

function drawnHere(): unknown[] {
  const values: unknown[] = [];
  fc.assert(fc.property(fc.string(), fc.integer(), (...both) => {
    values.push(both);
  }));
  return values;
}

Deno.test("A property draws the same values at every run", async () => {
  const [once, again] = await Promise.all([drawn(), drawn()]);
  assertEquals(JSON.parse(once).length, 100);
  assertEquals(once, again);
  assertEquals(drawnHere(), drawnHere());
});

Deno.test("STREAMNEST_TEST_SEED has a property draw other values, the same again", async () => {
  const [usual, one, other, otherAgain] = await Promise.all([
    drawn(),
    drawn("1"),
    drawn("-2"),
    drawn("-2"),
  ]);
  assert(usual !== one && one !== other && other !== usual, "values differ");
  assertEquals(other, otherAgain);
});

Deno.test("A seed that is no whole number of 32 bits is refused", async () => {
  for (const seed of ["1.5", "1e3", "x", "4294967296", "-2147483649"]) {
    const answer = await drawn(seed);
    assert(answer.includes("must be a whole number of 32 bits"), answer);
  }
});

Deno.test("testSeed() is what fast-check was given", () => {
  assertEquals(fc.readConfigureGlobal().seed, testSeed());
});
