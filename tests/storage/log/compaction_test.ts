import fc from "../../support/fast_check.ts";
import { assert, assertEquals } from "../../support/assert.ts";
import {
  MemoryFileSystem,
  SimulatedCrash,
} from "../../support/memory_file_system.ts";
import type { Log } from "../../../storage/log/log.ts";
import {
  buildControlBatch,
  iterateBatches,
  RecordBatchBuilder,
  verifyBatchCrc,
} from "../../../storage/log/record_batch.ts";
import { leaderEpoch, offset } from "../../../storage/log/types.ts";
import { DIRECTORY, NOW_MS, openLog, readAll, text } from "./log_support.ts";

const CONFIG = {
  segmentBytes: 400,
  indexIntervalBytes: 100,
  deleteRetentionMs: 1000,
  cleanupPolicy: { delete: false, compact: true },
};
const LEADER = { leaderEpoch: leaderEpoch(1), nowMs: NOW_MS };

type Pair = [key: number, value: string | null];

function put(
  log: Log,
  pairs: readonly Pair[],
  options: ConstructorParameters<typeof RecordBatchBuilder>[0] = {},
): void {
  const builder = new RecordBatchBuilder(options);
  for (const [key, value] of pairs) {
    builder.add({
      key: text(`k${key}`),
      value: value === null ? null : text(value),
      headers: [],
      timestampMs: NOW_MS,
    });
  }
  log.append([builder.build()], LEADER);
}

const decoder = new TextDecoder();
const lines = (log: Log) =>
  readAll(log).map(({ offset, key, value }) =>
    `${offset} ${decoder.decode(key!)}=${
      value === null ? "null" : decoder.decode(value)
    }`
  );

/** The last value of each key, tombstones as absence. */
function lastValues(log: Log): Map<string, string> {
  const values = new Map<string, string>();
  for (const { key, value } of readAll(log)) {
    const name = decoder.decode(key!);
    if (value === null) values.delete(name);
    else values.set(name, decoder.decode(value));
  }
  return new Map([...values].sort());
}

/** Closes the active segment, with everything durable and checkpointed. */
async function settle(log: Log): Promise<void> {
  log.roll(NOW_MS);
  put(log, [[999, "active"]]);
  await log.flush();
}

const compact = (log: Log, nowMs = NOW_MS, keyMapBytes?: number) =>
  log.compact({ nowMs, below: log.logEndOffset, keyMapBytes });

Deno.test("Log.compact() keeps the last value per key; offsets stay", async () => {
  const disk = new MemoryFileSystem();
  const log = openLog({ disk, config: CONFIG });
  put(log, [[1, "a"], [2, "b"], [1, "c"]]);
  put(log, [[3, "d"]]);
  put(log, [[2, "e"], [4, "f"]]);
  await settle(log);
  const result = await compact(log);
  assert(result.isComplete);
  assertEquals(result.recordsRemoved, 2);
  const expected = [
    "2 k1=c",
    "3 k3=d",
    "4 k2=e",
    "5 k4=f",
    "6 k999=active",
  ];
  assertEquals(lines(log), expected);
  assertEquals(
    lines(openLog({ disk: disk.crash(), config: CONFIG })),
    expected,
  );
});

Deno.test("Log.compact() leaves the active segment and what is above the bound", async () => {
  const log = openLog({ config: CONFIG });
  for (let index = 0; index < 20; index++) put(log, [[1, `${index}`]]);
  await log.flush();
  const before = lines(log);
  await log.compact({ nowMs: NOW_MS, below: offset(0) });
  assertEquals(lines(log), before);
  await compact(log);
  assert(lines(log).length < before.length);
  assertEquals(lines(log).at(-1), before.at(-1));
  log.close();
});

Deno.test("Log.compact() keeps tombstones until their horizon has passed", async () => {
  const disk = new MemoryFileSystem();
  const log = openLog({ disk, config: CONFIG });
  put(log, [[1, "a"]]);
  put(log, [[1, null]]);
  put(log, [[2, "b"]]);
  await settle(log);
  await compact(log);
  assertEquals(lines(log), ["1 k1=null", "2 k2=b", "3 k999=active"]);
  assertEquals(readAll(log)[0].timestampMs, NOW_MS);
  await compact(log, NOW_MS + 999);
  assertEquals(lines(log).length, 3);
  await compact(log, NOW_MS + 1000);
  assertEquals(lines(log), ["2 k2=b", "3 k999=active"]);
  log.close();
});

