/**
 * README.md, run as written: its commands through a shell, its transcripts over
 * pipes and on a terminal. Only the ports are others, and numbers that vary.
 */
import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "../support/assert.ts";
import { condition, program, testWith } from "../support/require.ts";
import { readSource, ROOT } from "../support/source_tree.ts";
import type { MetadataAnswer, ProblemDocument } from "../../contract/http.ts";
import { TestCluster } from "./support/cluster.ts";
import { ok, step } from "./support/http.ts";
import { RunningProcess, waitFor } from "./support/process.ts";
import {
  type Block,
  blocksUnder,
  commandsOf,
  type Transcript,
  transcriptOf,
} from "./support/readme.ts";

const decoder = new TextDecoder();
const encoder = new TextEncoder();

/** Fewer than a million: the words are what is tested here, not the speed. */
const MANY = 20_000;

/** The consumer's is 0; `deno task` now and then says 130 of itself instead. */
const CODES_AFTER_CTRL_C: readonly number[] = [0, 130];

/** A shell that knows `deno`, however these tests were started. */
class Shell implements Disposable {
  /** First on the shell's PATH. */
  readonly folder = Deno.makeTempDirSync({ prefix: "streamnest-readme-" });
  readonly #cluster: TestCluster;
  readonly #env: Record<string, string>;

