import fc from "../../support/fast_check.ts";
import { assert, assertEquals } from "../../support/assert.ts";
import { MemoryFileSystem } from "../../support/memory_file_system.ts";
import type { LogConfig } from "../../../storage/log/log.ts";
import {
  leaderEpoch,
  NO_LEADER_EPOCH,
  offset,
} from "../../../storage/log/types.ts";
import { append, openLog, readAll } from "./log_support.ts";

/** A log as it should be: what is there, and what a crash may not take. */
interface Model {
  start: number;
  end: number;
  /** Base offset, values and epoch of each batch, whole log in order. */
  batches: { base: number; values: string[]; epoch: number }[];
  /** Exclusive: on the disk, whether the log knows it or not. */
  flushed: number;
}

type Step =
  | { kind: "append"; counts: number[]; sizeBytes: number; newer: number }
  | { kind: "flush" | "flushAsync" | "reopen" | "kill" | "roll" }
  | { kind: "powerLoss"; seed: number }
  | { kind: "truncate" | "advance" | "restart"; share: number }
  | { kind: "retain"; segments: number };

const CONFIG: Partial<LogConfig> = {
  segmentBytes: 1000,
  indexIntervalBytes: 150,
  retentionMs: -1,
};

const stepArbitrary: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant("append" as const),
      counts: fc.array(fc.integer({ min: 1, max: 5 }), {
        minLength: 1,
        maxLength: 3,
      }),
      sizeBytes: fc.integer({ min: 0, max: 120 }),
      newer: fc.integer({ min: 0, max: 2 }),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constantFrom(
        "flush" as const,
        "flushAsync" as const,
        "reopen" as const,
        "kill" as const,
        "roll" as const,
      ),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("powerLoss" as const),
      seed: fc.integer(),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constantFrom(
        "truncate" as const,
        "truncate" as const,
        "advance" as const,
        "restart" as const,
      ),
      share: fc.double({ min: 0, max: 1, noNaN: true }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("retain" as const),
      segments: fc.integer({ min: 0, max: 3 }),
    }),
  },
);

class Bench {
  disk = new MemoryFileSystem();
  log = openLog({ disk: this.disk, config: CONFIG, limit: 4 });
  model: Model = { start: 0, end: 0, batches: [], flushed: 0 };
  #counter = 0;

  async perform(step: Step): Promise<void> {
    const { model } = this;
    switch (step.kind) {
      case "append":
        return this.#append(step);
      case "flush":
        assertEquals(this.log.flushSync(), offset(model.end));
        model.flushed = model.end;
        return;
      case "flushAsync":
        assertEquals(await this.log.flush(), model.end);
        model.flushed = model.end;
        return;
      case "roll":
        return this.log.roll(0);
      case "reopen":
        this.log.close();
        this.log = openLog({ disk: this.disk, config: CONFIG, limit: 4 });
        model.flushed = model.end;
        return;
      case "kill":
        this.#reopenOn(this.disk.kill());
        assertEquals(this.log.logEndOffset, offset(model.end));
        return;
      case "powerLoss":
        return this.#losePower(step.seed);
      case "truncate":
        return this.#truncate(step.share);
      case "advance": {
        const to = model.start +
          Math.floor(step.share * (model.end - model.start));
        this.log.advanceLogStart(offset(to));
        model.start = to;
        return;
      }
      case "restart": {
        const start = Math.floor(step.share * 1000);
        this.log.truncateFullyAndStartAt(offset(start));
        this.model = { start, end: start, batches: [], flushed: start };
        return;
      }
      case "retain": {
        this.log.reconfigure({
          ...this.log.config,
          retentionBytes: step.segments * 700,
        });
        this.log.enforceRetention(0, offset(model.end));
        model.start = this.log.logStartOffset;
        return;
      }
    }
  }

  check(): void {
    const { log, model } = this;
    assertEquals(log.logStartOffset, offset(model.start));
    assertEquals(log.logEndOffset, offset(model.end));
    const expected = model.batches.flatMap(({ base, values }) =>
      values.map((value, index) => `${base + index}:${value}`)
    ).filter((line) => parseInt(line) >= model.start);
    const decoder = new TextDecoder();
    const actual = readAll(log).map(({ offset, value }) =>
      `${offset}:${decoder.decode(value!)}`
    );
    assertEquals(actual, expected);
    assert(log.flushedOffset <= log.logEndOffset);
    assert(this.disk.openHandles <= 4);
    this.#checkEpochs();
  }

