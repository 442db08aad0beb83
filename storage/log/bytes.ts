/**
 * Big-endian integers in byte arrays, faster than a `DataView` per batch. Owns
 * no format. Positions are not checked: callers know their bounds.
 */
const TWO_TO_32 = 4294967296;

export function readInt16(bytes: Uint8Array, at: number): number {
  return (bytes[at] << 24 >> 16) | bytes[at + 1];
}

export function readInt32(bytes: Uint8Array, at: number): number {
  return (bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) |
    bytes[at + 3];
}

export function readUint32(bytes: Uint8Array, at: number): number {
  return readInt32(bytes, at) >>> 0;
}

/** An int64 as a number: exact when the result is a safe integer. */
export function readInt64(bytes: Uint8Array, at: number): number {
  return readInt32(bytes, at) * TWO_TO_32 + readUint32(bytes, at + 4);
}

export function writeInt16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >> 8;
  bytes[at + 1] = value;
}

/** Also for unsigned values below 2^32. */
export function writeInt32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
}

/** `value` is a safe integer, negative ones included. */
export function writeInt64(bytes: Uint8Array, at: number, value: number): void {
  writeInt32(bytes, at, Math.floor(value / TWO_TO_32));
  writeInt32(bytes, at + 4, value >>> 0);
}

/** Grows geometrically; the content up to `usedBytes` is kept. */
export function grown(
  bytes: Uint8Array<ArrayBuffer>,
  usedBytes: number,
  neededBytes: number,
): Uint8Array<ArrayBuffer> {
  if (neededBytes <= bytes.length) return bytes;
  const larger = new Uint8Array(Math.max(neededBytes, bytes.length * 2));
  larger.set(bytes.subarray(0, usedBytes));
  return larger;
}
