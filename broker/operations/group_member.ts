/**
 * One member of a group that reads by single calls (HTTP has no connection to
 * hang a member on). Owns the course of a poll: acknowledge, settle, read, wait,
 * answer. Positions and commits are `group_positions.ts`'s, joining and the
 * lease are `HttpMember`'s.
 */
import { Failure } from "../../contract/errors.ts";
import type { PartitionFault } from "../../contract/http.ts";
import type { Clock, Random, Timers } from "../environment.ts";
import type { GroupClient, Holding, HttpMember } from "../group/http_member.ts";
import type { GroupConsumerLimits } from "./group_limits.ts";
import { MemberPositions, NO_POLL } from "./group_positions.ts";
import { Harvest, type HeldPartition } from "./group_reading.ts";
import type {
  GroupCommitRequest,
  GroupPoll,
  GroupPollRequest,
} from "./group_operations.ts";
import type { ClusterRecords } from "./operations.ts";

export interface GroupMemberOptions {
  readonly groupId: string;
  readonly name: string;
  readonly member: HttpMember;
  readonly groups: GroupClient;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
  readonly limits: GroupConsumerLimits;
}

const NOTHING: readonly [] = [];

export class GroupMember {
  readonly #options: GroupMemberOptions;
  readonly #positions: MemberPositions;
  #running: { abort: AbortController; done: Promise<void> } | undefined;
  /** Which partition is read first: each poll begins with the next one. */
  #turn = 0;

