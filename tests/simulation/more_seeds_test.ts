import { assertEquals } from "../support/assert.ts";
import { runSeeds } from "./seeds.ts";
import { simulate } from "./simulation.ts";

// Beside `first_seeds_test.ts`, so that two cores share the work.
Deno.test("The cluster keeps its promises in the seeds 101 to 200", async () => {
  await runSeeds(101, 201);
});

Deno.test("A seed gives the same simulation each time", async () => {
  for (const seed of [3, 14, 15, 92]) {
    const [once, again] = [await simulate({ seed }), await simulate({ seed })];
    assertEquals(again.hash, once.hash);
    assertEquals(again.events, once.events);
    assertEquals(again.lines, once.lines);
  }
});
