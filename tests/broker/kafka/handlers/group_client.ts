/** A consumer group's member, reduced to the requests that it sends. */
import { heartbeatApi } from "../../../../broker/kafka/messages/heartbeat.ts";
import { joinGroupApi } from "../../../../broker/kafka/messages/join_group.ts";
import { leaveGroupApi } from "../../../../broker/kafka/messages/leave_group.ts";
import { offsetCommitApi } from "../../../../broker/kafka/messages/offset_commit.ts";
import { offsetFetchApi } from "../../../../broker/kafka/messages/offset_fetch.ts";
import { syncGroupApi } from "../../../../broker/kafka/messages/sync_group.ts";
import type { TestBroker } from "../../../support/kafka_cluster.ts";

const text = new TextEncoder();

export interface Joining {
  readonly groupId?: string;
  readonly memberId?: string;
  readonly groupInstanceId?: string | null;
  readonly version?: number;
  readonly metadata?: string;
}

/** Parked until the group's members are known: not awaited here. */
export function join(broker: TestBroker, joining: Joining = {}) {
  const { version = 9, metadata = "subscription" } = joining;
  return broker.begin(joinGroupApi, version, {
    groupId: joining.groupId ?? "g",
    sessionTimeoutMs: 10_000,
    ...(version >= 1 ? { rebalanceTimeoutMs: 30_000 } : {}),
    memberId: joining.memberId ?? "",
    ...(version >= 5
      ? { groupInstanceId: joining.groupInstanceId ?? null }
      : {}),
    protocolType: "consumer",
    protocols: [{ name: "range", metadata: text.encode(metadata) }],
  });
}

export function sync(
  broker: TestBroker,
  member: { memberId: string; generationId: number; groupId?: string },
  assignments: Readonly<Record<string, string>> = {},
  version = 5,
) {
  return broker.begin(syncGroupApi, version, {
    groupId: member.groupId ?? "g",
    generationId: member.generationId,
    memberId: member.memberId,
    ...(version >= 5
      ? { protocolType: "consumer", protocolName: "range" }
      : {}),
    assignments: Object.entries(assignments).map(([memberId, assignment]) => ({
      memberId,
      assignment: text.encode(assignment),
    })),
  });
}

/** Joins alone and stays, as version 4 and later have it. */
export async function joinAlone(broker: TestBroker, joining: Joining = {}) {
  const asked = await join(broker, joining);
  const joined = asked.errorCode === 79
    ? await join(broker, { ...joining, memberId: asked.memberId })
    : asked;
  const { memberId, generationId } = joined;
  await sync(broker, { ...joined, groupId: joining.groupId }, {
    [memberId]: "all",
  });
  return { memberId, generationId };
}

export function heartbeat(
  broker: TestBroker,
  member: { memberId: string; generationId: number },
) {
  return broker.call(heartbeatApi, 4, { groupId: "g", ...member });
}

export function leave(broker: TestBroker, memberId: string) {
  return broker.call(leaveGroupApi, 5, {
    groupId: "g",
    members: [{ memberId }],
  });
}

export interface Commit {
  readonly groupId?: string;
  readonly memberId?: string;
  readonly generationId?: number;
  readonly topic?: string;
  readonly offsets: Readonly<Record<number, number>>;
  readonly metadata?: string | null;
}

/** Error codes by partition. */
export async function commit(broker: TestBroker, committing: Commit) {
  const { topics: [{ partitions }] } = await broker.call(offsetCommitApi, 8, {
    groupId: committing.groupId ?? "g",
    generationIdOrMemberEpoch: committing.generationId ?? -1,
    memberId: committing.memberId ?? "",
    topics: [{
      name: committing.topic ?? "demo",
      partitions: Object.entries(committing.offsets).map(([index, offset]) => ({
        partitionIndex: Number(index),
        committedOffset: offset,
        committedLeaderEpoch: 0,
        committedMetadata: committing.metadata ?? null,
      })),
    }],
  });
  return Object.fromEntries(
    partitions.map((one) => [one.partitionIndex, one.errorCode]),
  );
}

/** All committed offsets of a group by "topic-partition"; or its error. */
export async function offsets(
  broker: TestBroker,
  groupId = "g",
): Promise<Record<string, number> | number> {
  const { groups: [group] } = await broker.call(offsetFetchApi, 8, {
    groups: [{ groupId, topics: null }],
  });
  if (group.errorCode !== 0) return group.errorCode;
  return Object.fromEntries(
    group.topics.flatMap(({ name, partitions }) =>
      partitions.map((one) =>
        [`${name}-${one.partitionIndex}`, one.committedOffset] as const
      )
    ),
  );
}
