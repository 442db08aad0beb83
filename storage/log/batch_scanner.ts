/**
 * Walks the batches of a segment file from one position to another, reading in
 * chunks. It reports where the good batches end and why; what that means is for
 * the caller to say.
 */
import {
  BATCH_HEADER_BYTES,
  type BatchHeader,
  InvalidBatchError,
  readBatchHeader,
  verifyBatchCrc,
} from "./batch_header.ts";
import type { FileHandle } from "../file_system.ts";

const CHUNK_BYTES = 256 * 1024;

export interface ScannedBatch {
  header: BatchHeader;
  /** In the file. */
  position: number;
}

export interface ScanOptions {
  /** The handle for each read: a pool may have closed an earlier one. */
  file: () => FileHandle;
  from: number;
  /** Exclusive. */
  to: number;
  /** Reads whole batches and checks their CRC; otherwise only headers. */
  verify: boolean;
  /** Bytes read at once, for a caller who needs but a few batches. */
  chunkBytes?: number;
}

export class BatchScanner {
  readonly #options: ScanOptions;
  #chunk = new Uint8Array(0);
  /** Of the chunk's first byte in the file. */
  #chunkPosition = 0;
  #position: number;
  #fault: string | undefined;

  constructor(options: ScanOptions) {
    this.#options = options;
    this.#position = options.from;
  }

  /** End of the good batches so far: where the next one would begin. */
  get position(): number {
    return this.#position;
  }

  /** Why the scan ended before its end. */
  get fault(): string | undefined {
    return this.#fault;
  }

  /** The next batch; undefined at the end or at the first bad one. */
  next(): ScannedBatch | undefined {
    const position = this.#position;
    const restBytes = this.#options.to - position;
    if (restBytes <= 0 || this.#fault !== undefined) return undefined;
    let header: BatchHeader;
    try {
      header = readBatchHeader(
        this.#view(position, Math.min(restBytes, BATCH_HEADER_BYTES)),
      );
    } catch (error) {
      if (!(error instanceof InvalidBatchError)) throw error;
      return this.#stop(error.message);
    }
    if (header.sizeBytes > restBytes) {
      return this.#stop(
        `The record batch says it has ${header.sizeBytes} bytes, here are ${restBytes}`,
      );
    }
    if (
      this.#options.verify &&
      !verifyBatchCrc(this.#view(position, header.sizeBytes))
    ) return this.#stop("The record batch does not match its CRC");
    this.#position = position + header.sizeBytes;
    return { header, position };
  }

  /** The batch that `next` will return. */
  peek(): ScannedBatch | undefined {
    const position = this.#position;
    const batch = this.next();
    this.#position = position;
    return batch;
  }

  /** All batches up to the end or the first bad one. */
  *[Symbol.iterator](): Generator<ScannedBatch> {
    let batch: ScannedBatch | undefined;
    while ((batch = this.next()) !== undefined) yield batch;
  }

  /** The bytes of a batch that `next` returned last; a view. */
  bytesOf(batch: ScannedBatch): Uint8Array {
    return this.#view(batch.position, batch.header.sizeBytes);
  }

  #stop(fault: string): undefined {
    this.#fault = fault;
    return undefined;
  }

  #view(position: number, sizeBytes: number): Uint8Array {
    let start = position - this.#chunkPosition;
    if (start < 0 || start + sizeBytes > this.#chunk.length) {
      const room = this.#options.to - position;
      const wanted = Math.max(
        sizeBytes,
        Math.min(this.#options.chunkBytes ?? CHUNK_BYTES, room),
      );
      const buffer = new Uint8Array(wanted);
      const count = this.#options.file().readAt(buffer, position);
      this.#chunk = buffer.subarray(0, count);
      this.#chunkPosition = position;
      start = 0;
    }
    return this.#chunk.subarray(start, start + sizeBytes);
  }
}
