/**
 * The supervisor of a torture run whose brokers are kept running as `deno task
 * cluster` keeps them, and that supervisor's brokers. Owns its process, and what
 * its lines say of each broker; knows which of their ends we asked for.
 */
import {
  childrenOf,
  commandLineOf,
  isAlive,
  SUPERVISOR_PROGRAM,
  waitFor,
} from "../e2e/support/process.ts";
import type { BrokerAddress } from "./broker.ts";
import { TortureProcess } from "./process.ts";
import { newsOf, SupervisedBroker } from "./supervised_broker.ts";

const READY_DEADLINE_MS = 30_000;

export interface SupervisorPlan {
  readonly brokers: readonly BrokerAddress[];
  /** Flags of the `broker` command. */
  readonly flags: readonly string[];
  /** Where its lines go, and its brokers'. */
  readonly logPath: string;
  /** It or a broker ended, and nobody had asked it to. */
  readonly onUnexpectedEnd: (what: string) => void;
}

export class TortureSupervisor implements AsyncDisposable {
  readonly brokers: readonly SupervisedBroker[];
  readonly #plan: SupervisorPlan;
  readonly #process: TortureProcess;
  /** Kills it when the torture ends in a way that lets nobody do it. */
  #guard: Deno.ChildProcess | undefined;

  constructor(plan: SupervisorPlan) {
    this.#plan = plan;
    const program = [...SUPERVISOR_PROGRAM, "broker", ...plan.flags];
    this.#process = new TortureProcess({
      name: "the supervisor",
      // One stream: that a broker died is told before that it runs again.
      command: ["sh", "-c", 'exec "$@" 2>&1', "sh", ...program],
      logPath: plan.logPath,
      onLine: (line) => this.#onLine(line),
      onUnexpectedEnd: plan.onUnexpectedEnd,
    });
    this.brokers = plan.brokers.map((address) =>
      new SupervisedBroker(address, {
        signal,
        note: (text) => this.#process.note(text),
        onUnexpectedEnd: (what) =>
          plan.onUnexpectedEnd(`${what}: see ${plan.logPath}`),
      })
    );
  }

  get isRunning(): boolean {
    return this.#process.pid !== undefined;
  }

  /** Resolves when it says that all its brokers run. No error when they do. */
  async start(): Promise<void> {
    if (this.isRunning) return;
    await this.#isGone();
    const starting = this.#process.start(
      (line) => /^Cluster of .* ready in /.test(line),
      READY_DEADLINE_MS,
    );
    this.#guard = guardOf(this.#process.pid!);
    const isReady = await starting;
    if (!isReady && !this.#process.isEndAsked) {
      throw new Error(
        `the supervisor did not start: see ${this.#plan.logPath}`,
      );
    }
  }

  /** Kill -9 of it alone: its brokers stop by themselves. */
  async kill(): Promise<void> {
    for (const broker of this.brokers) broker.isAskedToEnd();
    await this.#process.kill();
    await this.#isGone();
  }

  /** Kill -9 of it and of its brokers. */
  async killAll(): Promise<void> {
    const killed = this.kill();
    for (const broker of this.brokers) broker.signal("SIGKILL");
    await killed;
  }

  /** Asks it to stop with all; its exit code, null when it had to be killed. */
  async stop(): Promise<number | null> {
    for (const broker of this.brokers) {
      broker.resume();
      broker.isAskedToEnd();
    }
    const code = await this.#process.stop();
    await this.#isGone();
    return code;
  }

  /** Also of brokers that are just being started: nothing is left behind. */
  async [Symbol.asyncDispose](): Promise<void> {
    const { pid } = this.#process;
    const children = pid === undefined ? [] : childrenOf(pid);
    await this.killAll();
    await this.#process[Symbol.asyncDispose]();
    for (const child of children) signal(child, "SIGKILL");
    await waitFor("the brokers to end", () => !children.some(isAlive));
  }

  async #isGone(): Promise<void> {
    for (const broker of this.brokers) broker.isGone();
    this.#guard?.kill("SIGKILL");
    await this.#guard?.status;
    await this.#guard?.stdin.abort().catch(() => {});
    this.#guard = undefined;
  }

  #onLine(line: string): void {
    const news = newsOf(line);
    const broker = this.brokers.find(({ id }) => id === news?.id);
    if (news === undefined || broker === undefined) return;
    if (news.died !== undefined) broker.died(news.died);
    else broker.runs(this.#pidOf(broker.id));
  }

  /** Undefined: it has ended since. */
  #pidOf(id: number): number | undefined {
    const { pid } = this.#process;
    if (pid === undefined) return undefined;
    return childrenOf(pid)
      .find((child) => commandLineOf(child).includes(`--id=${id}`));
  }
}

function signal(pid: number, name: Deno.Signal): void {
  try {
    Deno.kill(pid, name);
  } catch {
    // It has ended already.
  }
}

/** Waits for the end of its standard input, which the torture's end is. */
function guardOf(pid: number): Deno.ChildProcess {
  return new Deno.Command("sh", {
    args: ["-c", `cat > /dev/null; kill -9 ${pid}`],
    stdin: "piped",
    stdout: "null",
    stderr: "null",
  }).spawn();
}
