import { assert, assertEquals, assertThrows } from "../../support/assert.ts";
import { MemoryFileSystem } from "../../support/memory_file_system.ts";
import { DiskFullError, StorageError } from "../../../storage/error.ts";
import { OpenFiles } from "../../../storage/log/log.ts";
import {
  buildControlBatch,
  InvalidBatchError,
} from "../../../storage/log/record_batch.ts";
import {
  leaderEpoch,
  NO_LEADER_EPOCH,
  offset,
} from "../../../storage/log/types.ts";
import {
  append,
  batchOf,
  DIRECTORY,
  NOW_MS,
  openLog,
  readValues,
  SEGMENT,
} from "./log_support.ts";

const LEADER = { leaderEpoch: leaderEpoch(0), nowMs: NOW_MS };

Deno.test("Log.open() makes nothing; the first append does", () => {
  const disk = new MemoryFileSystem();
  const log = openLog({ disk });
  assertEquals(disk.exists(DIRECTORY), false);
  assertEquals([log.logStartOffset, log.logEndOffset], [offset(0), offset(0)]);
  assertEquals(log.latestEpoch, NO_LEADER_EPOCH);
  append(log, ["a"]);
  assert(disk.exists(SEGMENT));
  log.close();
});

Deno.test("Log.open() tolerates a file named partition.json", () => {
  const disk = new MemoryFileSystem();
  disk.createDirectory(DIRECTORY);
  disk.writeFileAtomic(`${DIRECTORY}/partition.json`, new Uint8Array([123]));
  const log = openLog({ disk });
  append(log, ["a"]);
  log.close();
  assertEquals(readValues(openLog({ disk })), ["0:a"]);
  assert(disk.exists(`${DIRECTORY}/partition.json`));
});

Deno.test("Log.append() rolls when the segment is full, at its very limit", () => {
  const size = batchOf(["abc"]).length;
  for (
    const [segmentBytes, segments] of [
      [2 * size - 1, 2],
      [2 * size, 1],
      [2 * size + 1, 1],
    ]
  ) {
    const log = openLog({ config: { segmentBytes } });
    log.append([batchOf(["abc"]), batchOf(["def"])], LEADER);
    assertEquals(log.segmentCount, segments);
    assertEquals(readValues(log), ["0:abc", "1:def"]);
    log.close();
  }
});

Deno.test("Log.bytesFrom() is right at segments' ends, and about right between", () => {
  const size = batchOf(["abc"]).length;
  const log = openLog({ config: { segmentBytes: 2 * size } });
  assertEquals(log.bytesFrom(offset(0)), 0);
  for (let count = 0; count < 5; count++) {
    log.append([batchOf(["abc"])], LEADER);
  }
  assertEquals(
    [0, 1, 2, 3, 4, 5, 6].map((from) => log.bytesFrom(offset(from)) / size),
    [5, 4, 3, 2, 1, 0, 0],
  );
  log.advanceLogStart(offset(2));
  assertEquals(log.bytesFrom(offset(0)), log.sizeBytes);
  // An empty segment at the end.
  log.roll(NOW_MS);
  assertEquals(log.bytesFrom(offset(3)), 2 * size);
  log.close();
  const uneven = openLog();
  uneven.append([batchOf(["a", "b", "c".repeat(1000)])], LEADER);
  const third = Math.round(uneven.sizeBytes / 3);
  assertEquals(uneven.bytesFrom(offset(2)), third);
  uneven.close();
});

