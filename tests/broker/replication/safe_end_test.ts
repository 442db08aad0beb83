import { SafeEnd } from "../../../broker/replication/safe_end.ts";
import { readTopicSettings } from "../../../broker/topic_config.ts";
import type { Log } from "../../../storage/log/log.ts";
import { leaderEpoch } from "../../../storage/log/types.ts";
import { assertEquals } from "../../support/assert.ts";
import { ManualTime } from "../../support/manual_time.ts";
import { MemoryFileSystem } from "../../support/memory_file_system.ts";
import { batchOf, openLog } from "../../storage/log/log_support.ts";

const FLUSH_MS = 50;

/** A log whose records are acknowledged from the page cache. */
function cached(config: { readonly [name: string]: string } = {}) {
  const disk = new MemoryFileSystem();
  const time = new ManualTime();
  const log = openLog({ disk });
  const safeEnd = new SafeEnd({
    log,
    settings: readTopicSettings({
      config: {
        "flush.messages": "1000",
        "flush.ms": String(FLUSH_MS),
        ...config,
      },
      replicationFactor: 3,
    }, {}),
    environment: { clock: time, timers: time },
    onFlush: () => {},
    onSafe: () => {},
    onFault: (fault) => {
      throw fault;
    },
  });
  return { disk, time, log, safeEnd };
}

function append(log: Log, safeEnd: SafeEnd, value: string): void {
  log.append([batchOf([value])], { leaderEpoch: leaderEpoch(0), nowMs: 0 });
  safeEnd.pursue();
}

Deno.test("SafeEnd flushes what is in the page cache after flush.ms", async () => {
  const { time, log, safeEnd } = cached();
  append(log, safeEnd, "one");
  await time.elapse(FLUSH_MS - 1);
  assertEquals(Number(log.flushedOffset), 0);
  await time.elapse(1);
  assertEquals(Number(log.flushedOffset), 1);
  assertEquals(time.pending, 0);
});

Deno.test("SafeEnd flushes what came during a flush in time, though nothing follows", async () => {
  const { disk, time, log, safeEnd } = cached();
  append(log, safeEnd, "one");
  disk.holdSyncs = true;
  await time.elapse(FLUSH_MS);
  append(log, safeEnd, "two");
  // The time of the second is up while the flush of the first is under way.
  await time.elapse(FLUSH_MS);
  disk.holdSyncs = false;
  disk.releaseSyncs();
  await time.elapse(0);
  assertEquals(Number(log.flushedOffset), 2);
});

Deno.test("SafeEnd gives what came during a flush its own time", async () => {
  const { disk, time, log, safeEnd } = cached();
  append(log, safeEnd, "one");
  disk.holdSyncs = true;
  await time.elapse(FLUSH_MS);
  append(log, safeEnd, "two");
  await time.elapse(FLUSH_MS / 2);
  disk.holdSyncs = false;
  disk.releaseSyncs();
  await time.elapse(0);
  assertEquals(Number(log.flushedOffset), 1);
  await time.elapse(FLUSH_MS / 2);
  assertEquals(Number(log.flushedOffset), 2);
});

Deno.test("SafeEnd flushes again what flush.messages made due during a flush", async () => {
  const { disk, time, log, safeEnd } = cached({ "flush.messages": "2" });
  append(log, safeEnd, "one");
  disk.holdSyncs = true;
  append(log, safeEnd, "two");
  await time.elapse(0);
  append(log, safeEnd, "three");
  append(log, safeEnd, "four");
  disk.holdSyncs = false;
  disk.releaseSyncs();
  await time.elapse(0);
  assertEquals(Number(log.flushedOffset), 4);
});

Deno.test("SafeEnd begins no flush once it is stopped", async () => {
  const { disk, time, log, safeEnd } = cached();
  append(log, safeEnd, "one");
  disk.holdSyncs = true;
  await time.elapse(FLUSH_MS);
  append(log, safeEnd, "two");
  await time.elapse(FLUSH_MS);
  safeEnd.stop();
  disk.holdSyncs = false;
  disk.releaseSyncs();
  await time.elapse(10 * FLUSH_MS);
  assertEquals(Number(log.flushedOffset), 1);
  assertEquals(time.pending, 0);
});
