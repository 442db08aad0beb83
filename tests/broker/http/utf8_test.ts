/** UTF-8 both ways, held to the platform's encoder and decoder. */
import { utf8Bytes, utf8Text } from "../../../broker/http/utf8.ts";
import { assertEquals } from "../../support/assert.ts";
import fc from "../../support/fast_check.ts";

const encoder = new TextEncoder();
const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

Deno.test("utf8Bytes() gives what TextEncoder gives, and changes nothing that it gave before", () => {
  const texts = fc.array(
    fc.string({ unit: "grapheme", maxLength: 700 }),
    { maxLength: 60 },
  );
  fc.assert(fc.property(texts, (texts) => {
    const given = texts.map(utf8Bytes);
    assertEquals(given, texts.map((text) => encoder.encode(text)));
  }));
});

Deno.test("utf8Bytes() at the length from which a text has memory of its own", () => {
  for (const length of [0, 1, 511, 512, 513, 100_000]) {
    for (const unit of ["a", "ü", "한"]) {
      const text = unit.repeat(length);
      assertEquals(utf8Bytes(text), encoder.encode(text));
    }
  }
});

Deno.test("utf8Text() is the text of UTF-8, a byte order mark included, and of nothing else", () => {
  const some = fc.oneof(
    fc.uint8Array({ maxLength: 12 }),
    fc.string({ unit: "grapheme", maxLength: 12 }).map((text) =>
      encoder.encode(text)
    ),
  );
  fc.assert(fc.property(some, (bytes) => {
    const own = new Uint8Array(bytes);
    assertEquals(utf8Text(own), decoded(own));
  }));
  assertEquals(utf8Text(encoder.encode("\ufeffa")), "\ufeffa");
});

function decoded(bytes: Uint8Array): string | undefined {
  try {
    return strict.decode(bytes);
  } catch {
    return undefined;
  }
}
