/** ListGroups 0-4: the groups that this broker coordinates. */
import type { Groups } from "../../operations/groups.ts";
import { kafkaCode } from "../answers.ts";
import { serve } from "../handler.ts";
import { listGroupsApi } from "../messages/list_groups.ts";

export function listGroupsHandler(groups: Groups) {
  return serve(listGroupsApi, async (request) => {
    const listed = await groups.list(request.statesFilter);
    return {
      errorCode: kafkaCode(listed.error ?? undefined),
      groups: listed.groups.map(({ groupId, protocolType, state }) => ({
        groupId,
        protocolType,
        groupState: state,
      })),
    };
  });
}
