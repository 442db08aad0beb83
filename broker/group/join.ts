/**
 * JoinGroup: who may join, under which id, and whether that starts a rebalance
 * (KIP-394 ids before joining, KIP-345 static members, KIP-814 skipping the
 * assignment). The phases themselves are in `rebalance.ts`.
 */
import type { ErrorCode } from "../../contract/errors.ts";
import type { ReplyToken } from "../coordinator/core.ts";
import { joined, joinFailed, syncFailed } from "./answers.ts";
import {
  CONSUMER_PROTOCOL_TYPE,
  subscribedTopics,
} from "./consumer_protocol.ts";
import type { Group, Member } from "./group.ts";
import { NO_BYTES } from "./group.ts";
import type { JoinGroupRequest, JoinProtocol } from "./messages.ts";
import { rebalanceOrCompleteJoin, removeMember, touch } from "./rebalance.ts";
import type { Turn } from "./turn.ts";

type Join = Omit<JoinGroupRequest, "groupId">;

export function joinGroup(
  turn: Turn,
  group: Group,
  request: JoinGroupRequest,
  token: ReplyToken,
): void {
  const fault = faultOf(turn, group, request);
  if (fault !== undefined) {
    turn.reply(token, joinFailed(fault, request.memberId));
    return;
  }
  const instanceId = request.groupInstanceId;
  const holderId = instanceId === null
    ? undefined
    : group.staticMembers.get(instanceId);
  const known = group.members.get(request.memberId);
  if (known !== undefined) rejoin(turn, group, known, request, token);
  else if (request.memberId !== "") {
    // Its id was handed out before, and is now used.
    turn.cancelTimer("pending", group.groupId, request.memberId);
    addMember(turn, group, request.memberId, request, token);
  } else if (holderId !== undefined) {
    const holder = group.members.get(holderId)!;
    replaceStaticMember(turn, group, holder, request, token);
  } else if (instanceId === null && request.requiresMemberId) {
    handOutId(turn, group, request, token);
  } else addMember(turn, group, request.newMemberId, request, token);
}

function faultOf(
  turn: Turn,
  group: Group,
  request: JoinGroupRequest,
): ErrorCode | undefined {
  const { config } = turn;
  if (request.groupId === "") return "INVALID_GROUP_ID";
  if (
    request.sessionTimeoutMs < config.minSessionTimeoutMs ||
    request.sessionTimeoutMs > config.maxSessionTimeoutMs
  ) return "INVALID_SESSION_TIMEOUT";
  const { memberId, groupInstanceId } = request;
  const holderId = groupInstanceId === null
    ? undefined
    : group.staticMembers.get(groupInstanceId);
  const isMember = group.members.has(memberId);
  if (memberId !== "") {
    if (holderId !== undefined && holderId !== memberId) {
      return "FENCED_INSTANCE_ID";
    }
    const isPending = groupInstanceId === null &&
      group.pendingMembers.has(memberId);
    if (!isMember && !isPending) return "UNKNOWN_MEMBER_ID";
  }
  const replaced = isMember ? memberId : holderId;
  if (!group.supports(request.protocolType, request.protocols, replaced)) {
    return "INCONSISTENT_GROUP_PROTOCOL";
  }
  const others = group.members.size + group.pendingMembers.size -
    (group.pendingMembers.has(memberId) ? 1 : 0);
  if (replaced === undefined && others >= config.membersPerGroup) {
    return "GROUP_MAX_SIZE_REACHED";
  }
  return undefined;
}

function handOutId(
  turn: Turn,
  group: Group,
  request: Join,
  token: ReplyToken,
): void {
  const deadlineMs = turn.now.monotonicMs + request.sessionTimeoutMs;
  group.pendingMembers.set(request.newMemberId, deadlineMs);
  turn.setTimer("pending", deadlineMs, group.groupId, request.newMemberId);
  turn.reply(token, joinFailed("MEMBER_ID_REQUIRED", request.newMemberId));
}

function newMember(memberId: string, request: Join): Member {
  return {
    memberId,
    groupInstanceId: request.groupInstanceId,
    clientId: request.clientId,
    clientHost: request.clientHost,
    rebalanceTimeoutMs: rebalanceTimeoutOf(request),
    sessionTimeoutMs: request.sessionTimeoutMs,
    protocols: request.protocols,
    assignment: NO_BYTES,
    join: undefined,
    sync: undefined,
    sessionDeadlineMs: Infinity,
    timerAtMs: undefined,
  };
}

function rebalanceTimeoutOf(request: Join): number {
  return request.rebalanceTimeoutMs < 0
    ? request.sessionTimeoutMs
    : request.rebalanceTimeoutMs;
}

function addMember(
  turn: Turn,
  group: Group,
  memberId: string,
  request: Join,
  token: ReplyToken,
): void {
  const member = newMember(memberId, request);
  member.join = { token, isNew: true };
  group.addMember(member, request.protocolType);
  if (group.joinPhase?.isInitial) group.joinPhase.hasNewcomers = true;
  // It cannot heartbeat before it is answered, and its client may have gone:
  // without this, each retry of a dead client would leave a member behind.
  touch(turn, group, member, turn.config.newMemberJoinTimeoutMs);
  rebalanceOrCompleteJoin(turn, group);
}

