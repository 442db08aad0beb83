import fc from "../../../support/fast_check.ts";
import { assert, assertEquals, assertThrows } from "../../../support/assert.ts";
import { ProtocolError } from "../../../../broker/kafka/codec/error.ts";
import {
  frameLimit,
  FrameReader,
} from "../../../../broker/kafka/codec/frame_reader.ts";
import { CODEC_LIMITS } from "../../../../broker/kafka/codec/limits.ts";

function framed(payload: Uint8Array): Uint8Array {
  const frame = new Uint8Array(4 + payload.length);
  new DataView(frame.buffer).setInt32(0, payload.length);
  frame.set(payload, 4);
  return frame;
}

/** Feeds `bytes` in pieces of at most `pieceBytes`, collecting frames. */
function feed(
  reader: FrameReader,
  bytes: Uint8Array,
  pieceBytes = Infinity,
): Uint8Array[] {
  const frames: Uint8Array[] = [];
  let position = 0;
  while (position < bytes.length) {
    const space = reader.space();
    assert(space.length > 0);
    const count = Math.min(space.length, pieceBytes, bytes.length - position);
    space.set(bytes.subarray(position, position + count));
    reader.commit(count);
    position += count;
    for (let frame = reader.take(); frame !== null; frame = reader.take()) {
      frames.push(frame);
    }
  }
  return frames;
}

function size(bytes: number, apiKey: number): Uint8Array {
  const start = new Uint8Array(6);
  new DataView(start.buffer).setInt32(0, bytes);
  new DataView(start.buffer).setInt16(4, apiKey);
  return start;
}

Deno.test("FrameReader gives back the frames however they are cut", () => {
  const payload = fc.oneof(
    fc.uint8Array({ maxLength: 40 }),
    fc.integer({ min: 0, max: 100_000 }).map((length) =>
      new Uint8Array(length).fill(length % 251)
    ),
  ).map((bytes) => {
    // Key 0, so that no frame is over the limit.
    if (bytes.length > 0) bytes[0] = 0;
    if (bytes.length > 1) bytes[1] = 0;
    return bytes;
  });
  fc.assert(
    fc.property(
      fc.array(payload, { maxLength: 6 }),
      fc.oneof(fc.integer({ min: 1, max: 9 }), fc.constant(70_000)),
      (payloads, pieceBytes) => {
        const stream = new Uint8Array(
          payloads.reduce((sum, { length }) => sum + 4 + length, 0),
        );
        let position = 0;
        for (const bytes of payloads) {
          stream.set(framed(bytes), position);
          position += 4 + bytes.length;
        }
        const reader = new FrameReader();
        const frames = feed(reader, stream, pieceBytes);
        // Compared at the end: earlier frames must not have been overwritten.
        assertEquals(frames.length, payloads.length);
        frames.forEach((frame, index) =>
          assert(frame.every((byte, at) => byte === payloads[index][at]))
        );
        assertEquals(
          frames.map(({ length }) => length),
          payloads.map(({ length }) => length),
        );
        assertEquals(reader.bufferedBytes, 0);
      },
    ),
    { numRuns: 60 },
  );
});

Deno.test("FrameReader refuses a negative size", () => {
  assertThrows(() => feed(new FrameReader(), size(-1, 0)), ProtocolError, "-1");
});

Deno.test("FrameReader takes a frame at the limit and none above it", () => {
  for (const apiKey of [0, 3]) {
    const limit = frameLimit(apiKey);
    const reader = new FrameReader();
    assertEquals(feed(reader, size(limit, apiKey)), []);
    assertEquals(reader.bufferedBytes, 6);
    assertThrows(
      () => feed(new FrameReader(), size(limit + 1, apiKey)),
      ProtocolError,
      String(limit),
    );
  }
  assert(CODEC_LIMITS.requestFrameBytes < CODEC_LIMITS.produceFrameBytes);
});

Deno.test("FrameReader does not allocate what was only claimed", () => {
  const reader = new FrameReader();
  feed(reader, size(CODEC_LIMITS.produceFrameBytes, 0));
  assert(reader.space().buffer.byteLength <= 16 * 1024);
  feed(reader, new Uint8Array(20_000));
  assert(reader.space().buffer.byteLength <= 4 * 20_006);
});

