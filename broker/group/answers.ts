/** The shapes of answers that several handlers give. */
import type { ErrorCode } from "../../contract/errors.ts";
import type { Group, Member } from "./group.ts";
import { NO_BYTES } from "./group.ts";
import type {
  ErrorOrNone,
  JoinGroupResponse,
  OffsetCommitRequest,
  OffsetCommitResponse,
  SyncGroupResponse,
} from "./messages.ts";
import type { GroupRequest, GroupResponse } from "./turn.ts";

export function joinFailed(
  error: ErrorCode,
  memberId: string,
): JoinGroupResponse {
  return {
    error,
    generationId: -1,
    protocolType: null,
    protocolName: null,
    leader: "",
    skipAssignment: false,
    memberId,
    members: [],
  };
}

/** The group as a member of the current generation sees it. */
export function joined(group: Group, member: Member): JoinGroupResponse {
  return {
    error: null,
    generationId: group.generationId,
    protocolType: group.protocolType,
    protocolName: group.protocol,
    leader: group.leader ?? "",
    skipAssignment: false,
    memberId: member.memberId,
    members: group.leader === member.memberId ? group.joinedMembers() : [],
  };
}

export function syncFailed(error: ErrorCode): SyncGroupResponse {
  return {
    error,
    protocolType: null,
    protocolName: null,
    assignment: NO_BYTES,
  };
}

export function synced(group: Group, member: Member): SyncGroupResponse {
  return {
    error: null,
    protocolType: group.protocolType,
    protocolName: group.protocol,
    assignment: member.assignment,
  };
}

/** The same outcome for every partition of a commit. */
export function committed(
  request: Pick<OffsetCommitRequest, "topics">,
  error: ErrorOrNone,
): OffsetCommitResponse {
  return {
    topics: request.topics.map(({ topic, partitions }) => ({
      topic,
      partitions: partitions.map(({ partition }) => ({ partition, error })),
    })),
  };
}

/** The answer to a request that is not served, whatever it is. */
export function refusal(
  request: GroupRequest,
  error: ErrorCode,
): GroupResponse {
  switch (request.type) {
    case "joinGroup":
      return joinFailed(error, request.memberId);
    case "syncGroup":
      return syncFailed(error);
    case "heartbeat":
    case "deleteGroup":
      return { error };
    case "leaveGroup":
      return { error, members: [] };
    case "offsetCommit":
    case "txnOffsetCommit":
      return committed(request, error);
    case "offsetFetch":
      // On the partitions too: librdkafka misses a group's error (#5586).
      return {
        error,
        topics: (request.topics ?? []).map(({ topic, partitions }) => ({
          topic,
          partitions: partitions.map((partition) => ({
            partition,
            offset: -1,
            leaderEpoch: -1,
            metadata: "",
            error,
          })),
        })),
      };
    case "describeGroup":
      return {
        error,
        state: "Dead",
        protocolType: "",
        protocol: "",
        generationId: -1,
        members: [],
      };
    case "listGroups":
      return { error, groups: [] };
    case "offsetDelete":
      return { error, topics: [] };
  }
}