  /** As the batches themselves say, whatever was cut off or lost before. */
  #checkEpochs(): void {
    const { log, model } = this;
    const held = model.batches
      .filter(({ base, values }) => base + values.length > model.start);
    const last = held.at(-1)?.epoch ?? NO_LEADER_EPOCH;
    assertEquals(log.lastRecordEpoch, leaderEpoch(last));
    for (const { epoch } of held) {
      const above = held.find((other) => other.epoch > epoch);
      const end = log.epochEndOffset(leaderEpoch(epoch));
      assertEquals(end, {
        epoch: leaderEpoch(epoch),
        endOffset: offset(above?.base ?? model.end),
      });
    }
  }

  #append({ counts, sizeBytes, newer }: Step & { kind: "append" }): void {
    // What was cut off may have been of a newer epoch than what comes.
    const epoch = newer + (this.model.batches.at(-1)?.epoch ?? 0);
    for (const count of counts) {
      const values = Array.from(
        { length: count },
        () => `${this.#counter++}`.padEnd(sizeBytes, "x"),
      );
      const outcome = append(this.log, values, { epoch });
      assert(outcome.kind === "appended");
      assertEquals(outcome.baseOffset, offset(this.model.end));
      this.model.batches.push({ base: this.model.end, values, epoch });
      this.model.end += count;
    }
  }

  #truncate(share: number): void {
    const { model } = this;
    const end = model.start + Math.floor(share * (model.end - model.start));
    this.log.truncateTo(offset(end));
    const kept = model.batches.filter(({ base, values }) =>
      base + values.length <= Math.max(end, model.start)
    );
    const isCutInside = model.batches.some(({ base, values }) =>
      base < end && base + values.length > end
    );
    if (end >= model.end) return;
    if (end <= model.start) {
      Object.assign(model, { batches: [], end: model.start });
    } else {
      model.batches = kept;
      const last = kept.at(-1);
      model.end = isCutInside && last !== undefined
        ? last.base + last.values.length
        : end;
      if (isCutInside && last === undefined) model.end = this.log.logEndOffset;
    }
    model.flushed = model.end;
    // A batch that straddled the log start is gone: nothing below it is left.
    if (model.end < model.start) model.start = model.end;
  }

  #losePower(seed: number): void {
    let state = seed >>> 0;
    const random = () => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return state / 2 ** 32;
    };
    const { flushedOffset } = this.log;
    this.#reopenOn(this.disk.crash(({ sizeBytes }) => {
      const choice = random();
      if (choice < 0.4) return true;
      if (choice < 0.7 || sizeBytes === 0) return false;
      return Math.floor(random() * sizeBytes);
    }));
    const { model, log } = this;
    assert(log.logEndOffset >= Math.max(model.flushed, flushedOffset));
    assert(log.logEndOffset <= model.end);
    model.end = log.logEndOffset;
    model.batches = model.batches.filter(({ base }) => base < model.end);
  }

  #reopenOn(disk: MemoryFileSystem): void {
    this.disk = disk;
    this.log = openLog({ disk, config: CONFIG, limit: 4 });
  }
}

/** What needed many seeds to be found. */
const FOUND: [Step[]][] = [
  // Recovery leaves the first segment unsynced and unpinned. It is not open
  // when pins fill the pool, and has to be, to be flushed with the others.
  [[
    { kind: "append", counts: [1], sizeBytes: 0, newer: 0 },
    { kind: "truncate", share: 0 },
    { kind: "append", counts: [1], sizeBytes: 0, newer: 0 },
    { kind: "reopen" },
    { kind: "append", counts: [3, 4], sizeBytes: 20, newer: 0 },
    { kind: "append", counts: [5, 3, 5], sizeBytes: 103, newer: 0 },
    { kind: "append", counts: [3, 1, 4], sizeBytes: 98, newer: 0 },
  ]],
];

Deno.test("Log behaves as a list of batches under any sequence of steps", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(stepArbitrary, { maxLength: 40 }),
      async (steps) => {
        const bench = new Bench();
        for (const step of steps) {
          await bench.perform(step);
          bench.check();
        }
        bench.log.close();
        assertEquals(bench.disk.openHandles, 0);
      },
    ),
    { numRuns: 1500, examples: FOUND },
  );
});
