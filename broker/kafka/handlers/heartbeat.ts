/** Heartbeat 0-4: keeps a member alive and tells it of rebalances. */
import type { Groups } from "../../operations/groups.ts";
import { kafkaCode } from "../answers.ts";
import { serve } from "../handler.ts";
import { heartbeatApi } from "../messages/heartbeat.ts";

export function heartbeatHandler(groups: Groups) {
  return serve(heartbeatApi, async (request) => {
    const { error } = await groups.request("heartbeat", request);
    return { errorCode: kafkaCode(error ?? undefined) };
  });
}
