/**
 * CRC-32C (Castagnoli), the checksum of record batches, in WebAssembly that is
 * made here: JavaScript has no instruction for it, and every byte that is stored
 * or recovered passes through.
 *
 * Short inputs, and the ends of long ones, go 16 bytes at a time through 16
 * tables ("slicing"). Long ones are folded first: a block of 16 bytes B that
 * stands `FOLD_BLOCKS` blocks before another may be taken away if its product
 * with K = x^(128 * FOLD_BLOCKS + 32) mod P is added there, four bytes longer than
 * the block. The product with a constant is looked up nibble by nibble, for 16
 * bytes at once: for each of the 5 bytes that a byte's product has, a table of 16
 * bytes for its low nibble and one for its high one. Products of neighbours
 * overlap, so each is shifted in by its number of bytes.
 */
import {
  ADD,
  AND,
  type Code,
  constant,
  encodeModule,
  get,
  I32,
  ifAtLeast,
  load32,
  LOAD_BYTE,
  set,
  SHIFT_LEFT,
  SHIFT_RIGHT,
  STORE_32,
  SUBTRACT,
  V128,
  V128_AND,
  V128_LOOK_UP,
  V128_SHIFT_RIGHT,
  V128_XOR,
  v128Constant,
  v128Load,
  v128ShiftIn,
  v128Store,
  whileAtLeast,
  XOR,
} from "./wasm_encoder.ts";

/** The polynomial, the lowest degree in the highest bit, as all here. */
const POLYNOMIAL = 0x82f63b78;
const FOLD_BLOCKS = 4;
/** From here on folding is worth its beginning and end. */
const LEAST_FOLDED_BYTES = 256;
const PRODUCT_BYTES = 5;

// The memory: slicing tables, nibble tables, then the input, page by page.
const SLICES = 16;
const SLICE_BYTES = 4 * 256;
const NIBBLES_AT = SLICES * SLICE_BYTES;
const INPUT_AT = NIBBLES_AT + 1024;
const INPUT_BYTES = 64 * 1024;
const PAGES = 2;

// Arguments and locals of the function.
const AT = 0;
const LEFT = 1;
const CRC = 2;
const WORD = 3;
const TABLES = 4;
const BEFORE = TABLES + 2 * PRODUCT_BYTES;
const PRODUCT = BEFORE + PRODUCT_BYTES;
const LOW = PRODUCT + PRODUCT_BYTES;
const HIGH = LOW + 1;

function advance(bytes: number): Code {
  return [
    ...[...get(AT), ...constant(bytes), ...ADD, ...set(AT)],
    ...[...get(LEFT), ...constant(bytes), ...SUBTRACT, ...set(LEFT)],
  ];
}

/** The entry of a slicing table for byte `byte` of WORD. */
function lookUp(slice: number, byte: number): Code {
  const scaled = byte === 0
    ? [...get(WORD), ...constant(2), ...SHIFT_LEFT]
    : [...get(WORD), ...constant(8 * byte - 2), ...SHIFT_RIGHT];
  return [
    ...[...scaled, ...constant(4 * 0xff), ...AND],
    ...load32(slice * SLICE_BYTES),
  ];
}

function sliceBlock(): Code {
  const code: Code = [];
  for (let word = 0; word < 4; word++) {
    code.push(...get(AT), ...load32(4 * word));
    if (word === 0) code.push(...get(CRC), ...XOR);
    code.push(...set(WORD));
    for (let byte = 0; byte < 4; byte++) {
      code.push(...lookUp(SLICES - 1 - 4 * word - byte, byte));
      if (word + byte > 0) code.push(...XOR);
    }
  }
  return [...code, ...set(CRC), ...advance(16)];
}

function sliceByte(): Code {
  return [
    ...[...get(AT), ...LOAD_BYTE, ...get(CRC), ...XOR, ...set(WORD)],
    ...[...lookUp(0, 0), ...get(CRC), ...constant(8), ...SHIFT_RIGHT, ...XOR],
    ...[...set(CRC), ...advance(1)],
  ];
}

/** The input takes the CRC so far into its first bytes. */
function beginFolding(): Code {
  const code = [
    ...[...get(AT), ...get(AT), ...load32(0), ...get(CRC), ...XOR],
    ...[...STORE_32, ...constant(0), ...set(CRC)],
  ];
  for (let table = 0; table < 2 * PRODUCT_BYTES; table++) {
    code.push(...constant(NIBBLES_AT + 16 * table), ...v128Load(0));
    code.push(...set(TABLES + table));
  }
  for (let byte = 1; byte < PRODUCT_BYTES; byte++) {
    code.push(...v128Constant(0), ...set(BEFORE + byte));
  }
  return code;
}

