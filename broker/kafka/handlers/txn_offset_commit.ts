/**
 * TxnOffsetCommit 0-3: a group's offsets that count when the producer's
 * transaction commits (KIP-98, KIP-447).
 */
import type { Groups } from "../../operations/groups.ts";
import { serve } from "../handler.ts";
import { txnOffsetCommitApi } from "../messages/txn_offset_commit.ts";
import { commitAnswer, readCommit } from "./committed_offsets.ts";

export function txnOffsetCommitHandler(groups: Groups) {
  return serve(txnOffsetCommitApi, async (request) => {
    const { topics, refused } = readCommit(request.topics);
    const committed = await groups.request("txnOffsetCommit", {
      groupId: request.groupId,
      producerId: request.producerId,
      producerEpoch: request.producerEpoch,
      generationId: request.generationIdOrMemberEpoch,
      memberId: request.memberId,
      groupInstanceId: request.groupInstanceId,
      retentionTimeMs: -1,
      topics,
    });
    return commitAnswer(request.topics, refused, committed);
  });
}
