/**
 * The processes of a benchmark: servers that say when they are ready, and load
 * generators that answer with one line of JSON. Owns their start, their end and
 * the processor time they took; measures nothing else.
 */
import { TextLineStream } from "../../broker/cluster/text_line_stream.ts";

/** Kernel ticks per second, in which Linux counts processor time. */
const TICKS_PER_SECOND = 100;
const START_MS = 60_000;

export interface ServerOptions {
  readonly args: readonly string[];
  /** The line on standard output that says that it serves. */
  readonly ready: RegExp;
  /** What it reads as JSON from standard input. */
  readonly input?: unknown;
}

export class Server implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  /** From the command to its ready line. */
  readonly startMs: number;

  private constructor(child: Deno.ChildProcess, startMs: number) {
    this.#child = child;
    this.startMs = startMs;
  }

  /** Starts `deno run` with these arguments; resolves when it is ready. */
  static async start(options: ServerOptions): Promise<Server> {
    const started = performance.now();
    const child = new Deno.Command(Deno.execPath(), {
      args: ["run", "--no-prompt", "--quiet", ...options.args],
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    await feed(child, options.input ?? null);
    const late = setTimeout(() => child.kill("SIGKILL"), START_MS);
    const lines = child.stdout
      .pipeThrough(new TextDecoderStream())
      .pipeThrough(new TextLineStream())
      .getReader();
    for (;;) {
      const { value, done } = await lines.read();
      if (done) throw new Error(`it did not start: ${options.args.join(" ")}`);
      if (options.ready.test(value)) break;
    }
    const startMs = performance.now() - started;
    clearTimeout(late);
    void drain(lines);
    return new Server(child, startMs);
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** User and system time of the process so far; 0 where it is not told. */
  cpuSeconds(): number {
    const stat = readProc(this.pid, "stat");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const ticks = Number(fields[11]) + Number(fields[12]);
    return Number.isNaN(ticks) ? 0 : ticks / TICKS_PER_SECOND;
  }

  /** Resident memory of the process; 0 where it is not told. */
  residentBytes(): number {
    return residentBytesOf(this.pid);
  }

  async stop(signal: Deno.Signal = "SIGTERM"): Promise<void> {
    try {
      this.#child.kill(signal);
    } catch {
      // It has ended by itself.
    }
    await this.#child.status;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}

export function residentBytesOf(pid: number): number {
  const match = /^VmRSS:\s+(\d+) kB$/m.exec(readProc(pid, "status"));
  return match === null ? 0 : Number(match[1]) * 1024;
}

/** Process ids of the direct children; none where the system does not tell. */
export function childrenOf(pid: number): number[] {
  return readProc(pid, `task/${pid}/children`).split(" ").filter(Boolean)
    .map(Number);
}

/** Open file handles of a process, sockets and pipes included. */
export function openHandlesOf(pid: number): number {
  return [...Deno.readDirSync(`/proc/${pid}/fd`)].length;
}

function readProc(pid: number, name: string): string {
  try {
    return Deno.readTextFileSync(`/proc/${pid}/${name}`);
  } catch {
    return "";
  }
}

async function drain(
  lines: ReadableStreamDefaultReader<string>,
): Promise<void> {
  while (!(await lines.read()).done);
}

/** What a load generator did. */
export interface LoadResult {
  readonly operations: number;
  readonly seconds: number;
}

/** Runs a script of `bench/load/` in a process of its own. */
export async function runLoad(
  script: string,
  options: unknown,
): Promise<LoadResult> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--quiet", loadPath(script)],
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  await feed(child, options);
  const { stdout, success } = await child.output();
  if (!success) throw new Error(`the load generator ${script} failed`);
  return JSON.parse(new TextDecoder().decode(stdout)) as LoadResult;
}

async function feed(child: Deno.ChildProcess, input: unknown): Promise<void> {
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(JSON.stringify(input)));
  await writer.close();
}

function loadPath(script: string): string {
  return new URL(`../load/${script}.ts`, import.meta.url).pathname;
}

/** Runs a program of `bench/bare/` as a server. */
export function startBare(script: string, options: unknown): Promise<Server> {
  const path = new URL(`../bare/${script}.ts`, import.meta.url).pathname;
  return Server.start({
    args: ["-A", path],
    input: options,
    ready: /^ready$/,
  });
}
