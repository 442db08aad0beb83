/**
 * What the handling of one event may do: answer, set timers, and append records
 * of the one group it concerns. Gathers effects in order; decides nothing.
 *
 * A group has at most one append in flight, and what would change the group
 * waits for it. So a record is built from the very state that it is applied
 * to, and when the append fails there is nothing to take back.
 */
import { invariant } from "../../storage/assert.ts";
import type { ErrorCode } from "../../contract/errors.ts";
import type {
  Effect,
  Instant,
  ProducerStamp,
  ReplyToken,
  RequestOf,
  ResponseOf,
} from "../coordinator/core.ts";
import type { GroupConfig } from "./config.ts";
import type { Group } from "./group.ts";
import type { GroupApi } from "./messages.ts";
import type { GroupRecord } from "./records.ts";

export type GroupRequest = RequestOf<GroupApi>;
export type GroupResponse = ResponseOf<GroupApi>;
export type GroupEffect = Effect<GroupRecord, GroupResponse, never>;

/** An answer that depends on an append. */
interface DependentReply {
  readonly token: ReplyToken;
  readonly whenCommitted: GroupResponse;
  whenFailed(error: ErrorCode): GroupResponse;
}

/** An append being built, then in flight. */
export interface PendingAppend {
  appendId: number;
  readonly records: GroupRecord[];
  readonly producer: ProducerStamp | null;
  /** After the records were applied. */
  readonly onCommitted: ((turn: Turn) => void)[];
  readonly onFailed: ((turn: Turn, error: ErrorCode) => void)[];
  replies: DependentReply[];
}

/** Something that must wait while an append is in flight. */
export interface Work {
  run(turn: Turn): void;
  /** What to answer when it will never run. */
  readonly request?: {
    readonly token: ReplyToken;
    readonly request: GroupRequest;
  };
  /** May share an append with others of its kind right behind it. */
  readonly isMergeable: boolean;
}

/** A group and what waits for it. */
export class Lane {
  readonly group: Group;
  building: PendingAppend | undefined;
  inFlight: PendingAppend | undefined;
  readonly queue: Work[] = [];

  constructor(group: Group) {
    this.group = group;
  }
}

export type TimerKind = "session" | "pending" | "join" | "sync" | "append";

export function timerName(
  kind: TimerKind,
  groupId: string,
  memberId = "",
): string {
  return JSON.stringify([kind, groupId, memberId]);
}

export interface TurnOptions {
  readonly now: Instant;
  readonly config: GroupConfig;
  partitionExists(topic: string, partition: number): boolean;
}

export class Turn {
  readonly effects: GroupEffect[] = [];
  readonly now: Instant;
  readonly config: GroupConfig;
  readonly partitionExists: (topic: string, partition: number) => boolean;
  /** Whose append this turn may begin. */
  lane: Lane | undefined;

  constructor(options: TurnOptions) {
    this.now = options.now;
    this.config = options.config;
    this.partitionExists = options.partitionExists;
  }

  reply(token: ReplyToken, response: GroupResponse): void {
    this.effects.push({ type: "reply", token, response });
  }

  setTimer(
    kind: TimerKind,
    atMs: number,
    groupId: string,
    memberId?: string,
  ): void {
    const name = timerName(kind, groupId, memberId);
    this.effects.push({ type: "setTimer", name, atMs });
  }

  cancelTimer(kind: TimerKind, groupId: string, memberId?: string): void {
    const name = timerName(kind, groupId, memberId);
    this.effects.push({ type: "cancelTimer", name });
  }

  append(
    records: readonly GroupRecord[],
    options: {
      producer?: ProducerStamp;
      onCommitted?: (turn: Turn) => void;
      onFailed?: (turn: Turn, error: ErrorCode) => void;
    } = {},
  ): void {
    const lane = this.lane;
    invariant(lane !== undefined, "an append belongs to a group");
    invariant(lane.inFlight === undefined, "one append per group at a time");
    const producer = options.producer ?? null;
    lane.building ??= {
      appendId: 0,
      records: [],
      producer,
      onCommitted: [],
      onFailed: [],
      replies: [],
    };
    invariant(
      lane.building.producer === null && producer === null ||
        lane.building.records.length === 0,
      "a transactional append is not shared",
    );
    lane.building.records.push(...records);
    if (options.onCommitted) {
      lane.building.onCommitted.push(options.onCommitted);
    }
    if (options.onFailed) lane.building.onFailed.push(options.onFailed);
  }

  /** At once, unless this turn appended: then when that is committed. */
  replyWhenCommitted(
    token: ReplyToken,
    whenCommitted: GroupResponse,
    whenFailed: (error: ErrorCode) => GroupResponse,
  ): void {
    const building = this.lane?.building;
    if (building === undefined) return this.reply(token, whenCommitted);
    building.replies.push({ token, whenCommitted, whenFailed });
  }
}
