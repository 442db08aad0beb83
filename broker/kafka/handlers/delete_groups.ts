/** DeleteGroups 0-2: removes empty groups and their offsets. */
import type { Groups } from "../../operations/groups.ts";
import { kafkaCode } from "../answers.ts";
import { serve } from "../handler.ts";
import { deleteGroupsApi } from "../messages/delete_groups.ts";

export function deleteGroupsHandler(groups: Groups) {
  return serve(deleteGroupsApi, async (request) => ({
    results: await Promise.all(request.groupsNames.map(async (groupId) => {
      const { error } = await groups.request("deleteGroup", { groupId });
      return { groupId, errorCode: kafkaCode(error ?? undefined) };
    })),
  }));
}