Deno.test("Log.read() respects maxBytes, minOneBatch and upperBound", () => {
  const log = openLog();
  for (let index = 0; index < 4; index++) append(log, ["a", "b"]);
  const size = batchOf(["a", "b"]).length;
  const read = (
    from: number,
    maxBytes: number,
    minOneBatch = false,
    upperBound = 8,
  ) => {
    const { bytes, nextOffset } = log.read(offset(from), {
      maxBytes,
      minOneBatch,
      upperBound: offset(upperBound),
    });
    return [bytes.length / size, Number(nextOffset)];
  };
  assertEquals(read(0, size - 1), [0, 0]);
  assertEquals(read(0, size - 1, true), [1, 2]);
  assertEquals(read(0, 0, true), [1, 2]);
  assertEquals(read(0, 2 * size), [2, 4]);
  assertEquals(read(1, 2 * size), [2, 4]);
  assertEquals(read(0, 10 * size), [4, 8]);
  assertEquals(read(2, 10 * size, true, 5), [1, 4]);
  assertEquals(read(4, 10 * size, true, 5), [0, 4]);
  assertEquals(read(8, 10 * size, true), [0, 8]);
  assertEquals(read(99, 10 * size, true), [0, 99]);
  log.close();
});

Deno.test("Log.append() on a full disk leaves the log as it was", async () => {
  const disk = new MemoryFileSystem();
  const log = openLog({ disk });
  append(log, ["kept"]);
  await log.flush();
  const size = batchOf(["refused"]).length;
  for (const room of [0, 1, size - 1, size, 2 * size - 1]) {
    disk.freeBytes = room;
    assertThrows(
      () => log.append([batchOf(["refused"]), batchOf(["refused"])], LEADER),
      DiskFullError,
    );
    assertEquals(readValues(log), ["0:kept"]);
    assertEquals(log.isOffline, false);
  }
  disk.freeBytes = Infinity;
  append(log, ["again"]);
  assertEquals(readValues(log), ["0:kept", "1:again"]);
  assertEquals(readValues(openLog({ disk: disk.kill() })), [
    "0:kept",
    "1:again",
  ]);
});

Deno.test("Log.append() that cannot undo a failed write goes offline", () => {
  const disk = new MemoryFileSystem();
  const log = openLog({ disk });
  append(log, ["kept"]);
  disk.fault = ({ kind }) =>
    kind === "write" || kind === "truncate"
      ? { kind: "error", writtenBytes: 5 }
      : undefined;
  assertThrows(() => append(log, ["lost"]), StorageError);
  assert(log.isOffline);
  disk.fault = undefined;
  assertThrows(() => append(log, ["refused"]), StorageError, "offline");
  assertEquals(readValues(log), ["0:kept"]);
  assertEquals(readValues(openLog({ disk: disk.kill() })), ["0:kept"]);
});

Deno.test("Log.appendReplicated() takes batches byte for byte, and only good ones", () => {
  const leader = openLog();
  append(leader, ["a", "b"], { epoch: 3 });
  append(leader, ["c"], { epoch: 5 });
  const { bytes } = leader.read(offset(0), {
    maxBytes: 10_000,
    upperBound: offset(3),
    minOneBatch: true,
  });
  const follower = openLog();
  follower.appendReplicated(bytes, NOW_MS);
  assertEquals(follower.logEndOffset, offset(3));
  assertEquals(follower.latestEpoch, leaderEpoch(5));
  assertEquals(
    follower.read(offset(0), {
      maxBytes: 10_000,
      upperBound: offset(3),
      minOneBatch: true,
    }).bytes,
    bytes,
  );
  assertThrows(
    () => follower.appendReplicated(bytes, NOW_MS),
    InvalidBatchError,
    "behind the end",
  );
  const wrong = bytes.slice();
  wrong[bytes.length - 1] ^= 1;
  const fresh = openLog();
  assertThrows(
    () => fresh.appendReplicated(wrong, NOW_MS),
    InvalidBatchError,
    "CRC",
  );
  assertThrows(
    () => fresh.appendReplicated(bytes.subarray(0, bytes.length - 1), NOW_MS),
    InvalidBatchError,
  );
  assertEquals(fresh.logEndOffset, offset(0));
});

