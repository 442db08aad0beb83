import { assert, assertEquals, assertThrows } from "../../../support/assert.ts";
import {
  EncodeError,
  ProtocolError,
} from "../../../../broker/kafka/codec/error.ts";
import { CODEC_LIMITS } from "../../../../broker/kafka/codec/limits.ts";
import { Reader } from "../../../../broker/kafka/codec/reader.ts";
import { Writer } from "../../../../broker/kafka/codec/writer.ts";
import { decodeBase16, encodeBase16 } from "../messages/hex.ts";

function written(write: (writer: Writer) => void): string {
  const writer = new Writer();
  write(writer);
  return encodeBase16(writer.bytes());
}

const reading = (hex: string) => new Reader(decodeBase16(hex));

Deno.test("Writer and Reader agree with the wire on integers", () => {
  assertEquals(written((w) => w.int16(-2)), "fffe");
  assertEquals(written((w) => w.int64(-1)), "ffffffffffffffff");
  assertEquals(written((w) => w.int64(2 ** 32 + 5)), "0000000100000005");
  for (
    const value of [0, -1, 2 ** 31, -(2 ** 32) - 1, 2 ** 53 - 1, 1 - 2 ** 53]
  ) {
    const hex = written((w) => w.int64(value));
    assertEquals(reading(hex).int64(), value);
    assertEquals(reading(hex).saturatedInt64(), value);
  }
  const varints: [number, string][] = [
    [0, "00"],
    [127, "7f"],
    [128, "8001"],
    [300, "ac02"],
    [2 ** 28, "8080808001"],
    [2 ** 32 - 1, "ffffffff0f"],
  ];
  for (const [value, hex] of varints) {
    assertEquals(written((w) => w.unsignedVarint(value)), hex);
    assertEquals(reading(hex).unsignedVarint(), value);
  }
});

Deno.test("Reader.unsignedVarint() refuses more than 32 bits", () => {
  for (const hex of ["ffffffff1f", "ffffffffff01", "808080808000"]) {
    assertThrows(() => reading(hex).unsignedVarint(), ProtocolError, "32 bits");
  }
});

Deno.test("Reader.int64() refuses what is not a safe integer", () => {
  const beyond = ["0020000000000000", "7fffffffffffffff", "8000000000000000"];
  for (const hex of beyond) {
    assertThrows(() => reading(hex).int64(), ProtocolError, "2^53");
  }
  assertEquals(reading(beyond[1]).saturatedInt64(), Number.MAX_SAFE_INTEGER);
  assertEquals(reading(beyond[2]).saturatedInt64(), Number.MIN_SAFE_INTEGER);
});

Deno.test("Reader never reads beyond its bytes", () => {
  const outer = decodeBase16("0000000102030405060708");
  const reader = new Reader(outer.subarray(0, 3));
  assertThrows(() => reader.int32(), ProtocolError, "3 are left");
  assertThrows(() => reader.view(4), ProtocolError);
  assertThrows(() => reader.text(4), ProtocolError);
  assertThrows(() => reader.uuid(), ProtocolError);
});

Deno.test("Reader.text() keeps a byte order mark and replaces bad UTF-8", () => {
  assertEquals(reading("efbbbf61").text(4), "\ufeffa");
  assertEquals(reading("61ff62").text(3), "a\ufffdb");
});

Deno.test("Strings may be as long as the limit and no longer", () => {
  const longest = "x".repeat(CODEC_LIMITS.stringBytes);
  for (const compact of [false, true]) {
    const hex = written((w) => w.text(longest, compact));
    const reader = reading(hex);
    assertEquals(reader.text(reader.length(compact, false)), longest);
    assertThrows(
      () => written((w) => w.text(longest + "x", compact)),
      EncodeError,
      "32768",
    );
  }
  const tooLong = new Reader(new Uint8Array(CODEC_LIMITS.stringBytes + 1));
  assertThrows(() => tooLong.text(32768), ProtocolError, "32768");
});

Deno.test("Reader.arrayCount() believes only what the bytes can back", () => {
  const options = { compact: false, minElementBytes: 2, bounded: true };
  assertEquals(reading("0000000200000000").arrayCount(options), 2);
  assertEquals(reading("ffffffff").arrayCount(options), -1);
  assertThrows(
    () => reading("00000003" + "00000000").arrayCount(options),
    ProtocolError,
    "3 elements",
  );
  assertThrows(() => reading("fffffffe").arrayCount(options), ProtocolError);
  assertThrows(() => reading("7fffffff").arrayCount(options), ProtocolError);
});

Deno.test("Reader.arrayCount() bounds the elements of a whole message", () => {
  const limit = CODEC_LIMITS.arrayElements;
  const options = { compact: false, minElementBytes: 1, bounded: true };
  const bytes = new Uint8Array(2 * limit);
  new DataView(bytes.buffer).setInt32(0, limit);
  new DataView(bytes.buffer).setInt32(4, 1);
  const reader = new Reader(bytes);
  assertEquals(reader.arrayCount(options), limit);
  assertThrows(
    () => reader.arrayCount(options),
    ProtocolError,
    "array elements",
  );
  const unbounded = { ...options, bounded: false };
  assertEquals(new Reader(bytes).arrayCount(unbounded), limit);
});

Deno.test("Reader.taggedFields() skips unknown tags and keeps to sizes", () => {
  const seen: number[] = [];
  const reader = reading("02" + "00020102" + "0701ff" + "2a");
  reader.taggedFields((tag) => seen.push(tag));
  assertEquals(seen, [0, 7]);
  assertEquals(reader.int8(), 0x2a);
  assertThrows(
    () => reading("02" + "0100" + "0100").taggedFields(() => {}),
    ProtocolError,
    "tag 1 comes after tag 1",
  );
  const inner = reading("01" + "0001aa" + "bbbb");
  assertThrows(
    () => inner.taggedFields(() => inner.int16()),
    ProtocolError,
    "1 are left",
  );
});

Deno.test("Writer references large bytes and copies small ones", () => {
  const writer = new Writer(4);
  const large = new Uint8Array(70_000).fill(3);
  const small = new Uint8Array(10).fill(4);
  writer.int32(0);
  writer.raw(large);
  writer.raw(small);
  writer.int8(1);
  writer.patchFirstInt32(writer.sizeBytes - 4);
  assertEquals(writer.sizeBytes, 4 + 70_000 + 11);
  const chunks = writer.chunks();
  assertEquals(chunks.map(({ length }) => length), [4, 70_000, 11]);
  assert(chunks[1] === large);
  assertEquals(encodeBase16(chunks[0]), "0001117b");
});

Deno.test("Writer refuses numbers that do not fit", () => {
  const writer = new Writer();
  assertThrows(() => writer.int8(128), EncodeError);
  assertThrows(() => writer.int16(-32769), EncodeError);
  assertThrows(() => writer.int32(2 ** 31), EncodeError);
  assertThrows(() => writer.int64(2 ** 53), EncodeError);
  assertThrows(() => writer.int32(0.5), EncodeError);
  assertThrows(() => writer.unsignedVarint(-1), EncodeError);
  assertThrows(() => writer.uuid("no"), EncodeError);
});
