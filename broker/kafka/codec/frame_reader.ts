/**
 * Splits the bytes of a connection into frames. It owns the buffer that is read
 * into and the limit on a frame; it does no reading itself.
 *
 *     const count = await connection.read(frames.space());
 *     frames.commit(count);
 *     for (let frame; (frame = frames.take());) handle(frame);
 *
 * A frame is a view that stays valid until it is given back, if ever: the buffer
 * under it is not written before. Whoever gives frames back saves new buffers,
 * which cost more than what is read into them. A claimed size is not believed beyond what the caller trusts: past that
 * the buffer at most quadruples, and only once it is full.
 */
import { invariant } from "../../../storage/assert.ts";
import { ProtocolError } from "./error.ts";
import { CODEC_LIMITS } from "./limits.ts";

const SIZE_BYTES = 4;
const API_KEY_BYTES = 2;
/** The smallest buffer. */
const BUFFER_BYTES = 16 * 1024;
/** Less room than this, and than this part of a buffer, is not worth a read. */
const LEAST_SPACE_BYTES = 1024;
const LEAST_SPACE_PART = 1 / 16;
const GROWTH = 4;

/** The largest frame that a request of this API may have, in bytes. */
export function frameLimit(apiKey: number): number {
  return apiKey === 0
    ? CODEC_LIMITS.produceFrameBytes
    : CODEC_LIMITS.requestFrameBytes;
}

interface Buffer {
  readonly bytes: Uint8Array;
  /** Frames that were taken from it and not given back. */
  lent: number;
}

export class FrameReader {
  readonly #limitBytes: (apiKey: number) => number;
  #current: Buffer = { bytes: new Uint8Array(0), lent: 0 };
  /** The one before, to be used again once its frames are given back. */
  #spare: Buffer | null = null;
  /** What is buffered and in no taken frame: [start, end). */
  #start = 0;
  #end = 0;

  /**
   * `limitBytes` gives the limit on a frame by its API key, its first two
   * bytes; a client, whose frames begin otherwise, gives a constant.
   */
  constructor(limitBytes: (apiKey: number) => number = frameLimit) {
    this.#limitBytes = limitBytes;
  }

  /** Bytes of a frame that is not complete yet. */
  get bufferedBytes(): number {
    return this.#end - this.#start;
  }

  /**
   * The size of the frame that comes next, with its size field; null until that
   * has arrived. Throws as {@linkcode take} does.
   */
  get nextFrameBytes(): number | null {
    return this.#frameBytes() ?? null;
  }

  /** A call of {@linkcode take} would give a frame, or throw. */
  get hasNext(): boolean {
    try {
      const frameBytes = this.#frameBytes();
      return frameBytes !== undefined && frameBytes <= this.bufferedBytes;
    } catch {
      return true;
    }
  }