Deno.test("FrameReader names the protocol of a client at the wrong port", () => {
  const cases: [string, string][] = [
    ["GET / HTTP/1.1\r\n", "HTTP"],
    ["POST /produce HTTP/1.1\r\n", "HTTP"],
    ["\x16\x03\x01\x02\x00\x01", "TLS"],
  ];
  for (const [text, protocol] of cases) {
    assertThrows(
      () => feed(new FrameReader(), new TextEncoder().encode(text)),
      ProtocolError,
      `speaks ${protocol}`,
    );
  }
});

Deno.test("FrameReader allocates a claimed size that is trusted, at once", () => {
  const sizes = { bufferBytes: 16 * 1024, trustedBytes: 100_000 };
  const claimed = new FrameReader();
  claimed.space().set(size(100_000 - 4, 0));
  claimed.commit(6);
  assertEquals(claimed.space(sizes).length, 100_000 - 6);
  const beyond = new FrameReader();
  beyond.space().set(size(100_001 - 4, 0));
  beyond.commit(6);
  assert(beyond.space(sizes).buffer.byteLength <= 16 * 1024);
});

Deno.test("FrameReader.space() keeps whole frames that nobody has taken", () => {
  const reader = new FrameReader();
  const payloads = Array.from(
    { length: 5000 },
    (_, index) => new Uint8Array(30).fill(index % 100),
  );
  for (const payload of payloads) {
    const bytes = framed(payload);
    for (let position = 0; position < bytes.length;) {
      const space = reader.space();
      const count = Math.min(space.length, bytes.length - position);
      space.set(bytes.subarray(position, position + count));
      reader.commit(count);
      position += count;
    }
  }
  for (const payload of payloads) assertEquals(reader.take(), payload);
  assertEquals(reader.take(), null);
});

Deno.test("FrameReader reads many frames into one large buffer", () => {
  const reader = new FrameReader();
  const space = reader.space({ bufferBytes: 256 * 1024 });
  assertEquals(space.length, 256 * 1024);
  // Nothing is copied for as long as there is room worth a read.
  reader.commit(0);
  assert(reader.space().buffer === space.buffer);
});

Deno.test("FrameReader uses the buffers of frames again that are given back", () => {
  const sizes = { bufferBytes: 64 * 1024, trustedBytes: 64 * 1024 };
  const lengths = fc.array(fc.integer({ min: 2, max: 70_000 }), {
    minLength: 1,
    maxLength: 30,
  });
  // How many frames are looked at while later ones arrive; none is kept for good.
  fc.assert(fc.property(lengths, fc.nat(3), (lengths, heldFrames) => {
    const reader = new FrameReader();
    const held: { frame: Uint8Array; fill: number }[] = [];
    const release = () => {
      const { frame, fill } = held.shift()!;
      assert(frame.subarray(2).every((byte) => byte === fill));
      reader.giveBack(frame);
    };
    const buffers = new Set<ArrayBufferLike>();
    for (const [index, length] of lengths.entries()) {
      const fill = 1 + index % 250;
      const payload = new Uint8Array(length).fill(fill);
      payload.set([0, 0]);
      const bytes = framed(payload);
      for (let sent = 0; sent < bytes.length;) {
        const space = reader.space(sizes);
        buffers.add(space.buffer);
        const piece = bytes.subarray(sent, sent + space.length);
        space.set(piece);
        reader.commit(piece.length);
        sent += piece.length;
      }
      const frame = reader.take();
      assert(frame !== null);
      assertEquals(frame.length, length);
      held.push({ frame, fill });
      while (held.length > heldFrames) release();
    }
    while (held.length > 0) release();
    const isAllSmall = lengths.every((length) => length < 15_000);
    if (heldFrames <= 1 && isAllSmall) assert(buffers.size <= 3);
  }));
});

Deno.test("FrameReader never writes over a frame that is kept", () => {
  const sizes = { bufferBytes: 64 * 1024, trustedBytes: 64 * 1024 };
  const reader = new FrameReader();
  const kept: Uint8Array[] = [];
  for (let index = 0; index < 100; index++) {
    const payload = new Uint8Array(10_000).fill(index);
    payload.set([0, 0]);
    const bytes = framed(payload);
    for (let sent = 0; sent < bytes.length;) {
      const space = reader.space(sizes);
      const piece = bytes.subarray(sent, sent + space.length);
      space.set(piece);
      reader.commit(piece.length);
      sent += piece.length;
    }
    const frame = reader.take()!;
    if (index % 7 === 0) kept.push(frame);
    else reader.giveBack(frame);
  }
  kept.forEach((frame, at) => {
    assert(frame.subarray(2).every((byte) => byte === 7 * at));
  });
});
