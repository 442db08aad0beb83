/** Randomness from a seed, so that a failing run can be told and repeated. */
import { SEED_VARIABLE, testSeed } from "../../support/seed.ts";

/** Mulberry32: the same seed gives the same numbers. */
export class Random {
  #state: number;

  constructor(readonly seed: number) {
    this.#state = seed >>> 0;
  }

  /** A whole number from `low` to `high`, both included. */
  between(low: number, high: number): number {
    this.#state = this.#state + 0x6d2b79f5 >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ mixed >>> 15, mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ mixed >>> 7, mixed | 61);
    const unit = ((mixed ^ mixed >>> 14) >>> 0) / 2 ** 32;
    return low + Math.floor(unit * (high - low + 1));
  }

  pick<Item>(items: readonly Item[]): Item {
    return items[this.between(0, items.length - 1)];
  }

  bytes(count: number): Uint8Array<ArrayBuffer> {
    return Uint8Array.from({ length: count }, () => this.between(0, 255));
  }
}

/** From the seed of the tests; printed, since the order of events varies. */
export function seeded(test: string): Random {
  const seed = testSeed();
  console.log(`${test}: ${SEED_VARIABLE}=${seed}`);
  return new Random(seed);
}
