/** Deciding where a request is answered: here or one hop on. */
import { Failure } from "../../contract/errors.ts";
import type { Door, Exchange, Result } from "./exchange.ts";

/** What a forwarded request gets where its partition is not led. */
export function notLeader(topic: string, partition: number): Failure {
  return new Failure(
    "NOT_LEADER_OR_FOLLOWER",
    `This broker does not lead partition ${partition} of topic "${topic}"; the leader has just changed, try again.`,
  );
}

/** How a request may be sent on as it came, without a body. */
export interface Passing {
  readonly changes: boolean;
  readonly timeoutMs: number;
  readonly isPoll?: boolean;
  readonly signal?: AbortSignal;
  /** JSON text. */
  readonly body?: string;
}

/**
 * Undefined when this broker leads the partition; else the leader's answer to
 * the same request, or why there is none.
 */
export async function passToLeader(
  exchange: Exchange,
  door: Door,
  topic: string,
  partition: number,
  passing: Passing,
): Promise<Result | undefined> {
  const route = await door.operations.records.route(topic, partition);
  if (route instanceof Failure) return route;
  if (route.isLocal) return undefined;
  if (exchange.isForwarded) return notLeader(topic, partition);
  return door.forwarder.send(route.broker, {
    ...passing,
    method: exchange.request.method === "HEAD"
      ? "GET"
      : exchange.request.method,
    target: exchange.target,
  });
}

/** As `passToLeader`, for the broker that coordinates a group. */
export async function passToCoordinator(
  exchange: Exchange,
  door: Door,
  groupId: string,
  passing: Passing,
): Promise<Result | undefined> {
  const route = await door.operations.groups.route(groupId);
  if (route instanceof Failure) return route;
  if (route.isLocal) return undefined;
  if (exchange.isForwarded) {
    return new Failure(
      "NOT_COORDINATOR",
      `This broker does not coordinate group "${groupId}"; the coordinator has just changed, try again.`,
    );
  }
  return door.forwarder.send(route.broker, {
    ...passing,
    method: exchange.request.method === "HEAD"
      ? "GET"
      : exchange.request.method,
    target: exchange.target,
    duty: "coordinates the group",
    clientHost: exchange.clientHost,
  });
}
