/**
 * The packages: one JavaScript file (`deno task bundle`) and one binary
 * (`deno task compile`), each run through a cluster's whole life.
 */
import { assertEquals, assertMatch } from "../support/assert.ts";
import { condition, testWith } from "../support/require.ts";
import { ROOT } from "../support/source_tree.ts";
import { TestCluster } from "./support/cluster.ts";
import { commandLineOf, RunningProcess, waitFor } from "./support/process.ts";

interface Task {
  ok: boolean;
  output: string;
}

/** A task's own words, with another output file. */
function runTask(name: string, outputFile: string): Task {
  const { tasks } = JSON.parse(Deno.readTextFileSync(`${ROOT}deno.json`));
  const words: string[] = tasks[name].split(" ").slice(1);
  const args = words.map((word) =>
    word.startsWith("--output=") ? `--output=${outputFile}` : word
  );
  const { success, stderr } = new Deno.Command(Deno.execPath(), {
    args,
    cwd: ROOT,
    env: { NO_COLOR: "1" },
  }).outputSync();
  return { ok: success, output: new TextDecoder().decode(stderr) };
}

async function answer(url: string, body?: unknown): Promise<unknown> {
  const response = await fetch(url, {
    method: body === undefined ? "GET" : "POST",
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  return await response.json();
}

/** The quickstart, a restart and the command line, as a package offers them. */
async function liveOneLife(program: readonly string[]): Promise<void> {
  const version = new RunningProcess({ program, args: ["--version"] });
  assertEquals(await version.ended(), 0, version.transcript());
  assertMatch(version.out[0], /^streamnest \d+\.\d+\.\d+$/);
  await using cluster = await TestCluster.start({ program });
  assertEquals(
    await answer(`${cluster.url()}/create-topic`, {
      topic: "demo",
      partitions: 3,
    }),
    { status: "created" },
  );
  const schema = { type: "object", required: ["a"] };
  await answer(`${cluster.url()}/register-schema`, { topic: "demo", schema });
  const produced = await answer(`${cluster.url(2)}/produce`, {
    topic: "demo",
    partition: 1,
    message: { a: "Hello" },
  }) as { offset: number };
  assertEquals(produced.offset, 0);
  assertEquals(await cluster.stop(), 0);
  await cluster.start();
  const consumed = () =>
    answer(
      `${cluster.url(3)}/consume?topic=demo&partition=1&offset=0`,
    ) as Promise<
      { message?: string }
    >;
  await waitFor(
    "the record after a restart",
    async () => (await consumed()).message === '{"a":"Hello"}',
  );
  const list = new RunningProcess({
    program,
    args: ["topic", "list", `--meta=localhost:${cluster.httpPort()}`],
  });
  assertEquals(await list.ended(), 0, list.transcript());
  assertMatch(list.out.join("\n"), /\bdemo\b/);
}

Deno.test("The bundle lives a whole life, its brokers confined", async () => {
  const file = `${Deno.makeTempDirSync()}/streamnest.js`;
  const task = runTask("bundle", file);
  assertEquals(task.ok, true, task.output);
  await liveOneLife([Deno.execPath(), "run", "-A", "--no-prompt", file]);
  const program = [Deno.execPath(), "run", "-A", "--no-prompt", file];
  await using cluster = await TestCluster.start({ program, count: 1 });
  const words = commandLineOf(cluster.brokerPid(1));
  assertEquals(words.includes("-A"), false);
  assertEquals(words.some((word) => word.startsWith("--allow-read=")), true);
});

const binary = `${Deno.makeTempDirSync()}/streamnest`;

/** Compiles, unless the runtime base that this needs cannot be had. */
function compiled(): string | undefined {
  const { ok, output } = runTask("compile", binary);
  const isOutOfReach = !ok && /Setting up base binary/.test(output);
  return isOutOfReach
    ? "the runtime base for deno compile cannot be downloaded here"
    : undefined;
}

testWith(
  [condition(compiled, { isOptional: true })],
  "The binary lives a whole life",
  async () => {
    const task = runTask("compile", binary);
    assertEquals(task.ok, true, task.output);
    await liveOneLife([binary]);
  },
);
