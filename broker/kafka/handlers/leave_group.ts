/** LeaveGroup 0-5: one member, or several from version 3 on (KIP-345). */
import type { Groups } from "../../operations/groups.ts";
import { kafkaCode } from "../answers.ts";
import { serve } from "../handler.ts";
import { leaveGroupApi } from "../messages/leave_group.ts";

const FIRST_VERSION_OF_MANY = 3;

export function leaveGroupHandler(groups: Groups) {
  return serve(leaveGroupApi, async (request, { apiVersion }) => {
    const { groupId, memberId } = request;
    const isOfMany = apiVersion >= FIRST_VERSION_OF_MANY;
    const { error, members } = await groups.request("leaveGroup", {
      groupId,
      members: isOfMany
        ? request.members
        : [{ memberId, groupInstanceId: null }],
    });
    if (!isOfMany) {
      const outcome = error ?? members[0]?.error ?? undefined;
      return { errorCode: kafkaCode(outcome) };
    }
    return {
      errorCode: kafkaCode(error ?? undefined),
      members: members.map(({ error, ...member }) => ({
        ...member,
        errorCode: kafkaCode(error ?? undefined),
      })),
    };
  });
}
