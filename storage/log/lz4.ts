/**
 * Decompresses LZ4 frames, with independent or dependent blocks. The output
 * grows only as data really arrives and never beyond the bound. The frame's own
 * checksums are skipped: the batch's CRC has covered every byte already.
 */
import { InvalidBatchError } from "./batch_header.ts";
import { grown } from "./bytes.ts";
import { copyWithin } from "./snappy.ts";

const FRAME_MAGIC = [0x04, 0x22, 0x4d, 0x18];
const UNCOMPRESSED_BIT = 0x80000000;
const MIN_MATCH = 4;
const MAX_BLOCK_BYTES = [65536, 262144, 1048576, 4194304];

function malformed(what: string): never {
  throw new InvalidBatchError(`The LZ4 data is malformed: ${what}`);
}

function readUint32LittleEndian(bytes: Uint8Array, at: number): number {
  if (at + 4 > bytes.length) malformed("it is cut off");
  return (bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) |
    (bytes[at + 3] << 24)) >>> 0;
}

interface Frame {
  firstBlock: number;
  blockHasChecksum: boolean;
  maxBlockBytes: number;
}

function readFrameHeader(bytes: Uint8Array): Frame {
  if (!FRAME_MAGIC.every((byte, index) => bytes[index] === byte)) {
    malformed("it is not an LZ4 frame");
  }
  if (bytes.length < 7) malformed("the frame header is cut off");
  const flags = bytes[4];
  if (flags >> 6 !== 1) malformed(`the frame has version ${flags >> 6}`);
  const sizeCode = (bytes[5] >> 4) & 7;
  if (sizeCode < 4) malformed(`block size code ${sizeCode}`);
  const hasContentSize = (flags & 0x08) !== 0;
  const hasDictionary = (flags & 0x01) !== 0;
  if (hasDictionary) malformed("it needs a dictionary");
  return {
    firstBlock: 6 + (hasContentSize ? 8 : 0) + 1,
    blockHasChecksum: (flags & 0x10) !== 0,
    maxBlockBytes: MAX_BLOCK_BYTES[sizeCode - 4],
  };
}

/** @throws InvalidBatchError when malformed or larger than `maxBytes`. */
export function decompressLz4(
  bytes: Uint8Array,
  maxBytes: number,
): Uint8Array {
  const frame = readFrameHeader(bytes);
  let output = new Uint8Array(
    Math.min(maxBytes, Math.max(256, bytes.length * 4)),
  );
  let usedBytes = 0;
  let at = frame.firstBlock;
  while (true) {
    const word = readUint32LittleEndian(bytes, at);
    at += 4;
    if (word === 0) break;
    const isStored = word >= UNCOMPRESSED_BIT;
    const length = isStored ? word - UNCOMPRESSED_BIT : word;
    if (length > bytes.length - at) malformed("a block is cut off");
    const block = bytes.subarray(at, at + length);
    const room = Math.min(maxBytes, usedBytes + frame.maxBlockBytes);
    const sizeBytes = isStored
      ? length
      : measureBlock(block, room - usedBytes, maxBytes);
    if (usedBytes + sizeBytes > room) {
      throw new InvalidBatchError(
        `The records have more than ${maxBytes} bytes when decompressed`,
      );
    }
    output = grown(output, usedBytes, usedBytes + sizeBytes);
    if (isStored) output.set(block, usedBytes);
    else decompressBlock(block, output, usedBytes);
    usedBytes += sizeBytes;
    at += length + (frame.blockHasChecksum ? 4 : 0);
  }
  return output.subarray(0, usedBytes);
}

/** Walks the sequences of a block and adds up what they will write. */
function measureBlock(
  block: Uint8Array,
  roomBytes: number,
  maxBytes: number,
): number {
  let total = 0;
  let at = 0;
  while (at < block.length) {
    const token = block[at++];
    let literal = token >> 4;
    if (literal === 15) {
      let byte = 255;
      while (byte === 255) {
        if (at >= block.length) malformed("a length is cut off");
        literal += byte = block[at++];
      }
    }
    at += literal;
    total += literal;
    if (at > block.length) malformed("a literal is cut off");
    if (at < block.length) {
      if (at + 2 > block.length) malformed("a match is cut off");
      at += 2;
      let match = (token & 15) + MIN_MATCH;
      if ((token & 15) === 15) {
        let byte = 255;
        while (byte === 255) {
          if (at >= block.length) malformed("a length is cut off");
          match += byte = block[at++];
        }
      }
      total += match;
    }
    if (total > roomBytes) {
      throw new InvalidBatchError(
        `A block is larger than its frame allows, or the records have more than ${maxBytes} bytes when decompressed`,
      );
    }
  }
  return total;
}

/** `block` has been measured: its lengths stay inside input and output. */
function decompressBlock(
  block: Uint8Array,
  output: Uint8Array,
  start: number,
): void {
  let to = start;
  let at = 0;
  while (at < block.length) {
    const token = block[at++];
    let literal = token >> 4;
    if (literal === 15) {
      let byte = 255;
      while (byte === 255) literal += byte = block[at++];
    }
    if (literal > 0) {
      output.set(block.subarray(at, at + literal), to);
      at += literal;
      to += literal;
    }
    if (at >= block.length) return;
    const distance = block[at] | (block[at + 1] << 8);
    at += 2;
    let match = (token & 15) + MIN_MATCH;
    if ((token & 15) === 15) {
      let byte = 255;
      while (byte === 255) match += byte = block[at++];
    }
    if (distance === 0 || distance > to) malformed("a match from nowhere");
    copyWithin(output, to, distance, match);
    to += match;
  }
}