  constructor(cluster: TestCluster, env: Record<string, string> = {}) {
    this.#cluster = cluster;
    Deno.symlinkSync(Deno.execPath(), `${this.folder}/deno`);
    this.#env = {
      ...env,
      NO_COLOR: "1",
      PATH: `${this.folder}:${Deno.env.get("PATH")}`,
    };
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.folder, { recursive: true });
  }

  /** The README's text for this cluster: its ports instead of 8080 to 8082. */
  translate(text: string): string {
    return text.replace(
      /\b808([012])\b/g,
      (_, index) => `${this.#cluster.httpPort() + Number(index)}`,
    );
  }

  async run(command: string, folder = ROOT): Promise<string> {
    const { stdout, stderr, success } = await new Deno.Command("sh", {
      args: ["-c", this.translate(command)],
      cwd: folder,
      env: this.#env,
    }).output();
    assert(success, `${command}\n${decoder.decode(stderr)}`);
    return decoder.decode(stdout);
  }

  spawn(command: string): Deno.ChildProcess {
    return new Deno.Command("sh", {
      args: ["-c", `exec ${this.translate(command)}`],
      cwd: ROOT,
      env: this.#env,
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
  }
}

/** Numbers that are others each time. */
function mask(answer: Record<string, unknown>): Record<string, unknown> {
  if (typeof answer.timestamp !== "number") return answer;
  return { ...answer, timestamp: "varies" };
}

const quickstart = blocksUnder("## Quickstart");
const transcripts = quickstart
  .filter(({ text }) => text.startsWith("$ "))
  .map(transcriptOf);

function transcriptWith(words: string): Transcript {
  const found = transcripts.find(({ command }) => command.startsWith(words));
  assert(found !== undefined, `README.md has no transcript of ${words}`);
  return found;
}

const producer = transcriptWith("deno task producer");
const consumer = transcriptWith("deno task consumer");

testWith(
  [program("curl", "apt-get install curl")],
  "README.md, as written",
  async (context) => {
    await using cluster = await TestCluster.start();
    using shell = new Shell(cluster);

    await step(context, "the cluster starts as shown", () => {
      const { shown } = transcriptWith("deno task cluster");
      const plain = (text: string) =>
        text
          .replace(/in \d+ ms/, "in 0 ms")
          .replace(/data in \S+/, "data in data");
      const lines = shell.translate(plain(shown)).split("\n").slice(0, -1);
      // Brokers start at the same time; first and last line frame them.
      const seen = cluster.process.out.map(plain);
      assertEquals(seen.toSorted(), lines.toSorted());
      assertEquals([seen[0], seen.at(-1)], [lines[0], lines.at(-1)]);
    });

    await step(context, "every command answers as shown", async () => {
      const blocks = quickstart.filter(({ text }) => !text.startsWith("$ "));
      for (const [index, block] of blocks.entries()) {
        if (block.language !== "sh") continue;
        const shown: Block | undefined = blocks[index + 1];
        for (const [place, command] of commandsOf(block).entries()) {
          assert(command.startsWith("curl "), command);
          const answer = await shell.run(`${command} --silent --show-error`);
          if (shown?.language === "json" && place === 0) {
            assertEquals(
              mask(JSON.parse(answer)),
              mask(JSON.parse(shown.text)),
              command,
            );
          } else {
            checkUnshown(command, answer, shell);
          }
        }
      }
    });

    await step(context, "transcripts over pipes, to the letter", async () => {
      const child = shell.spawn(producer.command);
      const writer = child.stdin.getWriter();
      const lines = producer.typed.map(({ line }) => `${line}\n`).join("");
      await writer.write(encoder.encode(lines));
      await writer.close();
      const { code, stdout, stderr } = await child.output();
      assertEquals(code, 0, decoder.decode(stderr));
      assertEquals(decoder.decode(stdout), shell.translate(producer.written));

      const follower = new Conversation(shell.spawn(consumer.command));
      for (const { line } of consumer.typed) await follower.type(line);
      await follower.until(shell.translate(consumer.written));
      follower.child.kill("SIGINT");
      const { code: endCode } = await follower.end();
      assert(CODES_AFTER_CTRL_C.includes(endCode), follower.errors);
      assertEquals(follower.output, shell.translate(consumer.written));
    });
  },
);

/** Commands whose answers README.md describes in words. */
function checkUnshown(command: string, answer: string, shell: Shell): void {
  if (command.endsWith("/metadata")) {
    const { topic_partitions }: MetadataAnswer = JSON.parse(answer);
    const places = topic_partitions.demo.partitions.map(({ broker }) => broker);
    const hosts = ["localhost:8080", "localhost:8081", "localhost:8082"]
      .map((host) => shell.translate(host));
    assertEquals(places, [0, 1, 2, 0, 1, 2, 0].map((index) => hosts[index]));
  } else if (command.endsWith("/metrics")) {
    assertMatch(answer, /^streamnest_messages_produced_total [1-9]/m);
    assertMatch(answer, /^streamnest_messages_consumed_total [1-9]/m);
  } else if (command.includes('\\"name\\":7')) {
    const problem: ProblemDocument = JSON.parse(answer);
    assertEquals([problem.status, problem.code], [422, "INVALID_RECORD"]);
  } else if (command.endsWith("/produce")) {
    assertEquals(typeof JSON.parse(answer).offset, "number", answer);
  } else if (command.endsWith("/create-topic")) {
    assertEquals(JSON.parse(answer), { status: "created" });
  } else {
    throw new Error(`nothing is known of the answer to ${command}`);
  }
}

/** A program that is answered as it asks. */
class Conversation {
  output = "";
  errors = "";
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #outputs: Promise<unknown>;

  constructor(readonly child: Deno.ChildProcess) {
    this.#writer = child.stdin.getWriter();
    this.#outputs = Promise.all([
      gather(child.stdout, (text) => this.output += text),
      gather(child.stderr, (text) => this.errors += text),
    ]);
  }

  async until(text: string, from = 0): Promise<void> {
    await waitFor(
      `${JSON.stringify(text)}`,
      () => this.output.indexOf(text, from) >= 0,
    ).catch((error) => {
      throw new Error(`${error.message}; got ${this.output}${this.errors}`);
    });
  }

  async type(line: string, end = "\n"): Promise<void> {
    await this.#writer.write(encoder.encode(line + end));
  }

  async end(): Promise<Deno.CommandStatus> {
    // A program that has ended reads no more.
    await this.#writer.close().catch(() => {});
    const status = await this.child.status;
    await this.#outputs;
    return status;
  }
}

async function gather(
  stream: ReadableStream<Uint8Array<ArrayBuffer>>,
  take: (text: string) => void,
): Promise<void> {
  for await (const text of stream.pipeThrough(new TextDecoderStream())) {
    take(text);
  }
}

