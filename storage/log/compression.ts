/**
 * The codecs of record batches behind one pair of functions. What comes from a
 * client is decompressed within a bound, since a header can claim gigabytes.
 */
import {
  constants,
  gunzipSync,
  gzipSync,
  zstdCompressSync,
  zstdDecompressSync,
} from "node:zlib";
import { lz4Compress, snappyCompress } from "@platformatic/wasm-utils/bundled";
import { type Codec, InvalidBatchError } from "./batch_header.ts";
import { decompressLz4 } from "./lz4.ts";
import { decompressSnappy } from "./snappy.ts";

/** Bound of the decompressed records of one batch where none is given. */
export const DEFAULT_MAX_DECOMPRESSED_BYTES = 128 * 1024 * 1024;

/**
 * @param maxBytes the largest result, in bytes.
 * @throws InvalidBatchError when the data is malformed or its result larger.
 */
export function decompress(
  codec: Codec,
  bytes: Uint8Array,
  maxBytes: number = DEFAULT_MAX_DECOMPRESSED_BYTES,
): Uint8Array {
  switch (codec) {
    case "none":
      return bytes;
    case "gzip":
      return withZlib(
        codec,
        maxBytes,
        () => gunzipSync(bytes, { maxOutputLength: Math.max(1, maxBytes) }),
      );
    case "zstd":
      return withZlib(
        codec,
        maxBytes,
        () =>
          zstdDecompressSync(bytes, {
            maxOutputLength: Math.max(1, maxBytes),
            params: { [constants.ZSTD_d_windowLogMax]: 27 },
          }),
      );
    case "snappy":
      return decompressSnappy(bytes, maxBytes);
    case "lz4":
      return decompressLz4(bytes, maxBytes);
  }
}

function withZlib(
  codec: Codec,
  maxBytes: number,
  run: () => Uint8Array,
): Uint8Array {
  let output: Uint8Array;
  try {
    output = run();
  } catch (cause) {
    const code = (cause as { code?: string }).code;
    if (code === "ERR_BUFFER_TOO_LARGE") {
      throw new InvalidBatchError(
        `The records have more than ${maxBytes} bytes when decompressed`,
        { cause },
      );
    }
    throw new InvalidBatchError(`The ${codec} data is malformed`, { cause });
  }
  if (output.length > maxBytes) {
    throw new InvalidBatchError(
      `The records have more than ${maxBytes} bytes when decompressed`,
    );
  }
  return output;
}

/** Snappy as one raw block, lz4 as a frame of independent blocks. */
export function compress(codec: Codec, bytes: Uint8Array): Uint8Array {
  switch (codec) {
    case "none":
      return bytes;
    case "gzip":
      return gzipSync(bytes);
    case "zstd":
      return zstdCompressSync(bytes);
    case "snappy":
      return snappyCompress(asBuffer(bytes));
    case "lz4":
      return lz4Compress(asBuffer(bytes));
  }
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
