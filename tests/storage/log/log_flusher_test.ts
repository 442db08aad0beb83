/** What is on the disk after a flush, and when a log is closed. */
import {
  assertEquals,
  assertRejects,
  assertThrows,
} from "../../support/assert.ts";
import { MemoryFileSystem } from "../../support/memory_file_system.ts";
import { StorageError } from "../../../storage/error.ts";
import { offset } from "../../../storage/log/types.ts";
import {
  append,
  batchOf,
  CHECKPOINT,
  openLog,
  readValues,
  SEGMENT,
} from "./log_support.ts";

Deno.test("Log.flush() that fails takes the log offline and is not retried", async () => {
  const disk = new MemoryFileSystem();
  const log = openLog({ disk });
  append(log, ["flushed"]);
  await log.flush();
  append(log, ["unsafe"]);
  disk.holdSyncs = true;
  const first = log.flush();
  append(log, ["later"]);
  const second = log.flush();
  disk.holdSyncs = false;
  const syncs = disk.counts.get("sync");
  disk.failSyncs();
  await assertRejects(() => first, StorageError);
  await assertRejects(() => second, StorageError);
  await assertRejects(() => log.flush(), StorageError, "offline");
  assertThrows(() => log.flushSync(), StorageError, "offline");
  assertThrows(() => append(log, ["refused"]), StorageError, "offline");
  assertEquals(disk.counts.get("sync"), syncs);
  assertEquals(log.flushedOffset, offset(1));
  assertEquals(readValues(log).length, 3);
  log.close();
});

Deno.test("Log.flush() is group-committed", async () => {
  const disk = new MemoryFileSystem();
  const log = openLog({ disk });
  append(log, ["a"]);
  disk.holdSyncs = true;
  const first = log.flush();
  assertEquals(log.flush(), first);
  append(log, ["b"]);
  const second = log.flush();
  append(log, ["c"]);
  const third = log.flush();
  assertEquals(disk.heldSyncs.length, 1);
  disk.releaseSyncs();
  assertEquals(await first, offset(1));
  assertEquals(log.flushedOffset, offset(1));
  await Promise.resolve();
  disk.releaseSyncs();
  assertEquals([await second, await third], [offset(3), offset(3)]);
  assertEquals(disk.counts.get("sync"), 2);
  log.close();
});

Deno.test("Log.close() makes durable, and writes no checkpoint for a little", () => {
  const limit = 4 * 1024 * 1024;
  const about = limit - 1000;
  const overhead = batchOf(["x".repeat(about)]).length - about;
  for (const sizeBytes of [limit, limit + 1]) {
    const disk = new MemoryFileSystem();
    const log = openLog({ disk });
    append(log, ["x".repeat(sizeBytes - overhead)]);
    assertEquals(disk.readFile(SEGMENT).length, sizeBytes);
    log.close();
    assertEquals(disk.exists(CHECKPOINT), sizeBytes > limit);
    const again = openLog({ disk: disk.crash() });
    assertEquals(again.logEndOffset, offset(1));
  }
});
