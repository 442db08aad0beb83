/** Rows of the Kafka door: produce and fetch of whole batches. */
import { BenchBroker, freePorts, PAGE_CACHE } from "../support/broker.ts";
import { runLoad, startBare } from "../support/process.ts";
import {
  compared,
  inTurns,
  type Line,
  median,
  type Row,
  type Settings,
} from "../support/rows.ts";

const MEBIBYTE = 1024 * 1024;
const RECORD_BYTES = 1024;
const FETCH_CONNECTIONS = 2;

function produceRow(name: string, recordsPerBatch: number): Row {
  return {
    name,
    run: (settings) => produce(settings, recordsPerBatch),
  };
}

async function produce(
  { quick, rounds }: Settings,
  recordsPerBatch: number,
): Promise<Line[]> {
  const totalBytes = (quick ? 64 : 256) * MEBIBYTE;
  await using broker = await BenchBroker.start();
  const [port] = freePorts(1);
  await using sink = await startBare("tcp_sink", {
    port,
    path: `${broker.directory}/sink`,
  });
  await broker.createTopic("bench", { config: PAGE_CACHE });
  const measured = await inTurns(rounds, {
    ours: {
      server: broker.server,
      load: () =>
        runLoad("kafka_produce", {
          port: broker.kafkaPort,
          topic: "bench",
          partitions: 1,
          connections: 1,
          recordBytes: RECORD_BYTES,
          recordsPerBatch,
          totalBytes,
          inFlight: 5,
          acks: 1,
        }),
    },
    bare: {
      server: sink,
      load: () =>
        runLoad("tcp_send", {
          port,
          chunkBytes: recordsPerBatch * RECORD_BYTES,
          totalBytes,
        }),
    },
  });
  return [
    compared(
      {
        what: `Kafka produce, batches of ${recordsPerBatch} x 1 KiB`,
        bare: "a TCP-to-file sink",
        unit: "MiB/s",
        budget: ">= 40 %",
      },
      measured,
      1 / MEBIBYTE,
    ),
  ];
}

async function fetchCached({ quick, rounds }: Settings): Promise<Line[]> {
  const totalBytes = (quick ? 64 : 256) * MEBIBYTE;
  await using broker = await BenchBroker.start();
  await broker.createTopic("bench", { config: PAGE_CACHE });
  await runLoad("kafka_produce", {
    port: broker.kafkaPort,
    topic: "bench",
    partitions: 1,
    connections: 1,
    recordBytes: RECORD_BYTES,
    recordsPerBatch: 64,
    totalBytes: totalBytes + 2 * MEBIBYTE,
    inFlight: 5,
    acks: 1,
  });
  const [port] = freePorts(1);
  const folder = `${broker.directory}/broker-1/bench_0`;
  await using source = await startBare("tcp_source", {
    port,
    path: `${folder}/${"0".repeat(20)}.log`,
  });
  const common = {
    connections: FETCH_CONNECTIONS,
    bytesPerConnection: totalBytes,
  };
  const measured = await inTurns(rounds, {
    ours: {
      server: broker.server,
      load: () =>
        runLoad("kafka_fetch", {
          port: broker.kafkaPort,
          topic: "bench",
          maxBytes: MEBIBYTE,
          ...common,
        }),
    },
    bare: {
      server: source,
      load: () => runLoad("tcp_receive", { port, ...common }),
    },
  });
  return [
    compared(
      {
        what: "Kafka fetch of these from page cache",
        bare: "a file-to-TCP source",
        unit: "MiB/s",
        budget: ">= 50 %",
      },
      measured,
      1 / MEBIBYTE,
    ),
  ];
}

/** A second opinion by a client that is not ours, where it is installed. */
async function kcat({ quick, rounds }: Settings): Promise<Line[]> {
  const records = (quick ? 32 : 128) * 1024;
  await using broker = await BenchBroker.start();
  const path = `${broker.directory}/lines`;
  const line = `${"x".repeat(RECORD_BYTES - 1)}\n`;
  Deno.writeTextFileSync(path, line.repeat(records));
  const address = `127.0.0.1:${broker.kafkaPort}`;
  const tuning = ["batch.size=1000000", "linger.ms=5", "acks=1"]
    .flatMap((setting) => ["-X", setting]);
  const rates = { produce: [] as number[], consume: [] as number[] };
  for (let round = 0; round < rounds; round++) {
    const common = ["-b", address, "-t", `bench-${round}`, "-p", "0", "-q"];
    await broker.createTopic(`bench-${round}`, { config: PAGE_CACHE });
    const produced = await timed("kcat", [
      "-P",
      ...common,
      ...tuning,
      "-l",
      path,
    ]);
    if (produced === undefined) {
      console.error("bench: kcat is not installed; its rows are left out");
      return [];
    }
    rates.produce.push(records / 1024 / produced);
    const read = ["-C", ...common, "-o", "beginning", "-c", `${records}`];
    rates.consume.push(records / 1024 / (await timed("kcat", read))!);
  }
  const unit = "MiB/s";
  return [
    { what: "kcat, 1-KiB records in", unit, ours: median(rates.produce) },
    { what: "kcat, 1-KiB records out", unit, ours: median(rates.consume) },
  ];
}

/** Seconds that a whole command took; undefined when there is no such one. */
async function timed(
  command: string,
  args: readonly string[],
): Promise<number | undefined> {
  const startMs = performance.now();
  try {
    const child = new Deno.Command(command, {
      args: [...args],
      stdin: "null",
      stdout: "null",
      stderr: "inherit",
    }).spawn();
    if (!(await child.status).success) throw new Error(`${command} failed`);
  } catch (fault) {
    if (fault instanceof Deno.errors.NotFound) return undefined;
    throw fault;
  }
  return (performance.now() - startMs) / 1000;
}

export const kafkaRows: readonly Row[] = [
  produceRow("kafka-produce", 64),
  produceRow("kafka-produce-large", 900),
  { name: "kafka-fetch", run: fetchCached },
  { name: "kcat", run: kcat },
];
