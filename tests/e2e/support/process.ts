/** A real process of ours, its output line by line, and waiting with a deadline. */
import { TextLineStream } from "../../../broker/cluster/text_line_stream.ts";

export const MAIN = new URL("../../../main.ts", import.meta.url).pathname;

/** How `deno task cluster` and its like start `main.ts`. */
export const SUPERVISOR_PROGRAM: readonly string[] = [
  Deno.execPath(),
  "run",
  "--no-prompt",
  `--allow-run=${Deno.execPath()}`,
  "--allow-read",
  "--allow-write",
  "--allow-env=STREAMNEST_*",
  MAIN,
];

/** Polls until `condition` holds; fails after `deadlineMs`, saying `what`. */
export async function waitFor(
  what: string,
  condition: () => boolean | Promise<boolean>,
  deadlineMs = 20_000,
): Promise<void> {
  const end = Date.now() + deadlineMs;
  while (!await condition()) {
    if (Date.now() > end) throw new Error(`waited in vain for: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

export interface RunOptions {
  /** The program and its first arguments. */
  readonly program?: readonly string[];
  readonly args: readonly string[];
  readonly env?: Record<string, string>;
  readonly cwd?: string;
}

export class RunningProcess {
  readonly out: string[] = [];
  readonly error: string[] = [];
  readonly #child: Deno.ChildProcess;
  readonly status: Promise<Deno.CommandStatus>;
  #hasEnded = false;

  constructor({ program = SUPERVISOR_PROGRAM, args, env, cwd }: RunOptions) {
    this.#child = new Deno.Command(program[0], {
      args: [...program.slice(1), ...args],
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
      env,
      cwd,
    }).spawn();
    const outputs = [
      gather(this.#child.stdout, this.out),
      gather(this.#child.stderr, this.error),
    ];
    this.status = this.#child.status.then(async (status) => {
      this.#hasEnded = true;
      await Promise.all(outputs);
      return status;
    });
  }

  get pid(): number {
    return this.#child.pid;
  }

  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  signal(name: Deno.Signal): void {
    if (!this.#hasEnded) this.#child.kill(name);
  }

  /** Its exit code; a process that runs on is killed and fails the test. */
  async ended(deadlineMs = 30_000): Promise<number> {
    try {
      await waitFor("the process to end", () => this.#hasEnded, deadlineMs);
    } catch (error) {
      this.signal("SIGKILL");
      await this.status;
      throw new Error(`${error}; it wrote:\n${this.transcript()}`);
    }
    return (await this.status).code;
  }

  /** All that was written so far, for a failure's message. */
  transcript(): string {
    return [...this.out, "--- standard error:", ...this.error].join("\n");
  }

  async waitForLine(
    stream: "out" | "error",
    pattern: RegExp,
    deadlineMs?: number,
  ): Promise<string> {
    const find = () => this[stream].find((line) => pattern.test(line));
    await waitFor(
      `a line like ${pattern}`,
      () => find() !== undefined || this.#hasEnded,
      deadlineMs,
    ).catch((error) => {
      throw new Error(`${error.message}; it wrote:\n${this.transcript()}`);
    });
    const line = find();
    if (line !== undefined) return line;
    const { code } = await this.status;
    throw new Error(
      `ended with ${code} before ${pattern}:\n${this.transcript()}`,
    );
  }
}

async function gather(
  stream: ReadableStream<Uint8Array<ArrayBuffer>>,
  into: string[],
): Promise<void> {
  const lines = stream
    .pipeThrough(new TextDecoderStream())
    .pipeThrough(new TextLineStream());
  for await (const line of lines) into.push(line);
}

/** Process ids of the direct children, as Linux tells them. */
export function childrenOf(pid: number): number[] {
  const path = `/proc/${pid}/task/${pid}/children`;
  return Deno.readTextFileSync(path).split(" ").filter(Boolean).map(Number);
}

export function commandLineOf(pid: number): string[] {
  try {
    return Deno.readTextFileSync(`/proc/${pid}/cmdline`).split("\0");
  } catch {
    return []; // It has ended.
  }
}

export function isAlive(pid: number): boolean {
  try {
    const state = Deno.readTextFileSync(`/proc/${pid}/stat`)
      .split(") ")[1][0];
    return state !== "Z";
  } catch {
    return false;
  }
}
