/**
 * Enough of WebAssembly's binary format to write one small function by hand:
 * instructions as byte arrays. It knows nothing of what the function computes.
 */

export type Code = number[];

/** The value types that are used. */
export const I32 = 0x7f;
export const V128 = 0x7b;

export const ADD: Code = [0x6a];
export const SUBTRACT: Code = [0x6b];
export const AND: Code = [0x71];
export const XOR: Code = [0x73];
export const SHIFT_LEFT: Code = [0x74];
export const SHIFT_RIGHT: Code = [0x76];
export const LOAD_BYTE: Code = [0x2d, 0, 0];
export const STORE_32: Code = [0x36, 2, 0];
export const V128_AND = vector(0x4e);
export const V128_XOR = vector(0x51);
/** Of eight 16-bit lanes. */
export const V128_SHIFT_RIGHT = vector(0x8d);
/** Looks up the bytes of the second operand, all below 16, in the first. */
export const V128_LOOK_UP = vector(0x100);

const LOOP: Code = [0x03, 0x40];
const IF: Code = [0x04, 0x40];
const BRANCH: Code = [0x0c];
const END: Code = [0x0b];
const AT_LEAST: Code = [0x4f];

function unsigned(value: number): Code {
  const bytes: Code = [];
  for (; value >= 128; value >>>= 7) bytes.push(value & 127 | 128);
  return [...bytes, value];
}

function signed(value: number): Code {
  const bytes: Code = [];
  for (;; value >>= 7) {
    const isLast = value >= -64 && value < 64;
    bytes.push(value & 127 | (isLast ? 0 : 128));
    if (isLast) return bytes;
  }
}

function vector(operation: number, ...immediates: number[]): Code {
  return [0xfd, ...unsigned(operation), ...immediates];
}

export function get(local: number): Code {
  return [0x20, ...unsigned(local)];
}

export function set(local: number): Code {
  return [0x21, ...unsigned(local)];
}

export function constant(value: number): Code {
  return [0x41, ...signed(value)];
}

/** Four bytes at the address on the stack plus `position`. */
export function load32(position: number): Code {
  return [0x28, 2, ...unsigned(position)];
}

export function v128Load(position: number): Code {
  return vector(0, 4, ...unsigned(position));
}

export function v128Store(position: number): Code {
  return vector(0x0b, 4, ...unsigned(position));
}

/** Sixteen equal bytes. */
export function v128Constant(byte: number): Code {
  return vector(0x0c, ...new Array(16).fill(byte));
}

/** The second operand, `count` bytes later; before it the end of the first. */
export function v128ShiftIn(count: number): Code {
  return vector(
    0x0d,
    ...Array.from({ length: 16 }, (_, lane) => 16 - count + lane),
  );
}

export function ifAtLeast(local: number, least: number, body: Code): Code {
  return [
    ...get(local),
    ...constant(least),
    ...AT_LEAST,
    ...IF,
    ...body,
    ...END,
  ];
}

/** Runs `body`, which must lower it, while `local` is at least `least`. */
export function whileAtLeast(local: number, least: number, body: Code): Code {
  const again = [...BRANCH, 1];
  return [...LOOP, ...ifAtLeast(local, least, [...body, ...again]), ...END];
}

/**
 * A module with a memory, exported as `memory`, and one function of three int32
 * to one int32, exported as `run`. Locals 0 to 2 are its arguments; `locals`
 * come after them, as counts of a type each.
 */
export function encodeModule(options: {
  readonly pages: number;
  readonly locals: readonly (readonly [count: number, type: number])[];
  readonly code: Code;
}): Uint8Array<ArrayBuffer> {
  const { pages, locals, code } = options;
  const body = [
    ...list(locals.map(([count, type]) => [...unsigned(count), type])),
    ...code,
    ...END,
  ];
  return new Uint8Array([
    ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, [[0x60, ...list([[I32], [I32], [I32]]), ...list([[I32]])]]),
    ...section(3, [[0]]),
    ...section(5, [[0, ...unsigned(pages)]]),
    ...section(7, [[...text("memory"), 2, 0], [...text("run"), 0, 0]]),
    ...section(10, [[...unsigned(body.length), ...body]]),
  ]);
}

function list(items: readonly Code[]): Code {
  return [...unsigned(items.length), ...items.flat()];
}

function section(id: number, items: readonly Code[]): Code {
  const body = list(items);
  return [id, ...unsigned(body.length), ...body];
}

function text(value: string): Code {
  return [...unsigned(value.length), ...new TextEncoder().encode(value)];
}
