/**
 * Buffers that small chunks are gathered into for one write. Owns those that
 * nobody uses: a fresh one would cost more than the copy, because it is cleared.
 */
import { invariant } from "../../storage/assert.ts";

export class ScratchPool {
  readonly bufferBytes: number;
  readonly #keptBuffers: number;
  readonly #free: Uint8Array[] = [];

  constructor(options: { bufferBytes: number; keptBuffers: number }) {
    this.bufferBytes = options.bufferBytes;
    this.#keptBuffers = options.keptBuffers;
  }

  /** Holds anything. */
  take(): Uint8Array {
    return this.#free.pop() ?? new Uint8Array(this.bufferBytes);
  }

  /** The caller uses it no more. */
  give(buffer: Uint8Array): void {
    invariant(buffer.byteLength === this.bufferBytes, "a foreign buffer");
    if (this.#free.length < this.#keptBuffers) this.#free.push(buffer);
  }
}
