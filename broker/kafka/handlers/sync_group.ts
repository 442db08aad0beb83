/** SyncGroup 0-5: brings the leader's assignment, answers the member's own. */
import type { Groups } from "../../operations/groups.ts";
import { kafkaCode } from "../answers.ts";
import { serve } from "../handler.ts";
import { syncGroupApi } from "../messages/sync_group.ts";

export function syncGroupHandler(groups: Groups) {
  return serve(syncGroupApi, async (request) => {
    const { error, ...synced } = await groups.request("syncGroup", {
      ...request,
      assignments: request.assignments.map(({ memberId, assignment }) => ({
        memberId,
        // Kept long after the frame, which a view would keep alive.
        assignment: assignment.slice(),
      })),
    });
    return { ...synced, errorCode: kafkaCode(error ?? undefined) };
  });
}
