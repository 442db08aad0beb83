/** Rows of the storage: appending, and opening again what a kill left. */
import { BenchBroker, PAGE_CACHE } from "../support/broker.ts";
import { openHandlesOf, runLoad } from "../support/process.ts";
import { type Line, median, type Row, type Settings } from "../support/rows.ts";

const MEBIBYTE = 1024 * 1024;

async function reopenLarge({ quick, rounds }: Settings): Promise<Line[]> {
  const totalBytes = (quick ? 256 : 1024) * MEBIBYTE;
  await using broker = await BenchBroker.start();
  await broker.createTopic("bench", { config: PAGE_CACHE });
  await runLoad("kafka_produce", {
    port: broker.kafkaPort,
    topic: "bench",
    partitions: 1,
    connections: 1,
    recordBytes: 1024,
    recordsPerBatch: 64,
    totalBytes,
    inFlight: 5,
    acks: 1,
  });
  const what = `Start with a partition of ${totalBytes / MEBIBYTE} MiB, killed`;
  return [{ ...await restarts(broker, rounds), what, budget: "< 1 s more" }];
}

async function openMany({ quick, rounds }: Settings): Promise<Line[]> {
  const partitions = quick ? 100 : 1000;
  await using broker = await BenchBroker.start();
  await broker.createTopic("bench", { partitions });
  await fillOnce(broker, partitions);
  const what = `Start with ${partitions} partitions, killed`;
  const line = await restarts(broker, rounds, async () => {
    await fillOnce(broker, partitions);
  });
  await broker.start();
  const handles = openHandlesOf(broker.server.pid);
  await fillOnce(broker, partitions);
  const stopStartMs = performance.now();
  await broker.stop();
  const stopMs = performance.now() - stopStartMs;
  await using empty = await BenchBroker.start();
  return [{ ...line, what, budget: "< 2 s more" }, {
    what: `Stop with ${partitions} partitions, all written to`,
    unit: "ms",
    ours: stopMs,
    budget: "< 4,000 ms",
  }, {
    what: `Open handles with ${partitions} partitions`,
    unit: "handles",
    ours: handles,
    bare: {
      what: "a broker without partitions",
      value: openHandlesOf(empty.server.pid),
    },
    budget: "bounded",
  }];
}

/** One record into every partition. */
function fillOnce(broker: BenchBroker, partitions: number) {
  return runLoad("kafka_produce", {
    port: broker.kafkaPort,
    topic: "bench",
    partitions,
    connections: 1,
    recordBytes: 100,
    recordsPerBatch: 1,
    totalBytes: 1,
    inFlight: 1,
    acks: 1,
  });
}

/** Kills and starts the broker; beside it one that has nothing to open. */
async function restarts(
  broker: BenchBroker,
  rounds: number,
  fill: () => Promise<void> = () => Promise.resolve(),
): Promise<Omit<Line, "what">> {
  const ours: number[] = [];
  const bare: number[] = [];
  await using empty = await BenchBroker.start();
  for (let round = 0; round < rounds; round++) {
    await broker.stop("SIGKILL");
    ours.push(await broker.start());
    await fill();
    await empty.stop("SIGKILL");
    bare.push(await empty.start());
  }
  await broker.stop("SIGKILL");
  return {
    unit: "ms",
    ours: median(ours),
    bare: { what: "an empty broker", value: median(bare) },
  };
}

async function append({ quick, rounds }: Settings): Promise<Line[]> {
  const lines: Line[] = [];
  for (const recordsPerBatch of [1, 64]) {
    const rates: Record<"log" | "file", number[]> = { log: [], file: [] };
    for (let round = -1; round < rounds; round++) {
      for (const side of ["log", "file"] as const) {
        const { operations, seconds } = await runLoad("append", {
          side,
          recordsPerBatch,
          totalBytes: (quick ? 64 : 512) * MEBIBYTE,
        });
        if (round >= 0) rates[side].push(operations / seconds);
      }
    }
    lines.push({
      what: `Log.append, batches of ${recordsPerBatch} x 1 KiB`,
      unit: "batches/s",
      ours: median(rates.log),
      bare: { what: "writeSync of the same bytes", value: median(rates.file) },
    });
  }
  return lines;
}

export const storageRows: readonly Row[] = [
  { name: "append", run: append },
  { name: "reopen", run: reopenLarge },
  { name: "partitions", run: openMany },
];
