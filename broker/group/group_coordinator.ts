/**
 * The groups of one coordinator partition as a pure state machine: events in,
 * effects out, no clock, no I/O. Owns the order in which a group's events are
 * handled (see `turn.ts`: one append in flight per group, what would change the
 * group waits). The rules of groups are in the files beside this one.
 */
import { invariant } from "../../storage/assert.ts";
import type { ErrorCode } from "../../contract/errors.ts";
import {
  appendErrorForClients,
  type CoordinatorCore,
  type CoordinatorEvent,
  type Instant,
  type LogEntry,
  type ReplyToken,
} from "../coordinator/core.ts";
import { joinFailed, refusal } from "./answers.ts";
import { expireOffsets, forgetTopic } from "./commit.ts";
import type { GroupConfig } from "./config.ts";
import { listGroups } from "./describe.ts";
import { Group } from "./group.ts";
import type { GroupApi, GroupNotice } from "./messages.ts";
import {
  joinPhaseTimedOut,
  pendingTimedOut,
  refuseSync,
  sessionTimedOut,
  syncPhaseTimedOut,
  touch,
} from "./rebalance.ts";
import type { GroupRecord } from "./records.ts";
import { change, isReading, makesGroup, read } from "./requests.ts";
import {
  type GroupEffect,
  type GroupRequest,
  type GroupResponse,
  Lane,
  type TimerKind,
  Turn,
  type Work,
} from "./turn.ts";

const EXPIRY_TIMER = JSON.stringify(["expiry"]);

export interface GroupCoordinatorOptions {
  readonly config: GroupConfig;
  /** Whether offsets may be committed for it, as far as metadata tells. */
  partitionExists(topic: string, partition: number): boolean;
}

