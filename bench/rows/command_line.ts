/** Rows of the command line: lines through a pipe, against a bare pipe. */
import { BenchBroker, PAGE_CACHE } from "../support/broker.ts";
import { type Line, median, type Row, type Settings } from "../support/rows.ts";

const MAIN = new URL("../../main.ts", import.meta.url).pathname;
const PIPE = new URL("../bare/pipe.ts", import.meta.url).pathname;

async function pipes({ quick, rounds }: Settings): Promise<Line[]> {
  const lines = quick ? 100_000 : 1_000_000;
  await using broker = await BenchBroker.start();
  const path = `${broker.directory}/lines`;
  Deno.writeTextFileSync(
    path,
    Array.from({ length: lines }, (_, index) => `${index + 1}\n`).join(""),
  );
  const meta = `--meta=localhost:${broker.port}`;
  const produced: number[] = [];
  const consumed: number[] = [];
  const bare: number[] = [];
  for (let round = -1; round < rounds; round++) {
    const topic = `bench-${round + 1}`;
    await broker.createTopic(topic, { config: PAGE_CACHE });
    const rates = [
      await rate(lines, path, [MAIN, "producer", meta, `--topic=${topic}`]),
      await rate(lines, undefined, [
        MAIN,
        "consumer",
        meta,
        `--topic=${topic}`,
        "--from-beginning",
        `--max-messages=${lines}`,
      ]),
      await rate(lines, path, [PIPE]),
    ];
    await broker.deleteTopic(topic);
    if (round < 0) continue;
    produced.push(rates[0]);
    consumed.push(rates[1]);
    bare.push(rates[2]);
  }
  const pipe = { what: "a bare pipe", value: median(bare) };
  const count = lines.toLocaleString("en");
  return [{
    what: `producer, ${count} lines from a pipe`,
    unit: "lines/s",
    ours: median(produced),
    bare: pipe,
  }, {
    what: `consumer, ${count} lines to a pipe`,
    unit: "lines/s",
    ours: median(consumed),
    bare: pipe,
  }];
}

/** Lines per second of a whole command, its start included. */
async function rate(
  lines: number,
  inputPath: string | undefined,
  args: readonly string[],
): Promise<number> {
  const startMs = performance.now();
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--quiet", ...args],
    stdin: inputPath === undefined ? "null" : "piped",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const feeding = inputPath === undefined
    ? undefined
    : (await Deno.open(inputPath)).readable.pipeTo(child.stdin);
  for await (const _ of child.stdout);
  await feeding;
  if (!(await child.status).success) throw new Error(`${args} failed`);
  return lines / ((performance.now() - startMs) / 1000);
}

export const commandLineRows: readonly Row[] = [
  { name: "command-line", run: pipes },
];
