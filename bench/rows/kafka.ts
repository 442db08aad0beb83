/** Rows of the Kafka door: produce and fetch of whole batches. */
import { BenchBroker, freePorts, PAGE_CACHE } from "../support/broker.ts";
import { runLoad, startBare } from "../support/process.ts";
import { compared, inTurns, type Line, type Row } from "../support/rows.ts";
import type { Settings } from "../support/rows.ts";

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

export const kafkaRows: readonly Row[] = [
  produceRow("kafka-produce", 64),
  produceRow("kafka-produce-large", 900),
  { name: "kafka-fetch", run: fetchCached },
];
