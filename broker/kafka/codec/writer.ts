/**
 * Writes Kafka's primitive types (big-endian). Small values go into a buffer
 * that grows geometrically; large byte strings are not copied but become chunks
 * of their own, so that a fetch sends stored bytes as they are. It knows no
 * schema.
 */
import { EncodeError } from "./error.ts";
import { CODEC_LIMITS } from "./limits.ts";

/** From here on a byte string is referenced, not copied. */
const REFERENCED_BYTES = 4096;
const INITIAL_BYTES = 256;
/** Below this a loop beats the call into the platform's encoder. */
const SHORT_TEXT = 48;
const TWO_POW_32 = 2 ** 32;
const TEXT = new TextEncoder();

export class Writer {
  #buffer: Uint8Array;
  #view: DataView;
  /** Where the bytes of the current buffer that are in no chunk yet begin. */
  #start = 0;
  #position = 0;
  readonly #chunks: Uint8Array[] = [];
  #chunkedBytes = 0;

  constructor(initialBytes = INITIAL_BYTES) {
    this.#buffer = new Uint8Array(initialBytes);
    this.#view = new DataView(this.#buffer.buffer);
  }

  /** Bytes written so far. */
  get sizeBytes(): number {
    return this.#chunkedBytes + this.#position - this.#start;
  }

  /** What was written, in order. The writer must not be used afterwards. */
  chunks(): Uint8Array[] {
    this.#cut();
    return this.#chunks;
  }

  /** What was written as one array: a copy when it is in more than one chunk. */
  bytes(): Uint8Array {
    const chunks = this.chunks();
    if (chunks.length === 1) return chunks[0];
    const all = new Uint8Array(this.#chunkedBytes);
    let position = 0;
    for (const chunk of chunks) {
      all.set(chunk, position);
      position += chunk.byteLength;
    }
    return all;
  }

  /** Ends the chunk that is being written. */
  #cut(): void {
    if (this.#position === this.#start) return;
    this.#chunks.push(this.#buffer.subarray(this.#start, this.#position));
    this.#chunkedBytes += this.#position - this.#start;
    this.#start = this.#position;
  }

  /** Makes room for `length` bytes and returns where they start. */
  #take(length: number): number {
    const position = this.#position;
    if (position + length > this.#buffer.byteLength) return this.#grow(length);
    this.#position = position + length;
    return position;
  }

  #grow(length: number): number {
    const pending = this.#position - this.#start;
    const capacity = Math.max(2 * this.#buffer.byteLength, pending + length);
    const buffer = new Uint8Array(capacity);
    buffer.set(this.#buffer.subarray(this.#start, this.#position));
    this.#buffer = buffer;
    this.#view = new DataView(buffer.buffer);
    this.#start = 0;
    this.#position = pending + length;
    return pending;
  }

  bool(value: boolean): void {
    const at = this.#take(1);
    this.#buffer[at] = value ? 1 : 0;
  }

  int8(value: number): void {
    checkInteger(value, -0x80, 0x7f);
    const at = this.#take(1);
    this.#view.setInt8(at, value);
  }

  int16(value: number): void {
    checkInteger(value, -0x8000, 0x7fff);
    const at = this.#take(2);
    this.#view.setInt16(at, value);
  }

  uint16(value: number): void {
    checkInteger(value, 0, 0xffff);
    const at = this.#take(2);
    this.#view.setUint16(at, value);
  }

  int32(value: number): void {
    checkInteger(value, -0x80000000, 0x7fffffff);
    const at = this.#take(4);
    this.#view.setInt32(at, value);
  }

  uint32(value: number): void {
    checkInteger(value, 0, 0xffffffff);
    const at = this.#take(4);
    this.#view.setUint32(at, value);
  }

  int64(value: number): void {
    checkInteger(value, Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
    const at = this.#take(8);
    const high = Math.floor(value / TWO_POW_32);
    this.#view.setInt32(at, high);
    this.#view.setUint32(at + 4, value - high * TWO_POW_32);
  }

  float64(value: number): void {
    const at = this.#take(8);
    this.#view.setFloat64(at, value);
  }

  /** Takes the canonical form with or without hyphens, in either case. */
  uuid(value: string): void {
    const digits = value.replaceAll("-", "");
    if (!/^[0-9a-fA-F]{32}$/.test(digits)) {
      throw new EncodeError(`"${value}" is not a UUID`);
    }
    const at = this.#take(16);
    for (let index = 0; index < 16; index++) {
      const pair = digits.slice(2 * index, 2 * index + 2);
      this.#buffer[at + index] = Number.parseInt(pair, 16);
    }
  }

  /** 0 to 2^32 - 1. */
  unsignedVarint(value: number): void {
    checkInteger(value, 0, 0xffffffff);
    let rest = value;
    while (rest >= 0x80) {
      const at = this.#take(1);
      this.#buffer[at] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    const at = this.#take(1);
    this.#buffer[at] = rest;
  }

  /** Length of a string, bytes or records, count of an array; -1 is null. */
  length(length: number, compact: boolean, wide: boolean): void {
    if (compact) this.unsignedVarint(length + 1);
    else if (wide) this.int32(length);
    else this.int16(length);
  }

  /** UTF-8 with its length before it. */
  text(value: string, compact: boolean): void {
    const shortLength = value.length <= SHORT_TEXT ? asciiLength(value) : -1;
    if (shortLength >= 0) {
      this.length(shortLength, compact, false);
      const at = this.#take(shortLength);
      for (let index = 0; index < shortLength; index++) {
        this.#buffer[at + index] = value.charCodeAt(index);
      }
      return;
    }
    const encoded = TEXT.encode(value);
    if (encoded.byteLength > CODEC_LIMITS.stringBytes) {
      throw new EncodeError(
        `a string of ${encoded.byteLength} bytes is longer than ` +
          `${CODEC_LIMITS.stringBytes}`,
      );
    }
    this.length(encoded.byteLength, compact, false);
    this.raw(encoded);
  }

  /**
   * Bytes with no length before them. Many are referenced: they must not change
   * until they are sent.
   */
  raw(value: Uint8Array): void {
    if (value.byteLength < REFERENCED_BYTES) {
      const at = this.#take(value.byteLength);
      this.#buffer.set(value, at);
      return;
    }
    this.#cut();
    this.#chunks.push(value);
    this.#chunkedBytes += value.byteLength;
  }

  /** Takes over what `other` has written. */
  append(other: Writer): void {
    for (const chunk of other.chunks()) this.raw(chunk);
  }

  /**
   * Sets the int32 at the very start, which was written as a placeholder: a
   * frame's size.
   */
  patchFirstInt32(value: number): void {
    checkInteger(value, 0, 0x7fffffff);
    const first = this.#chunks.length > 0 ? this.#chunks[0] : this.#buffer;
    new DataView(first.buffer, first.byteOffset).setInt32(0, value);
  }
}

function checkInteger(value: number, min: number, max: number): void {
  if (!Number.isInteger(value) || value < min || value > max) {
    throw new EncodeError(`${value} is not an integer from ${min} to ${max}`);
  }
}

/** The length of a text of ASCII alone, -1 for any other. */
function asciiLength(value: string): number {
  for (let index = 0; index < value.length; index++) {
    if (value.charCodeAt(index) >= 0x80) return -1;
  }
  return value.length;
}