Deno.test("Log.epochEndOffset() answers as KIP-101 says, also after a restart", () => {
  const disk = new MemoryFileSystem();
  let log = openLog({ disk });
  append(log, ["a", "b"], { epoch: 2 });
  log.startEpoch(leaderEpoch(4));
  append(log, ["c"], { epoch: 4 });
  append(log, ["d"], { epoch: 7 });
  const check = () => {
    const answer = (epoch: number) => {
      const end = log.epochEndOffset(leaderEpoch(epoch));
      return end === undefined ? undefined : [end.epoch, end.endOffset].map(
        Number,
      );
    };
    assertEquals(answer(1), [1, 0]);
    assertEquals(answer(2), [2, 2]);
    assertEquals(answer(3), [2, 2]);
    assertEquals(answer(4), [4, 3]);
    assertEquals(answer(6), [4, 3]);
    assertEquals(answer(7), [7, 4]);
    assertEquals(answer(8), undefined);
  };
  check();
  log.close();
  log = openLog({ disk });
  check();
  log = openLog({ disk: disk.crash() });
  check();
  log.truncateTo(offset(3));
  assertEquals(log.latestEpoch, leaderEpoch(4));
});

Deno.test("Log.append() recognizes duplicates and gaps of a producer", () => {
  const disk = new MemoryFileSystem();
  let log = openLog({ disk });
  const send = (baseSequence: number, count = 1, producerEpoch = 0) => {
    const values = Array.from({ length: count }, () => "v");
    const outcome = append(log, values, {
      producerId: 9,
      producerEpoch,
      baseSequence,
    });
    return outcome.kind === "rejected"
      ? outcome.code
      : `${outcome.kind} ${outcome.baseOffset}`;
  };
  for (let index = 0; index < 6; index++) {
    assertEquals(send(index * 2, 2), `appended ${index * 2}`);
  }
  const check = () => {
    assertEquals(send(2, 2), "duplicate 2");
    assertEquals(send(10, 2), "duplicate 10");
    // The sixth newest is forgotten, and another length is another batch.
    assertEquals(send(0, 2), "OUT_OF_ORDER_SEQUENCE_NUMBER");
    assertEquals(send(10, 1), "OUT_OF_ORDER_SEQUENCE_NUMBER");
    assertEquals(send(13), "OUT_OF_ORDER_SEQUENCE_NUMBER");
    assertEquals(send(5, 1, 1), "OUT_OF_ORDER_SEQUENCE_NUMBER");
  };
  check();
  log = openLog({ disk: disk.kill() });
  check();
  log.close();
});

Deno.test("Log producer state follows truncation, restart and epochs", () => {
  const disk = new MemoryFileSystem();
  let log = openLog({ disk });
  const send = (baseSequence: number, producerEpoch = 0) =>
    append(log, ["v"], { producerId: 9, producerEpoch, baseSequence }).kind;
  assertEquals([send(0), send(1), send(2)], [
    "appended",
    "appended",
    "appended",
  ]);
  log.truncateTo(offset(1));
  assertEquals([send(0), send(1)], ["duplicate", "appended"]);
  log.close();
  log = openLog({ disk });
  assertEquals([send(1), send(2), send(0, 1)], [
    "duplicate",
    "appended",
    "appended",
  ]);
  assertEquals(send(3), "rejected");
  assertEquals(
    log.append(
      [1, 2, 2, 4].map((baseSequence) =>
        batchOf(["w"], { producerId: 9, producerEpoch: 1, baseSequence })
      ),
      LEADER,
    ).map(({ kind }) => kind),
    ["appended", "appended", "duplicate", "rejected"],
  );
  log.enforceRetention(
    NOW_MS + 2 * log.config.producerIdExpirationMs,
    offset(0),
  );
  assertEquals(log.producers.size, 0);
});

