/**
 * A number of bytes that connections share. Owns who may have how many and who
 * waits; it allocates nothing itself.
 */
import { invariant } from "../../storage/assert.ts";

/** A share, held until it is released. */
export interface Share {
  readonly bytes: number;
  /** Resolves when the share is held, or was released instead. */
  readonly granted: Promise<void>;
  /** Idempotent; a share that still waits gives up. */
  release(): void;
}

interface Waiting {
  readonly bytes: number;
  readonly grant: () => void;
}

export class ByteBudget {
  readonly #limitBytes: number;
  #usedBytes = 0;
  /** In the order in which they are served. */
  readonly #waiting = new Set<Waiting>();

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** Takes `bytes` when that needs no waiting; null when it does. */
  tryTake(bytes: number): Share | null {
    if (this.#waiting.size > 0 || !this.#fits(bytes)) return null;
    this.#usedBytes += bytes;
    let isHeld = true;
    return {
      bytes,
      granted: Promise.resolve(),
      release: () => {
        if (isHeld) this.#release(bytes);
        isHeld = false;
      },
    };
  }

  /** Takes `bytes` as soon as they are free, first come, first served. */
  take(bytes: number): Share {
    const share = this.tryTake(bytes);
    if (share !== null) return share;
    const { promise, resolve } = Promise.withResolvers<void>();
    let state: "waiting" | "held" | "released" = "waiting";
    const waiting: Waiting = {
      bytes,
      grant: () => {
        state = "held";
        resolve();
      },
    };
    this.#waiting.add(waiting);
    return {
      bytes,
      granted: promise,
      release: () => {
        if (state === "held") this.#release(bytes);
        if (state === "waiting") {
          this.#waiting.delete(waiting);
          resolve();
          // What stood behind it may fit.
          this.#serve();
        }
        state = "released";
      },
    };
  }

  /** Something larger than the whole may be held alone. */
  #fits(bytes: number): boolean {
    return this.#usedBytes === 0 ||
      this.#usedBytes + bytes <= this.#limitBytes;
  }

  #release(bytes: number): void {
    this.#usedBytes -= bytes;
    invariant(this.#usedBytes >= 0, "more bytes were released than were held");
    this.#serve();
  }

  #serve(): void {
    for (const waiting of this.#waiting) {
      if (!this.#fits(waiting.bytes)) return;
      this.#waiting.delete(waiting);
      this.#usedBytes += waiting.bytes;
      waiting.grant();
    }
  }
}
