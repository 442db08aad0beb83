/** Lines however the input is cut, and at the limit. */
import { assertEquals, assertInstanceOf } from "../../support/assert.ts";
import fc from "../../support/fast_check.ts";
import {
  type Line,
  LineReader,
  LineTooLong,
} from "../../../client/commands/line_reader.ts";
import { TestInput } from "../test_world.ts";

/** The slow twin: lines of bytes. */
function slowLines(bytes: number[]): number[][] {
  const lines: number[][] = [];
  let line: number[] = [];
  for (const byte of bytes) {
    if (byte !== 10) {
      line.push(byte);
      continue;
    }
    lines.push(line);
    line = [];
  }
  if (line.length > 0) lines.push(line);
  return lines.map((line) => line.at(-1) === 13 ? line.slice(0, -1) : line);
}

function bytesOf(line: Line): number[] {
  return [...typeof line === "string" ? new TextEncoder().encode(line) : line];
}

Deno.test("LineReader finds the same lines however the input is cut", async () => {
  const byte = fc.constantFrom(10, 13, 97, 0xc3, 0xa9, 0xff, 0xef, 0xbb, 0xbf);
  await fc.assert(fc.asyncProperty(
    fc.array(fc.array(byte, { maxLength: 12 }), { maxLength: 12 }),
    fc.boolean(),
    async (chunks, oneByOne) => {
      const input = new TestInput();
      for (const chunk of chunks) input.give(new Uint8Array(chunk));
      input.end();
      const reader = new LineReader(input, 1000);
      const lines: number[][] = [];
      for (;;) {
        const next = oneByOne ? await reader.next() : await reader.nextAll();
        if (next === null || next instanceof LineTooLong) break;
        const some = Array.isArray(next) ? next : [next];
        lines.push(...some.map(bytesOf));
      }
      assertEquals(lines, slowLines(chunks.flat()));
    },
  ));
});

Deno.test("LineReader takes a line at its limit, not one above", async () => {
  const limit = 300_000;
  for (const length of [limit - 1, limit, limit + 1]) {
    const input = new TestInput();
    for (let left = length; left > 0; left -= 65_536) {
      input.give("x".repeat(Math.min(left, 65_536)));
    }
    await Promise.resolve();
    const reader = new LineReader(input, limit);
    const reading = reader.nextAll();
    if (length <= limit) {
      input.end();
      assertEquals(await reading, ["x".repeat(length)]);
    } else {
      assertInstanceOf(await reading, LineTooLong);
    }
  }
});