Deno.test("Log.compact() removes aborted data, and markers after the horizon", async () => {
  const disk = new MemoryFileSystem();
  const log = openLog({ disk, config: CONFIG });
  const transactional = (producerId: number, pairs: Pair[]) =>
    put(log, pairs, {
      producerId,
      producerEpoch: 0,
      baseSequence: 0,
      transactional: true,
    });
  const end = (producerId: number, type: "abort" | "commit") =>
    log.append([
      buildControlBatch({
        type,
        producerId,
        producerEpoch: 0,
        coordinatorEpoch: 0,
        timestampMs: NOW_MS,
      }),
    ], LEADER);
  put(log, [[1, "before"]]); // 0
  transactional(7, [[1, "aborted"]]); // 1
  end(7, "abort"); // 2
  transactional(8, [[2, "committed"]]); // 3
  end(8, "commit"); // 4
  await settle(log);
  const offsets = () => readAll(log).map((record) => Number(record.offset));
  await compact(log);
  assertEquals(offsets(), [0, 2, 3, 4, 5]);
  await compact(log, NOW_MS + 1000);
  assertEquals(offsets(), [0, 3, 4, 5]);
  // The last batch of an active producer stays as an empty shell.
  const { bytes } = log.read(offset(0), {
    maxBytes: 10_000,
    upperBound: log.logEndOffset,
    minOneBatch: true,
  });
  const batches = [...iterateBatches(bytes)];
  assert(batches.every((batch) => verifyBatchCrc(batch.bytes)));
  const shell = batches.find(({ header }) => header.baseOffset === 1)!.header;
  assertEquals([shell.recordCount, shell.producerId], [0, 7]);
  const again = openLog({ disk: disk.crash(), config: CONFIG });
  assertEquals(again.lastStableOffset(again.logEndOffset), again.logEndOffset);
});

Deno.test("Log.compact() lets a reader reach the end over removed batches", async () => {
  const log = openLog({ config: CONFIG });
  for (let index = 0; index < 30; index++) put(log, [[index % 2, `${index}`]]);
  put(log, [[0, "x"], [1, "y"]]);
  await settle(log);
  await compact(log);
  await compact(log);
  for (let from = 0; from < log.logEndOffset; from++) {
    let next = offset(from);
    while (next < log.logEndOffset) {
      const read = log.read(next, {
        maxBytes: 1,
        upperBound: log.logEndOffset,
        minOneBatch: true,
      });
      assert(read.nextOffset > next, `stuck at ${next}`);
      next = read.nextOffset;
    }
  }
  assert(log.segmentCount <= 3, "small segments are merged");
  log.close();
});

Deno.test("Log.compact() gives up when the log is truncated or closed meanwhile", async () => {
  for (const disturb of ["truncate", "close", "advance"] as const) {
    const disk = new MemoryFileSystem();
    const log = openLog({ disk, config: CONFIG });
    for (let index = 0; index < 20; index++) put(log, [[1, `${index}`]]);
    await settle(log);
    disk.holdSyncs = true;
    const compaction = compact(log);
    await Promise.resolve();
    while (disk.heldSyncs.length === 0) await Promise.resolve();
    if (disturb === "truncate") log.truncateTo(offset(10));
    if (disturb === "advance") log.advanceLogStart(offset(10));
    if (disturb === "close") log.close();
    disk.holdSyncs = false;
    disk.releaseSyncs();
    assertEquals((await compaction).isComplete, false);
    const again = openLog({ disk: disk.kill(), config: CONFIG });
    assertEquals(
      readAll(again).length,
      disturb === "close" ? 21 : disturb === "truncate" ? 10 : 11,
    );
  }
});

Deno.test("Log.compact() gives up when retention makes room on a full disk meanwhile", async () => {
  const disk = new MemoryFileSystem();
  const config = {
    ...CONFIG,
    cleanupPolicy: { delete: true, compact: true },
    retentionBytes: 300,
  };
  const log = openLog({ disk, config });
  for (let index = 0; index < 20; index++) put(log, [[1, `${index}`]]);
  await settle(log);
  disk.holdSyncs = true;
  const compaction = compact(log);
  while (disk.heldSyncs.length === 0) await Promise.resolve();
  disk.freeBytes = 0;
  assert(log.enforceRetention(NOW_MS, log.logEndOffset) > 0);
  const { logStartOffset } = log;
  disk.freeBytes = 1_000_000;
  disk.holdSyncs = false;
  disk.releaseSyncs();
  assertEquals((await compaction).isComplete, false);
  assertEquals(log.logStartOffset, logStartOffset);
  const values = readAll(log);
  assertEquals(values.length, log.logEndOffset - logStartOffset);
  assertEquals(readAll(openLog({ disk: disk.kill(), config })), values);
});

