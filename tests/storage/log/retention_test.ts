/** Which segments go by age and size. */
import { assert, assertEquals, assertThrows } from "../../support/assert.ts";
import { MemoryFileSystem } from "../../support/memory_file_system.ts";
import { DiskFullError } from "../../../storage/error.ts";
import { offset } from "../../../storage/log/types.ts";
import { append, NOW_MS, openLog, readValues } from "./log_support.ts";

Deno.test("Log.enforceRetention() deletes closed old segments below the bound", () => {
  const config = { segmentBytes: 200, retentionMs: 1000, retentionBytes: -1 };
  const log = openLog({ config });
  for (let index = 0; index < 6; index++) {
    append(log, ["a", "b"], { timestampMs: NOW_MS + index * 1000 });
  }
  const { segmentCount } = log;
  assert(segmentCount > 2);
  assertEquals(log.enforceRetention(NOW_MS + 900, offset(12)), 0);
  assertEquals(log.enforceRetention(NOW_MS + 90_000, offset(0)), 0);
  const gone = log.enforceRetention(NOW_MS + 90_000, offset(12));
  assertEquals(gone, segmentCount - 1);
  assertEquals(log.segmentCount, 1);
  assertEquals(log.logStartOffset > 0, true);
  log.close();
});

Deno.test("Log.enforceRetention() makes room on a full disk", async () => {
  const disk = new MemoryFileSystem();
  const config = { segmentBytes: 200, retentionBytes: 300 };
  const log = openLog({ disk, config });
  for (let index = 0; index < 9; index++) append(log, ["a", "b"]);
  await log.flush();
  disk.freeBytes = 0;
  assertThrows(() => append(log, ["refused"]), DiskFullError);
  assert(log.enforceRetention(NOW_MS, log.logEndOffset) > 0);
  assertEquals(log.isOffline, false);
  append(log, ["fits"]);
  const values = readValues(log);
  const again = openLog({ disk: disk.kill(), config });
  assertEquals(again.logStartOffset, log.logStartOffset);
  assertEquals(readValues(again), values);
});
