/** Rows of processes: how soon they serve and what they keep in memory. */
import { BenchCluster, freePorts } from "../support/broker.ts";
import { residentBytesOf, startBare } from "../support/process.ts";
import { type Line, median, type Row, type Settings } from "../support/rows.ts";

const MEBIBYTE = 1024 * 1024;
/** Until a broker that has just started has nothing more to do. */
const SETTLE_MS = 3000;

async function startUp({ rounds }: Settings): Promise<Line[]> {
  const ours: number[] = [];
  const bare: number[] = [];
  for (let round = -1; round < rounds; round++) {
    const directory = temporaryFolder();
    {
      await using cluster = await BenchCluster.start(directory);
      if (round >= 0) ours.push(cluster.server.startMs);
    }
    Deno.removeSync(directory, { recursive: true });
    await using server = await bareServer();
    if (round >= 0) bare.push(server.startMs);
  }
  return [{
    what: "Three brokers, from command to ready",
    unit: "ms",
    ours: median(ours),
    bare: { what: "one bare Deno.serve", value: median(bare) },
    budget: "< 1,000 ms",
  }];
}

async function memory(): Promise<Line[]> {
  const directory = temporaryFolder();
  await using server = await bareServer();
  try {
    await using cluster = await BenchCluster.start(directory);
    await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
    const brokers = cluster.brokerPids.map(residentBytesOf);
    return [{
      what: "Idle broker, resident memory",
      unit: "MiB",
      ours: median(brokers) / MEBIBYTE,
      bare: {
        what: "a bare Deno.serve",
        value: server.residentBytes() / MEBIBYTE,
      },
      budget: "< 86 MiB (90 MB)",
    }];
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
}

function bareServer() {
  return startBare("http_server", { port: freePorts(1)[0], answer: "{}" });
}

function temporaryFolder(): string {
  return Deno.makeTempDirSync({ prefix: "streamnest-bench-" });
}

export const processRows: readonly Row[] = [
  { name: "start-up", run: startUp },
  { name: "memory", run: memory },
];
