/** DescribeGroups 0-5: state, members and assignments of groups. */
import type { Groups } from "../../operations/groups.ts";
import { kafkaCode } from "../answers.ts";
import { serve } from "../handler.ts";
import { describeGroupsApi } from "../messages/describe_groups.ts";

export function describeGroupsHandler(groups: Groups) {
  return serve(describeGroupsApi, async (request) => ({
    groups: await Promise.all(request.groups.map(async (groupId) => {
      const group = await groups.request("describeGroup", { groupId });
      return {
        errorCode: kafkaCode(group.error ?? undefined),
        groupId,
        groupState: group.state,
        protocolType: group.protocolType,
        protocolData: group.protocol,
        members: group.members.map((member) => ({
          memberId: member.memberId,
          groupInstanceId: member.groupInstanceId,
          clientId: member.clientId,
          clientHost: member.clientHost,
          memberMetadata: member.metadata,
          memberAssignment: member.assignment,
        })),
      };
    })),
  }));
}