/** Adds the product of the block at AT to the one FOLD_BLOCKS later. */
function foldBlock(): Code {
  const nibbles = v128Constant(0x0f);
  const code = [
    ...[...get(AT), ...v128Load(0), ...set(LOW)],
    ...[...get(LOW), ...constant(4), ...V128_SHIFT_RIGHT],
    ...[...nibbles, ...V128_AND, ...set(HIGH)],
    ...[...get(LOW), ...nibbles, ...V128_AND, ...set(LOW)],
  ];
  for (let byte = 0; byte < PRODUCT_BYTES; byte++) {
    code.push(...get(TABLES + byte), ...get(LOW), ...V128_LOOK_UP);
    code.push(...get(TABLES + PRODUCT_BYTES + byte), ...get(HIGH));
    code.push(...V128_LOOK_UP, ...V128_XOR, ...set(PRODUCT + byte));
  }
  code.push(...addToTarget((byte) => get(PRODUCT + byte), true));
  for (let byte = 1; byte < PRODUCT_BYTES; byte++) {
    code.push(...get(PRODUCT + byte), ...set(BEFORE + byte));
  }
  return [...code, ...advance(16)];
}

/** The last product reaches into one block more. */
function endFolding(): Code {
  return addToTarget(() => v128Constant(0), false);
}

function addToTarget(product: (byte: number) => Code, withFirst: boolean) {
  const target = 16 * FOLD_BLOCKS;
  const code = [...get(AT), ...get(AT), ...v128Load(target)];
  if (withFirst) code.push(...product(0), ...V128_XOR);
  for (let byte = 1; byte < PRODUCT_BYTES; byte++) {
    code.push(...get(BEFORE + byte), ...product(byte), ...v128ShiftIn(byte));
    code.push(...V128_XOR);
  }
  return [...code, ...v128Store(target)];
}

const instance = new WebAssembly.Instance(
  new WebAssembly.Module(encodeModule({
    pages: PAGES,
    locals: [[1, I32], [HIGH - TABLES + 1, V128]],
    code: [
      ...ifAtLeast(LEFT, LEAST_FOLDED_BYTES, [
        ...beginFolding(),
        ...whileAtLeast(LEFT, 16 * (FOLD_BLOCKS + 2), foldBlock()),
        ...endFolding(),
      ]),
      ...whileAtLeast(LEFT, 16, sliceBlock()),
      ...whileAtLeast(LEFT, 1, sliceByte()),
      ...get(CRC),
    ],
  })),
);
const memory = (instance.exports.memory as WebAssembly.Memory).buffer;
const input = new Uint8Array(memory, INPUT_AT, INPUT_BYTES);
/** The input's bytes are overwritten. */
const run = instance.exports.run as (
  at: number,
  sizeBytes: number,
  crc: number,
) => number;

function timesX(crc: number): number {
  return (crc & 1) === 0 ? crc >>> 1 : (crc >>> 1) ^ POLYNOMIAL;
}

function fillSlices(): void {
  const slices = new Uint32Array(memory, 0, SLICES * 256);
  for (let index = 0; index < 256; index++) {
    let crc = index;
    for (let bit = 0; bit < 8; bit++) crc = timesX(crc);
    slices[index] = crc;
  }
  for (let at = 256; at < slices.length; at++) {
    const before = slices[at - 256];
    slices[at] = slices[before & 0xff] ^ (before >>> 8);
  }
}

function fillNibbles(): void {
  let factor = 0x80000000;
  for (let power = 0; power < 128 * FOLD_BLOCKS + 32; power++) {
    factor = timesX(factor);
  }
  const factorBits = BigInt(factor >>> 0);
  for (let value = 0; value < 256; value++) {
    if ((value & 0x0f) !== 0 && (value & 0xf0) !== 0) continue;
    let product = 0n;
    for (let bit = 0; bit < 8; bit++) {
      if ((value >> bit & 1) === 1) product ^= factorBits << BigInt(bit + 1);
    }
    const bytes = new Uint8Array(BigUint64Array.of(product).buffer);
    for (let byte = 0; byte < PRODUCT_BYTES; byte++) {
      const low = NIBBLES_AT + 16 * byte;
      const high = low + 16 * PRODUCT_BYTES;
      const tables = new Uint8Array(memory);
      if (value < 16) tables[low + value] = bytes[byte];
      if ((value & 0x0f) === 0) tables[high + (value >> 4)] = bytes[byte];
    }
  }
}

fillSlices();
fillNibbles();

/** The unsigned CRC-32C of all of `bytes`; a view into a larger buffer is fine. */
export function crc32c(bytes: Uint8Array): number {
  let crc = -1;
  for (let at = 0; at < bytes.length; at += INPUT_BYTES) {
    const piece = bytes.length <= INPUT_BYTES
      ? bytes
      : bytes.subarray(at, at + INPUT_BYTES);
    input.set(piece);
    crc = run(INPUT_AT, piece.length, crc);
  }
  return ~crc >>> 0;
}
