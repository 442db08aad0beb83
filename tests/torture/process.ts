/**
 * A process of a torture run over all of its lives: started, signalled, waited
 * for. What it writes is kept in a file, with notes of ours among its lines. It
 * ends by itself when the torture does, however that ends, because its standard
 * input does. Its end without our asking is told.
 */
import { TextLineStream } from "../../broker/cluster/text_line_stream.ts";

const STOP_DEADLINE_MS = 10_000;

export interface ProcessPlan {
  /** For people: `broker 2`. */
  readonly name: string;
  /** Program and arguments. */
  readonly command: readonly string[];
  /** Where its lines go. */
  readonly logPath: string;
  /** Told each line of its standard output and error. */
  readonly onLine?: (line: string) => void;
  /** It ended, and nobody had asked it to. */
  readonly onUnexpectedEnd: (what: string) => void;
}

export class TortureProcess {
  readonly #plan: ProcessPlan;
  readonly #log: Deno.FsFile;
  #child: Deno.ChildProcess | undefined;
  /** Resolves when the process has ended and its lines are written. */
  #ended: Promise<Deno.CommandStatus> | undefined;
  #isEndAsked = false;

  constructor(plan: ProcessPlan) {
    this.#plan = plan;
    this.#log = Deno.openSync(plan.logPath, { append: true, create: true });
  }

  /** Undefined while it does not run. */
  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Whether it was told to end since it was started. */
  get isEndAsked(): boolean {
    return this.#isEndAsked;
  }

  /** Resolves when it says `isReady` (true), or has ended or not in time. */
  async start(
    isReady: (line: string) => boolean,
    deadlineMs: number,
  ): Promise<boolean> {
    const [program, ...args] = this.#plan.command;
    this.note("is started");
    const child = new Deno.Command(program, {
      args,
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
      env: { NO_PROXY: "*", no_proxy: "*" },
    }).spawn();
    this.#child = child;
    this.#isEndAsked = false;
    const ready = Promise.withResolvers<boolean>();
    const outputs = [child.stdout, child.stderr].map((stream) =>
      this.#keep(stream, (line) => {
        this.#plan.onLine?.(line);
        if (isReady(line)) ready.resolve(true);
      })
    );
    this.#ended = this.#end(child, outputs).finally(() => ready.resolve(false));
    const late = setTimeout(() => ready.resolve(false), deadlineMs);
    const isReadyInTime = await ready.promise;
    clearTimeout(late);
    return isReadyInTime;
  }

  /** Kill -9; resolves when it is gone. */
  async kill(): Promise<void> {
    if (this.#child === undefined) return;
    this.note("is killed with SIGKILL");
    this.#isEndAsked = true;
    this.signal("SIGKILL");
    await this.#ended;
  }

  /** Asks it to stop; its exit code, null when it had to be killed. */
  async stop(): Promise<number | null> {
    if (this.#child === undefined) return 0;
    this.note("is stopped with SIGTERM");
    this.#isEndAsked = true;
    this.signal("SIGTERM");
    const late = setTimeout(() => this.signal("SIGKILL"), STOP_DEADLINE_MS);
    const status = await this.#ended!;
    clearTimeout(late);
    return status.signal === null ? status.code : null;
  }

  signal(name: Deno.Signal): void {
    try {
      this.#child?.kill(name);
    } catch {
      // It has ended already.
    }
  }

  /** A line of ours among its own. */
  note(text: string): void {
    this.#write(`--- ${new Date().toISOString()} ${this.#plan.name} ${text}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isEndAsked = true;
    this.signal("SIGKILL");
    await this.#ended;
    this.#log.close();
  }

  async #end(
    child: Deno.ChildProcess,
    outputs: readonly Promise<void>[],
  ): Promise<Deno.CommandStatus> {
    const status = await child.status;
    await Promise.all(outputs);
    await child.stdin.abort().catch(() => {});
    this.#child = undefined;
    const { name, logPath, onUnexpectedEnd } = this.#plan;
    const how = status.signal ?? `exit code ${status.code}`;
    this.note(`has ended (${how})`);
    if (!this.#isEndAsked) {
      onUnexpectedEnd(`${name} ended by itself (${how}): see ${logPath}`);
    }
    return status;
  }

  async #keep(
    stream: ReadableStream<Uint8Array<ArrayBuffer>>,
    onLine: (line: string) => void,
  ): Promise<void> {
    const lines = stream
      .pipeThrough(new TextDecoderStream())
      .pipeThrough(new TextLineStream());
    for await (const line of lines) {
      this.#write(line);
      onLine(line);
    }
  }

  #write(line: string): void {
    const bytes = new TextEncoder().encode(`${line}\n`);
    let written = 0;
    while (written < bytes.length) {
      written += this.#log.writeSync(bytes.subarray(written));
    }
  }
}
