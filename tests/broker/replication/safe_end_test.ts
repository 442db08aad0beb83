import { SafeEnd } from "../../../broker/replication/safe_end.ts";
import { readTopicSettings } from "../../../broker/topic_config.ts";
import { leaderEpoch } from "../../../storage/log/types.ts";
import { assertEquals } from "../../support/assert.ts";
import { ManualTime } from "../../support/manual_time.ts";
import { MemoryFileSystem } from "../../support/memory_file_system.ts";
import { batchOf, openLog } from "../../storage/log/log_support.ts";

const FLUSH_MS = 50;

/** A log whose records are acknowledged from the page cache. */
class CachedLog {
  readonly disk = new MemoryFileSystem();
  readonly time = new ManualTime();
  readonly log = openLog({ disk: this.disk });
  readonly safeEnd: SafeEnd;

  constructor(config: { readonly [name: string]: string } = {}) {
    this.safeEnd = new SafeEnd({
      log: this.log,
      settings: readTopicSettings({
        config: {
          "flush.messages": "1000",
          "flush.ms": String(FLUSH_MS),
          ...config,
        },
        replicationFactor: 3,
      }, {}),
      environment: { clock: this.time, timers: this.time },
      onFlush: () => {},
      onSafe: () => {},
      onFault: (fault) => {
        throw fault;
      },
    });
  }

  get flushed(): number {
    return this.log.flushedOffset;
  }

  append(): void {
    const leader = { leaderEpoch: leaderEpoch(0), nowMs: 0 };
    this.log.append([batchOf(["value"])], leader);
    this.safeEnd.pursue();
  }

  /** From now on a flush that has begun does not end. */
  holdFlushes(): void {
    this.disk.holdSyncs = true;
  }

  async releaseFlushes(): Promise<void> {
    this.disk.holdSyncs = false;
    this.disk.releaseSyncs();
    await this.time.elapse(0);
  }
}

/** One record is being flushed, since its time is up. */
async function flushing(): Promise<CachedLog> {
  const cached = new CachedLog();
  cached.append();
  cached.holdFlushes();
  await cached.time.elapse(FLUSH_MS);
  return cached;
}

Deno.test("SafeEnd flushes what is in the page cache after flush.ms", async () => {
  const cached = new CachedLog();
  cached.append();
  await cached.time.elapse(FLUSH_MS - 1);
  assertEquals(cached.flushed, 0);
  await cached.time.elapse(1);
  assertEquals(cached.flushed, 1);
  assertEquals(cached.time.pending, 0);
});

Deno.test("SafeEnd flushes what came during a flush in time, though nothing follows", async () => {
  const cached = await flushing();
  cached.append();
  // The time of the second is up while the flush of the first is under way.
  await cached.time.elapse(FLUSH_MS);
  await cached.releaseFlushes();
  assertEquals(cached.flushed, 2);
});

Deno.test("SafeEnd gives what came during a flush its own time", async () => {
  const cached = await flushing();
  cached.append();
  await cached.time.elapse(FLUSH_MS / 2);
  await cached.releaseFlushes();
  assertEquals(cached.flushed, 1);
  await cached.time.elapse(FLUSH_MS / 2);
  assertEquals(cached.flushed, 2);
});

Deno.test("SafeEnd flushes again what flush.messages made due during a flush", async () => {
  const cached = new CachedLog({ "flush.messages": "2" });
  cached.append();
  cached.holdFlushes();
  cached.append();
  await cached.time.elapse(0);
  cached.append();
  cached.append();
  await cached.releaseFlushes();
  assertEquals(cached.flushed, 4);
});

Deno.test("SafeEnd begins no flush once it is stopped", async () => {
  const cached = await flushing();
  cached.append();
  await cached.time.elapse(FLUSH_MS);
  cached.safeEnd.stop();
  await cached.releaseFlushes();
  await cached.time.elapse(10 * FLUSH_MS);
  assertEquals(cached.flushed, 1);
  assertEquals(cached.time.pending, 0);
});
