/** Heartbeat and LeaveGroup. */
import type { ReplyToken } from "../coordinator/core.ts";
import type { Group } from "./group.ts";
import type {
  ErrorOrNone,
  HeartbeatRequest,
  LeaveGroupRequest,
  LeavingMember,
} from "./messages.ts";
import {
  afterLoss,
  maybeCompleteJoin,
  removeMember,
  touch,
} from "./rebalance.ts";
import { memberFault } from "./sync.ts";
import type { Turn } from "./turn.ts";

export function heartbeat(
  turn: Turn,
  group: Group,
  request: HeartbeatRequest,
  token: ReplyToken,
): void {
  const fault = request.groupId === ""
    ? "INVALID_GROUP_ID"
    : memberFault(group, request);
  if (fault !== undefined) return turn.reply(token, { error: fault });
  touch(turn, group, group.members.get(request.memberId)!);
  turn.reply(token, {
    error: group.state === "PreparingRebalance"
      ? "REBALANCE_IN_PROGRESS"
      : null,
  });
}

export function leaveGroup(
  turn: Turn,
  group: Group,
  request: LeaveGroupRequest,
  token: ReplyToken,
): void {
  if (request.groupId === "") {
    turn.reply(token, { error: "INVALID_GROUP_ID", members: [] });
    return;
  }
  const members = request.members.map((leaving) => ({
    ...leaving,
    error: leave(turn, group, leaving),
  }));
  turn.replyWhenCommitted(
    token,
    { error: null, members },
    (error) => ({ error, members: [] }),
  );
}

function leave(
  turn: Turn,
  group: Group,
  { memberId, groupInstanceId }: LeavingMember,
): ErrorOrNone {
  let leavingId = memberId;
  if (groupInstanceId !== null) {
    const holderId = group.staticMembers.get(groupInstanceId);
    if (holderId === undefined) return "UNKNOWN_MEMBER_ID";
    if (memberId !== "" && memberId !== holderId) return "FENCED_INSTANCE_ID";
    leavingId = holderId;
  } else if (group.pendingMembers.delete(memberId)) {
    turn.cancelTimer("pending", group.groupId, memberId);
    maybeCompleteJoin(turn, group);
    return null;
  }
  const member = group.members.get(leavingId);
  if (member === undefined) return "UNKNOWN_MEMBER_ID";
  removeMember(turn, group, member);
  afterLoss(turn, group);
  return null;
}
