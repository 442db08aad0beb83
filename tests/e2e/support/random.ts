/** Randomness from a seed, so that a failing run can be told and repeated. */

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

/** From STREAMNEST_TEST_SEED, else new; printed, since order of events varies. */
export function seeded(test: string): Random {
  const given = Deno.env.get("STREAMNEST_TEST_SEED");
  const seed = given === undefined
    ? crypto.getRandomValues(new Uint32Array(1))[0]
    : Number(given);
  console.log(`${test}: STREAMNEST_TEST_SEED=${seed}`);
  return new Random(seed);
}