const linux = condition(
  () => Deno.build.os === "linux" ? undefined : "script differs by system",
  { isOptional: true },
);
const script = program("script", "it is part of util-linux");

testWith([linux, script], "README.md's transcripts on a terminal", async () => {
  await using cluster = await TestCluster.start();
  using shell = new Shell(cluster);
  await ok(`${cluster.url()}/create-topic`, { topic: "chat", partitions: 3 });
  for (const transcript of [producer, consumer]) {
    const expected = shell.translate(transcript.shown);
    const terminal = new Conversation(
      shell.spawn(`script -qec "${transcript.command}" /dev/null`),
    );
    let place = 0;
    for (const { prompt, line } of transcript.typed) {
      await terminal.until(prompt, place);
      place = terminal.output.lastIndexOf(prompt) + prompt.length;
      await terminal.type(line, "\r");
    }
    const shown = () => {
      const text = terminal.output.replaceAll("\r\n", "\n");
      // `deno task` says first what it runs.
      return text.slice(Math.max(0, text.indexOf("Enter topic: ")));
    };
    await waitFor("the transcript", () => shown().length >= expected.length);
    if (transcript === consumer) await terminal.type("\x03", "");
    const { code } = await terminal.end();
    assertEquals(shown().replace(/\^C\n?$/, ""), expected);
    const allowed = transcript === consumer ? CODES_AFTER_CTRL_C : [0];
    assert(allowed.includes(code), `${code}: ${terminal.output}`);
  }
});

testWith([program("sh", "a POSIX shell")], "README.md's pipes", async () => {
  await using cluster = await TestCluster.start();
  using shell = new Shell(cluster, {
    STREAMNEST_META: `localhost:${cluster.httpPort(2)}`,
  });
  const { folder } = shell;
  Deno.writeTextFileSync(
    `${folder}/streamnest`,
    `#!/bin/sh\ncd ${ROOT} && exec deno task --quiet streamnest "$@"\n`,
    { mode: 0o755 },
  );
  Deno.writeTextFileSync(`${folder}/users.txt`, "id1:Alice\nid2:Bob: B\n");
  const [pipes] = blocksUnder("## The command line");
  const outputs = new Map<string, string>();
  for (const command of commandsOf(pipes)) {
    const scaled = command.replaceAll("1000000", `${MANY}`);
    outputs.set(command, await shell.run(scaled, folder));
  }
  const output = (part: string) =>
    [...outputs].find(([command]) => command.includes(part))![1];
  assertEquals(
    output("md5sum"),
    await shell.run(`seq ${MANY} | md5sum`, folder),
  );
  const lines = output("--offset=100").trim().split("\n")
    .map((line) => JSON.parse(line));
  assertEquals(
    lines.map(({ partition, offset }) => [partition, offset]),
    Array.from({ length: 10 }, (_, index) => [4, 100 + index]),
  );
  assertEquals(
    await shell.run(
      "streamnest consumer --topic=users --from-beginning " +
        "--max-messages=2 --key-separator='='",
      folder,
    ),
    "id1=Alice\nid2=Bob: B\n",
  );
});

Deno.test("README.md names tasks, flags and commands that exist", async () => {
  const readme = readSource("README.md");
  const { tasks } = JSON.parse(readSource("deno.json"));
  const named = [...readme.matchAll(/deno(?:@[\d.]+)? task (\w+)/g)]
    .map(([, name]) => name);
  assert(named.length >= 8);
  assertEquals(named.filter((name) => !(name in tasks)), []);
  assertEquals(
    [...readme.matchAll(/deno@([\d.]+)/g)]
      .filter(([, version]) => version !== "2.9.6"),
    [],
  );

  const configuration = readme.slice(readme.indexOf("\n## Configuration"));
  const table = configuration.slice(0, configuration.indexOf("\n## Metrics"));
  const flags = [...table.matchAll(/`(--[\w-]+)/g)].map(([, flag]) => flag);
  assert(flags.length >= 8);
  const help = new RunningProcess({ args: ["broker", "--help"] });
  assertEquals((await help.status).code, 0);
  for (const flag of flags) assertStringIncludes(help.transcript(), flag);
});
