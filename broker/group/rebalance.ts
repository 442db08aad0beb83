/**
 * The phases of a rebalance: members join, a leader is found, a generation
 * begins, members sync. Owns every change of state but the one to Stable, which
 * replaying the leader's assignment makes. Validates no request.
 */
import { invariant } from "../../storage/assert.ts";
import type { ErrorCode } from "../../contract/errors.ts";
import { joined, joinFailed, syncFailed } from "./answers.ts";
import type { Group, LivingState, Member } from "./group.ts";
import { NO_BYTES } from "./group.ts";
import type { Turn } from "./turn.ts";

const LAST_GENERATION = 0x7fffffff;

/** Begins a session of `lengthMs` for a member, or renews it. */
export function touch(
  turn: Turn,
  group: Group,
  member: Member,
  lengthMs = member.sessionTimeoutMs,
): void {
  member.sessionDeadlineMs = turn.now.monotonicMs + lengthMs;
  // A heartbeat only moves the deadline: a timer that fires early is set anew.
  if (
    member.timerAtMs === undefined ||
    member.timerAtMs > member.sessionDeadlineMs
  ) {
    member.timerAtMs = member.sessionDeadlineMs;
    turn.setTimer(
      "session",
      member.timerAtMs,
      group.groupId,
      member.memberId,
    );
  }
}

/** While a member waits for us, its session cannot end. */
export function isWaiting(member: Member): boolean {
  return member.sync !== undefined ||
    (member.join !== undefined && !member.join.isNew);
}

/** Takes a member out and answers what it had parked. Starts nothing. */
export function removeMember(
  turn: Turn,
  group: Group,
  member: Member,
  error: ErrorCode = "UNKNOWN_MEMBER_ID",
): void {
  if (member.join !== undefined) {
    turn.reply(member.join.token, joinFailed(error, member.memberId));
    member.join = undefined;
  }
  if (member.sync !== undefined) {
    turn.reply(member.sync, syncFailed(error));
    member.sync = undefined;
  }
  if (member.timerAtMs !== undefined) {
    turn.cancelTimer("session", group.groupId, member.memberId);
  }
  group.deleteMember(member);
}

/** What the loss of a member means for those who stay. */
export function afterLoss(turn: Turn, group: Group): void {
  if (group.state === "PreparingRebalance") maybeCompleteJoin(turn, group);
  else if (group.state !== "Empty") prepareRebalance(turn, group);
}

/** After a member parked its JoinGroup: a rebalance begins or goes on. */
export function rebalanceOrCompleteJoin(turn: Turn, group: Group): void {
  if (group.state === "PreparingRebalance") maybeCompleteJoin(turn, group);
  else prepareRebalance(turn, group);
}

function enter(turn: Turn, group: Group, state: LivingState): void {
  group.state = state;
  group.stateTimestampMs = turn.now.wallMs;
}

/** Drops the assignment that was under way and answers who waits for it. */
export function failSync(turn: Turn, group: Group, error: ErrorCode): void {
  for (const member of group.members.values()) {
    member.assignment = NO_BYTES;
    if (member.sync === undefined) continue;
    turn.reply(member.sync, syncFailed(error));
    member.sync = undefined;
    touch(turn, group, member);
  }
}

export function prepareRebalance(turn: Turn, group: Group): void {
  invariant(
    group.state !== "PreparingRebalance",
    "a rebalance begins outside of one",
  );
  if (group.state === "CompletingRebalance") {
    failSync(turn, group, "REBALANCE_IN_PROGRESS");
  }
  endSyncPhase(turn, group);
  const isInitial = group.state === "Empty";
  enter(turn, group, "PreparingRebalance");
  const timeoutMs = group.rebalanceTimeoutMs();
  const delayMs = isInitial ? turn.config.initialRebalanceDelayMs : timeoutMs;
  group.joinPhase = {
    isInitial,
    deadlineMs: turn.now.monotonicMs + delayMs,
    remainingMs: isInitial ? Math.max(timeoutMs - delayMs, 0) : 0,
    hasNewcomers: false,
  };
  if (delayMs === 0) completeJoin(turn, group);
  else {
    turn.setTimer("join", group.joinPhase.deadlineMs, group.groupId);
    maybeCompleteJoin(turn, group);
  }
}

/** The join phase ends early when nobody is missing. */
export function maybeCompleteJoin(turn: Turn, group: Group): void {
  const phase = group.joinPhase;
  if (phase === undefined || phase.isInitial) return;
  if (group.pendingMembers.size > 0) return;
  for (const { join } of group.members.values()) {
    if (join === undefined) return;
  }
  completeJoin(turn, group);
}

/** The timer of the join phase. */
export function joinPhaseTimedOut(turn: Turn, group: Group): void {
  const phase = group.joinPhase;
  if (phase === undefined) return;
  if (phase.deadlineMs > turn.now.monotonicMs) {
    turn.setTimer("join", phase.deadlineMs, group.groupId);
    return;
  }
  if (phase.isInitial && phase.hasNewcomers && phase.remainingMs > 0) {
    const moreMs = Math.min(
      turn.config.initialRebalanceDelayMs,
      phase.remainingMs,
    );
    phase.remainingMs -= moreMs;
    phase.hasNewcomers = false;
    phase.deadlineMs = turn.now.monotonicMs + moreMs;
    turn.setTimer("join", phase.deadlineMs, group.groupId);
    return;
  }
  completeJoin(turn, group);
}

