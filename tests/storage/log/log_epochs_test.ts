/** Leader epochs where a leader becomes a follower, and where compaction left gaps. */
import { EpochCache } from "../../../storage/log/epoch_cache.ts";
import type { Log } from "../../../storage/log/log.ts";
import {
  InvalidBatchError,
  stampBatch,
} from "../../../storage/log/record_batch.ts";
import {
  leaderEpoch,
  NO_LEADER_EPOCH,
  offset,
} from "../../../storage/log/types.ts";
import { assert, assertEquals, assertThrows } from "../../support/assert.ts";
import { MemoryFileSystem } from "../../support/memory_file_system.ts";
import { append, batchOf, DIRECTORY, NOW_MS, openLog } from "./log_support.ts";

function batchAt(baseOffset: number, epoch: number, values: string[]) {
  const batch = batchOf(values);
  stampBatch(batch, offset(baseOffset), leaderEpoch(epoch));
  return batch;
}

const endOf = (log: Log, epoch: number) =>
  log.epochEndOffset(leaderEpoch(epoch))?.endOffset as number | undefined;

Deno.test("EpochCache.latestBelow() leaves out epochs that hold no record: below, at, above", () => {
  const cache = new EpochCache();
  assertEquals(cache.latestBelow(offset(9)), NO_LEADER_EPOCH);
  cache.assign(leaderEpoch(2), offset(0));
  cache.assign(leaderEpoch(5), offset(4));
  assertEquals([0, 1, 4, 5].map((end) => cache.latestBelow(offset(end))), [
    NO_LEADER_EPOCH,
    leaderEpoch(2),
    leaderEpoch(2),
    leaderEpoch(5),
  ]);
});

Deno.test("Log.lastRecordEpoch is of the last record, not of a leader that appended nothing", () => {
  const disk = new MemoryFileSystem();
  let log = openLog({ disk });
  assertEquals(log.lastRecordEpoch, NO_LEADER_EPOCH);
  log.startEpoch(leaderEpoch(0));
  assertEquals(log.lastRecordEpoch, NO_LEADER_EPOCH);
  append(log, ["a", "b"], { epoch: 3 });
  log.startEpoch(leaderEpoch(6));
  assertEquals(log.latestEpoch, leaderEpoch(6));
  assertEquals(log.lastRecordEpoch, leaderEpoch(3));
  log.close();
  log = openLog({ disk });
  assertEquals(log.lastRecordEpoch, leaderEpoch(3));
  // An empty log has no last record, whatever it once held.
  log.advanceLogStart(offset(2));
  assertEquals(log.lastRecordEpoch, NO_LEADER_EPOCH);
  log.truncateFullyAndStartAt(offset(7));
  assertEquals(log.lastRecordEpoch, NO_LEADER_EPOCH);
  log.close();
});

Deno.test("Log.appendReplicated() forgets an empty epoch when older records go on there", () => {
  const disk = new MemoryFileSystem();
  let log = openLog({ disk });
  append(log, ["a"], { epoch: 1 });
  log.startEpoch(leaderEpoch(5));
  log.appendReplicated(batchAt(1, 1, ["b"]), NOW_MS);
  log.appendReplicated(batchAt(2, 3, ["c", "d"]), NOW_MS);
  const check = () => {
    assertEquals(log.latestEpoch, leaderEpoch(3));
    assertEquals([1, 2, 3].map((epoch) => endOf(log, epoch)), [2, 2, 4]);
    assertEquals(endOf(log, 5), undefined);
  };
  check();
  log.close();
  log = openLog({ disk });
  check();
  log.close();
});

Deno.test("Log.appendReplicated() refuses records of an older epoch behind newer ones", () => {
  const log = openLog();
  append(log, ["a"], { epoch: 4 });
  assertThrows(
    () => log.appendReplicated(batchAt(1, 3, ["b"]), NOW_MS),
    InvalidBatchError,
    "leader epoch 3",
  );
  const both = new Uint8Array([
    ...batchAt(1, 6, ["b"]),
    ...batchAt(2, 5, ["c"]),
  ]);
  assertThrows(
    () => log.appendReplicated(both, NOW_MS),
    InvalidBatchError,
    "leader epoch 5",
  );
  assertEquals(log.logEndOffset, offset(1));
  log.appendReplicated(batchAt(1, 4, ["b"]), NOW_MS);
  assertEquals(log.logEndOffset, offset(2));
  log.close();
});

