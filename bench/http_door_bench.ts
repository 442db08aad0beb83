/**
 * What the HTTP door costs: `POST /produce` of one 100-byte message through the
 * whole door onto operations that do nothing, against a bare Deno.serve handler
 * that parses the same body and answers the same JSON. Both sides in one run,
 * in turns; servers and load in processes of their own.
 *
 *     deno run -A bench/http_door_bench.ts
 */
import { createHttpHandler } from "../broker/http/server.ts";
import { FakeOperations } from "../tests/support/fake_operations.ts";
import { runLoad } from "./support/process.ts";

const PORTS = { bare: 9541, door: 9542 } as const;
type Side = keyof typeof PORTS;
const ROUNDS = 5;
const BODY = JSON.stringify({ topic: "demo", message: "x".repeat(100) });

function serve(side: Side): void {
  const options = { port: PORTS[side], hostname: "127.0.0.1", onListen() {} };
  if (side === "bare") {
    Deno.serve(options, async (request) => {
      await request.json();
      return new Response('{"offset":1,"partition":0,"timestamp":1}', {
        headers: { "content-type": "application/json" },
      });
    });
    return;
  }
  const operations = new FakeOperations();
  operations.addTopic("demo", [1]);
  const produced = {
    baseOffset: 1,
    leaderEpoch: 0,
    appendTimeMs: 1,
    logAppendTime: true,
    receipt: () => ({ leaderEpoch: 0, replicas: [1], onDisk: [1] }),
  };
  operations.records.produce = () => Promise.resolve(produced);
  const door = createHttpHandler({
    operations,
    brokerId: 1,
    version: "bench",
    logger: { debug() {}, info() {}, warn() {}, error() {} },
    metrics: { observe() {} },
    metricsText: () => ({ contentType: "text/plain", body: "" }),
    onInvariant: (error) => {
      throw error;
    },
    environment: {
      clock: { nowMs: () => Date.now(), monotonicMs: () => performance.now() },
      timers: {
        after(delayMs, callback) {
          const timer = setTimeout(callback, delayMs);
          return { cancel: () => clearTimeout(timer) };
        },
        soon: (callback) => void setTimeout(callback, 0),
      },
      random: {
        bytes: (length) => crypto.getRandomValues(new Uint8Array(length)),
        uuid: () => crypto.randomUUID(),
        float: () => Math.random(),
      },
      network: {
        serveHttp: unused,
        fetch: unused,
        listenTcp: unused,
        connectTcp: unused,
      },
    },
  });
  Deno.serve(
    options,
    (request) => door.handler(request, { hostname: "127.0.0.1", port: 0 }),
  );
}

function unused(): never {
  throw new Error("Not used by this benchmark");
}

async function load(side: Side, seconds: number): Promise<number> {
  const done = await runLoad("http", {
    port: PORTS[side],
    method: "POST",
    paths: ["/produce"],
    body: BODY,
    connections: 32,
    seconds,
    status: 200,
  });
  return done.operations / done.seconds;
}

/** Waits until the server takes connections. */
async function ready(side: Side): Promise<void> {
  for (let attempt = 0; attempt < 100; attempt++) {
    try {
      const port = PORTS[side];
      (await Deno.connect({ hostname: "127.0.0.1", port })).close();
      return;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
  throw new Error(`The ${side} server did not start`);
}

async function compare(): Promise<void> {
  const sides = Object.keys(PORTS) as Side[];
  const servers = sides.map((side) =>
    new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", import.meta.filename!, side],
      stdout: "null",
    }).spawn()
  );
  const rates: Record<Side, number[]> = { bare: [], door: [] };
  try {
    await Promise.all(sides.map(ready));
    for (let round = -1; round < ROUNDS; round++) {
      for (const side of sides) {
        const rate = await load(side, round < 0 ? 1 : 2);
        if (round >= 0) rates[side].push(rate);
      }
    }
  } finally {
    for (const server of servers) server.kill("SIGTERM");
    await Promise.all(servers.map((server) => server.status));
  }
  const median = (list: number[]) =>
    list.toSorted((a, b) => a - b)[ROUNDS >> 1];
  const [bare, door] = [median(rates.bare), median(rates.door)];
  console.log(`bare Deno.serve  ${Math.round(bare)} requests/s`);
  console.log(`HTTP door        ${Math.round(door)} requests/s`);
  console.log(`ratio            ${(100 * door / bare).toFixed(1)} %`);
}

const [side] = Deno.args;
if (side === "bare" || side === "door") serve(side);
else await compare();
