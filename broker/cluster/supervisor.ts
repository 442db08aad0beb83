/**
 * Keeps the brokers of one machine running: starts them all, tells their story
 * in order, starts again what dies, and stops them together. It owns the
 * processes it started and no others. How a process is started, and the time,
 * come from outside, so that all of this is tested without either.
 */
import type { Clock, Random, Timer, Timers } from "../environment.ts";
import type { BrokerConfig, ClusterConfig } from "../config.ts";
import { runningLine } from "./lines.ts";
import { EXIT_DONE, EXIT_FAILED, EXIT_USAGE } from "../../cli/run.ts";

export const SUPERVISOR_LIMITS = {
  /** Pause before a dead broker's first restart; doubles at each further one. */
  firstRestartMs: 100,
  longestRestartMs: 30_000,
  /** Share of the pause that is left to chance, so that brokers spread. */
  restartJitter: 0.2,
  /** A broker that ran this long has recovered: the pause starts over. */
  stableRunMs: 10_000,
  /** From the request to stop until what still runs is killed. */
  stopMs: 4_500,
  /**
   * A terminal sends Ctrl-C to all processes in front, and `deno task` passes it
   * on once more: requests to stop that are no further apart are one.
   */
  oneRequestMs: 500,
  /** Diagnostic lines of one broker held back while the cluster starts. */
  heldLines: 1000,
  /** From the start until held lines are shown although some are not ready. */
  holdMs: 10_000,
} as const;

/** How a process ended: exactly one of the two is not null. */
export interface ProcessEnd {
  readonly code: number | null;
  readonly signal: string | null;
}

export interface BrokerProcess {
  readonly end: Promise<ProcessEnd>;
  /** Asks it to stop cleanly. No error when it has ended. */
  terminate(): void;
  /** Ends it at once. No error when it has ended. */
  kill(): void;
}

export type OutputStream = "out" | "error";

export interface SupervisorWorld {
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
  spawn(
    config: BrokerConfig,
    onLine: (stream: OutputStream, line: string) => void,
  ): BrokerProcess;
  writeLine(stream: OutputStream, line: string): void;
  /** Milliseconds since the command was given. */
  uptimeMs(): number;
}

interface HeldLine {
  readonly stream: OutputStream;
  readonly line: string;
}

/** A broker over all of its lives. */
interface Ward {
  readonly config: BrokerConfig;
  process: BrokerProcess | undefined;
  startedAtMs: number;
  isRunning: boolean;
  hasRun: boolean;
  /** Deaths since it last ran stably. */
  deaths: number;
  restart: Timer | undefined;
  held: HeldLine[];
}

export class Supervisor {
  readonly #world: SupervisorWorld;
  readonly #wards: Ward[];
  #isHolding = true;
  #isReady = false;
  #stopAskedAtMs = -Infinity;
  #isStopping = false;
  #exitCode = EXIT_DONE;
  #holdTimer: Timer | undefined;
  #stopTimer: Timer | undefined;
  readonly #done = Promise.withResolvers<number>();