Deno.test("A log that took over a gap says that the epoch before ended where its own records do", () => {
  const disk = new MemoryFileSystem();
  let log = openLog({ disk });
  log.appendReplicated(batchAt(0, 3, ["a"]), NOW_MS);
  // Offsets 1 to 7 are compacted away; some may have been of epoch 3.
  log.appendReplicated(batchAt(8, 4, ["b"]), NOW_MS);
  const check = () => {
    assertEquals(endOf(log, 3), 1);
    assertEquals(endOf(log, 4), 9);
  };
  check();
  log.flushSync();
  log = openLog({ disk: disk.crash() });
  check();
  log.close();
  // Also when the file of the epochs is lost.
  const again = new MemoryFileSystem();
  log = openLog({ disk: again });
  log.appendReplicated(batchAt(0, 3, ["a"]), NOW_MS);
  log.appendReplicated(batchAt(8, 4, ["b"]), NOW_MS);
  log.roll(NOW_MS);
  log.close();
  again.remove(`${DIRECTORY}/leader-epoch-checkpoint`);
  log = openLog({ disk: again });
  check();
  log.close();
});

Deno.test("A cut keeps the epochs below it through a crash at any moment", () => {
  const write = () => {
    const disk = new MemoryFileSystem();
    const log = openLog({ disk });
    append(log, ["a", "b"], { epoch: 1 });
    // The last that the file of the epochs is told of.
    log.roll(NOW_MS);
    append(log, ["c"], { epoch: 1 });
    append(log, ["d", "e"], { epoch: 3 });
    append(log, ["f", "g"], { epoch: 5 });
    log.flushSync();
    return { disk, log };
  };
  let isDone = false;
  for (let at = 0; !isDone; at++) {
    const { disk, log } = write();
    let count = 0;
    disk.fault = () => count++ === at ? { kind: "crash" } : undefined;
    try {
      log.truncateTo(offset(5));
      isDone = true;
    } catch {
      // As the power goes.
    }
    const again = openLog({ disk: disk.crash() });
    const { logEndOffset } = again;
    const isCut = logEndOffset === offset(5);
    assert(isDone ? isCut : isCut || logEndOffset === offset(7));
    assertEquals(
      [1, 3, 5].map((epoch) => endOf(again, epoch)),
      isCut ? [3, 5, undefined] : [3, 5, 7],
    );
    again.close();
  }
});

Deno.test("A log that begins anew has no epoch of before, after a crash either", () => {
  const disk = new MemoryFileSystem();
  let log = openLog({ disk });
  append(log, ["a", "b"], { epoch: 1 });
  append(log, ["c"], { epoch: 5 });
  // The file of the epochs is told of both.
  log.roll(NOW_MS);
  log.advanceLogStart(offset(1));
  log.truncateFullyAndStartAt(offset(10));
  log.appendReplicated(batchAt(10, 4, ["d", "e"]), NOW_MS);
  log.flushSync();
  log = openLog({ disk: disk.crash() });
  assertEquals(log.lastRecordEpoch, leaderEpoch(4));
  assertEquals([4, 5].map((epoch) => endOf(log, epoch)), [12, undefined]);
  log.close();
});

Deno.test("A cut for which there is no room changes nothing, or takes the log offline", () => {
  const counts = { unchanged: 0, offline: 0 };
  let isDone = false;
  for (let at = 0; !isDone; at++) {
    const disk = new MemoryFileSystem();
    const log = openLog({ disk, config: { segmentBytes: 200 } });
    for (const epoch of [1, 1, 3, 3, 5]) append(log, ["a", "b"], { epoch });
    log.flushSync();
    const look = () => [
      log.logEndOffset,
      ...[1, 3, 5].map((epoch) => endOf(log, epoch)),
    ];
    const before = look();
    let count = 0;
    disk.fault = () => count++ === at ? { kind: "disk-full" } : undefined;
    try {
      log.truncateTo(offset(6));
      isDone = true;
    } catch {
      if (log.isOffline) counts.offline++;
      else {
        counts.unchanged++;
        assertEquals(look(), before);
      }
    }
    disk.fault = undefined;
    const again = openLog({ disk: disk.crash() });
    // Files go from the last one backwards.
    const { logEndOffset } = again;
    assert([6, 8, 10].includes(logEndOffset));
    assertEquals(endOf(again, 3), Math.min(8, logEndOffset));
    again.close();
  }
  assert(counts.unchanged > 0 && counts.offline > 0);
});
