import { HTTP_LIMITS } from "../../../broker/http/limits.ts";
import { UnsentAnswers } from "../../../broker/http/unsent_answers.ts";
import { assert, assertEquals, assertRejects } from "../../support/assert.ts";
import { ManualTime } from "../../support/manual_time.ts";

const LIMITS = {
  ...HTTP_LIMITS,
  largeAnswerBytes: 100_000,
  unsentAnswerBytes: 300_000,
  answerIdleMs: 10_000,
};

function fixture() {
  const time = new ManualTime();
  return { time, answers: new UnsentAnswers({ timers: time, limits: LIMITS }) };
}

Deno.test("UnsentAnswers hands small answers over whole, and counts none", () => {
  const { answers } = fixture();
  for (const body of [null, "", "x".repeat(99_999), new Uint8Array(10)]) {
    assert(answers.body(body) === body);
  }
  assertEquals(answers.bytes, 0);
});

Deno.test("UnsentAnswers sends a large answer unchanged and lets go of it", async () => {
  const { answers } = fixture();
  const text = "é".repeat(150_000);
  const response = new Response(answers.body(text));
  assertEquals(answers.bytes, 300_000);
  assert(answers.isFull);
  assertEquals(await response.text(), text);
  assertEquals(answers.bytes, 0);
  assert(!answers.isFull);
});

Deno.test("UnsentAnswers counts an answer until it is read or given up", async () => {
  const { answers } = fixture();
  const one = new Response(answers.body(new Uint8Array(150_000)));
  const two = new Response(answers.body(new Uint8Array(149_999)));
  assert(!answers.isFull);
  const three = new Response(answers.body(new Uint8Array(100_000)));
  assert(answers.isFull);
  await one.body!.cancel();
  await two.body!.cancel();
  assertEquals(answers.bytes, 100_000);
  assertEquals((await three.bytes()).length, 100_000);
  assertEquals(answers.bytes, 0);
});

Deno.test("UnsentAnswers gives up a client that stops reading", async () => {
  const { answers, time } = fixture();
  const response = new Response(answers.body(new Uint8Array(200_000)));
  const reader = response.body!.getReader();
  assertEquals((await reader.read()).value?.length, 64 * 1024);
  await time.elapse(9_000);
  assertEquals((await reader.read()).value?.length, 64 * 1024);
  await time.elapse(9_000);
  assertEquals(answers.bytes, 200_000);
  await time.elapse(3_000);
  assertEquals(answers.bytes, 0);
  await assertRejects(() => reader.read(), Error, "stopped reading");
});
