/**
 * Memory for the large parts of answers: what a fetch reads goes into buffers
 * that earlier answers have been sent from, because clearing and collecting new
 * ones costs as much as reading into them. Owns those that nobody uses.
 *
 * A buffer that never comes back, because its answer was dropped, is nobody's
 * loss: the pool does not know it any more, and the collector takes it.
 */

export interface AnswerBuffersOptions {
  /** Of each buffer; larger parts get memory of their own. */
  readonly bufferBytes: number;
  /** Smaller parts are not worth a buffer. */
  readonly leastBytes: number;
  readonly keptBuffers: number;
}

export class AnswerBuffers {
  readonly #options: AnswerBuffersOptions;
  readonly #free: Uint8Array[] = [];
  readonly #lent = new WeakSet<ArrayBufferLike>();

  constructor(options: AnswerBuffersOptions) {
    this.#options = options;
  }

  /** Holds anything. */
  allocate(sizeBytes: number): Uint8Array {
    const { bufferBytes, leastBytes } = this.#options;
    if (sizeBytes < leastBytes || sizeBytes > bufferBytes) {
      return new Uint8Array(sizeBytes);
    }
    const buffer = this.#free.pop() ?? new Uint8Array(bufferBytes);
    this.#lent.add(buffer.buffer);
    return buffer.subarray(0, sizeBytes);
  }

  /** Nobody uses `bytes`, a view of what was allocated here or not, any more. */
  giveBack({ buffer }: Uint8Array): void {
    if (!this.#lent.delete(buffer)) return;
    if (this.#free.length >= this.#options.keptBuffers) return;
    this.#free.push(new Uint8Array(buffer));
  }
}
