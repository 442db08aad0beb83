/**
 * Rows of replication: what three replicas cost beside one, how long a failover
 * takes, how fast a broker that returns catches up.
 */
import { freePorts, PAGE_CACHE } from "../support/broker.ts";
import { BenchNodes } from "../support/nodes.ts";
import { type LoadResult, runLoad, startBare } from "../support/process.ts";
import {
  compared,
  inTurns,
  type Line,
  median,
  type Row,
  type Settings,
} from "../support/rows.ts";

const MEBIBYTE = 1024 * 1024;
const ROUND_SECONDS = 3;
const QUICK_ROUND_SECONDS = 1;
const MESSAGE = "x".repeat(100);
const BATCH_RECORDS = 1000;
const RECORD_BYTES = 1024;
const KILLS = 20;
const QUICK_KILLS = 3;
const TRY_MS = 1000;
const POLL_MS = 2;
const START_MS = 60_000;

interface CostRow {
  readonly what: string;
  readonly unit: string;
  readonly scale: number;
  load(
    nodes: BenchNodes,
    topic: string,
    settings: Settings,
  ): Promise<LoadResult>;
}

/** The same load on three replicas and on one, in the same cluster. */
async function cost(settings: Settings, row: CostRow): Promise<Line[]> {
  await using nodes = await BenchNodes.start();
  await nodes.createTopic("one", { replicationFactor: 1 });
  await nodes.createTopic("three", { replicationFactor: 3 });
  const side = (topic: string) => ({
    server: nodes,
    load: () => row.load(nodes, topic, settings),
  });
  const measured = await inTurns(settings.rounds, {
    ours: side("three"),
    bare: side("one"),
  });
  const text = { ...row, bare: "one replica" };
  return [compared(text, measured, row.scale)];
}

/** The same load beside partitions in which nothing happens, and alone. */
async function besideIdle({ quick, rounds }: Settings): Promise<Line[]> {
  const idle = quick ? 300 : 1000;
  await using crowded = await BenchNodes.start();
  await using empty = await BenchNodes.start();
  const topic = "busy";
  for (const nodes of [crowded, empty]) {
    await nodes.createTopic(topic, { replicationFactor: 3 });
  }
  await crowded.createTopic("idle", { replicationFactor: 3, partitions: idle });
  const load = http(1, 1);
  const side = (nodes: BenchNodes) => ({
    server: nodes,
    load: () => load(nodes, topic, { quick, rounds }),
  });
  const measured = await inTurns(rounds, {
    ours: side(crowded),
    bare: side(empty),
  });
  return [compared({
    what: `POST /produce on 3 disks beside ${idle} partitions`,
    bare: "none",
    unit: "requests/s",
  }, measured)];
}

/** At the leader: both topics were made by broker 1, which leads them. */
function http(connections: number, records: number): CostRow["load"] {
  return (nodes, topic, { quick }) =>
    runLoad("http", {
      port: nodes.port(1),
      method: "POST",
      paths: ["/produce"],
      body: JSON.stringify(
        records === 1
          ? { topic, partition: 0, message: MESSAGE }
          : { topic, partition: 0, messages: Array(records).fill(MESSAGE) },
      ),
      connections,
      seconds: quick ? QUICK_ROUND_SECONDS : ROUND_SECONDS,
      status: 200,
    });
}

const kafka: CostRow["load"] = (nodes, topic, { quick }) =>
  fillByKafka(nodes, topic, (quick ? 16 : 64) * MEBIBYTE);

function fillByKafka(
  nodes: BenchNodes,
  topic: string,
  totalBytes: number,
): Promise<LoadResult> {
  return runLoad("kafka_produce", {
    port: nodes.kafkaPort(1),
    topic,
    partitions: 1,
    connections: 1,
    recordBytes: RECORD_BYTES,
    recordsPerBatch: 64,
    totalBytes,
    inFlight: 5,
    acks: -1,
  });
}

