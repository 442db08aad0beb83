/** DescribeGroups and ListGroups. */
import type { Group } from "./group.ts";
import { NO_BYTES } from "./group.ts";
import type { DescribeGroupResponse, ListGroupsResponse } from "./messages.ts";

export function describeGroup(group: Group): DescribeGroupResponse {
  // Before the members agreed there is nothing true to tell beyond who they are.
  const isSettled = group.state === "Stable" ||
    group.state === "CompletingRebalance";
  return {
    error: null,
    state: group.isBlank ? "Dead" : group.state,
    protocolType: group.protocolType ?? "",
    protocol: isSettled ? group.protocol ?? "" : "",
    generationId: group.generationId,
    members: [...group.members.values()].map((member) => ({
      memberId: member.memberId,
      groupInstanceId: member.groupInstanceId,
      clientId: member.clientId,
      clientHost: member.clientHost,
      metadata: isSettled ? group.metadataOf(member) : NO_BYTES,
      assignment: group.state === "Stable" ? member.assignment : NO_BYTES,
    })),
  };
}

/** An empty list of states means all; their case does not matter. */
export function listGroups(
  groups: Iterable<Group>,
  states: readonly string[],
): ListGroupsResponse {
  const wanted = new Set(states.map((state) => state.toLowerCase()));
  const listed = [];
  for (const group of groups) {
    if (group.isBlank) continue;
    if (wanted.size > 0 && !wanted.has(group.state.toLowerCase())) continue;
    listed.push({
      groupId: group.groupId,
      protocolType: group.protocolType ?? "",
      state: group.state,
    });
  }
  return { error: null, groups: listed };
}
