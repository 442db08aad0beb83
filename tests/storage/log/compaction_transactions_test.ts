import fc from "../../support/fast_check.ts";
import { assert, assertEquals } from "../../support/assert.ts";
import {
  MemoryFileSystem,
  SimulatedCrash,
} from "../../support/memory_file_system.ts";
import type { Log } from "../../../storage/log/log.ts";
import {
  buildControlBatch,
  decodeRecords,
  iterateBatches,
  RecordBatchBuilder,
} from "../../../storage/log/record_batch.ts";
import { leaderEpoch, offset } from "../../../storage/log/types.ts";
import { NOW_MS, openLog, text } from "./log_support.ts";

const HORIZON_MS = 1000;
const CONFIG = {
  segmentBytes: 400,
  indexIntervalBytes: 100,
  deleteRetentionMs: HORIZON_MS,
  cleanupPolicy: { delete: false, compact: true },
};
const LEADER = { leaderEpoch: leaderEpoch(1), nowMs: NOW_MS };

/** Whoever produces in transactions, with the sequences of each. */
class Producers {
  readonly #log: Log;
  readonly #sequences = new Map<number, number>();

  constructor(log: Log) {
    this.#log = log;
  }

  put(producerId: number, key: string, value: string): void {
    const baseSequence = this.#sequences.get(producerId) ?? 0;
    this.#sequences.set(producerId, baseSequence + 1);
    const producerEpoch = 0;
    const builder = new RecordBatchBuilder({
      producerId,
      producerEpoch,
      baseSequence,
      transactional: true,
    });
    builder.add({
      key: text(key),
      value: text(value),
      headers: [],
      timestampMs: NOW_MS,
    });
    this.#log.append([builder.build()], LEADER);
  }

  end(producerId: number, type: "abort" | "commit"): void {
    const marker = buildControlBatch({
      type,
      producerId,
      producerEpoch: 0,
      coordinatorEpoch: 0,
      timestampMs: NOW_MS,
    });
    this.#log.append([marker], LEADER);
  }
}

/** Closes the active segment, with everything durable and checkpointed. */
async function settle(log: Log, producers: Producers): Promise<void> {
  log.roll(NOW_MS);
  producers.put(999, "active", "");
  producers.end(999, "commit");
  await log.flush();
}

const compact = (log: Log, nowMs: number) =>
  log.compact({ nowMs, below: log.logEndOffset });

const markersOf = (log: Log) =>
  log.abortedTransactions(offset(0), log.logEndOffset)
    .map(({ producerId }) => producerId);

/** What Kafka's clients are given who read committed records (KIP-98). */
function committed(log: Log): string[] {
  const decoder = new TextDecoder();
  const waiting = log.abortedTransactions(offset(0), log.logEndOffset);
  const aborting = new Set<number>();
  const found: string[] = [];
  for (let from = offset(0); from < log.logEndOffset;) {
    const { bytes, nextOffset } = log.read(from, {
      maxBytes: 1000,
      upperBound: log.logEndOffset,
      minOneBatch: true,
    });
    for (const { header, bytes: batch } of iterateBatches(bytes)) {
      while ((waiting[0]?.firstOffset ?? Infinity) <= header.lastOffset) {
        aborting.add(waiting.shift()!.producerId);
      }
      // An empty one is no marker to them.
      const isMarker = header.isControl && header.recordCount > 0;
      if (isMarker) aborting.delete(header.producerId);
      if (header.isControl || aborting.has(header.producerId)) continue;
      for (const { key, value } of decodeRecords(batch)) {
        found.push(`${decoder.decode(key!)}=${decoder.decode(value!)}`);
      }
    }
    from = nextOffset;
  }
  return found;
}

/** The last value of each key. */
function lastOf(records: readonly string[]): string[] {
  const last = new Map<string, string>();
  for (const record of records) last.set(record.split("=")[0], record);
  return [...last.values()].sort();
}

/** Aborted, and gone; committed by the same producer after that. */
async function writeAborted(log: Log): Promise<Producers> {
  const producers = new Producers(log);
  producers.put(7, "a", "aborted");
  producers.end(7, "abort");
  producers.put(7, "a", "committed");
  producers.end(7, "commit");
  producers.put(8, "b", "aborted");
  producers.end(8, "abort");
  await settle(log, producers);
  return producers;
}

Deno.test("Log.compact() forgets an aborted transaction when its marker goes", async () => {
  const disk = new MemoryFileSystem();
  const log = openLog({ disk, config: CONFIG });
  await writeAborted(log);
  const expected = ["a=committed", "active="];
  await compact(log, NOW_MS);
  assertEquals(markersOf(log), [7, 8], "the markers are there");
  assertEquals(committed(log), expected);
  await compact(log, NOW_MS + HORIZON_MS);
  assertEquals(markersOf(log), []);
  assertEquals(committed(log), expected);
  for (const survivor of [disk.crash(), disk.kill()]) {
    const again = openLog({ disk: survivor, config: CONFIG });
    assertEquals(markersOf(again), []);
    assertEquals(committed(again), expected);
  }
});