  constructor(options: GroupMemberOptions) {
    const { groupId, name, member, groups, limits } = options;
    this.#options = options;
    this.#positions = new MemberPositions({
      groupId,
      who: memberText(groupId, name),
      member,
      groups,
      partitionsAtOnce: limits.partitionsAtOnce,
    });
  }

  get isBusy(): boolean {
    return this.#running !== undefined;
  }

  async poll(
    request: GroupPollRequest,
    records: ClusterRecords,
  ): Promise<GroupPoll | Failure> {
    if (this.#running !== undefined) {
      const { groupId, name } = this.#options;
      return new Failure(
        "DUPLICATE_RESOURCE",
        `${
          memberText(groupId, name)
        } is polling already; one poll at a time, and a name of its own for each client.`,
      );
    }
    const abort = new AbortController();
    const onAbort = () => abort.abort();
    request.signal?.addEventListener("abort", onAbort);
    if (request.signal?.aborted) abort.abort();
    const done = Promise.withResolvers<void>();
    this.#running = { abort, done: done.promise };
    try {
      return await this.#poll(request, records, abort.signal);
    } finally {
      request.signal?.removeEventListener("abort", onAbort);
      this.#running = undefined;
      done.resolve();
    }
  }

  /** Commits what the client says, as far as the member holds it. */
  commit(request: GroupCommitRequest): Promise<PartitionFault[] | Failure> {
    return this.#positions.commit(request);
  }

  /** Gives up its place; commits the last answer when `ack` names it. */
  async leave(ack: string | undefined): Promise<Failure | undefined> {
    this.#running?.abort.abort();
    await this.#running?.done;
    const { last } = this.#positions;
    if (last !== undefined && ack === last.poll) {
      const committed = await this.#positions.commitLast(last);
      if (committed instanceof Failure) return committed;
    }
    this.#positions.forget();
    return await this.#options.member.leave();
  }

  async #poll(
    request: GroupPollRequest,
    records: ClusterRecords,
    signal: AbortSignal,
  ): Promise<GroupPoll | Failure> {
    const { clock, limits } = this.#options;
    const untilMs = clock.monotonicMs() + request.waitMs;
    const lost = await this.#positions.acknowledge(request);
    if (lost instanceof Failure) return lost;
    for (;;) {
      const holding = await this.#settle(request.topics, untilMs, signal);
      if (holding instanceof Failure) return holding;
      if (holding === undefined) return this.#rebalancing(lost);
      const harvest = new Harvest({ request, records, limits, signal });
      const unlocated = await this.#positions.takeUp(
        holding,
        request,
        records,
        lost,
      );
      if (unlocated instanceof Failure) return unlocated;
      const held = this.#inTurn();
      await harvest.gather(held);
      const faults = [...unlocated, ...harvest.faults];
      const leftMs = untilMs - clock.monotonicMs();
      if (harvest.isEmpty && leftMs > 0 && !signal.aborted) {
        await this.#wait(harvest, held, leftMs, signal);
        const isOver = clock.monotonicMs() >= untilMs || signal.aborted;
        // Once more round, unless the wait was the last there is time for.
        if (harvest.isEmpty && !isOver) continue;
      }
      return this.#answer(request, holding, harvest, { faults, lost });
    }
  }

  /** Until something can be read, or the session is to be renewed. */
  async #wait(
    harvest: Harvest,
    held: readonly HeldPartition[],
    leftMs: number,
    signal: AbortSignal,
  ): Promise<void> {
    const { clock, limits } = this.#options;
    const longestMs = held.length > limits.waitsAtOnce
      ? limits.turnMs
      : limits.renewMs;
    const waitMs = Math.min(leftMs, longestMs);
    const endMs = clock.monotonicMs() + waitMs;
    await harvest.wait(held, waitMs);
    if (held.length > limits.waitsAtOnce) {
      this.#turn += limits.waitsAtOnce - 1;
    }
    if (harvest.isEmpty) await this.#pause(endMs, signal);
  }

  #pause(untilMs: number, signal: AbortSignal): Promise<undefined> {
    return this.#within(new Promise<undefined>(() => {}), untilMs, signal);
  }

  /** Undefined: it takes longer than the client wants to wait. */
  async #settle(
    topics: readonly string[],
    untilMs: number,
    signal: AbortSignal,
  ): Promise<Holding | Failure | undefined> {
    const { member, clock, limits } = this.#options;
    const settled = await this.#within(
      member.settle(topics),
      Math.max(untilMs, clock.monotonicMs() + limits.settleMs),
      signal,
    );
    const isUnderWay = settled instanceof Failure &&
      settled.code === "REBALANCE_IN_PROGRESS";
    return isUnderWay ? undefined : settled;
  }

  /** The work's result; undefined when time is up or the signal aborts first. */
  #within<T>(
    work: Promise<T>,
    untilMs: number,
    signal: AbortSignal,
  ): Promise<T | undefined> {
    const { clock, timers } = this.#options;
    return new Promise((resolve, reject) => {
      const end = () => {
        timer.cancel();
        signal.removeEventListener("abort", giveUp);
      };
      const giveUp = () => {
        end();
        resolve(undefined);
      };
      const timer = timers.after(
        Math.max(0, untilMs - clock.monotonicMs()),
        giveUp,
      );
      signal.addEventListener("abort", giveUp);
      if (signal.aborted) giveUp();
      work.then((value) => {
        end();
        resolve(value);
      }, (error) => {
        end();
        reject(error);
      });
    });
  }

  #inTurn(): HeldPartition[] {
    const { held } = this.#positions;
    const first = this.#turn++ % Math.max(1, held.length);
    return [...held.slice(first), ...held.slice(0, first)];
  }

  #rebalancing(lost: readonly PartitionFault[]): GroupPoll {
    return {
      state: "rebalancing",
      generationId: null,
      assignment: NOTHING,
      records: NOTHING,
      poll: this.#positions.last?.poll ?? NO_POLL,
      skipped: NOTHING,
      unavailable: NOTHING,
      notCommitted: lost,
      undelivered: () => {},
    };
  }

  #answer(
    { commit }: GroupPollRequest,
    holding: Holding,
    harvest: Harvest,
    { faults, lost }: { faults: PartitionFault[]; lost: PartitionFault[] },
  ): GroupPoll {
    const poll = this.#options.random.uuid();
    const positions = this.#positions;
    const last = positions.handOut({ poll, commit }, holding, harvest.reached);
    return {
      state: "stable",
      generationId: holding.generationId,
      assignment: holding.partitions.map(({ topic, partitions }) => ({
        topic,
        partitions: [...partitions],
      })),
      records: harvest.records,
      poll,
      skipped: harvest.skipped,
      unavailable: faults,
      notCommitted: lost,
      undelivered: () => {
        // A poll that runs has taken this one for delivered.
        if (positions.last === last && !this.isBusy) positions.takeBack(last);
      },
    };
  }
}

export function memberText(groupId: string, name: string): string {
  return `Member "${name}" of group "${groupId}"`;
}
