/**
 * One real broker process of a torture run, over all of its lives: started,
 * stopped, killed and paused on request. What it writes is kept in a file. It
 * ends by itself when the torture does, however that ends, because its standard
 * input does. Its end without our asking is told.
 */
import { TextLineStream } from "../../broker/cluster/text_line_stream.ts";
import { MAIN } from "../e2e/support/process.ts";

const START_DEADLINE_MS = 15_000;
const STOP_DEADLINE_MS = 10_000;

export interface BrokerPlan {
  readonly id: number;
  /** Program and arguments before ours, such as `ip netns exec <name>`. */
  readonly prefix: readonly string[];
  /** Flags of the `broker` command. */
  readonly flags: readonly string[];
  /** `host:port`. */
  readonly http: string;
  readonly kafka: string;
  /** Where its lines go. */
  readonly logPath: string;
  /** It ended, and nobody had asked it to. */
  readonly onUnexpectedEnd: (what: string) => void;
}

export type BrokerState = "running" | "paused" | "stopped";

export class TortureBroker {
  readonly #plan: BrokerPlan;
  readonly #log: Deno.FsFile;
  #child: Deno.ChildProcess | undefined;
  /** Resolves when the process has ended and its lines are written. */
  #ended: Promise<Deno.CommandStatus> | undefined;
  #isEndAsked = false;
  #state: BrokerState = "stopped";

  constructor(plan: BrokerPlan) {
    this.#plan = plan;
    this.#log = Deno.openSync(plan.logPath, { append: true, create: true });
  }

  get id(): number {
    return this.#plan.id;
  }

  get http(): string {
    return this.#plan.http;
  }

  get kafka(): string {
    return this.#plan.kafka;
  }

  get url(): string {
    return `http://${this.#plan.http}`;
  }

  get state(): BrokerState {
    return this.#state;
  }

  /** Resolves when it says that it is running. */
  async start(): Promise<void> {
    const { prefix, flags, id } = this.#plan;
    const [program, ...args] = [
      ...prefix,
      Deno.execPath(),
      "run",
      "--quiet",
      "--no-prompt",
      "--allow-net",
      "--allow-read",
      "--allow-write",
      MAIN,
      "broker",
      "--supervised",
      ...flags,
    ];
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
    this.#state = "running";
    const ready = Promise.withResolvers<boolean>();
    const outputs = [
      this.#keep(child.stdout, (line) => {
        if (line.startsWith(`Broker ${id} running on`)) ready.resolve(true);
      }),
      this.#keep(child.stderr, () => {}),
    ];
    this.#ended = this.#end(child, outputs).finally(() => ready.resolve(false));
    const late = setTimeout(() => ready.resolve(false), START_DEADLINE_MS);
    const isReady = await ready.promise;
    clearTimeout(late);
    if (!isReady && !this.#isEndAsked) {
      throw new Error(`broker ${id} did not start: see ${this.#plan.logPath}`);
    }
  }

  /** Kill -9; resolves when it is gone. Also of one that is paused. */
  async kill(): Promise<void> {
    if (this.#child === undefined) return;
    this.note("is killed with SIGKILL");
    this.#isEndAsked = true;
    this.#signal("SIGKILL");
    await this.#ended;
  }

  /** Asks it to stop; its exit code, null when it had to be killed. */
  async stop(): Promise<number | null> {
    if (this.#child === undefined) return 0;
    this.note("is stopped with SIGTERM");
    this.#isEndAsked = true;
    this.resume();
    this.#signal("SIGTERM");
    const late = setTimeout(() => this.#signal("SIGKILL"), STOP_DEADLINE_MS);
    const status = await this.#ended!;
    clearTimeout(late);
    return status.signal === null ? status.code : null;
  }

  /** It keeps its connections and answers nobody. */
  pause(): void {
    if (this.#state !== "running") return;
    this.note("is paused with SIGSTOP");
    this.#signal("SIGSTOP");
    this.#state = "paused";
  }

  resume(): void {
    if (this.#state !== "paused") return;
    this.note("goes on with SIGCONT");
    this.#signal("SIGCONT");
    this.#state = "running";
  }

  /** A line of ours among the broker's. */
  note(text: string): void {
    this.#write(`--- ${new Date().toISOString()} broker ${this.id} ${text}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isEndAsked = true;
    this.#signal("SIGKILL");
    await this.#ended;
    this.#log.close();
  }

  #signal(name: Deno.Signal): void {
    try {
      this.#child?.kill(name);
    } catch {
      // It has ended already.
    }
  }

  async #end(
    child: Deno.ChildProcess,
    outputs: readonly Promise<void>[],
  ): Promise<Deno.CommandStatus> {
    const status = await child.status;
    await Promise.all(outputs);
    await child.stdin.abort().catch(() => {});
    this.#child = undefined;
    this.#state = "stopped";
    const how = status.signal ?? `exit code ${status.code}`;
    this.note(`has ended (${how})`);
    if (!this.#isEndAsked) {
      this.#plan.onUnexpectedEnd(
        `broker ${this.id} ended by itself (${how}): see ${this.#plan.logPath}`,
      );
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