/** From kill -9 of the leader to an acknowledgement by another broker. */
async function failover({ quick }: Settings): Promise<Line[]> {
  await using nodes = await BenchNodes.start();
  const topic = "failover";
  await nodes.createTopic(topic, { replicationFactor: 3 });
  const times: number[] = [];
  for (let kill = 0; kill < (quick ? QUICK_KILLS : KILLS); kill++) {
    const { leader } = (await nodes.partition(topic))!;
    await nodes.stop(leader!, "SIGKILL");
    const startMs = performance.now();
    const other = nodes.ids.find((id) => id !== leader)!;
    while (!await isAcknowledged(nodes.port(other), topic));
    times.push(performance.now() - startMs);
    await nodes.start(leader!);
    await nodes.untilInSync(topic);
  }
  times.sort((one, other) => one - other);
  const p90 = times[Math.ceil(0.9 * times.length) - 1];
  return [
    ["fastest", times[0]],
    ["median", median(times)],
    ["90th percentile", p90],
    ["slowest", times[times.length - 1]],
  ].map(([what, ours]) => ({
    what: `Failover after kill -9, ${what} of ${times.length}`,
    unit: "ms",
    ours: Number(ours),
    budget: what === "slowest" ? "< 2,000 ms" : undefined,
  }));
}

async function isAcknowledged(port: number, topic: string): Promise<boolean> {
  try {
    const response = await fetch(`http://localhost:${port}/produce`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ topic, partition: 0, message: MESSAGE }),
      signal: AbortSignal.timeout(TRY_MS),
    });
    await response.body?.cancel();
    return response.ok;
  } catch {
    return false;
  }
}

/** A follower that was away takes what it missed, and nobody else writes. */
async function catchUp({ quick, rounds }: Settings): Promise<Line[]> {
  const totalBytes = (quick ? 64 : 256) * MEBIBYTE;
  await using nodes = await BenchNodes.start();
  const [port] = freePorts(1);
  const path = `${nodes.directory}/sink`;
  await using _sink = await startBare("tcp_sink", { port, path });
  const ours: number[] = [];
  const bare: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const topic = `catch-up-${round}`;
    await nodes.createTopic(topic, {
      replicationFactor: 3,
      config: PAGE_CACHE,
    });
    await nodes.stop(3);
    const { operations } = await fillByKafka(nodes, topic, totalBytes);
    const [, startMs] = await Promise.all([
      nodes.start(3),
      firstBytes(`${nodes.directory}/broker-3/${topic}_0`),
    ]);
    await nodes.untilInSync(topic);
    ours.push(operations / (performance.now() - startMs) * 1000);
    await nodes.deleteTopic(topic);
    const sent = await runLoad("tcp_send", {
      port,
      chunkBytes: 64 * RECORD_BYTES,
      totalBytes,
    });
    bare.push(sent.operations / sent.seconds);
  }
  return [{
    what: "A returning follower catches up",
    unit: "MiB/s",
    ours: median(ours) / MEBIBYTE,
    bare: { what: "a TCP-to-file sink", value: median(bare) / MEBIBYTE },
  }];
}

/** When a log that was empty holds something: the start itself counts not. */
async function firstBytes(folder: string): Promise<number> {
  const endMs = performance.now() + START_MS;
  while (performance.now() < endMs) {
    try {
      const files = [...Deno.readDirSync(folder)]
        .filter(({ name }) => name.endsWith(".log"));
      const isEmpty = files.every(({ name }) =>
        Deno.statSync(`${folder}/${name}`).size === 0
      );
      if (!isEmpty) return performance.now();
    } catch (fault) {
      if (!(fault instanceof Deno.errors.NotFound)) throw fault;
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  throw new Error("the follower fetches nothing");
}

function costRow(name: string, row: CostRow): Row {
  return { name, run: (settings) => cost(settings, row) };
}

export const replicationRows: readonly Row[] = [
  costRow("replication-http", {
    what: "POST /produce, 100 bytes, on 3 disks, 64 clients",
    unit: "requests/s",
    scale: 1,
    load: http(64, 1),
  }),
  costRow("replication-http-batch", {
    what: "POST /produce, 1,000 x 100 bytes, on 3 disks",
    unit: "records/s",
    scale: BATCH_RECORDS,
    load: http(4, BATCH_RECORDS),
  }),
  costRow("replication-kafka", {
    what: "Kafka produce, 64 x 1 KiB, acks=all, on 3 disks",
    unit: "MiB/s",
    scale: 1 / MEBIBYTE,
    load: kafka,
  }),
  { name: "replication-idle", run: besideIdle },
  { name: "failover", run: failover },
  { name: "catch-up", run: catchUp },
];