/** The leader stays if it rejoined; else the oldest member that did leads. */
function electLeader(group: Group): boolean {
  const leader = group.leader === null
    ? undefined
    : group.members.get(group.leader);
  if (leader?.join !== undefined) return true;
  for (const member of group.members.values()) {
    if (member.join === undefined) continue;
    group.leader = member.memberId;
    return true;
  }
  return false;
}

function completeJoin(turn: Turn, group: Group): void {
  turn.cancelTimer("join", group.groupId);
  group.joinPhase = undefined;
  for (const member of [...group.members.values()]) {
    if (member.join === undefined && member.groupInstanceId === null) {
      removeMember(turn, group, member);
    }
  }
  if (group.members.size > 0 && !electLeader(group)) {
    // Only static members, none of them back yet: give them another round.
    // Their own sessions bound the wait.
    const deadlineMs = turn.now.monotonicMs + group.rebalanceTimeoutMs();
    group.joinPhase = {
      isInitial: false,
      deadlineMs,
      remainingMs: 0,
      hasNewcomers: false,
    };
    turn.setTimer("join", deadlineMs, group.groupId);
    return;
  }
  group.generationId = group.generationId === LAST_GENERATION
    ? 1
    : group.generationId + 1;
  if (group.members.size === 0) becomeEmpty(turn, group);
  else beginSyncPhase(turn, group);
}

function becomeEmpty(turn: Turn, group: Group): void {
  group.protocol = null;
  group.leader = null;
  enter(turn, group, "Empty");
  turn.append([group.metadataRecord(turn.now.wallMs)]);
}

function beginSyncPhase(turn: Turn, group: Group): void {
  const protocol = group.selectProtocol();
  invariant(protocol !== undefined, "members joined with a protocol in common");
  group.protocol = protocol;
  enter(turn, group, "CompletingRebalance");
  group.syncDeadlineMs = turn.now.monotonicMs + group.rebalanceTimeoutMs();
  turn.setTimer("sync", group.syncDeadlineMs, group.groupId);
  for (const member of group.members.values()) {
    group.unsynced.add(member.memberId);
    touch(turn, group, member);
    if (member.join === undefined) continue;
    turn.reply(member.join.token, joined(group, member));
    member.join = undefined;
  }
}

export function endSyncPhase(turn: Turn, group: Group): void {
  group.unsynced.clear();
  if (group.syncDeadlineMs === undefined) return;
  group.syncDeadlineMs = undefined;
  turn.cancelTimer("sync", group.groupId);
}

/** A member sent its SyncGroup; the phase ends with the last one. */
export function markSynced(turn: Turn, group: Group, member: Member): void {
  group.unsynced.delete(member.memberId);
  if (group.unsynced.size === 0) endSyncPhase(turn, group);
}

/** Parked SyncGroups are not to wait longer: their members must send them anew. */
export function refuseSync(turn: Turn, group: Group, error: ErrorCode): void {
  for (const member of group.members.values()) {
    if (member.sync === undefined) continue;
    turn.reply(member.sync, syncFailed(error));
    member.sync = undefined;
    group.unsynced.add(member.memberId);
    touch(turn, group, member);
  }
  if (group.unsynced.size > 0 && group.syncDeadlineMs === undefined) {
    group.syncDeadlineMs = turn.now.monotonicMs + group.rebalanceTimeoutMs();
    turn.setTimer("sync", group.syncDeadlineMs, group.groupId);
  }
}

/** The timer of the sync phase: who never synced is taken for gone. */
export function syncPhaseTimedOut(turn: Turn, group: Group): void {
  const deadlineMs = group.syncDeadlineMs;
  if (deadlineMs === undefined) return;
  if (deadlineMs > turn.now.monotonicMs) {
    turn.setTimer("sync", deadlineMs, group.groupId);
    return;
  }
  group.syncDeadlineMs = undefined;
  const missing = [...group.unsynced];
  if (missing.length === 0) return;
  for (const memberId of missing) {
    const member = group.members.get(memberId);
    if (member !== undefined) removeMember(turn, group, member);
  }
  afterLoss(turn, group);
}

/** The timer of a member's session. */
export function sessionTimedOut(
  turn: Turn,
  group: Group,
  memberId: string,
): void {
  const member = group.members.get(memberId);
  if (member === undefined) return;
  member.timerAtMs = undefined;
  // Its session begins anew when it is answered.
  if (isWaiting(member)) return;
  if (member.sessionDeadlineMs > turn.now.monotonicMs) {
    member.timerAtMs = member.sessionDeadlineMs;
    turn.setTimer("session", member.timerAtMs, group.groupId, memberId);
    return;
  }
  removeMember(turn, group, member);
  afterLoss(turn, group);
}

/** The timer of an id that was handed out. */
export function pendingTimedOut(
  turn: Turn,
  group: Group,
  memberId: string,
): void {
  const deadlineMs = group.pendingMembers.get(memberId);
  if (deadlineMs === undefined) return;
  if (deadlineMs > turn.now.monotonicMs) {
    turn.setTimer("pending", deadlineMs, group.groupId, memberId);
    return;
  }
  group.pendingMembers.delete(memberId);
  maybeCompleteJoin(turn, group);
}