function update(member: Member, request: Join): void {
  member.clientId = request.clientId;
  member.clientHost = request.clientHost;
  member.rebalanceTimeoutMs = rebalanceTimeoutOf(request);
  member.sessionTimeoutMs = request.sessionTimeoutMs;
  member.protocols = request.protocols;
}

function rejoin(
  turn: Turn,
  group: Group,
  member: Member,
  request: Join,
  token: ReplyToken,
): void {
  const isUnchanged = sameProtocols(member.protocols, request.protocols);
  const isCurrent = group.state === "CompletingRebalance" && isUnchanged ||
    // A leader that rejoins asks for a rebalance: it saw a topic change.
    group.state === "Stable" && isUnchanged && group.leader !== member.memberId;
  if (isCurrent) {
    touch(turn, group, member);
    turn.reply(token, joined(group, member));
    return;
  }
  // A retry of its parked request: the earlier one has nobody listening, but
  // is answered all the same.
  if (member.join !== undefined) {
    turn.reply(
      member.join.token,
      joinFailed("UNKNOWN_MEMBER_ID", member.memberId),
    );
  }
  update(member, request);
  member.join = { token, isNew: member.join?.isNew ?? false };
  rebalanceOrCompleteJoin(turn, group);
}

function sameProtocols(
  left: readonly JoinProtocol[],
  right: readonly JoinProtocol[],
): boolean {
  return left.length === right.length &&
    left.every((one, i) =>
      one.name === right[i].name && sameBytes(one.metadata, right[i].metadata)
    );
}

function sameBytes(left: Uint8Array, right: Uint8Array): boolean {
  return left.length === right.length &&
    left.every((byte, i) => byte === right[i]);
}

/** A static member came back without its id: it gets a new one. */
function replaceStaticMember(
  turn: Turn,
  group: Group,
  old: Member,
  request: Join,
  token: ReplyToken,
): void {
  const member = newMember(request.newMemberId, request);
  member.assignment = old.assignment;
  if (group.state === "Stable" && staysStable(group, old, member)) {
    replaceInStable(turn, group, old, member, { request, token });
    return;
  }
  const wasLeader = group.leader === old.memberId;
  removeMember(turn, group, old, "FENCED_INSTANCE_ID");
  member.join = { token, isNew: true };
  group.addMember(member, request.protocolType);
  if (wasLeader) group.leader = member.memberId;
  touch(turn, group, member, turn.config.newMemberJoinTimeoutMs);
  rebalanceOrCompleteJoin(turn, group);
}

/**
 * Whether the group's protocol and the member's topics are as before. Kafka
 * compares the protocol only; then a member restarted with other topics would
 * never be assigned any of them.
 */
function staysStable(group: Group, old: Member, member: Member): boolean {
  if (group.protocol === null) return false;
  if (!member.protocols.some(({ name }) => name === group.protocol)) {
    return false;
  }
  if (group.protocolType !== CONSUMER_PROTOCOL_TYPE) return true;
  const before = subscribedTopics(group.metadataOf(old));
  const after = subscribedTopics(group.metadataOf(member));
  if (before === undefined || after === undefined) return true;
  return JSON.stringify([...before].sort()) ===
    JSON.stringify([...after].sort());
}

/** No rebalance: the new id is made durable, then answered (KIP-345). */
function replaceInStable(
  turn: Turn,
  group: Group,
  old: Member,
  member: Member,
  { request, token }: { request: Join; token: ReplyToken },
): void {
  const wasLeader = group.leader === old.memberId;
  const leader = wasLeader ? member.memberId : group.leader;
  const values = [...group.members.values()].map((one) =>
    one === old
      ? group.memberValue(member, old.assignment)
      : group.memberValue(one, one.assignment)
  );
  // A returning leader must not assign: it is not told that it leads, or, when
  // it knows the flag, told to skip (KIP-814).
  const skips = wasLeader && request.knowsSkipAssignment;
  const members = skips
    ? group.joinedMembers().map((one) =>
      one.memberId === old.memberId
        ? {
          memberId: member.memberId,
          groupInstanceId: member.groupInstanceId,
          metadata: group.metadataOf(member),
        }
        : one
    )
    : [];
  const response = {
    ...joined(group, member),
    leader: skips ? member.memberId : (group.leader ?? ""),
    skipAssignment: skips,
    members,
  };
  turn.append([group.recordOf(turn.now.wallMs, values, leader)], {
    onCommitted: (later) => {
      if (old.timerAtMs !== undefined) {
        later.cancelTimer("session", group.groupId, old.memberId);
      }
      if (old.sync !== undefined) {
        later.reply(old.sync, syncFailed("FENCED_INSTANCE_ID"));
      }
      const applied = group.members.get(member.memberId)!;
      update(applied, request);
      touch(later, group, applied);
    },
  });
  turn.replyWhenCommitted(
    token,
    response,
    (error) => joinFailed(error, request.memberId),
  );
}
