/** How long the next ask for bytes waits, at a rate that may change. */
import fc from "../../support/fast_check.ts";
import { FetchThrottle } from "../../../broker/replication/fetch_throttle.ts";
import { assert, assertEquals } from "../../support/assert.ts";

class World {
  nowMs = 5000;
  rate: number | null = 1000;
  readonly throttle = new FetchThrottle(() => this.nowMs, () => this.rate);

  /** From now on. */
  get waitMs(): number {
    return Math.max(0, this.throttle.freeAtMs - this.nowMs);
  }
}

Deno.test("FetchThrottle makes the next ask wait for what came", () => {
  const world = new World();
  assertEquals(world.waitMs, 0);
  world.throttle.spend(500);
  assertEquals(world.waitMs, 500);
  world.throttle.spend(500);
  assertEquals(world.waitMs, 1000);
  world.nowMs += 400;
  assertEquals(world.waitMs, 600);
  world.nowMs += 600;
  assertEquals(world.waitMs, 0);
  // What was not used is not saved up.
  world.nowMs += 60_000;
  world.throttle.spend(100);
  assertEquals(world.waitMs, 100);
});

Deno.test("FetchThrottle waits by the rate that holds now", () => {
  const world = new World();
  world.throttle.spend(1_000_000);
  assertEquals(world.waitMs, 1_000_000);
  world.rate = 1_000_000;
  assertEquals(world.waitMs, 1000);
  world.rate = 100;
  assertEquals(world.waitMs, 10_000_000);
  world.rate = null;
  assertEquals(world.waitMs, 0);
  world.throttle.spend(1_000_000);
  world.rate = 1;
  assertEquals(world.waitMs, 0);
});

Deno.test("FetchThrottle lets no more through than its rate, and an answer", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 10_000 }),
      fc.array(
        fc.record({
          bytes: fc.integer({ min: 0, max: 5000 }),
          pauseMs: fc.integer({ min: 0, max: 3000 }),
        }),
        { minLength: 1, maxLength: 50 },
      ),
      (rate, asks) => {
        const world = new World();
        world.rate = rate;
        const startMs = world.nowMs;
        let before = 0;
        for (const { bytes, pauseMs } of asks) {
          world.nowMs += Math.ceil(world.waitMs) + pauseMs;
          const allowed = rate * (world.nowMs - startMs) / 1000;
          assert(before <= allowed + 1e-6, `${before} of ${allowed}`);
          world.throttle.spend(bytes);
          before += bytes;
        }
      },
    ),
  );
});
