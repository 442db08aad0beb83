/**
 * Which rule answers which request to a group, and which requests change it, so
 * that they wait for what is in flight. Owns nothing else: the rules are in the
 * files named below.
 */
import type { ReplyToken } from "../coordinator/core.ts";
import {
  deleteGroup,
  offsetCommit,
  offsetDelete,
  offsetFetch,
  txnOffsetCommit,
} from "./commit.ts";
import { describeGroup } from "./describe.ts";
import type { Group } from "./group.ts";
import { joinGroup } from "./join.ts";
import { heartbeat, leaveGroup } from "./leave.ts";
import { syncGroup } from "./sync.ts";
import type { GroupRequest, Turn } from "./turn.ts";

type ReadingRequest = Extract<
  GroupRequest,
  { type: "heartbeat" | "offsetFetch" | "describeGroup" }
>;
type ChangingRequest = Exclude<
  GroupRequest,
  ReadingRequest | { type: "listGroups" }
>;

/** These append nothing: they are answered from what is committed. */
export function isReading(request: GroupRequest): request is ReadingRequest {
  return request.type === "heartbeat" || request.type === "offsetFetch" ||
    request.type === "describeGroup";
}

/** A group that nobody knew comes to be by it. */
export function makesGroup({ type }: GroupRequest): boolean {
  return type === "joinGroup" || type === "offsetCommit" ||
    type === "txnOffsetCommit";
}

export function read(
  turn: Turn,
  group: Group,
  request: ReadingRequest,
  token: ReplyToken,
): void {
  switch (request.type) {
    case "heartbeat":
      return heartbeat(turn, group, request, token);
    case "offsetFetch":
      return offsetFetch(turn, group, request, token);
    case "describeGroup":
      return turn.reply(token, describeGroup(group));
  }
}

export function change(
  turn: Turn,
  group: Group,
  request: ChangingRequest,
  token: ReplyToken,
): void {
  switch (request.type) {
    case "joinGroup":
      return joinGroup(turn, group, request, token);
    case "syncGroup":
      return syncGroup(turn, group, request, token);
    case "leaveGroup":
      return leaveGroup(turn, group, request, token);
    case "offsetCommit":
      return offsetCommit(turn, group, request, token);
    case "txnOffsetCommit":
      return txnOffsetCommit(turn, group, request, token);
    case "deleteGroup":
      return deleteGroup(turn, group, token);
    case "offsetDelete":
      return offsetDelete(turn, group, request, token);
  }
}
