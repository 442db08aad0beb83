/**
 * Randomness of a simulation: one seed gives the same numbers in every run.
 * Owns the generator and the few ways of choosing; knows nothing of what for.
 */
export class SeededRandom {
  #a: number;
  #b: number;
  #c: number;
  #d: number;

  /** `stream` gives different numbers of one seed to different users. */
  constructor(seed: number, stream = "") {
    let hash = (seed ^ 0x9e3779b9) >>> 0;
    for (const letter of stream) {
      hash = Math.imul(hash ^ letter.codePointAt(0)!, 0x01000193) >>> 0;
    }
    this.#a = seed >>> 0;
    this.#b = Math.floor(seed / 2 ** 32) >>> 0;
    this.#c = hash;
    this.#d = 1;
    for (let round = 0; round < 15; round++) this.uint32();
  }

  /** sfc32. */
  uint32(): number {
    const sum = (this.#a + this.#b + this.#d) >>> 0;
    this.#d = (this.#d + 1) >>> 0;
    this.#a = (this.#b ^ (this.#b >>> 9)) >>> 0;
    this.#b = (this.#c + (this.#c << 3)) >>> 0;
    const rotated = ((this.#c << 21) | (this.#c >>> 11)) >>> 0;
    this.#c = (rotated + sum) >>> 0;
    return sum;
  }

  /** In [0, 1). */
  float(): number {
    return this.uint32() / 2 ** 32;
  }

  /** An integer in [from, to]. */
  integer(from: number, to: number): number {
    return from + Math.floor(this.float() * (to - from + 1));
  }

  /** In [from, to). */
  between(from: number, to: number): number {
    return from + this.float() * (to - from);
  }

  /** True with this probability. */
  chance(probability: number): boolean {
    return this.float() < probability;
  }

  /** Of at least one. */
  pick<T>(choices: readonly T[]): T {
    return choices[this.integer(0, choices.length - 1)];
  }

  /** In another order. */
  shuffled<T>(values: readonly T[]): T[] {
    const result = [...values];
    for (let i = result.length - 1; i > 0; i--) {
      const j = this.integer(0, i);
      [result[i], result[j]] = [result[j], result[i]];
    }
    return result;
  }

  /** As waiting times are: mostly short, seldom long. */
  exponential(mean: number): number {
    return -Math.log(1 - this.float()) * mean;
  }

  bytes(length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    for (let i = 0; i < length; i++) bytes[i] = this.uint32() & 0xff;
    return bytes;
  }

  uuid(): string {
    const digits = [...this.bytes(16)]
      .map((byte) => byte.toString(16).padStart(2, "0")).join("");
    return `${digits.slice(0, 8)}-${digits.slice(8, 12)}-4${
      digits.slice(13, 16)
    }-8${digits.slice(17, 20)}-${digits.slice(20)}`;
  }
}
