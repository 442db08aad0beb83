/**
 * What a log knows of its producers and their transactions, after cuts and
 * crashes, against a twin that has never seen any: a log into which the same
 * batches were copied once.
 */
import fc from "../../support/fast_check.ts";
import type { Log } from "../../../storage/log/log.ts";
import { buildControlBatch } from "../../../storage/log/record_batch.ts";
import { leaderEpoch, offset } from "../../../storage/log/types.ts";
import { assertEquals } from "../../support/assert.ts";
import { MemoryFileSystem } from "../../support/memory_file_system.ts";
import { batchOf, NOW_MS, openLog } from "./log_support.ts";

const CONFIG = { segmentBytes: 1000, indexIntervalBytes: 150, retentionMs: -1 };

type Step =
  | { kind: "data"; producerId: number; sizeBytes: number; isOpen: boolean }
  | { kind: "marker"; producerId: number; type: "commit" | "abort" }
  | { kind: "flush" | "flushAsync" | "roll" | "reopen" | "kill" | "powerLoss" }
  | { kind: "truncate"; records: number };

const producerId = fc.integer({ min: 1, max: 3 });
const stepArbitrary: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant("data" as const),
      producerId,
      sizeBytes: fc.integer({ min: 0, max: 100 }),
      isOpen: fc.boolean(),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("marker" as const),
      producerId,
      type: fc.constantFrom("commit" as const, "abort" as const),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constantFrom(
        "flush" as const,
        "flushAsync" as const,
        "roll" as const,
        "reopen" as const,
        "kill" as const,
        "powerLoss" as const,
      ),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("truncate" as const),
      records: fc.integer({ min: 1, max: 8 }),
    }),
  },
);

class Bench {
  disk = new MemoryFileSystem();
  log = openLog({ disk: this.disk, config: CONFIG, limit: 4 });

  async perform(step: Step): Promise<void> {
    const { log } = this;
    switch (step.kind) {
      case "data":
        return this.#append(this.#data(step));
      case "marker":
        return this.#append(buildControlBatch({
          type: step.type,
          producerId: step.producerId,
          producerEpoch: 0,
          coordinatorEpoch: 1,
          timestampMs: NOW_MS,
        }));
      case "flush":
        return void log.flushSync();
      case "flushAsync":
        return void await log.flush();
      case "roll":
        return log.roll(NOW_MS);
      case "reopen":
        log.close();
        return this.#openOn(this.disk);
      case "kill":
        return this.#openOn(this.disk.kill());
      case "powerLoss":
        return this.#openOn(this.disk.crash());
      case "truncate":
        log.truncateTo(offset(Math.max(0, log.logEndOffset - step.records)));
    }
  }

  #data({ producerId, sizeBytes, isOpen }: Step & { kind: "data" }) {
    const known = this.log.producers.get(producerId);
    const last = known?.batches.at(-1)?.lastSequence ?? -1;
    const isInside = (known?.transactionFirstOffset ?? -1) >= 0;
    return batchOf(["x".repeat(sizeBytes), "y"], {
      producerId,
      producerEpoch: 0,
      baseSequence: last + 1,
      transactional: isOpen || isInside,
    });
  }

  #append(batch: Uint8Array): void {
    const options = { leaderEpoch: leaderEpoch(0), nowMs: NOW_MS };
    const [outcome] = this.log.append([batch], options);
    assertEquals(outcome.kind, "appended");
  }

  #openOn(disk: MemoryFileSystem): void {
    this.disk = disk;
    this.log = openLog({ disk, config: CONFIG, limit: 4 });
  }

  /** A log of the same batches, to which nothing else ever happened. */
  twin(): Log {
    const twin = openLog();
    const { log } = this;
    let next = log.logStartOffset;
    while (next < log.logEndOffset) {
      const { bytes, nextOffset } = log.read(next, {
        maxBytes: 1024 * 1024,
        upperBound: log.logEndOffset,
        minOneBatch: true,
      });
      twin.appendReplicated(bytes.slice(), NOW_MS);
      next = nextOffset;
    }
    return twin;
  }
}

function knowledgeOf(log: Log) {
  const { logStartOffset, logEndOffset } = log;
  return {
    producers: [...log.producers].sort(([one], [other]) => one - other),
    aborted: log.abortedTransactions(logStartOffset, logEndOffset),
    lastStable: log.lastStableOffset(logEndOffset),
    logEndOffset,
  };
}

async function compare(steps: readonly Step[]): Promise<void> {
  const bench = new Bench();
  for (const step of steps) {
    await bench.perform(step);
    const twin = bench.twin();
    assertEquals(knowledgeOf(bench.log), knowledgeOf(twin));
    twin.close();
  }
  bench.log.close();
}

Deno.test("A log knows of producers what its batches say, after any cuts and crashes", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(stepArbitrary, { maxLength: 60, size: "max" }),
      compare,
    ),
    { numRuns: 100 },
  );
});

Deno.test("Aborted transactions stay known when the power goes after a clean stop", async () => {
  await compare([
    // So that a checkpoint is there, and making it syncs no folder any more.
    { kind: "marker", producerId: 1, type: "commit" },
    { kind: "truncate", records: 1 },
    { kind: "data", producerId: 1, sizeBytes: 0, isOpen: true },
    { kind: "marker", producerId: 1, type: "abort" },
    { kind: "roll" },
    { kind: "reopen" },
    { kind: "powerLoss" },
  ]);
});
