/**
 * The bytes of answers that all connections together still have to send. Owns
 * the counting and who waits for it to fall; a single answer asks nobody.
 */
export class UnsentBudget {
  readonly #limitBytes: number;
  #bytes = 0;
  #waiting: (() => void)[] = [];

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  change(bytes: number): void {
    this.#bytes += bytes;
    if (this.#waiting.length === 0 || this.#bytes >= this.#limitBytes) return;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }

  /** Resolves when there is room for more; null when there is now. */
  room(): Promise<void> | null {
    if (this.#bytes < this.#limitBytes) return null;
    return new Promise((resolve) => this.#waiting.push(resolve));
  }
}
