/**
 * The metadata store is away now and then, for longer than a lease, and does not
 * count that time: an etcd that is started again, a machine that is suspended.
 * Leases that brokers must take for ended go on at the store. Owns when.
 */
import type { MemoryMetadata } from "../support/memory_metadata_store.ts";
import type { SeededRandom } from "./random.ts";
import type { World } from "./world.ts";

/** Shorter than a lease, and longer. */
const LENGTHS_MS = [800, 1_800, 2_500, 4_000];

export class StoreAbsences {
  readonly #world: World;
  readonly #metadata: MemoryMetadata;
  readonly #random: SeededRandom;
  #isOver = false;

  constructor(world: World, metadata: MemoryMetadata) {
    this.#world = world;
    this.#metadata = metadata;
    this.#random = world.random("store absences");
  }

  /** `meanGapMs` from the end of one to the next. */
  begin(meanGapMs: number): void {
    const random = this.#random;
    this.#world.schedule(100 + random.exponential(meanGapMs), () => {
      if (this.#isOver) return;
      const lengthMs = random.pick(LENGTHS_MS) * random.between(0.9, 1.1);
      const losesRequests = random.chance(0.5);
      const fate = losesRequests ? "lost" : "kept";
      this.#world.say(
        "FAULT",
        `the store is away ${lengthMs.toFixed(0)} ms, requests are ${fate}`,
      );
      this.#metadata.leave();
      this.#world.schedule(lengthMs, () => {
        this.#metadata.comeBack({ losesRequests });
        this.begin(meanGapMs);
      });
    });
  }

  /** It is here, and stays. */
  end(): void {
    this.#isOver = true;
    this.#metadata.comeBack({ losesRequests: false });
  }
}
