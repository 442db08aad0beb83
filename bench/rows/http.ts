/** Rows of the HTTP door, against a Deno.serve that does only HTTP and JSON. */
import { BenchBroker, freePorts, PAGE_CACHE } from "../support/broker.ts";
import { runLoad, startBare } from "../support/process.ts";
import {
  compared,
  inTurns,
  type Line,
  type Row,
  type Settings,
} from "../support/rows.ts";

const MESSAGE = "x".repeat(100);
const ROUND_SECONDS = 3;
const QUICK_ROUND_SECONDS = 1;
const BATCH_RECORDS = 1000;
const PAGE_RECORDS = 1000;
const FILL_REQUESTS = 100;

interface ProduceRow {
  readonly what: string;
  readonly config: Record<string, string>;
  readonly connections: number;
  readonly records: number;
  readonly budget: string;
}

async function produce(settings: Settings, row: ProduceRow): Promise<Line[]> {
  await using broker = await BenchBroker.start();
  await broker.createTopic("bench", { config: row.config });
  const body = JSON.stringify(
    row.records === 1
      ? { topic: "bench", partition: 0, message: MESSAGE }
      : { topic: "bench", partition: 0, messages: messages(row.records) },
  );
  const [port] = freePorts(1);
  const answer = await post(broker.port, body);
  await using bare = await startBare("http_server", { port, answer });
  const load = (port: number) => () =>
    runLoad("http", {
      port,
      method: "POST",
      paths: ["/produce"],
      body,
      connections: row.connections,
      seconds: settings.quick ? QUICK_ROUND_SECONDS : ROUND_SECONDS,
      status: 200,
    });
  const measured = await inTurns(settings.rounds, {
    ours: { server: broker.server, load: load(broker.port) },
    bare: { server: bare, load: load(port) },
  });
  return [
    compared(
      {
        what: row.what,
        bare: "bare Deno.serve",
        unit: row.records === 1 ? "requests/s" : "records/s",
        budget: row.budget,
      },
      measured,
      row.records,
    ),
  ];
}

async function consume(settings: Settings): Promise<Line[]> {
  await using broker = await BenchBroker.start();
  await broker.createTopic("bench", { config: PAGE_CACHE });
  const body = JSON.stringify({
    topic: "bench",
    partition: 0,
    messages: messages(BATCH_RECORDS),
  });
  for (let index = 0; index < FILL_REQUESTS; index++) {
    await post(broker.port, body);
  }
  const paths = Array.from({ length: FILL_REQUESTS }, (_, index) => {
    const offset = index * BATCH_RECORDS;
    return `/consume?topic=bench&partition=0&offset=${offset}&max=${PAGE_RECORDS}`;
  });
  const url = `http://localhost:${broker.port}${paths[1]}`;
  const answer = await (await fetch(url)).text();
  const [port] = freePorts(1);
  await using bare = await startBare("http_server", { port, answer });
  const load = (port: number) => () =>
    runLoad("http", {
      port,
      method: "GET",
      paths,
      connections: 4,
      seconds: settings.quick ? QUICK_ROUND_SECONDS : ROUND_SECONDS,
      status: 200,
    });
  const measured = await inTurns(settings.rounds, {
    ours: { server: broker.server, load: load(broker.port) },
    bare: { server: bare, load: load(port) },
  });
  return [
    compared(
      {
        what: "GET /consume, pages of 1,000 x 100 bytes",
        bare: "Deno.serve with the text ready",
        unit: "records/s",
      },
      measured,
      PAGE_RECORDS,
    ),
  ];
}

function messages(count: number): string[] {
  return Array.from({ length: count }, () => MESSAGE);
}

async function post(port: number, body: string): Promise<string> {
  const response = await fetch(`http://localhost:${port}/produce`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body,
  });
  const text = await response.text();
  if (!response.ok) throw new Error(text);
  return text;
}

function row(name: string, options: ProduceRow): Row {
  return { name, run: (settings) => produce(settings, options) };
}

export const httpRows: readonly Row[] = [
  row("http-produce", {
    what: "POST /produce, 100 bytes, page cache, 32 clients",
    config: PAGE_CACHE,
    connections: 32,
    records: 1,
    budget: ">= 75 %",
  }),
  row("http-produce-durable", {
    what: "POST /produce, 100 bytes, on disk, 64 clients",
    config: {},
    connections: 64,
    records: 1,
    budget: ">= 50 %",
  }),
  row("http-produce-batch", {
    what: "POST /produce, 1,000 x 100 bytes, page cache",
    config: PAGE_CACHE,
    connections: 4,
    records: BATCH_RECORDS,
    budget: ">= 250,000 records/s",
  }),
  { name: "http-consume", run: consume },
];
