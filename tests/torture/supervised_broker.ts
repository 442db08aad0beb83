/**
 * A broker of a torture run that a supervisor keeps running: whatever ends it,
 * it comes back by itself. Starting it is waiting for that. Which process it is,
 * and how that ended, the supervisor's lines tell (`supervisor.ts`).
 */
import type { BrokerAddress, BrokerState, TortureBroker } from "./broker.ts";

const STOP_DEADLINE_MS = 10_000;
/** Longer than the supervisor's longest pause. */
const RETURN_DEADLINE_MS = 45_000;

/** What a supervisor's line says of a broker: it runs, or how it died. */
export interface BrokerNews {
  readonly id: number;
  readonly died?: string;
}

/** Undefined: the line is about something else. */
export function newsOf(line: string): BrokerNews | undefined {
  const [, running] = /^Broker (\d+) running on :\d+$/.exec(line) ?? [];
  if (running !== undefined) return { id: Number(running) };
  const [, dead, died] =
    /^Broker (\d+) died \((.+)\); starting it again in \d+ ms$/.exec(line) ??
      [];
  return dead === undefined ? undefined : { id: Number(dead), died };
}

export interface SupervisedBrokerPlan {
  /** No error when that process has ended. */
  readonly signal: (pid: number, name: Deno.Signal) => void;
  readonly note: (text: string) => void;
  /** It ended, and nobody had asked it to. */
  readonly onUnexpectedEnd: (what: string) => void;
}

export class SupervisedBroker implements TortureBroker {
  readonly id: number;
  readonly http: string;
  readonly kafka: string;
  readonly #plan: SupervisedBrokerPlan;
  /** Undefined while it does not run. */
  #pid: number | undefined;
  #isPaused = false;
  #isEndAsked = false;
  /** Resolves when it runs. */
  #running = Promise.withResolvers<void>();
  /** Resolves to how it ended. */
  #ended = Promise.withResolvers<string>();

  constructor(address: BrokerAddress, plan: SupervisedBrokerPlan) {
    this.id = address.id;
    this.http = address.http;
    this.kafka = address.kafka;
    this.#plan = plan;
  }

  get url(): string {
    return `http://${this.http}`;
  }

  get state(): BrokerState {
    if (this.#pid === undefined) return "stopped";
    return this.#isPaused ? "paused" : "running";
  }

  async start(): Promise<void> {
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(
      () => late.reject(new Error(`broker ${this.id} was not started again`)),
      RETURN_DEADLINE_MS,
    );
    try {
      await Promise.race([this.#running.promise, late.promise]);
    } finally {
      clearTimeout(timer);
    }
  }

  async kill(): Promise<void> {
    if (this.#pid === undefined) return;
    this.note("is killed with SIGKILL");
    await this.#end("SIGKILL");
  }

  async stop(): Promise<number | null> {
    if (this.#pid === undefined) return 0;
    this.note("is stopped with SIGTERM");
    this.resume();
    const late = setTimeout(() => this.signal("SIGKILL"), STOP_DEADLINE_MS);
    const how = await this.#end("SIGTERM");
    clearTimeout(late);
    const [, code] = /^exit code (\d+)$/.exec(how) ?? [];
    return code === undefined ? null : Number(code);
  }

  pause(): void {
    if (this.state !== "running") return;
    this.note("is paused with SIGSTOP");
    this.signal("SIGSTOP");
    this.#isPaused = true;
  }

  resume(): void {
    if (this.state !== "paused") return;
    this.note("goes on with SIGCONT");
    this.signal("SIGCONT");
    this.#isPaused = false;
  }

  note(text: string): void {
    this.#plan.note(`broker ${this.id} ${text}`);
  }

  signal(name: Deno.Signal): void {
    if (this.#pid !== undefined) this.#plan.signal(this.#pid, name);
  }

  /** The supervisor said that it runs; undefined: and is gone again. */
  runs(pid: number | undefined): void {
    if (pid === undefined) return;
    this.#pid = pid;
    this.#isPaused = false;
    this.#ended = Promise.withResolvers<string>();
    this.#running.resolve();
  }

  /** The supervisor said that it died. */
  died(how: string): void {
    if (!this.#isEndAsked) {
      this.#plan.onUnexpectedEnd(`broker ${this.id} ended by itself (${how})`);
    }
    this.isGone(how);
  }

  /** From here on its end is no fault. */
  isAskedToEnd(): void {
    this.#isEndAsked = true;
  }

  /** It has ended, or will now that its supervisor is gone. */
  isGone(how = "with its supervisor"): void {
    this.#isEndAsked = false;
    if (this.#pid === undefined) return;
    this.#pid = undefined;
    this.#running = Promise.withResolvers<void>();
    this.#ended.resolve(how);
  }

  /** Its supervisor ends it. */
  async [Symbol.asyncDispose](): Promise<void> {}

  async #end(name: Deno.Signal): Promise<string> {
    const ended = this.#ended.promise;
    this.isAskedToEnd();
    this.signal(name);
    return await ended;
  }
}