const historyArbitrary = fc.array(
  fc.array(
    fc.tuple(
      fc.nat(4),
      fc.option(fc.string({ maxLength: 12 }), { nil: null }),
    ) as fc.Arbitrary<Pair>,
    { minLength: 1, maxLength: 4 },
  ),
  { minLength: 1, maxLength: 25 },
);

Deno.test("Compaction never changes the last values, the offsets or the order", async () => {
  await fc.assert(
    fc.asyncProperty(
      historyArbitrary,
      fc.constantFrom(undefined, 100, 300),
      async (history, keyMapBytes) => {
        const disk = new MemoryFileSystem();
        let log = openLog({ disk, config: CONFIG });
        for (const pairs of history) put(log, pairs);
        await settle(log);
        const values = lastValues(log);
        const before = new Set(lines(log));
        const { logEndOffset } = log;
        for (const nowMs of [NOW_MS, NOW_MS + 500, NOW_MS + 5000]) {
          await compact(log, nowMs, keyMapBytes);
          const after = lines(log);
          assertEquals(lastValues(log), values);
          assert(after.every((line) => before.has(line)));
          const offsets = after.map((line) => parseInt(line));
          assertEquals(offsets, offsets.toSorted((a, b) => a - b));
          assertEquals(log.logEndOffset, logEndOffset);
          log.close();
          log = openLog({ disk, config: CONFIG });
          assertEquals(lines(log), after);
        }
        if (keyMapBytes === undefined) {
          const keys = lines(log).map((line) => line.split(/[ =]/)[1]);
          assertEquals(new Set(keys).size, keys.length);
        }
        log.close();
        assertEquals(disk.openHandles, 0);
      },
    ),
    { numRuns: 150 },
  );
});

Deno.test("A process that dies at any step of a compaction loses no last value", async () => {
  for (let death = 0;; death++) {
    const disk = new MemoryFileSystem();
    const log = openLog({ disk, config: CONFIG });
    for (let index = 0; index < 15; index++) {
      put(log, [[index % 3, `${index}`], [index % 5, `${index}`]]);
    }
    await settle(log);
    await compact(log);
    for (let index = 0; index < 10; index++) {
      put(log, [[index % 4, `n${index}`]]);
    }
    await settle(log);
    const values = lastValues(log);
    const first = disk.operations;
    disk.fault = ({ number, sizeBytes }) =>
      number === first + death
        ? { kind: "crash", writtenBytes: sizeBytes >> 1 }
        : undefined;
    let hasDied = false;
    try {
      await compact(log);
    } catch (error) {
      hasDied = true;
      assert(
        error instanceof SimulatedCrash || log.isOffline,
        String(error),
      );
    }
    for (const keepAll of [true, false]) {
      const survivor = disk.crash(() => keepAll);
      const again = openLog({ disk: survivor, config: CONFIG });
      assertEquals(lastValues(again), values);
      assertEquals(again.logEndOffset, log.logEndOffset);
      await compact(again, NOW_MS + 9000);
      assertEquals(lastValues(again), values);
      again.close();
      assertEquals(
        survivor.readDirectory(DIRECTORY).filter(({ name }) =>
          /cleaned|swap|tmp/.test(name)
        ),
        [],
      );
    }
    if (!hasDied) return;
  }
});

Deno.test("Log.isCompactionDue() asks for the dirty ratio or the lag", async () => {
  const log = openLog({ config: { ...CONFIG, minCleanableDirtyRatio: 0.9 } });
  for (let index = 0; index < 20; index++) put(log, [[index, "v"]]);
  await settle(log);
  const due = (nowMs = NOW_MS) =>
    log.isCompactionDue({ nowMs, below: log.logEndOffset });
  assert(due());
  await compact(log);
  assertEquals(due(), false);
  for (let index = 0; index < 8; index++) put(log, [[index, "v"]]);
  await settle(log);
  assertEquals(due(), false);
  log.reconfigure({ ...log.config, maxCompactionLagMs: 10 });
  assertEquals(due(NOW_MS + 11), true);
  log.reconfigure({ ...log.config, minCompactionLagMs: 100 });
  assertEquals(due(NOW_MS + 99), false);
  log.close();
});
