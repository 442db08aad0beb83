/**
 * A group coordinator in simulated time over a log in memory. Appends commit at
 * once unless held; timers fire as time passes; every answer is kept.
 */
import type { ErrorCode } from "../../../contract/errors.ts";
import type { LogEntry } from "../../../broker/coordinator/core.ts";
import {
  GROUP_DEFAULTS,
  type GroupConfig,
} from "../../../broker/group/config.ts";
import { GroupCoordinator } from "../../../broker/group/group_coordinator.ts";
import type {
  GroupApi,
  GroupNotice,
  JoinGroupRequest,
} from "../../../broker/group/messages.ts";
import type { GroupRecord } from "../../../broker/group/records.ts";
import type { GroupEffect } from "../../../broker/group/turn.ts";
import { assert, assertEquals } from "../../support/assert.ts";

export type AppendEffect = Extract<GroupEffect, { type: "append" }>;

export const bytes = (text: string) => new TextEncoder().encode(text);

export interface Asked<Name extends keyof GroupApi> {
  readonly token: number;
  /** Undefined while it waits. */
  response: GroupApi[Name]["response"] | undefined;
}

export class Harness {
  readonly config: GroupConfig;
  core: GroupCoordinator;
  nowMs = 0;
  /** Added to the wall clock alone. */
  wallJumpMs = 0;
  readonly log: LogEntry<GroupRecord>[] = [];
  readonly timers = new Map<string, number>();
  readonly held: AppendEffect[] = [];
  holdsAppends = false;
  missingTopics = new Set<string>();
  readonly #asked = new Map<number, Asked<keyof GroupApi>>();
  #nextToken = 1;

  constructor(config: Partial<GroupConfig> = {}) {
    this.config = {
      ...GROUP_DEFAULTS,
      initialRebalanceDelayMs: 0,
      ...config,
    };
    this.core = this.#newCore();
    this.#apply(this.core.loaded(this.#now()));
  }

