import { assert, assertEquals } from "../../support/assert.ts";
import { UnsentBudget } from "../../../broker/kafka/unsent_budget.ts";
import { settle } from "./door.ts";

function openBudget(limitBytes: number) {
  let turn: (() => void) | null = null;
  const budget = new UnsentBudget({
    limitBytes,
    timers: {
      after: () => ({ cancel() {} }),
      soon(callback) {
        assert(turn === null, "one timer at a time");
        turn = callback;
      },
    },
  });
  const state = { begun: 0 };
  const ask = () => {
    const room = budget.room();
    if (room === null) state.begun++;
    else void room.then(() => state.begun++);
  };
  const nextTurn = async () => {
    const run = turn;
    turn = null;
    run?.();
    await settle();
  };
  return { budget, state, ask, nextTurn, isArmed: () => turn !== null };
}

Deno.test("UnsentBudget begins four answers in a turn", async () => {
  const { state, ask, nextTurn, isArmed } = openBudget(1000);
  for (let index = 0; index < 10; index++) ask();
  await settle();
  assertEquals(state.begun, 4);
  await nextTurn();
  assertEquals(state.begun, 8);
  await nextTurn();
  assertEquals(state.begun, 10);
  await nextTurn();
  assert(!isArmed());
});

Deno.test("UnsentBudget holds answers back at its limit", async () => {
  const { budget, state, ask, nextTurn } = openBudget(1000);
  budget.change(999);
  ask();
  assertEquals(state.begun, 1);
  budget.change(1);
  ask();
  ask();
  await nextTurn();
  assertEquals(state.begun, 1);
  budget.change(-1);
  await settle();
  assertEquals(state.begun, 3);
});

Deno.test("UnsentBudget lets those go on first who waited", async () => {
  const { budget, ask, state, nextTurn } = openBudget(1000);
  const order: string[] = [];
  budget.change(1000);
  for (const name of ["a", "b", "c"]) {
    void budget.room()!.then(() => order.push(name));
  }
  budget.change(-1000);
  ask();
  await settle();
  assertEquals(order, ["a", "b", "c"]);
  assertEquals(state.begun, 1);
  await nextTurn();
  assertEquals(budget.bytes, 0);
});