Deno.test("Log keeps the last stable offset and the aborted transactions", () => {
  const disk = new MemoryFileSystem();
  let log = openLog({ disk, config: { segmentBytes: 400 } });
  const send = (producerId: number, baseSequence: number) =>
    append(log, ["t"], {
      producerId,
      producerEpoch: 0,
      baseSequence,
      transactional: true,
    });
  const end = (producerId: number, type: "abort" | "commit") =>
    log.append([
      buildControlBatch({
        type,
        producerId,
        producerEpoch: 0,
        coordinatorEpoch: 1,
        timestampMs: NOW_MS,
      }),
    ], LEADER);
  append(log, ["plain"]);
  send(1, 0); // 1
  send(2, 0); // 2
  send(1, 1); // 3
  assertEquals(log.lastStableOffset(offset(4)), offset(1));
  assertEquals(
    append(log, ["x"], { producerId: 1, producerEpoch: 0, baseSequence: 2 })
      .kind,
    "rejected",
  );
  end(1, "abort"); // 4
  assertEquals(log.lastStableOffset(offset(4)), offset(1));
  assertEquals(log.lastStableOffset(offset(5)), offset(2));
  end(2, "commit"); // 5
  send(1, 2); // 6
  end(1, "abort"); // 7
  const check = () => {
    assertEquals(log.lastStableOffset(offset(8)), offset(8));
    const aborted = (from: number, to: number) =>
      log.abortedTransactions(offset(from), offset(to)).map((
        { producerId, firstOffset },
      ) => [producerId, Number(firstOffset)]);
    assertEquals(aborted(0, 8), [[1, 1], [1, 6]]);
    assertEquals(aborted(5, 8), [[1, 6]]);
    assertEquals(aborted(0, 6), [[1, 1]]);
    assertEquals(aborted(0, 1), []);
  };
  check();
  const killed = openLog({ disk: disk.kill() });
  log = killed;
  check();
  log.close();
});

Deno.test("Log.findByTimestamp() looks inside batches and below the bound", () => {
  const log = openLog({
    config: { segmentBytes: 400, indexIntervalBytes: 50 },
  });
  for (const timestampMs of [100, 200, 150, 300, 250]) {
    append(log, ["a", "b", "c"], { timestampMs });
  }
  const find = (timestampMs: number, upperBound = 15) =>
    log.findByTimestamp(timestampMs, offset(upperBound))?.offset;
  assertEquals(find(0), offset(0));
  assertEquals(find(101), offset(1));
  assertEquals(find(103), offset(3));
  assertEquals(find(202), offset(5));
  assertEquals(find(203), offset(9));
  assertEquals(find(302), offset(11));
  assertEquals(find(303), undefined);
  assertEquals(find(203, 9), undefined);
  assertEquals(log.maxTimestamp(offset(15))?.offset, offset(11));
  assertEquals(log.maxTimestamp(offset(9))?.offset, offset(5));
  assertEquals(log.maxTimestamp(offset(0)), undefined);
  log.advanceLogStart(offset(1));
  assertEquals(find(0), offset(1));
  log.close();
});

Deno.test("OpenFiles stays within its limit with a thousand dirty logs", async () => {
  const disk = new MemoryFileSystem();
  const files = new OpenFiles(disk, { limit: 20 });
  const logs = Array.from(
    { length: 200 },
    (_, index) => openLog({ disk, files, directory: `/data/t_${index}` }),
  );
  for (const log of logs) append(log, ["a"]);
  assert(disk.mostOpenHandles <= 21, `${disk.mostOpenHandles}`);
  await Promise.all(logs.map((log) => log.flush()));
  for (const log of logs) assertEquals(readValues(log), ["0:a"]);
  for (const log of logs) log.close();
  assertEquals(disk.openHandles, 0);
});

Deno.test("Log.delete() removes the directory", () => {
  const disk = new MemoryFileSystem();
  const log = openLog({ disk });
  append(log, ["a"]);
  log.delete();
  assertEquals(disk.exists(DIRECTORY), false);
  assertEquals(disk.openHandles, 0);
});