export class GroupCoordinator
  implements CoordinatorCore<GroupApi, GroupRecord, GroupNotice, never> {
  readonly #options: GroupCoordinatorOptions;
  readonly #lanes = new Map<string, Lane>();
  /** By append id. */
  readonly #inFlight = new Map<number, Lane>();
  #nextAppendId = 1;

  constructor(options: GroupCoordinatorOptions) {
    this.#options = options;
  }

  replay(entry: LogEntry<GroupRecord>): void {
    if (entry.type === "marker") {
      for (const lane of [...this.#lanes.values()]) {
        lane.group.offsets.endTransaction(entry.producerId, entry.committed);
        this.#forgetIfBlank(lane);
      }
      return;
    }
    const lane = this.#lane(entry.record.key.group);
    lane.group.replay(entry.record, entry.producer?.producerId ?? null);
    this.#forgetIfBlank(lane);
  }

  /** Members of before are taken for alive: their sessions begin now. */
  loaded(now: Instant): GroupEffect[] {
    const turn = this.#turn(now);
    for (const { group } of this.#lanes.values()) {
      for (const member of group.members.values()) touch(turn, group, member);
    }
    this.#setExpiryTimer(turn);
    return turn.effects;
  }

  handle(
    event: CoordinatorEvent<GroupRequest, GroupNotice>,
    now: Instant,
  ): GroupEffect[] {
    const turn = this.#turn(now);
    switch (event.type) {
      case "request":
        this.#request(turn, event.request, event.token);
        break;
      case "timer":
        this.#timer(turn, event.name);
        break;
      case "notice":
        this.#notice(turn, event.notice);
        break;
      case "appended":
        this.#appended(turn, event.appendId);
        break;
      case "appendFailed":
        this.#appendFailed(turn, event.appendId, event.error);
    }
    return turn.effects;
  }

  resign(): GroupEffect[] {
    const turn = this.#turn({ wallMs: 0, monotonicMs: 0 });
    for (const lane of this.#lanes.values()) {
      this.#refuseWaiting(turn, lane, "NOT_COORDINATOR");
      for (const member of lane.group.members.values()) {
        if (member.join === undefined) continue;
        turn.reply(
          member.join.token,
          joinFailed("NOT_COORDINATOR", member.memberId),
        );
      }
      this.#cancelTimers(turn, lane);
    }
    turn.effects.push({ type: "cancelTimer", name: EXPIRY_TIMER });
    this.#lanes.clear();
    this.#inFlight.clear();
    return turn.effects;
  }

  refuse(request: GroupRequest, error: ErrorCode): GroupResponse {
    return refusal(request, error);
  }

  /** The group, if anything is known of it; not to be changed from outside. */
  group(groupId: string): Group | undefined {
    return this.#lanes.get(groupId)?.group;
  }

  #turn(now: Instant): Turn {
    return new Turn({
      now,
      config: this.#options.config,
      partitionExists: (topic, partition) =>
        this.#options.partitionExists(topic, partition),
    });
  }

  #lane(groupId: string): Lane {
    let lane = this.#lanes.get(groupId);
    if (lane === undefined) {
      lane = new Lane(new Group(groupId));
      this.#lanes.set(groupId, lane);
    }
    return lane;
  }

  #forgetIfBlank(lane: Lane): void {
    const isIdle = lane.inFlight === undefined && lane.queue.length === 0;
    if (isIdle && lane.group.isBlank) this.#lanes.delete(lane.group.groupId);
  }

  #setExpiryTimer(turn: Turn): void {
    const atMs = turn.now.monotonicMs + turn.config.offsetsExpiryIntervalMs;
    turn.effects.push({ type: "setTimer", name: EXPIRY_TIMER, atMs });
  }

  #request(turn: Turn, request: GroupRequest, token: ReplyToken): void {
    if (request.type === "listGroups") {
      const groups = [...this.#lanes.values()].map(({ group }) => group);
      turn.reply(token, listGroups(groups, request.states));
      return;
    }
    const { groupId } = request;
    const isKnown = this.#lanes.has(groupId);
    const isFull = this.#lanes.size >= turn.config.groupsPerCoordinator;
    if (!isKnown && isFull && makesGroup(request)) {
      turn.reply(token, refusal(request, "COORDINATOR_NOT_AVAILABLE"));
      return;
    }
    const lane = this.#lane(groupId);
    if (isReading(request)) {
      read(turn, lane.group, request, token);
      this.#forgetIfBlank(lane);
      return;
    }
    this.#do(turn, lane, {
      run: (later) => change(later, lane.group, request, token),
      request: { token, request },
      isMergeable: request.type === "offsetCommit",
    });
  }

  #timer(turn: Turn, name: string): void {
    if (name === EXPIRY_TIMER) {
      this.#forAll(turn, () => true, expireOffsets);
      this.#setExpiryTimer(turn);
      return;
    }
    const [kind, groupId, memberId] = JSON.parse(name) as [
      TimerKind,
      string,
      string,
    ];
    const lane = this.#lanes.get(groupId);
    if (lane === undefined) return;
    if (kind === "append") return this.#appendTakesLong(turn, lane);
    const run = {
      session: (later: Turn) => sessionTimedOut(later, lane.group, memberId),
      pending: (later: Turn) => pendingTimedOut(later, lane.group, memberId),
      join: (later: Turn) => joinPhaseTimedOut(later, lane.group),
      sync: (later: Turn) => syncPhaseTimedOut(later, lane.group),
    }[kind];
    this.#do(turn, lane, { run, isMergeable: false });
  }

  #notice(turn: Turn, notice: GroupNotice): void {
    if (notice.type === "topicDeleted") {
      this.#forAll(
        turn,
        () => true,
        (later, group) => forgetTopic(later, group, notice.topic),
      );
      return;
    }
    const { producerId, committed } = notice;
    // The end of a transaction may be told before its last commit is applied.
    this.#forAll(
      turn,
      (lane) =>
        lane.group.offsets.hasPendingOf(producerId) ||
        lane.inFlight?.producer?.producerId === producerId,
      (_, group) => group.offsets.endTransaction(producerId, committed),
    );
  }

  #forAll(
    turn: Turn,
    concerns: (lane: Lane) => boolean,
    run: (turn: Turn, group: Group) => void,
  ): void {
    for (const lane of [...this.#lanes.values()]) {
      if (!concerns(lane)) continue;
      this.#do(turn, lane, {
        run: (later) => run(later, lane.group),
        isMergeable: false,
      });
    }
  }

  /** Now, or behind what waits for the append in flight. */
  #do(turn: Turn, lane: Lane, work: Work): void {
    const isFull = lane.queue.length >= turn.config.queuedRequestsPerGroup;
    if (isFull && work.request !== undefined) {
      const { token, request } = work.request;
      turn.reply(token, refusal(request, "COORDINATOR_NOT_AVAILABLE"));
      return;
    }
    lane.queue.push(work);
    this.#drain(turn, lane);
  }

  #drain(turn: Turn, lane: Lane): void {
    turn.lane = lane;
    const { queue } = lane;
    while (lane.inFlight === undefined && queue.length > 0) {
      const work = queue.shift()!;
      work.run(turn);
      while (
        work.isMergeable && queue[0]?.isMergeable &&
        (lane.building?.records.length ?? 0) < turn.config.offsetsPerAppend
      ) queue.shift()!.run(turn);
      this.#seal(turn, lane);
    }
    turn.lane = undefined;
    this.#forgetIfBlank(lane);
  }

  /** What was built goes out. */
  #seal(turn: Turn, lane: Lane): void {
    const append = lane.building;
    if (append === undefined) return;
    lane.building = undefined;
    lane.inFlight = append;
    append.appendId = this.#nextAppendId++;
    this.#inFlight.set(append.appendId, lane);
    const { appendId, records, producer } = append;
    turn.effects.push({ type: "append", appendId, records, producer });
    this.#setAppendTimer(turn, lane);
  }

  #setAppendTimer(turn: Turn, lane: Lane): void {
    const atMs = turn.now.monotonicMs + turn.config.appendTimeoutMs;
    turn.setTimer("append", atMs, lane.group.groupId);
  }

  #takeInFlight(turn: Turn, appendId: number): Lane | undefined {
    const lane = this.#inFlight.get(appendId);
    this.#inFlight.delete(appendId);
    if (lane !== undefined) turn.cancelTimer("append", lane.group.groupId);
    return lane;
  }

  #appended(turn: Turn, appendId: number): void {
    const lane = this.#takeInFlight(turn, appendId);
    if (lane === undefined) return;
    const append = lane.inFlight;
    invariant(append !== undefined, "an append in flight is known");
    lane.inFlight = undefined;
    for (const record of append.records) {
      lane.group.replay(record, append.producer?.producerId ?? null);
    }
    turn.lane = lane;
    for (const proceed of append.onCommitted) proceed(turn);
    for (const { token, whenCommitted } of append.replies) {
      turn.reply(token, whenCommitted);
    }
    this.#seal(turn, lane);
    this.#drain(turn, lane);
  }

  #appendFailed(turn: Turn, appendId: number, cause: ErrorCode): void {
    const lane = this.#takeInFlight(turn, appendId);
    if (lane === undefined) return;
    const append = lane.inFlight;
    invariant(append !== undefined, "an append in flight is known");
    lane.inFlight = undefined;
    const error = appendErrorForClients(cause);
    turn.lane = lane;
    for (const proceed of append.onFailed) proceed(turn, error);
    for (const { token, whenFailed } of append.replies) {
      turn.reply(token, whenFailed(error));
    }
    this.#seal(turn, lane);
    this.#drain(turn, lane);
  }

  /**
   * The log does not say yet whether the records will survive. Who waits hears
   * that we are not available; the append stays in flight, since acting as if it
   * had failed could contradict the log.
   */
  #appendTakesLong(turn: Turn, lane: Lane): void {
    if (lane.inFlight === undefined) return;
    this.#refuseWaiting(turn, lane, "COORDINATOR_NOT_AVAILABLE");
    this.#setAppendTimer(turn, lane);
  }

  /** Answers all that an append holds up. */
  #refuseWaiting(turn: Turn, lane: Lane, error: ErrorCode): void {
    for (const reply of lane.inFlight?.replies.splice(0) ?? []) {
      turn.reply(reply.token, reply.whenFailed(error));
    }
    refuseSync(turn, lane.group, error);
    for (const { request } of lane.queue) {
      if (request === undefined) continue;
      turn.reply(request.token, refusal(request.request, error));
    }
    const rest = lane.queue.filter(({ request }) => request === undefined);
    lane.queue.splice(0, lane.queue.length, ...rest);
  }

  #cancelTimers(turn: Turn, { group, inFlight }: Lane): void {
    const { groupId } = group;
    for (const { memberId, timerAtMs } of group.members.values()) {
      if (timerAtMs !== undefined) {
        turn.cancelTimer("session", groupId, memberId);
      }
    }
    for (const memberId of group.pendingMembers.keys()) {
      turn.cancelTimer("pending", groupId, memberId);
    }
    if (group.joinPhase) turn.cancelTimer("join", groupId);
    if (group.syncDeadlineMs !== undefined) turn.cancelTimer("sync", groupId);
    if (inFlight) turn.cancelTimer("append", groupId);
  }
}
