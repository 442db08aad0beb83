/**
 * Decompresses snappy: raw blocks, and the xerial framing of Java's clients.
 * The output's size is read and checked before anything is allocated, and
 * malformed input costs no more than an exception.
 */
import { InvalidBatchError } from "./batch_header.ts";
import { readInt32 } from "./bytes.ts";

/** 82 "SNAPPY" 00, then two int32 versions, then (int32 length, raw block)*. */
const XERIAL_MAGIC = [0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00];
const XERIAL_HEADER_BYTES = 16;

function malformed(what: string): never {
  throw new InvalidBatchError(`The snappy data is malformed: ${what}`);
}

/** @throws InvalidBatchError when malformed or larger than `maxBytes`. */
export function decompressSnappy(
  bytes: Uint8Array,
  maxBytes: number,
): Uint8Array {
  if (XERIAL_MAGIC.every((byte, index) => bytes[index] === byte)) {
    return decompressXerial(bytes, maxBytes);
  }
  const { sizeBytes, next } = readDeclaredSize(bytes);
  if (sizeBytes > maxBytes) tooLarge(maxBytes);
  const output = new Uint8Array(sizeBytes);
  decompressBlock(bytes.subarray(next), output);
  return output;
}

function tooLarge(maxBytes: number): never {
  throw new InvalidBatchError(
    `The records have more than ${maxBytes} bytes when decompressed`,
  );
}

function decompressXerial(bytes: Uint8Array, maxBytes: number): Uint8Array {
  const blocks: { body: Uint8Array; sizeBytes: number }[] = [];
  let total = 0;
  let at = XERIAL_HEADER_BYTES;
  if (bytes.length < at) malformed("the framing header is cut off");
  while (at < bytes.length) {
    if (bytes.length - at < 4) malformed("a block's length is cut off");
    const length = readInt32(bytes, at);
    at += 4;
    if (length < 0 || length > bytes.length - at) malformed("block length");
    const block = bytes.subarray(at, at + length);
    at += length;
    const { sizeBytes, next } = readDeclaredSize(block);
    total += sizeBytes;
    if (total > maxBytes) tooLarge(maxBytes);
    blocks.push({ body: block.subarray(next), sizeBytes });
  }
  const output = new Uint8Array(total);
  let position = 0;
  for (const { body, sizeBytes } of blocks) {
    decompressBlock(body, output.subarray(position, position + sizeBytes));
    position += sizeBytes;
  }
  return output;
}

function readDeclaredSize(
  block: Uint8Array,
): { sizeBytes: number; next: number } {
  let sizeBytes = 0;
  for (let index = 0; index < 5; index++) {
    if (index >= block.length) break;
    const byte = block[index];
    sizeBytes += (byte & 0x7f) * 2 ** (7 * index);
    if (byte < 0x80) return { sizeBytes, next: index + 1 };
  }
  return malformed("the size is not a varint");
}

/** Fills `output` exactly. */
function decompressBlock(input: Uint8Array, output: Uint8Array): void {
  let from = 0;
  let to = 0;
  while (from < input.length) {
    const tag = input[from++];
    const kind = tag & 3;
    if (kind === 0) {
      let length = (tag >> 2) + 1;
      if (length > 60) {
        const extra = length - 60;
        if (from + extra > input.length) malformed("a literal is cut off");
        length = 1;
        for (let index = 0; index < extra; index++) {
          length += input[from + index] * 2 ** (8 * index);
        }
        from += extra;
      }
      if (length > input.length - from) malformed("a literal is cut off");
      if (length > output.length - to) malformed("more data than declared");
      output.set(input.subarray(from, from + length), to);
      from += length;
      to += length;
      continue;
    }
    const operandBytes = kind === 3 ? 4 : kind;
    if (from + operandBytes > input.length) malformed("a copy is cut off");
    let length = (tag >> 2) + 1;
    let distance = input[from];
    if (kind === 1) {
      length = ((tag >> 2) & 7) + 4;
      distance |= (tag >> 5) << 8;
    } else {
      distance |= input[from + 1] << 8;
      if (kind === 3) {
        distance += input[from + 2] * 2 ** 16 + input[from + 3] * 2 ** 24;
      }
    }
    from += operandBytes;
    if (distance === 0 || distance > to) malformed("a copy from nowhere");
    if (length > output.length - to) malformed("more data than declared");
    copyWithin(output, to, distance, length);
    to += length;
  }
  if (to !== output.length) malformed("less data than declared");
}

/** An LZ77 copy: the source may overlap what is being written. */
export function copyWithin(
  output: Uint8Array,
  to: number,
  distance: number,
  length: number,
): void {
  if (distance >= length) {
    output.copyWithin(to, to - distance, to - distance + length);
    return;
  }
  for (let index = 0; index < length; index++) {
    output[to + index] = output[to + index - distance];
  }
}