  /**
   * Where the next bytes go: never empty. Costs least when no whole frame waits
   * to be taken. Throws as {@linkcode take} does.
   *
   * A new buffer has `bufferBytes`, or what the next frame needs when that is
   * no more than `trustedBytes`. One former buffer may be kept if it is larger
   * than the smallest and has just `bufferBytes`.
   */
  space(
    { bufferBytes = BUFFER_BYTES, trustedBytes = BUFFER_BYTES } = {},
  ): Uint8Array {
    const buffered = this.#end - this.#start;
    const frameBytes = this.#frameBytes() ?? 0;
    const room = this.#current.bytes.byteLength - this.#end;
    const leastRoom = Math.max(
      LEAST_SPACE_BYTES,
      LEAST_SPACE_PART * this.#current.bytes.byteLength,
    );
    const missing = frameBytes - buffered;
    const suffices = missing > 0
      ? missing <= room || (room >= leastRoom && frameBytes > trustedBytes)
      : room >= leastRoom;
    if (!suffices) {
      this.#replaceBuffer(
        Math.max(
          bufferBytes,
          Math.min(frameBytes, Math.max(trustedBytes, GROWTH * buffered)),
          // Whole frames that nobody has taken move along, seldom.
          missing > 0 ? 0 : 2 * buffered,
          buffered + LEAST_SPACE_BYTES,
        ),
        bufferBytes > BUFFER_BYTES ? bufferBytes : -1,
      );
    }
    return this.#current.bytes.subarray(this.#end);
  }

  #replaceBuffer(capacity: number, keptBytes: number): void {
    const former = this.#current;
    const [start, end] = [this.#start, this.#end];
    this.#start = 0;
    this.#end = end - start;
    if (former.lent === 0 && former.bytes.byteLength === capacity) {
      former.bytes.copyWithin(0, start, end);
      return;
    }
    const spare = this.#spare;
    const isFree = spare?.lent === 0 && spare.bytes.byteLength === capacity;
    this.#current = isFree
      ? spare
      : { bytes: new Uint8Array(capacity), lent: 0 };
    this.#current.bytes.set(former.bytes.subarray(start, end));
    this.#spare = former.bytes.byteLength === keptBytes ? former : null;
  }

  /** `count` bytes were written to what `space()` returned. */
  commit(count: number): void {
    invariant(
      count >= 0 && this.#end + count <= this.#current.bytes.byteLength,
      `${count} bytes do not fit in the space that was given`,
    );
    this.#end += count;
  }

  /**
   * The next whole frame, without its size; null when more bytes are needed.
   * Throws {@linkcode ProtocolError} on a size that is negative or too large:
   * the connection is beyond repair.
   */
  take(): Uint8Array | null {
    const frameBytes = this.#frameBytes();
    if (frameBytes === undefined || this.#end - this.#start < frameBytes) {
      return null;
    }
    const from = this.#start + SIZE_BYTES;
    this.#start += frameBytes;
    this.#current.lent++;
    return this.#current.bytes.subarray(from, this.#start);
  }

  /** Nobody looks at `frame`, which {@linkcode take} gave, any more. */
  giveBack(frame: Uint8Array): void {
    for (const buffer of [this.#current, this.#spare]) {
      if (buffer?.bytes.buffer !== frame.buffer) continue;
      invariant(buffer.lent > 0, "A frame was given back twice");
      buffer.lent--;
    }
  }

  /** The size of the pending frame with its size field, once known. */
  #frameBytes(): number | undefined {
    const buffered = this.#end - this.#start;
    if (buffered < SIZE_BYTES) return undefined;
    const view = new DataView(
      this.#current.bytes.buffer,
      this.#current.bytes.byteOffset + this.#start,
      buffered,
    );
    const size = view.getInt32(0);
    if (size < 0 || size > CODEC_LIMITS.produceFrameBytes) {
      throw frameTooLarge(size, CODEC_LIMITS.produceFrameBytes);
    }
    if (buffered >= SIZE_BYTES + API_KEY_BYTES) {
      const limit = this.#limitBytes(view.getInt16(SIZE_BYTES));
      if (size > limit) throw frameTooLarge(size, limit);
    }
    return SIZE_BYTES + size;
  }
}

/** The first three bytes of clients that have the wrong port. */
const OTHER_PROTOCOLS = new Map([
  ["GET", "HTTP"],
  ["HEA", "HTTP"],
  ["POS", "HTTP"],
  ["PUT", "HTTP"],
  ["DEL", "HTTP"],
  ["OPT", "HTTP"],
  ["\x16\x03\x01", "TLS"],
  ["\x16\x03\x03", "TLS"],
]);

function frameTooLarge(size: number, limit: number): ProtocolError {
  const first = [24, 16, 8].map((shift) => (size >>> shift) & 0xff);
  const other = OTHER_PROTOCOLS.get(String.fromCharCode(...first));
  return new ProtocolError(
    other === undefined
      ? `a frame of ${size} bytes is not within 0 to ${limit}`
      : `the client speaks ${other}, not Kafka's protocol`,
  );
}
