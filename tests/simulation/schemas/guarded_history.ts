/**
 * What clients were told of a topic whose records a schema judges, in versions
 * that come while they produce. Owns the rule: what the schema refuses is never
 * stored, once it can be known everywhere; what it accepts is never refused.
 *
 * A record has a kind. Version n of the schema refuses the kinds 1 to n; kind 0
 * is always accepted.
 */
import type { World } from "../world.ts";

/** No leader acts on metadata that is older: its lease has ended. */
const SPREAD_MS = 2_000;

export interface GuardedRecord {
  readonly value: string;
  readonly kind: number;
}

interface Sent {
  readonly kind: number;
  readonly sentMs: number;
  /** Undefined: not acknowledged. */
  offset: number | undefined;
  /** Each time it was sent it was refused for what it is. */
  isRefused: boolean;
}

export class GuardedHistory {
  readonly topic = { name: "guarded" };
  readonly partition = 0;
  readonly #world: World;
  readonly #sent = new Map<string, Sent>();
  /** When versions from 1 on were acknowledged. */
  readonly #registeredMs: number[] = [];
  /** Of which the registration was begun. */
  #begun = 0;
  refusals = 0;

  constructor(world: World) {
    this.#world = world;
  }

  /** Versions that were acknowledged. */
  get versions(): number {
    return this.#registeredMs.length;
  }

  /** After the last record that was acknowledged. */
  get knownEnd(): number {
    let end = 0;
    for (const { offset } of this.#sent.values()) {
      if (offset !== undefined) end = Math.max(end, offset + 1);
    }
    return end;
  }

  registering(version: number): void {
    this.#begun = Math.max(this.#begun, version);
  }

  registered(version: number): void {
    this.#registeredMs[version - 1] = this.#world.nowMs;
  }

  sending({ value, kind }: GuardedRecord): void {
    if (this.#sent.has(value)) return;
    const sentMs = this.#world.nowMs;
    this.#sent.set(value, {
      kind,
      sentMs,
      offset: undefined,
      isRefused: false,
    });
  }

  acknowledged(value: string, offset: number): void {
    this.#sent.get(value)!.offset = offset;
    this.#checkStored(value);
  }

  /** The batch of `records`, or one of them alone, is refused as a whole. */
  refused(records: readonly GuardedRecord[]): void {
    this.refusals++;
    for (const { value } of records) this.#sent.get(value)!.isRefused = true;
    if (records.some(({ kind }) => kind > 0 && kind <= this.#begun)) return;
    this.#violated(
      `"${records[0].value}" was refused, and of ${this.#begun} schemas all ` +
        "accept it",
    );
  }

  /** All that is stored in the end. */
  checkAll(found: readonly { offset: number; value: string }[]): void {
    const values = new Map(found.map(({ offset, value }) => [offset, value]));
    for (const { offset, value } of found) {
      const sent = this.#sent.get(value);
      if (sent === undefined) {
        this.#violated(`offset ${offset} has "${value}", which nobody sent`);
      } else if (sent.isRefused) {
        this.#violated(`"${value}" was refused and is stored at ${offset}`);
      } else this.#checkStored(value);
    }
    for (const [value, { offset }] of this.#sent) {
      if (offset === undefined || values.get(offset) === value) continue;
      this.#violated(
        `offset ${offset} was "${value}" and is "${values.get(offset)}"`,
      );
    }
  }

  #checkStored(value: string): void {
    const { kind, sentMs } = this.#sent.get(value)!;
    const sinceMs = kind === 0 ? undefined : this.#registeredMs[kind - 1];
    if (sinceMs === undefined || sentMs <= sinceMs + SPREAD_MS) return;
    this.#violated(
      `"${value}" is stored, sent ${(sentMs - sinceMs).toFixed(0)} ms after ` +
        `version ${kind} of the schema, which refuses it, was registered`,
    );
  }

  #violated(rule: string): void {
    this.#world.violated(`${this.topic.name}: ${rule}`);
  }
}

/** Refuses the kinds up to `version`. */
export function schemaOf(version: number): { [name: string]: unknown } {
  return {
    type: "object",
    required: ["id", "kind"],
    properties: {
      id: { type: "string", pattern: "^[a-z]+-[0-9]+:[0-9]+$" },
      kind: {
        anyOf: [{ const: 0 }, { type: "integer", minimum: version + 1 }],
      },
    },
    additionalProperties: false,
  };
}
