/** JoinGroup 0-9: answered when the group's members are known. */
import type { Random } from "../../environment.ts";
import { newMemberId } from "../../group/messages.ts";
import type { Groups } from "../../operations/groups.ts";
import { kafkaCode } from "../answers.ts";
import { serve } from "../handler.ts";
import { joinGroupApi } from "../messages/join_group.ts";

const FIRST_VERSION_WITH_MEMBER_ID_FIRST = 4;
const FIRST_VERSION_WITH_NULL_PROTOCOL = 7;
const FIRST_VERSION_WITH_SKIP_ASSIGNMENT = 9;
/** A member id stays a readable name, however long its client's name is. */
const MEMBER_NAME_LENGTH = 255;

export function joinGroupHandler(groups: Groups, random: Random) {
  return serve(joinGroupApi, async (request, context) => {
    const { apiVersion, clientId, remote } = context;
    const { groupInstanceId } = request;
    const joined = await groups.request("joinGroup", {
      groupId: request.groupId,
      memberId: request.memberId,
      groupInstanceId,
      clientId,
      clientHost: `/${remote.hostname}`,
      protocolType: request.protocolType,
      protocols: request.protocols.map(({ name, metadata }) => ({
        name,
        // Kept long after the frame, which a view would keep alive.
        metadata: metadata.slice(),
      })),
      rebalanceTimeoutMs: request.rebalanceTimeoutMs,
      sessionTimeoutMs: request.sessionTimeoutMs,
      newMemberId: newMemberId(
        clientId.slice(0, MEMBER_NAME_LENGTH),
        groupInstanceId?.slice(0, MEMBER_NAME_LENGTH) ?? null,
        random.uuid(),
      ),
      requiresMemberId: apiVersion >= FIRST_VERSION_WITH_MEMBER_ID_FIRST,
      knowsSkipAssignment: apiVersion >= FIRST_VERSION_WITH_SKIP_ASSIGNMENT,
    });
    const { error, protocolName, ...rest } = joined;
    return {
      ...rest,
      errorCode: kafkaCode(error ?? undefined),
      protocolName: apiVersion >= FIRST_VERSION_WITH_NULL_PROTOCOL
        ? protocolName
        : protocolName ?? "",
    };
  });
}