  constructor(config: ClusterConfig, world: SupervisorWorld) {
    this.#world = world;
    this.#wards = config.brokers.map((broker) => ({
      config: broker,
      process: undefined,
      startedAtMs: 0,
      isRunning: false,
      hasRun: false,
      deaths: 0,
      restart: undefined,
      held: [],
    }));
  }

  /** Runs until stopped; resolves to the exit code. */
  run(): Promise<number> {
    this.#holdTimer = this.#world.timers.after(
      SUPERVISOR_LIMITS.holdMs,
      () => this.#stopHolding(),
    );
    for (const ward of this.#wards) this.#start(ward);
    return this.#done.promise;
  }

  /** Stops all brokers cleanly; a second call, somewhat later, kills them. */
  stop(): void {
    const nowMs = this.#world.clock.monotonicMs();
    const isSame = nowMs - this.#stopAskedAtMs < SUPERVISOR_LIMITS.oneRequestMs;
    this.#stopAskedAtMs = nowMs;
    if (!this.#isStopping) this.#beginStop(EXIT_DONE);
    else if (!isSame) this.#killAll();
  }

  #start(ward: Ward): void {
    ward.restart = undefined;
    ward.isRunning = false;
    ward.startedAtMs = this.#world.clock.monotonicMs();
    ward.process = this.#world.spawn(
      ward.config,
      (stream, line) => this.#onLine(ward, { stream, line }),
    );
    ward.process.end.then((end) => this.#onEnd(ward, end));
  }

  #onLine(ward: Ward, held: HeldLine): void {
    // The reason for the refusal is all there is to say.
    if (this.#exitCode === EXIT_USAGE) return;
    const isRunningLine = held.stream === "out" &&
      held.line === runningLine(ward.config);
    if (!this.#isHolding) {
      this.#world.writeLine(held.stream, held.line);
    } else if (ward.held.length < SUPERVISOR_LIMITS.heldLines) {
      ward.held.push(held);
    }
    if (!isRunningLine) return;
    ward.isRunning = true;
    ward.hasRun = true;
    if (!this.#isReady && this.#wards.every(({ isRunning }) => isRunning)) {
      this.#becomeReady();
    }
  }

  #becomeReady(): void {
    this.#isReady = true;
    this.#stopHolding();
    const port = this.#wards[0].config.port;
    const host = this.#wards[0].config.advertisedHost;
    const what = counted(this.#wards.length);
    this.#world.writeLine(
      "out",
      `Cluster of ${what} ready in ${Math.round(this.#world.uptimeMs())} ms. ` +
        `Try: curl -d '{"topic":"demo","partitions":7}' ` +
        `http://${host}:${port}/create-topic`,
    );
  }

  /** Standard output in id order first, so that the story reads as one. */
  #stopHolding(): void {
    if (!this.#isHolding) return;
    this.#isHolding = false;
    this.#holdTimer?.cancel();
    for (const stream of ["out", "error"] as const) {
      for (const { held } of this.#wards) {
        for (const entry of held) {
          if (entry.stream === stream) {
            this.#world.writeLine(stream, entry.line);
          }
        }
      }
    }
    for (const ward of this.#wards) ward.held = [];
  }

  #onEnd(ward: Ward, end: ProcessEnd): void {
    const ranMs = this.#world.clock.monotonicMs() - ward.startedAtMs;
    ward.process = undefined;
    ward.isRunning = false;
    if (this.#isStopping) {
      this.#finishWhenAllEnded();
    } else if (end.code === EXIT_USAGE && !ward.hasRun) {
      this.#refuse(ward);
    } else {
      this.#restartLater(ward, end, ranMs);
    }
  }

  /** The configuration cannot work: nothing is gained by trying again. */
  #refuse(ward: Ward): void {
    const reason = ward.held.find(({ stream }) => stream === "error");
    for (const each of this.#wards) each.held = [];
    if (reason !== undefined) this.#world.writeLine("error", reason.line);
    this.#beginStop(EXIT_USAGE);
  }

  #restartLater(ward: Ward, end: ProcessEnd, ranMs: number): void {
    this.#stopHolding();
    if (ranMs >= SUPERVISOR_LIMITS.stableRunMs) ward.deaths = 0;
    const pauseMs = restartPauseMs(ward.deaths, this.#world.random.float());
    ward.deaths++;
    const how = end.signal === null
      ? `exit code ${end.code}`
      : `signal ${end.signal}`;
    this.#world.writeLine(
      "error",
      `Broker ${ward.config.id} died (${how}); ` +
        `starting it again in ${pauseMs} ms`,
    );
    ward.restart = this.#world.timers.after(
      pauseMs,
      () => this.#start(ward),
    );
  }

  #beginStop(exitCode: number): void {
    this.#isStopping = true;
    this.#exitCode = exitCode;
    this.#stopHolding();
    this.#stopTimer = this.#world.timers.after(
      SUPERVISOR_LIMITS.stopMs,
      () => this.#killAll(),
    );
    if (exitCode === EXIT_DONE) this.#sayStopping();
    for (const ward of this.#wards) {
      ward.restart?.cancel();
      ward.process?.terminate();
    }
    this.#finishWhenAllEnded();
  }

  /** A clean stop hands leaderships over: it takes a moment. */
  #sayStopping(): void {
    const running = this.#wards.filter(({ process }) => process !== undefined);
    if (running.length === 0) return;
    const what = counted(running.length);
    this.#world.writeLine(
      "out",
      `Stopping ${what} (a second Ctrl-C kills them)`,
    );
  }

  #killAll(): void {
    const left = this.#wards.filter(({ process }) => process !== undefined);
    if (left.length === 0) return;
    if (this.#exitCode === EXIT_DONE) this.#exitCode = EXIT_FAILED;
    const ids = left.map(({ config }) => config.id).join(", ");
    this.#world.writeLine("error", `Killed before they had stopped: ${ids}`);
    for (const { process } of left) process?.kill();
  }

  #finishWhenAllEnded(): void {
    if (this.#wards.some(({ process }) => process !== undefined)) return;
    this.#stopTimer?.cancel();
    this.#holdTimer?.cancel();
    if (this.#exitCode === EXIT_DONE) {
      this.#world.writeLine("out", "Cluster stopped");
    }
    this.#done.resolve(this.#exitCode);
  }
}

function counted(brokers: number): string {
  return brokers === 1 ? "1 broker" : `${brokers} brokers`;
}

/**
 * Whole milliseconds before the next start. `deaths` is how many went before
 * this one since the last stable run, `chance` is in [0, 1).
 */
export function restartPauseMs(deaths: number, chance: number): number {
  const { firstRestartMs, longestRestartMs, restartJitter } = SUPERVISOR_LIMITS;
  const pauseMs = Math.min(longestRestartMs, firstRestartMs * 2 ** deaths);
  return Math.round(pauseMs * (1 - restartJitter * chance));
}
