/**
 * Reads Kafka's primitive types (big-endian) out of one frame. It owns the
 * bounds: nothing is read beyond the frame, nothing is allocated on the word of
 * a length that the remaining bytes do not back. It knows no schema.
 *
 * What it returns for bytes are views of the frame, not copies: whoever keeps
 * them keeps the whole frame alive, and copies when that is too much.
 */
import { ProtocolError } from "./error.ts";
import { CODEC_LIMITS } from "./limits.ts";

const TEXT = new TextDecoder("utf-8", { ignoreBOM: true });
/** Below this a loop beats the call into the platform's decoder. */
const SHORT_TEXT_BYTES = 48;
const TWO_POW_32 = 2 ** 32;
const HEX = Array.from(
  { length: 256 },
  (_, byte) => byte.toString(16).padStart(2, "0"),
);

export class Reader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #position = 0;
  #end: number;
  #elementsLeft: number = CODEC_LIMITS.arrayElements;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(
      bytes.buffer,
      bytes.byteOffset,
      bytes.byteLength,
    );
    this.#end = bytes.byteLength;
  }

  /** Bytes read so far. */
  get position(): number {
    return this.#position;
  }

  get remaining(): number {
    return this.#end - this.#position;
  }

  /** Moves past `length` bytes and returns where they start. */
  #take(length: number): number {
    const start = this.#position;
    if (length > this.#end - start) {
      throw new ProtocolError(
        `${length} bytes are needed at position ${start} of the frame, ` +
          `${this.#end - start} are left`,
      );
    }
    this.#position = start + length;
    return start;
  }

  bool(): boolean {
    return this.#bytes[this.#take(1)] !== 0;
  }

  int8(): number {
    return this.#view.getInt8(this.#take(1));
  }

  int16(): number {
    return this.#view.getInt16(this.#take(2));
  }

  uint16(): number {
    return this.#view.getUint16(this.#take(2));
  }

  int32(): number {
    return this.#view.getInt32(this.#take(4));
  }

  uint32(): number {
    return this.#view.getUint32(this.#take(4));
  }

  float64(): number {
    return this.#view.getFloat64(this.#take(8));
  }

  /** Throws {@linkcode ProtocolError} when it is not a safe integer. */
  int64(): number {
    const start = this.#take(8);
    const value = this.#view.getInt32(start) * TWO_POW_32 +
      this.#view.getUint32(start + 4);
    if (!Number.isSafeInteger(value)) {
      throw new ProtocolError(
        `the int64 ${this.#view.getBigInt64(start)} at position ${start} ` +
          `of the frame is beyond 2^53`,
      );
    }
    return value;
  }

  /** An int64 beyond the safe integers becomes the nearest safe one. */
  saturatedInt64(): number {
    const start = this.#take(8);
    const value = this.#view.getInt32(start) * TWO_POW_32 +
      this.#view.getUint32(start + 4);
    if (value > Number.MAX_SAFE_INTEGER) return Number.MAX_SAFE_INTEGER;
    if (value < Number.MIN_SAFE_INTEGER) return Number.MIN_SAFE_INTEGER;
    return value;
  }

  /** In the canonical form with hyphens, in lower case. */
  uuid(): string {
    const start = this.#take(16);
    const bytes = this.#bytes;
    let text = "";
    for (let index = 0; index < 16; index++) {
      if (index === 4 || index === 6 || index === 8 || index === 10) {
        text += "-";
      }
      text += HEX[bytes[start + index]];
    }
    return text;
  }

  /** LEB128 of at most five bytes, 0 to 2^32 - 1. */
  unsignedVarint(): number {
    let value = 0;
    for (let shift = 0; shift < 28; shift += 7) {
      const byte = this.#bytes[this.#take(1)];
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    const last = this.#bytes[this.#take(1)];
    if (last > 0x0f) {
      throw new ProtocolError(
        `the varint that ends at position ${this.#position} of the frame ` +
          `is longer than 32 bits`,
      );
    }
    return value + last * 2 ** 28;
  }

  /** Length of a string, bytes or records; -1 is null. */
  length(compact: boolean, wide: boolean): number {
    if (compact) return this.unsignedVarint() - 1;
    const length = wide ? this.int32() : this.int16();
    if (length < -1) {
      throw new ProtocolError(
        `the length ${length} before position ${this.#position} of the frame ` +
          `is negative`,
      );
    }
    return length;
  }

  /** A view of the next `length` bytes. */
  view(length: number): Uint8Array {
    const start = this.#take(length);
    return this.#bytes.subarray(start, start + length);
  }

  /** UTF-8 of `length` bytes; what is not UTF-8 becomes U+FFFD, as in Kafka. */
  text(length: number): string {
    if (length > CODEC_LIMITS.stringBytes) {
      throw new ProtocolError(
        `a string of ${length} bytes is longer than ${CODEC_LIMITS.stringBytes}`,
      );
    }
    const start = this.#take(length);
    const end = start + length;
    if (length <= SHORT_TEXT_BYTES) {
      let text = "";
      let position = start;
      for (; position < end; position++) {
        const byte = this.#bytes[position];
        if (byte >= 0x80) break;
        text += String.fromCharCode(byte);
      }
      if (position === end) return text;
    }
    return TEXT.decode(this.#bytes.subarray(start, end));
  }

  /**
   * The count of an array, -1 for null. `minElementBytes` is the least that an
   * element takes; `bounded` elements also draw on the message's allowance.
   */
  arrayCount(
    options: { compact: boolean; minElementBytes: number; bounded: boolean },
  ): number {
    const count = this.length(options.compact, true);
    if (count <= 0) return count;
    if (count * options.minElementBytes > this.remaining) {
      throw new ProtocolError(
        `an array of ${count} elements cannot fit in the ${this.remaining} ` +
          `bytes left in the frame`,
      );
    }
    if (options.bounded) {
      this.#elementsLeft -= count;
      if (this.#elementsLeft < 0) {
        throw new ProtocolError(
          `the message has more than ${CODEC_LIMITS.arrayElements} array ` +
            `elements`,
        );
      }
    }
    return count;
  }

  /**
   * A tagged-field section. Calls `read` for each tag with the frame narrowed to
   * its payload; whatever of the payload is not read is skipped.
   */
  taggedFields(read: (tag: number) => void): void {
    const count = this.unsignedVarint();
    if (count * 2 > this.remaining) {
      throw new ProtocolError(
        `${count} tagged fields cannot fit in the ${this.remaining} bytes ` +
          `left in the frame`,
      );
    }
    const outerEnd = this.#end;
    let previous = -1;
    for (let index = 0; index < count; index++) {
      const tag = this.unsignedVarint();
      if (tag <= previous) {
        throw new ProtocolError(`tag ${tag} comes after tag ${previous}`);
      }
      previous = tag;
      const size = this.unsignedVarint();
      const start = this.#take(size);
      this.#position = start;
      this.#end = start + size;
      read(tag);
      this.#end = outerEnd;
      this.#position = start + size;
    }
  }
}
