/**
 * The last offset of each key, in bounded memory: what compaction knows of a
 * stretch of the log. Exact, not by hash: a collision would lose a record.
 */
import type { Offset } from "./types.ts";

/** A rough count of what an entry costs beyond its key. */
const ENTRY_BYTES = 64;
// Windows-1252 in WHATWG's form maps the 256 bytes to 256 distinct characters.
const byteDecoder = new TextDecoder("windows-1252");

export class OffsetMap {
  readonly #maxBytes: number;
  readonly #offsets = new Map<string, Offset>();
  #usedBytes = 0;

  /** The first key fits whatever its size, so that compaction always proceeds. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** False, and nothing changed, when there is no room for a new key. */
  put(key: Uint8Array, offset: Offset): boolean {
    const name = byteDecoder.decode(key);
    if (!this.#offsets.has(name)) {
      const needed = this.#usedBytes + key.length * 2 + ENTRY_BYTES;
      if (needed > this.#maxBytes && this.#offsets.size > 0) return false;
      this.#usedBytes = needed;
    }
    this.#offsets.set(name, offset);
    return true;
  }

  get(key: Uint8Array): Offset | undefined {
    return this.#offsets.get(byteDecoder.decode(key));
  }
}
