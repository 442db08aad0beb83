/**
 * SyncGroup: collects the members of a generation, makes the leader's
 * assignment durable, then hands each its part. Driven by the leader's request
 * alone, never by time.
 */
import type { ErrorCode } from "../../contract/errors.ts";
import type { ReplyToken } from "../coordinator/core.ts";
import { synced, syncFailed } from "./answers.ts";
import type { Group, Member } from "./group.ts";
import type { SyncGroupRequest } from "./messages.ts";
import { failSync, markSynced, prepareRebalance, touch } from "./rebalance.ts";
import type { Turn } from "./turn.ts";

/**
 * Whether a request comes from a member of the current generation. Empty
 * groups have no members, so their answer is UNKNOWN_MEMBER_ID.
 */
export function memberFault(
  group: Group,
  request: {
    readonly memberId: string;
    readonly groupInstanceId: string | null;
    readonly generationId: number;
  },
): ErrorCode | undefined {
  const { memberId, groupInstanceId } = request;
  if (groupInstanceId !== null) {
    const holderId = group.staticMembers.get(groupInstanceId);
    if (holderId === undefined) return "UNKNOWN_MEMBER_ID";
    if (holderId !== memberId) return "FENCED_INSTANCE_ID";
  }
  if (!group.members.has(memberId)) return "UNKNOWN_MEMBER_ID";
  if (request.generationId !== group.generationId) return "ILLEGAL_GENERATION";
  return undefined;
}

export function syncGroup(
  turn: Turn,
  group: Group,
  request: SyncGroupRequest,
  token: ReplyToken,
): void {
  const fault = faultOf(group, request);
  if (fault !== undefined) return turn.reply(token, syncFailed(fault));
  const member = group.members.get(request.memberId)!;
  if (group.state === "Stable") {
    markSynced(turn, group, member);
    touch(turn, group, member);
    turn.reply(token, synced(group, member));
    return;
  }
  if (member.sync !== undefined) {
    turn.reply(member.sync, syncFailed("UNKNOWN_MEMBER_ID"));
  }
  member.sync = token;
  markSynced(turn, group, member);
  if (group.leader === member.memberId) assign(turn, group, request);
}

function faultOf(
  group: Group,
  request: SyncGroupRequest,
): ErrorCode | undefined {
  if (request.groupId === "") return "INVALID_GROUP_ID";
  const fault = memberFault(group, request);
  if (fault !== undefined) return fault;
  const { protocolType, protocolName } = request;
  if (
    protocolType !== null && protocolType !== group.protocolType ||
    protocolName !== null && protocolName !== group.protocol
  ) return "INCONSISTENT_GROUP_PROTOCOL";
  if (group.state === "PreparingRebalance") return "REBALANCE_IN_PROGRESS";
  return undefined;
}

function assign(turn: Turn, group: Group, request: SyncGroupRequest): void {
  const assignments = new Map(
    request.assignments.map((one) => [one.memberId, one.assignment]),
  );
  turn.append([group.metadataRecord(turn.now.wallMs, assignments)], {
    onCommitted: (later) => {
      for (const member of group.members.values()) {
        handOut(later, group, member);
      }
    },
    onFailed: (later, error) => {
      failSync(
        later,
        group,
        error === "MESSAGE_TOO_LARGE" ? "UNKNOWN_SERVER_ERROR" : error,
      );
      prepareRebalance(later, group);
    },
  });
}

function handOut(turn: Turn, group: Group, member: Member): void {
  if (member.sync === undefined) return;
  turn.reply(member.sync, synced(group, member));
  member.sync = undefined;
  touch(turn, group, member);
}
