import { assert, assertEquals } from "../../support/assert.ts";
import { AnswerBuffers } from "../../../broker/kafka/answer_buffers.ts";

const SIZES = { bufferBytes: 1000, leastBytes: 100, keptBuffers: 2 };

Deno.test("AnswerBuffers.allocate() gives again what was given back", () => {
  const buffers = new AnswerBuffers(SIZES);
  const first = buffers.allocate(1000);
  const second = buffers.allocate(100);
  assertEquals([first.length, second.length], [1000, 100]);
  assert(first.buffer !== second.buffer);
  buffers.giveBack(second.subarray(10, 20));
  assert(buffers.allocate(500).buffer === second.buffer);
  assert(buffers.allocate(500).buffer !== first.buffer);
});

Deno.test("AnswerBuffers.giveBack() takes nothing twice, and nothing foreign", () => {
  const buffers = new AnswerBuffers(SIZES);
  const one = buffers.allocate(500);
  buffers.giveBack(one);
  buffers.giveBack(one);
  buffers.giveBack(new Uint8Array(1000));
  const next = [buffers.allocate(500), buffers.allocate(500)];
  assert(next[0].buffer === one.buffer);
  assert(next[1].buffer !== one.buffer);
});

Deno.test("AnswerBuffers gives memory of its own to the small and the large", () => {
  const buffers = new AnswerBuffers(SIZES);
  for (const size of [0, 99, 1001]) {
    const bytes = buffers.allocate(size);
    assertEquals(bytes.buffer.byteLength, size);
    buffers.giveBack(bytes);
    assert(buffers.allocate(size).buffer !== bytes.buffer);
  }
});

Deno.test("AnswerBuffers keeps no more than it may", () => {
  const buffers = new AnswerBuffers(SIZES);
  const all = [1, 2, 3].map(() => buffers.allocate(500));
  for (const bytes of all) buffers.giveBack(bytes);
  const known = new Set(all.map(({ buffer }) => buffer));
  const again = [1, 2, 3].map(() => buffers.allocate(500));
  const count = again.filter(({ buffer }) => known.has(buffer)).length;
  assertEquals(count, 2);
});
