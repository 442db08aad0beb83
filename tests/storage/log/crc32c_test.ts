import fc from "fast-check";
import { assertEquals } from "../../support/assert.ts";
import { crc32c } from "../../../storage/log/crc32c.ts";

/** Bit by bit, as the definition has it. */
function slowCrc32c(bytes: Uint8Array): number {
  let crc = -1;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) {
      crc = (crc & 1) === 0 ? crc >>> 1 : (crc >>> 1) ^ 0x82f63b78;
    }
  }
  return ~crc >>> 0;
}

/** Bytes without a pattern, the same in every run. */
function noise(length: number): Uint8Array {
  let state = 1;
  return Uint8Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state >>> 24;
  });
}

Deno.test("crc32c() is right for every length around its blocks", () => {
  const bytes = noise(700);
  for (let length = 0; length <= bytes.length; length++) {
    const from = length % 5 === 0 ? bytes.length - length : 0;
    const view = bytes.subarray(from, from + length);
    assertEquals(crc32c(view), slowCrc32c(view), `${length} bytes`);
  }
});

Deno.test("crc32c() goes on where its memory ends", () => {
  const page = 64 * 1024;
  const bytes = noise(2 * page + 500);
  for (
    const length of [
      page - 1,
      page,
      page + 1,
      page + 255,
      page + 256,
      2 * page,
      2 * page + 500,
    ]
  ) {
    const view = bytes.subarray(0, length);
    assertEquals(crc32c(view), slowCrc32c(view), `${length} bytes`);
  }
});

Deno.test("crc32c() agrees with its definition on any bytes, and leaves them", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 2000, size: "max" }), (bytes) => {
      const before = bytes.slice();
      assertEquals(crc32c(bytes), slowCrc32c(bytes));
      assertEquals(bytes, before);
    }),
    { numRuns: 200 },
  );
});