  #newCore(): GroupCoordinator {
    return new GroupCoordinator({
      config: this.config,
      partitionExists: (topic, partition) =>
        !this.missingTopics.has(topic) && partition < 100,
    });
  }

  #now() {
    return {
      monotonicMs: this.nowMs,
      wallMs: 1_700_000_000_000 + this.nowMs + this.wallJumpMs,
    };
  }

  ask<Name extends keyof GroupApi>(
    name: Name,
    request: GroupApi[Name]["request"],
  ): Asked<Name> {
    const token = this.#nextToken++;
    const asked: Asked<Name> = { token, response: undefined };
    this.#asked.set(token, asked as Asked<keyof GroupApi>);
    const named = { ...request, type: name } as never;
    this.#apply(
      this.core.handle({ type: "request", token, request: named }, this.#now()),
    );
    return asked;
  }

  /** Asks what is answered at once. */
  get<Name extends keyof GroupApi>(
    name: Name,
    request: GroupApi[Name]["request"],
  ): GroupApi[Name]["response"] {
    const { response } = this.ask(name, request);
    assert(response !== undefined, `${name} is answered at once`);
    return response;
  }

  notify(notice: GroupNotice): void {
    if (notice.type === "transactionEnded") {
      const { producerId, committed } = notice;
      this.log.push({ type: "marker", producerId, committed });
    }
    this.#apply(this.core.handle({ type: "notice", notice }, this.#now()));
  }

  #apply(effects: readonly GroupEffect[]): void {
    for (const effect of effects) {
      switch (effect.type) {
        case "append":
          this.held.push(effect);
          break;
        case "reply": {
          const asked = this.#asked.get(effect.token);
          assert(asked !== undefined, `token ${effect.token} is answered once`);
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
          throw new Error("groups have no actions");
      }
    }
    if (!this.holdsAppends) { while (this.held.length > 0) this.commit(); }
  }

  /** The oldest held append commits. */
  commit(): void {
    const append = this.held.shift()!;
    for (const record of append.records) {
      this.log.push({ type: "record", record, producer: append.producer });
    }
    const { appendId } = append;
    this.#apply(this.core.handle({ type: "appended", appendId }, this.#now()));
  }

  /** The oldest held append fails and leaves nothing in the log. */
  fail(error: ErrorCode = "NOT_ENOUGH_REPLICAS"): void {
    const { appendId } = this.held.shift()!;
    this.#apply(
      this.core.handle(
        { type: "appendFailed", appendId, error },
        this.#now(),
      ),
    );
  }

  /** Lets time pass, firing timers in their order. */
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

  get parked(): number {
    return this.#asked.size;
  }

  /** The coordinator moves: the old one resigns, a new one replays the log. */
  restart(): void {
    this.#apply(this.core.resign());
    assertEquals(this.#asked.size, 0, "resigning answers every request");
    assertEquals(this.timers.size, 0, "resigning cancels every timer");
    this.held.length = 0;
    this.core = this.#newCore();
    for (const entry of this.log) this.core.replay(entry);
    this.#apply(this.core.loaded(this.#now()));
  }

  joinRequest(options: Partial<JoinGroupRequest> = {}): JoinGroupRequest {
    return {
      groupId: "g",
      memberId: "",
      groupInstanceId: null,
      clientId: "client",
      clientHost: "/127.0.0.1",
      protocolType: "consumer",
      protocols: [{ name: "range", metadata: bytes("sub") }],
      rebalanceTimeoutMs: 60_000,
      sessionTimeoutMs: 10_000,
      newMemberId: `client-${this.#nextToken}`,
      requiresMemberId: false,
      knowsSkipAssignment: false,
      ...options,
    };
  }

  join(options: Partial<JoinGroupRequest> = {}): Asked<"joinGroup"> {
    return this.ask("joinGroup", this.joinRequest(options));
  }

  sync(
    memberId: string,
    generationId: number,
    assignments: Record<string, string> = {},
    groupInstanceId: string | null = null,
  ): Asked<"syncGroup"> {
    return this.ask("syncGroup", {
      groupId: "g",
      generationId,
      memberId,
      groupInstanceId,
      protocolType: "consumer",
      protocolName: null,
      assignments: Object.entries(assignments).map(([id, text]) => ({
        memberId: id,
        assignment: bytes(text),
      })),
    });
  }

  heartbeat(
    memberId: string,
    generationId: number,
    groupInstanceId: string | null = null,
  ): ErrorCode | null {
    const request = { groupId: "g", generationId, memberId, groupInstanceId };
    return this.get("heartbeat", request).error;
  }

  leave(memberId: string, groupInstanceId: string | null = null) {
    const members = [{ memberId, groupInstanceId }];
    return this.ask("leaveGroup", { groupId: "g", members });
  }

  askCommit(
    memberId: string,
    generationId: number,
    offset: number,
    options: { topic?: string; metadata?: string; retentionTimeMs?: number } =
      {},
  ): Asked<"offsetCommit"> {
    return this.ask("offsetCommit", {
      groupId: "g",
      generationId,
      memberId,
      groupInstanceId: null,
      retentionTimeMs: options.retentionTimeMs ?? -1,
      topics: [{
        topic: options.topic ?? "t",
        partitions: [{
          partition: 0,
          offset,
          leaderEpoch: 3,
          metadata: options.metadata ?? null,
        }],
      }],
    });
  }

  askTxnCommit(producerId: number, offset: number, options: {
    memberId?: string;
    generationId?: number;
  } = {}): Asked<"txnOffsetCommit"> {
    return this.ask("txnOffsetCommit", {
      groupId: "g",
      generationId: options.generationId ?? -1,
      memberId: options.memberId ?? "",
      groupInstanceId: null,
      retentionTimeMs: -1,
      producerId,
      producerEpoch: 0,
      topics: [{
        topic: "t",
        partitions: [{ partition: 0, offset, leaderEpoch: -1, metadata: "" }],
      }],
    });
  }

  commitError(memberId: string, generationId: number, offset = 1) {
    const { response } = this.askCommit(memberId, generationId, offset);
    assert(response !== undefined, "the commit is answered at once");
    return response.topics[0].partitions[0].error;
  }

  fetch(requireStable = false, topic = "t") {
    return this.get("offsetFetch", {
      groupId: "g",
      topics: [{ topic, partitions: [0] }],
      requireStable,
    }).topics[0].partitions[0];
  }

  describe(groupId = "g") {
    return this.get("describeGroup", { groupId });
  }

  get state() {
    return this.describe().state;
  }

  /** Joins `count` members and makes the group stable; answers their ids. */
  stable(count: number, options: Partial<JoinGroupRequest> = {}): string[] {
    const first = this.join(options);
    const ids = [first.response!.memberId];
    for (let i = 1; i < count; i++) {
      const added = this.join({
        ...options,
        ...(options.groupInstanceId
          ? { groupInstanceId: `${options.groupInstanceId}${i}` }
          : {}),
      });
      for (const id of ids) {
        this.join({
          ...options,
          memberId: id,
          groupInstanceId: this.instanceOf(id),
        });
      }
      ids.push(added.response!.memberId);
    }
    const generation = this.describe().generationId;
    const leader = this.core.group("g")!.leader!;
    const assignments = Object.fromEntries(ids.map((id) => [id, `of ${id}`]));
    for (const id of ids) {
      if (id !== leader) this.sync(id, generation, {}, this.instanceOf(id));
    }
    this.sync(leader, generation, assignments, this.instanceOf(leader));
    assertEquals(this.state, "Stable");
    return ids;
  }

  instanceOf(memberId: string): string | null {
    return this.core.group("g")?.members.get(memberId)?.groupInstanceId ?? null;
  }
}
