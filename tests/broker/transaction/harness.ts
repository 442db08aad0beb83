/** A transaction coordinator in simulated time over a log in memory. */
import type { ErrorCode } from "../../../contract/errors.ts";
import type { Effect, ResponseOf } from "../../../broker/coordinator/core.ts";
import { TRANSACTION_DEFAULTS } from "../../../broker/transaction/config.ts";
import type { TransactionConfig } from "../../../broker/transaction/config.ts";
import type {
  TransactionAction,
  TransactionApi,
} from "../../../broker/transaction/messages.ts";
import type { TransactionRecord } from "../../../broker/transaction/records.ts";
import { TransactionCoordinator } from "../../../broker/transaction/transaction_coordinator.ts";
import { assert, assertEquals } from "../../support/assert.ts";

type TransactionEffect = Effect<
  TransactionRecord,
  ResponseOf<TransactionApi>,
  TransactionAction
>;

export interface Asked<Name extends keyof TransactionApi> {
  response: TransactionApi[Name]["response"] | undefined;
}

export interface Producer {
  producerId: number;
  producerEpoch: number;
}

export class Harness {
  readonly config: TransactionConfig;
  core: TransactionCoordinator;
  nowMs = 0;
  /** How much the coordinator's wall clock is ahead. */
  aheadMs = 0;
  readonly log: TransactionRecord[] = [];
  readonly timers = new Map<string, number>();
  readonly held: Extract<TransactionEffect, { type: "append" }>[] = [];
  /** Marker actions that are not done yet. */
  readonly marking: Extract<TransactionAction, { type: "writeMarkers" }>[] = [];
  holdsAppends = false;
  holdsMarkers = false;
  refusesIds: ErrorCode | undefined;
  nextProducerId = 100;
  readonly #asked = new Map<number, Asked<keyof TransactionApi>>();
  #nextToken = 1;

  constructor(config: Partial<TransactionConfig> = {}) {
    this.config = { ...TRANSACTION_DEFAULTS, ...config };
    this.core = this.#newCore();
    this.#apply(this.core.loaded(this.#now()));
  }

  #newCore() {
    return new TransactionCoordinator({
      config: this.config,
      offsetsPartition: () => ({ topic: "__consumer_offsets", partition: 7 }),
    });
  }

  #now() {
    const wallMs = 1_700_000_000_000 + this.nowMs + this.aheadMs;
    return { monotonicMs: this.nowMs, wallMs };
  }

  ask<Name extends keyof TransactionApi>(
    name: Name,
    request: TransactionApi[Name]["request"],
  ): Asked<Name> {
    const token = this.#nextToken++;
    const asked: Asked<Name> = { response: undefined };
    this.#asked.set(token, asked as Asked<keyof TransactionApi>);
    const named = { ...request, type: name } as never;
    this.#apply(
      this.core.handle({ type: "request", token, request: named }, this.#now()),
    );
    return asked;
  }

  #apply(effects: readonly TransactionEffect[]): void {
    for (const effect of effects) {
      switch (effect.type) {
        case "append":
          this.held.push(effect);
          break;
        case "reply": {
          const asked = this.#asked.get(effect.token);
          assert(asked !== undefined, "a request is answered once");
          this.#asked.delete(effect.token);
          asked.response = effect.response;
          break;
        }
        case "setTimer":
          this.timers.set(effect.name, effect.atMs);
          break;
        case "cancelTimer":
          this.timers.delete(effect.name);
          break;
        case "act":
          this.#act(effect.action);
      }
    }
    if (!this.holdsAppends) { while (this.held.length > 0) this.commit(); }
    if (!this.holdsMarkers) { while (this.marking.length > 0) this.marked(); }
  }

  #act(action: TransactionAction): void {
    if (action.type === "writeMarkers") {
      this.marking.push(action);
      return;
    }
    const { transactionalId } = action;
    const error = this.refusesIds;
    const notice = error !== undefined
      ? { type: "producerIdRefused", transactionalId, error } as const
      : {
        type: "producerIdAllocated",
        transactionalId,
        producerId: this.nextProducerId++,
      } as const;
    this.#apply(this.core.handle({ type: "notice", notice }, this.#now()));
  }

  commit(): void {
    const append = this.held.shift()!;
    this.log.push(...append.records);
    const { appendId } = append;
    this.#apply(this.core.handle({ type: "appended", appendId }, this.#now()));
  }

  fail(error: ErrorCode = "NOT_ENOUGH_REPLICAS"): void {
    const { appendId } = this.held.shift()!;
    this.#apply(
      this.core.handle({ type: "appendFailed", appendId, error }, this.#now()),
    );
  }

  /** The oldest marker action is done everywhere. */
  marked(): void {
    const { transactionalId, producerId, producerEpoch } = this.marking
      .shift()!;
    const notice = {
      type: "markersWritten",
      transactionalId,
      producerId,
      producerEpoch,
    } as const;
    this.#apply(this.core.handle({ type: "notice", notice }, this.#now()));
  }

  pass(durationMs: number): void {
    const endMs = this.nowMs + durationMs;
    for (;;) {
      let next: [string, number] | undefined;
      for (const timer of this.timers) {
        if (timer[1] <= endMs && (!next || timer[1] < next[1])) next = timer;
      }
      if (next === undefined) break;
      this.timers.delete(next[0]);
      this.nowMs = Math.max(this.nowMs, next[1]);
      this.#apply(
        this.core.handle({ type: "timer", name: next[0] }, this.#now()),
      );
    }
    this.nowMs = endMs;
  }

  get waiting(): number {
    return this.#asked.size;
  }

  restart(): void {
    this.#apply(this.core.resign());
    assertEquals(this.#asked.size, 0, "resigning answers every request");
    assertEquals(this.timers.size, 0, "resigning cancels every timer");
    this.held.length = this.marking.length = 0;
    this.core = this.#newCore();
    for (const record of this.log) {
      this.core.replay({ type: "record", record, producer: null });
    }
    this.#apply(this.core.loaded(this.#now()));
  }

  init(
    producer: Producer = { producerId: -1, producerEpoch: -1 },
    transactionTimeoutMs = 60_000,
  ): Asked<"initProducerId"> {
    return this.ask("initProducerId", {
      transactionalId: "x",
      transactionTimeoutMs,
      ...producer,
    });
  }

  /** A producer that is let in. */
  enter(): Producer {
    const response = this.init().response!;
    assertEquals(response.error, null);
    const { producerId, producerEpoch } = response;
    return { producerId, producerEpoch };
  }

  add(producer: Producer, ...partitions: number[]): Asked<"addPartitions"> {
    return this.ask("addPartitions", {
      transactionalId: "x",
      ...producer,
      partitions: partitions.map((partition) => ({ topic: "t", partition })),
    });
  }

  end(producer: Producer, committed: boolean): Asked<"endTransaction"> {
    return this.ask("endTransaction", {
      transactionalId: "x",
      ...producer,
      committed,
    });
  }

  get state() {
    return this.core.facts("x")?.state;
  }
}
