/**
 * What happened in a simulation, as lines for people and as one number that is
 * the same only when everything happened the same. Owns both; judges nothing.
 */
const KEPT_LINES = 150;

export class Trace {
  readonly #keepsAll: boolean;
  readonly #lines: string[] = [];
  #hash = 0x811c9dc5;
  #other = 0x1234567;
  #count = 0;

  constructor(options: { keepsAll: boolean }) {
    this.#keepsAll = options.keepsAll;
  }

  add(atMs: number, who: string, what: string): void {
    const line = `${atMs.toFixed(2).padStart(9)} ${who.padEnd(9)} ${what}`;
    this.#count++;
    this.#mix(line);
    this.#lines.push(line);
    if (!this.#keepsAll && this.#lines.length > 2 * KEPT_LINES) {
      this.#lines.splice(0, KEPT_LINES);
    }
  }

  /** Of all lines so far. */
  get hash(): string {
    const digits = (word: number) => word.toString(16).padStart(8, "0");
    return `${digits(this.#hash)}${digits(this.#other)}-${this.#count}`;
  }

  get lines(): readonly string[] {
    return this.#keepsAll ? this.#lines : this.#lines.slice(-KEPT_LINES);
  }

  #mix(line: string): void {
    for (let i = 0; i < line.length; i++) {
      const code = line.charCodeAt(i);
      this.#hash = Math.imul(this.#hash ^ code, 0x01000193) >>> 0;
      this.#other = (Math.imul(this.#other, 31) + code) >>> 0;
    }
  }
}
