/** What a log is when it is opened again, after a crash at any moment. */
import { assert, assertEquals, assertThrows } from "../../support/assert.ts";
import { MemoryFileSystem } from "../../support/memory_file_system.ts";
import { CorruptLogError, StorageError } from "../../../storage/error.ts";
import { leaderEpoch, offset } from "../../../storage/log/types.ts";
import {
  append,
  batchOf,
  CHECKPOINT,
  DIRECTORY,
  NOW_MS,
  openLog,
  readValues,
  SEGMENT,
} from "./log_support.ts";

Deno.test("A log cut at every byte of its last writes recovers a prefix", () => {
  const write = () => {
    const disk = new MemoryFileSystem();
    const log = openLog({ disk, config: { indexIntervalBytes: 100 } });
    append(log, ["a", "b"], { epoch: 1 });
    log.flushSync();
    append(log, ["c"], { epoch: 1 });
    append(log, ["d", "e"], { epoch: 2 });
    return disk;
  };
  const flushedBytes = batchOf(["a", "b"]).length;
  const total = write().readFile(SEGMENT).length;
  const ends = new Set<number>();
  for (let cut = flushedBytes; cut <= total; cut++) {
    const crashed = write().kill();
    const file = crashed.open(SEGMENT);
    file.truncate(cut);
    file.close();
    const log = openLog({ disk: crashed });
    const values = readValues(log);
    assertEquals(
      values,
      ["0:a", "1:b", "2:c", "3:d", "4:e"].slice(0, values.length),
    );
    assert(values.length >= 2);
    assertEquals(log.latestEpoch, leaderEpoch(values.length > 3 ? 2 : 1));
    // Once flushed, what recovery kept is on the disk; appends go on from there.
    assertEquals(log.flushSync(), log.logEndOffset);
    ends.add(log.logEndOffset);
    append(log, ["next"], { epoch: 3 });
    log.flushSync();
    const again = openLog({ disk: crashed.crash() });
    assertEquals(readValues(again), [...values, `${values.length}:next`]);
  }
  assertEquals([...ends], [2, 3, 5]);
});

Deno.test("A process that dies at any operation loses nothing flushed", async () => {
  for (let death = 0;; death++) {
    const disk = new MemoryFileSystem();
    disk.fault = ({ number, sizeBytes }) =>
      number === death
        ? { kind: "crash", writtenBytes: Math.floor(sizeBytes / 2) }
        : undefined;
    let flushed = 0;
    let appended = 0;
    let start = 0;
    let truncatedTo = Infinity;
    let isFinished = false;
    const config = { segmentBytes: 300, indexIntervalBytes: 100 };
    try {
      const log = openLog({ disk, config });
      for (let round = 0; round < 6; round++) {
        appended += 2;
        append(log, ["x", "y"], { epoch: round });
        if (round % 2 === 1) flushed = await log.flush();
      }
      start = 4;
      log.advanceLogStart(offset(4));
      truncatedTo = 8;
      flushed = 8;
      log.truncateTo(offset(8));
      append(log, ["z"], { epoch: 9 });
      log.close();
      isFinished = true;
    } catch (error) {
      assertEquals(
        (error as Error).name.startsWith("Simulated") ||
          error instanceof StorageError,
        true,
        String(error),
      );
    }
    for (const keepAll of [true, false]) {
      const survivor = disk.crash(() => keepAll);
      const log = openLog({ disk: survivor, config });
      assert(log.logStartOffset <= start);
      assert(log.logEndOffset >= Math.min(flushed, truncatedTo), `${death}`);
      assert(log.logEndOffset <= Math.max(appended, 9));
      const values = readValues(log);
      assertEquals(values.length, log.logEndOffset - log.logStartOffset);
      append(log, ["after"], { epoch: 20 });
      log.close();
      assertEquals(survivor.openHandles, 0);
      assertEquals(
        readValues(openLog({ disk: survivor, config })).length,
        values.length + 1,
      );
    }
    if (isFinished) return;
  }
});

Deno.test("Bad bytes below the recovery point are a CorruptLogError, never cut", () => {
  const disk = new MemoryFileSystem();
  const log = openLog({ disk });
  append(log, ["one"]);
  append(log, ["two"]);
  log.advanceLogStart(offset(1));
  log.close();
  const size = disk.readFile(SEGMENT).length;
  const file = disk.open(SEGMENT);
  file.writeAt(new Uint8Array([255]), size - 1);
  assertThrows(() => openLog({ disk }), CorruptLogError, SEGMENT);
  file.truncate(size - 1);
  assertThrows(() => openLog({ disk }), CorruptLogError, "bytes");
  assertEquals(file.sizeBytes, size - 1);
  file.close();
  disk.remove(SEGMENT);
  assertThrows(() => openLog({ disk }), CorruptLogError, "missing");
});

Deno.test("A first checkpoint that is torn counts as none", () => {
  const disk = new MemoryFileSystem();
  const config = { segmentBytes: 200 };
  const log = openLog({ disk, config });
  append(log, ["one"]);
  log.close();
  const torn = disk.open(CHECKPOINT, { create: true });
  torn.writeAt(new Uint8Array(40).fill(7), 4096);
  torn.close();
  const again = openLog({ disk, config });
  append(again, ["x".repeat(100), "y".repeat(100)]);
  assertEquals(again.segmentCount, 2);
  assertEquals(openLog({ disk: disk.kill(), config }).segmentCount, 2);
});

Deno.test("Lost or wrong index files are made anew", () => {
  const config = { segmentBytes: 500, indexIntervalBytes: 100 };
  for (const damage of ["remove", "zero"]) {
    const disk = new MemoryFileSystem();
    const log = openLog({ disk, config });
    for (let index = 0; index < 20; index++) {
      append(log, [`${index}`], { timestampMs: NOW_MS + index });
    }
    log.close();
    for (const { name } of disk.readDirectory(DIRECTORY)) {
      const path = `${DIRECTORY}/${name}`;
      if (!/index$/.test(name)) continue;
      if (damage === "remove") disk.remove(path);
      else disk.writeFileAtomic(path, disk.readFile(path).fill(3));
    }
    const again = openLog({ disk, config });
    for (let from = 0; from < 20; from++) {
      assertEquals(readValues(again, offset(from)).length, 20 - from);
    }
    if (damage === "remove") {
      assertEquals(
        again.findByTimestamp(NOW_MS + 13, offset(20))?.offset,
        offset(13),
      );
    }
    again.close();
  }
});
