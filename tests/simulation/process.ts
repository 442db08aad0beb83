/**
 * A process on a simulated machine: what it waits for reaches it while it runs,
 * later when it is paused (SIGSTOP), and never once it is dead. Owns that gate,
 * and the clock, timers and randomness that a process has.
 */
import type { Clock, Random, Timer, Timers } from "../../broker/environment.ts";
import type { SeededRandom } from "./random.ts";
import type { World } from "./world.ts";

/** The end of a turn of the event loop is no time, and yet after what waits. */
const TURN_MS = 0.005;
/** Timers are late by up to so much, as they are. */
const LATE_MS = 0.4;

export class SimulatedProcess {
  readonly name: string;
  readonly world: World;
  readonly random: SeededRandom;
  /** What this machine's clock shows more than it should. */
  wallOffsetMs = 0;
  /** How fast this machine's clock runs; 1: right. */
  clockRate = 1;
  #isAlive = true;
  #isPaused = false;
  #waiting: (() => void)[] = [];
  readonly #atDeath = new Set<(kind: DeathKind) => void>();

  constructor(world: World, name: string) {
    this.world = world;
    this.name = name;
    this.random = world.random(`${name} at ${world.nowMs}`);
  }

  get isAlive(): boolean {
    return this.#isAlive;
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  /** Runs `action` in this process: now, when it goes on, or never. */
  enter(action: () => void): void {
    if (!this.#isAlive) return;
    if (this.#isPaused) this.#waiting.push(action);
    else action();
  }

  /** `action` after `delayMs` in this process. */
  after(delayMs: number, action: () => void): Timer {
    let isCancelled = false;
    const scheduled = this.world.schedule(delayMs, () => {
      this.enter(() => {
        if (!isCancelled) action();
      });
    });
    return {
      cancel: () => {
        isCancelled = true;
        scheduled.cancel();
      },
    };
  }

  sleep(delayMs: number): Promise<void> {
    return new Promise((resolve) => void this.after(delayMs, resolve));
  }

  pause(): void {
    this.#isPaused = true;
  }

  /** What has waited happens, each by itself, in the order in which it came. */
  resume(): void {
    this.#isPaused = false;
    for (const action of this.#waiting.splice(0)) this.after(0, action);
  }

  /** From now on nothing of it runs. Idempotent. */
  die(kind: DeathKind): void {
    if (!this.#isAlive) return;
    this.#isAlive = false;
    this.world.hadDeath = true;
    this.#waiting = [];
    for (const action of this.#atDeath) action(kind);
    this.#atDeath.clear();
  }

  /** Calls once when it dies; returns what ends that. */
  onDeath(action: (kind: DeathKind) => void): () => void {
    this.#atDeath.add(action);
    return () => void this.#atDeath.delete(action);
  }

  readonly clock: Clock = {
    nowMs: () => {
      const { wallMs, nowMs } = this.world;
      const driftMs = nowMs * (this.clockRate - 1);
      return Math.floor(wallMs + driftMs + this.wallOffsetMs);
    },
    monotonicMs: () => this.world.nowMs * this.clockRate,
  };

  readonly timers: Timers = {
    after: (delayMs, callback) =>
      this.after(
        delayMs / this.clockRate + this.random.float() * LATE_MS,
        callback,
      ),
    soon: (callback) => void this.after(TURN_MS, callback),
  };

  readonly randomness: Random = {
    bytes: (length) => this.random.bytes(length),
    uuid: () => this.random.uuid(),
    float: () => this.random.float(),
  };
}

/**
 * `stop`: by itself; `kill`: by kill -9; in both the system goes on and closes
 * its connections. `power`: nothing is told to anybody.
 */
export type DeathKind = "stop" | "kill" | "power";
