/**
 * One broker of a torture run, over all of its lives: started, stopped, killed
 * and paused on request. Here: one that is a process of ours; those of a
 * supervisor are in `supervised_broker.ts`.
 */
import { MAIN } from "../e2e/support/process.ts";
import { TortureProcess } from "./process.ts";

const START_DEADLINE_MS = 15_000;

export type BrokerState = "running" | "paused" | "stopped";

export interface BrokerAddress {
  readonly id: number;
  /** `host:port`. */
  readonly http: string;
  readonly kafka: string;
}

export interface TortureBroker extends BrokerAddress, AsyncDisposable {
  readonly url: string;
  readonly state: BrokerState;
  /** Resolves when it says that it is running. */
  start(): Promise<void>;
  /** Kill -9; resolves when it is gone. Also of one that is paused. */
  kill(): Promise<void>;
  /** Asks it to stop; its exit code, null when it had to be killed. */
  stop(): Promise<number | null>;
  /** It keeps its connections and answers nobody. */
  pause(): void;
  resume(): void;
  /** A line of ours among the broker's. */
  note(text: string): void;
}

export interface BrokerPlan extends BrokerAddress {
  /** Program and arguments before ours, such as `ip netns exec <name>`. */
  readonly prefix: readonly string[];
  /** Flags of the `broker` command. */
  readonly flags: readonly string[];
  /** Where its lines go. */
  readonly logPath: string;
  /** It ended, and nobody had asked it to. */
  readonly onUnexpectedEnd: (what: string) => void;
}

export class LoneBroker implements TortureBroker {
  readonly #plan: BrokerPlan;
  readonly #process: TortureProcess;
  #isPaused = false;

  constructor(plan: BrokerPlan) {
    this.#plan = plan;
    this.#process = new TortureProcess({
      name: `broker ${plan.id}`,
      command: [
        ...plan.prefix,
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
        ...plan.flags,
      ],
      logPath: plan.logPath,
      onUnexpectedEnd: plan.onUnexpectedEnd,
    });
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
    if (this.#process.pid === undefined) return "stopped";
    return this.#isPaused ? "paused" : "running";
  }

  async start(): Promise<void> {
    const { id, logPath } = this.#plan;
    this.#isPaused = false;
    const isRunning = (line: string) =>
      line.startsWith(`Broker ${id} running on`);
    const isReady = await this.#process.start(isRunning, START_DEADLINE_MS);
    if (!isReady && !this.#process.isEndAsked) {
      throw new Error(`broker ${id} did not start: see ${logPath}`);
    }
  }

  async kill(): Promise<void> {
    await this.#process.kill();
  }

  async stop(): Promise<number | null> {
    this.resume();
    return await this.#process.stop();
  }

  pause(): void {
    if (this.state !== "running") return;
    this.note("is paused with SIGSTOP");
    this.#process.signal("SIGSTOP");
    this.#isPaused = true;
  }

  resume(): void {
    if (this.state !== "paused") return;
    this.note("goes on with SIGCONT");
    this.#process.signal("SIGCONT");
    this.#isPaused = false;
  }

  note(text: string): void {
    this.#process.note(text);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process[Symbol.asyncDispose]();
  }
}
