/** OffsetCommit 2-8: commits what a group has consumed. */
import type { Groups } from "../../operations/groups.ts";
import { serve } from "../handler.ts";
import { offsetCommitApi } from "../messages/offset_commit.ts";
import { commitAnswer, readCommit } from "./committed_offsets.ts";

export function offsetCommitHandler(groups: Groups) {
  return serve(offsetCommitApi, async (request) => {
    const { topics, refused } = readCommit(request.topics);
    const committed = await groups.request("offsetCommit", {
      groupId: request.groupId,
      generationId: request.generationIdOrMemberEpoch,
      memberId: request.memberId,
      groupInstanceId: request.groupInstanceId,
      retentionTimeMs: request.retentionTimeMs,
      topics,
    });
    return commitAnswer(request.topics, refused, committed);
  });
}
