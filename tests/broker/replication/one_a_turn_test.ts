import { OneATurn } from "../../../broker/replication/one_a_turn.ts";
import { assertEquals, assertThrows } from "../../support/assert.ts";

/** Turns that a test runs one by one. */
function manualTurns() {
  const turns: (() => void)[] = [];
  const line = new OneATurn({
    soon: (work) => void turns.push(work),
    after: () => ({ cancel: () => {} }),
  });
  return { line, turns, turn: () => turns.shift()?.() };
}

Deno.test("OneATurn runs one piece of work a turn, in order", () => {
  const { line, turns, turn } = manualTurns();
  const done: string[] = [];
  for (const name of ["a", "b", "c"]) line.add(() => void done.push(name));
  assertEquals([done, turns.length], [[], 1]);
  turn();
  assertEquals(done, ["a"]);
  line.add(() => void done.push("d"));
  turn();
  turn();
  turn();
  assertEquals([done, turns.length], [["a", "b", "c", "d"], 0]);
  line.add(() => void done.push("e"));
  turn();
  assertEquals(done.at(-1), "e");
});

Deno.test("OneATurn goes on after work that throws", () => {
  const { line, turn } = manualTurns();
  const done: string[] = [];
  line.add(() => {
    throw new Error("broken");
  });
  line.add(() => void done.push("next"));
  assertThrows(turn, Error, "broken");
  turn();
  assertEquals(done, ["next"]);
});
