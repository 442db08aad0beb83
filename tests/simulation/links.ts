/**
 * The ways between machines: how long a message takes, whether it gets through,
 * and whether it is lost. Each direction is a way of its own, so that splits can
 * be one-way. Owns no connection and no message's meaning.
 */
import type { SeededRandom } from "./random.ts";
import type { World } from "./world.ts";

/** The metadata store's place. */
export const STORE = "store";

export interface LinkOptions {
  /** The shortest time on the way. */
  readonly leastMs: number;
  /** Of what comes on top, on average. */
  readonly meanMs: number;
  /** The part of messages that break their connection. */
  readonly loss: number;
}

export class Links {
  readonly #world: World;
  readonly #random: SeededRandom;
  readonly #blocked = new Set<string>();
  readonly #stalled = new Map<string, (() => void)[]>();
  /** Of one direction, or of all to and from a machine: times as slow. */
  readonly #slow = new Map<string, number>();
  options: LinkOptions;

  constructor(world: World, options: LinkOptions) {
    this.#world = world;
    this.#random = world.random("links");
    this.options = options;
  }

  /** What goes this way ("from>to") arrives when it is opened again. */
  block(way: string): void {
    this.#blocked.add(way);
  }

  slowDown(machine: string, times: number): void {
    this.#slow.set(machine, times);
  }

  /** Ends all splits and slowness; what stood in the way goes on. */
  heal(): void {
    this.#slow.clear();
    for (const way of [...this.#blocked]) this.open(way);
  }

  open(way: string): void {
    this.#blocked.delete(way);
    const stalled = this.#stalled.get(way) ?? [];
    this.#stalled.delete(way);
    // As sent again by TCP, each at its own time.
    const delayMs = 1 + this.#random.exponential(20);
    for (const deliver of stalled) this.#world.schedule(delayMs, deliver);
  }

  delayMs(from: string, to: string): number {
    const { leastMs, meanMs } = this.options;
    const times = (this.#slow.get(from) ?? 1) * (this.#slow.get(to) ?? 1);
    return times * (leastMs + this.#random.exponential(meanMs));
  }

  /** Whether the message that is sent now breaks its connection. */
  isLost(): boolean {
    return this.options.loss > 0 && this.#random.chance(this.options.loss);
  }

  /** `deliver` when a message sent now has arrived: in no order. */
  send(from: string, to: string, deliver: () => void): void {
    this.#world.schedule(
      this.delayMs(from, to),
      () => this.#arrive(from, to, deliver),
    );
  }

  /** What is under way when a split begins is held up as well. */
  #arrive(from: string, to: string, deliver: () => void): void {
    const way = `${from}>${to}`;
    if (!this.#blocked.has(way)) return deliver();
    const stalled = this.#stalled.get(way);
    if (stalled === undefined) this.#stalled.set(way, [deliver]);
    else stalled.push(deliver);
  }
}
