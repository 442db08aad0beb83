/**
 * What clients were told of a topic that is deleted and made again, under the
 * same name, while they use it. Owns the rules: a record belongs to the life of
 * the topic in which it was stored; in that life it is not lost or changed, and
 * in no other one it is ever seen.
 *
 * A request may be carried out at any time up to its answer, by a broker that has
 * not heard of the latest: what is known is what was asked and answered within
 * one life; the rest may be either.
 */
import type { FoundRecord } from "../history.ts";
import type { Life, PlacementWatch } from "../placement_watch.ts";
import type { World } from "../world.ts";

/** No leader acts on an image of the metadata that is older than its lease. */
const OLDEST_IMAGE_MS = 2_000;

interface Sent {
  readonly sinceMs: number;
  attempts: number;
  /** Undefined: it is not known to be stored, or not in which life. */
  life: Life | undefined;
}

export class RebornHistory {
  readonly topic = { name: "reborn" };
  readonly partition = 0;
  readonly #world: World;
  readonly #placement: PlacementWatch;
  readonly #sent = new Map<string, Sent>();
  /** Of each life, by offset. */
  readonly #known = new Map<Life, Map<number, string>>();

  constructor(world: World, placement: PlacementWatch) {
    this.#world = world;
    this.#placement = placement;
  }

  /** After the last record of the present life that anybody was told of. */
  get knownEnd(): number {
    const life = this.#last();
    const offsets = (life && this.#known.get(life)?.keys()) ?? [];
    return Math.max(0, ...[...offsets].map((offset) => offset + 1));
  }

  /** Once for each request that may store it. */
  sending(value: string): void {
    const sent = this.#sent.get(value);
    if (sent !== undefined) sent.attempts++;
    else {
      const sinceMs = this.#world.nowMs;
      this.#sent.set(value, { sinceMs, attempts: 1, life: undefined });
    }
  }

  acknowledged(value: string, offset: number): void {
    const sent = this.#sent.get(value)!;
    const lives = this.#lives(sent.sinceMs);
    if (lives.length === 0) {
      this.#violated(`"${value}" was acknowledged while there was no topic`);
    }
    if (lives.length !== 1) return;
    [sent.life] = lives;
    this.#note(sent.life, offset, value);
  }

  /** Asked for at `askedMs`, and got now. */
  read(offset: number, value: string, askedMs: number): void {
    const lives = this.#lives(askedMs);
    if (lives.length !== 1) return;
    const sent = this.#sent.get(value);
    if (sent === undefined) return this.#unsent(offset, value);
    // A broker that is cut off gives what was, also without its lease.
    if (sent.life === lives[0]) this.#note(sent.life, offset, value);
  }

  /** A reader at `offset` was told that this is not in the log. */
  outOfRange(offset: number, earliest: number, askedMs: number): void {
    const lives = this.#lives(askedMs);
    if (lives.length !== 1) return;
    const known = this.#known.get(lives[0]);
    if (earliest === 0 && known?.has(offset) !== true) return;
    this.#violated(
      `a reader at ${offset} was told that the log begins at ${earliest}, and ` +
        `"${known?.get(offset)}" is there`,
    );
  }

  /** All that can be read in the end. */
  checkAll(found: readonly FoundRecord[]): void {
    const life = this.#last();
    if (life === undefined) return this.#violated("it does not exist");
    found.forEach(({ offset, value }, i) => {
      if (offset !== i) this.#violated(`after ${i} records comes ${offset}`);
      this.#checkBelongs(value, life, offset);
    });
    for (const [offset, value] of this.#known.get(life) ?? []) {
      if (found[offset]?.value === value) continue;
      this.#violated(
        `offset ${offset} was "${value}" and is "${found[offset]?.value}"`,
      );
    }
  }

  #last(): Life | undefined {
    return this.#placement.livesOf(this.topic.name).at(-1);
  }

  /** Those that were, to any broker, at some time since `sinceMs`. */
  #lives(sinceMs: number): Life[] {
    return this.#placement.livesOf(this.topic.name)
      .filter(({ untilMs }) => untilMs >= sinceMs - OLDEST_IMAGE_MS);
  }

  #checkBelongs(value: string, life: Life, offset: number): void {
    const sent = this.#sent.get(value);
    if (sent === undefined) return this.#unsent(offset, value);
    if (sent.life === undefined || sent.life === life) return;
    // One of its requests may have come late.
    if (sent.attempts > 1) return;
    this.#violated(
      `"${value}", stored before the topic was made again at ` +
        `${life.fromMs.toFixed(0)}, is there at offset ${offset}`,
    );
  }

  #unsent(offset: number, value: string): void {
    this.#violated(`offset ${offset} has "${value}", which nobody sent`);
  }

  #note(life: Life, offset: number, value: string): void {
    const known = this.#known.get(life) ?? new Map<number, string>();
    this.#known.set(life, known);
    const before = known.get(offset);
    known.set(offset, value);
    if (before === undefined || before === value) return;
    this.#violated(`offset ${offset} was "${before}" and is now "${value}"`);
  }

  #violated(rule: string): void {
    this.#world.violated(`${this.topic.name}-${this.partition}: ${rule}`);
  }
}