Deno.test("Log.compact() keeps in mind what is aborted and still there", async () => {
  const log = openLog({ config: CONFIG });
  const producers = await writeAborted(log);
  await compact(log, NOW_MS);
  // Not compacted before the markers of the first ones go.
  producers.put(9, "c", "aborted");
  producers.end(9, "abort");
  await settle(log, producers);
  log.roll(NOW_MS);
  await log.flush();
  await log.compact({ nowMs: NOW_MS + HORIZON_MS, below: offset(9) });
  assertEquals(markersOf(log), [9]);
  assert(!committed(log).includes("c=aborted"));
  log.close();
});

Deno.test("A process that dies while markers go shows what is committed", async () => {
  for (let death = 0;; death++) {
    const disk = new MemoryFileSystem();
    const log = openLog({ disk, config: CONFIG });
    await writeAborted(log);
    await compact(log, NOW_MS);
    const first = disk.operations;
    disk.fault = ({ number, sizeBytes }) =>
      number === first + death
        ? { kind: "crash", writtenBytes: sizeBytes >> 1 }
        : undefined;
    let hasDied = false;
    try {
      await compact(log, NOW_MS + HORIZON_MS);
    } catch (error) {
      hasDied = true;
      assert(error instanceof SimulatedCrash || log.isOffline, String(error));
    }
    for (const keepsAll of [true, false]) {
      const survivor = disk.crash(() => keepsAll);
      const again = openLog({ disk: survivor, config: CONFIG });
      assertEquals(committed(again), ["a=committed", "active="]);
      await compact(again, NOW_MS + 2 * HORIZON_MS);
      assertEquals(markersOf(again), []);
      assertEquals(committed(again), ["a=committed", "active="]);
      again.close();
    }
    if (!hasDied) return;
  }
});

Deno.test("A disk that is full while markers go leaves the log as it is", async () => {
  const disk = new MemoryFileSystem();
  const log = openLog({ disk, config: CONFIG });
  await writeAborted(log);
  await compact(log, NOW_MS);
  for (let freeBytes = 0; markersOf(log).length > 0; freeBytes += 20) {
    disk.freeBytes = freeBytes;
    await compact(log, NOW_MS + HORIZON_MS).catch(() => {});
    assert(!log.isOffline);
    assertEquals(committed(log), ["a=committed", "active="]);
  }
  log.close();
});

const stepArbitrary = fc.oneof(
  { weight: 6, arbitrary: fc.record({ put: fc.nat(2), key: fc.nat(3) }) },
  { weight: 2, arbitrary: fc.record({ abort: fc.nat(2) }) },
  { weight: 2, arbitrary: fc.record({ commit: fc.nat(2) }) },
  { weight: 2, arbitrary: fc.record({ compactAfterMs: fc.nat(2000) }) },
);

Deno.test("Compaction never changes the last committed values", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(stepArbitrary, { minLength: 1, maxLength: 40 }),
      async (steps) => {
        const log = openLog({ config: CONFIG });
        const producers = new Producers(log);
        const open = new Map<number, string[]>();
        const expected: string[] = [];
        let nowMs = NOW_MS;
        let count = 0;
        const finish = (id: number, type: "abort" | "commit") => {
          if (!open.has(id)) return;
          producers.end(id, type);
          if (type === "commit") expected.push(...open.get(id)!);
          open.delete(id);
        };
        const ends = [{ commit: 0 }, { commit: 1 }, { abort: 2 }];
        const compactions = [0, 2 * HORIZON_MS, 2 * HORIZON_MS]
          .map((compactAfterMs) => ({ compactAfterMs }));
        for (const step of [...steps, ...ends, ...compactions]) {
          if ("put" in step) {
            const record = `k${step.key}-${step.put}=${++count}`;
            producers.put(step.put, ...record.split("=") as [string, string]);
            open.set(step.put, [...open.get(step.put) ?? [], record]);
          } else if ("abort" in step) finish(step.abort, "abort");
          else if ("commit" in step) finish(step.commit, "commit");
          else {
            nowMs += step.compactAfterMs;
            await settle(log, producers);
            const below = log.lastStableOffset(log.logEndOffset);
            await log.compact({ nowMs, below });
            if (open.size > 0) continue;
            const found = committed(log).filter((one) => one !== "active=");
            assertEquals(lastOf(found), lastOf(expected));
          }
        }
        log.close();
      },
    ),
    { numRuns: 100 },
  );
});
