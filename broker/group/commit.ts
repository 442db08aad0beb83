/**
 * Committed offsets: commit (plain and in a transaction), fetch, delete,
 * expiry. Offsets change when their record is committed, and are answered then.
 */
import type { ErrorCode } from "../../contract/errors.ts";
import type { ReplyToken } from "../coordinator/core.ts";
import { committed, refusal } from "./answers.ts";
import { CONSUMER_PROTOCOL_TYPE } from "./consumer_protocol.ts";
import type { Group } from "./group.ts";
import type { CommittedOffset } from "./group_offsets.ts";
import type {
  CommittedPartition,
  ErrorOrNone,
  FetchedOffset,
  OffsetCommitRequest,
  OffsetDeleteRequest,
  OffsetFetchRequest,
  TxnOffsetCommitRequest,
} from "./messages.ts";
import type { GroupRecord } from "./records.ts";
import { touch } from "./rebalance.ts";
import { memberFault } from "./sync.ts";
import type { Turn } from "./turn.ts";

export function offsetCommit(
  turn: Turn,
  group: Group,
  request: OffsetCommitRequest,
  token: ReplyToken,
): void {
  const fault = commitFault(group, request) ??
    (group.state === "CompletingRebalance"
      ? "REBALANCE_IN_PROGRESS"
      : undefined);
  if (fault !== undefined) {
    turn.reply(token, committed(request, fault));
    return;
  }
  const member = group.members.get(request.memberId);
  if (member !== undefined) touch(turn, group, member);
  const { records, response } = recordsOf(turn, request);
  if (records.length > 0) turn.append(records);
  turn.replyWhenCommitted(
    token,
    response,
    (error) => commitFailed(request, error),
  );
}

/** The offsets count when the producer's transaction commits (KIP-447). */
export function txnOffsetCommit(
  turn: Turn,
  group: Group,
  request: TxnOffsetCommitRequest,
  token: ReplyToken,
): void {
  const { generationId, memberId, groupInstanceId } = request;
  // Producers before KIP-447 name no member: they are let through.
  const isAnonymous = generationId < 0 && memberId === "" &&
    groupInstanceId === null;
  const fault = isAnonymous ? undefined : commitFault(group, request);
  if (fault !== undefined) {
    turn.reply(token, committed(request, fault));
    return;
  }
  const { records, response } = recordsOf(turn, request);
  if (records.length > 0) {
    const { producerId, producerEpoch } = request;
    turn.append(records, { producer: { producerId, producerEpoch } });
  }
  turn.replyWhenCommitted(
    token,
    response,
    (error) => commitFailed(request, error),
  );
}

/** Too large a record here can only be the client's metadata. */
function commitFailed(request: OffsetCommitRequest, error: ErrorCode) {
  return committed(
    request,
    error === "MESSAGE_TOO_LARGE" ? "OFFSET_METADATA_TOO_LARGE" : error,
  );
}

function commitFault(
  group: Group,
  request: OffsetCommitRequest,
): ErrorCode | undefined {
  const isOutside = request.generationId < 0;
  if (isOutside && group.state === "Empty") return undefined;
  if (
    isOutside && request.memberId === "" && request.groupInstanceId === null
  ) return "UNKNOWN_MEMBER_ID";
  if (group.isBlank) return "ILLEGAL_GENERATION";
  return memberFault(group, request);
}

function recordsOf(turn: Turn, request: OffsetCommitRequest) {
  const records: GroupRecord[] = [];
  const topics = request.topics.map(({ topic, partitions }) => ({
    topic,
    partitions: partitions.map((one) => {
      const error = partitionFault(turn, topic, one);
      if (error === null) {
        records.push(commitRecord(turn, request, topic, one));
      }
      return { partition: one.partition, error };
    }),
  }));
  return { records, response: { topics } };
}

function partitionFault(
  turn: Turn,
  topic: string,
  { partition, metadata }: CommittedPartition,
): ErrorOrNone {
  if (!turn.partitionExists(topic, partition)) {
    return "UNKNOWN_TOPIC_OR_PARTITION";
  }
  return (metadata?.length ?? 0) > turn.config.offsetMetadataLength
    ? "OFFSET_METADATA_TOO_LARGE"
    : null;
}

function commitRecord(
  turn: Turn,
  request: OffsetCommitRequest,
  topic: string,
  { partition, offset, leaderEpoch, metadata }: CommittedPartition,
): GroupRecord {
  const { groupId, retentionTimeMs } = request;
  return {
    key: { type: "offsetCommit", group: groupId, topic, partition },
    value: {
      offset,
      leaderEpoch,
      metadata: metadata ?? "",
      commitTimestamp: turn.now.wallMs,
      // Any negative time means the broker's own, not a moment in the past.
      expireTimestamp: retentionTimeMs < 0
        ? -1
        : turn.now.wallMs + retentionTimeMs,
    },
  };
}

export function offsetFetch(
  turn: Turn,
  group: Group,
  request: OffsetFetchRequest,
  token: ReplyToken,
): void {
  const wanted = new Map<string, number[]>();
  const want = (topic: string, partition: number) => {
    const partitions = wanted.get(topic);
    if (partitions === undefined) wanted.set(topic, [partition]);
    else partitions.push(partition);
  };
  if (request.topics !== null) {
    for (const { topic, partitions } of request.topics) {
      for (const partition of partitions) want(topic, partition);
    }
  } else {
    for (const [topic, partition] of group.offsets.all()) {
      const isCommitted =
        group.offsets.committed.get(topic, partition) !== undefined;
      if (!isCommitted && !request.requireStable) continue;
      want(topic, partition);
    }
  }
  turn.reply(token, {
    error: null,
    topics: [...wanted].map(([topic, partitions]) => ({
      topic,
      partitions: partitions.map((partition) =>
        fetched(group, topic, partition, request.requireStable)
      ),
    })),
  });
}

function fetched(
  group: Group,
  topic: string,
  partition: number,
  requireStable: boolean,
): FetchedOffset {
  const isRefused = requireStable &&
    group.offsets.isUnstable(topic, partition);
  const found = isRefused
    ? undefined
    : group.offsets.committed.get(topic, partition);
  return {
    partition,
    offset: found?.offset ?? -1,
    leaderEpoch: found?.leaderEpoch ?? -1,
    metadata: found?.metadata ?? "",
    error: isRefused ? "UNSTABLE_OFFSET_COMMIT" : null,
  };
}

function tombstone(
  group: Group,
  topic: string,
  partition: number,
): GroupRecord {
  const key = {
    type: "offsetCommit",
    group: group.groupId,
    topic,
    partition,
  } as const;
  return { key, value: null };
}

function groupTombstone(group: Group): GroupRecord {
  return { key: { type: "groupMetadata", group: group.groupId }, value: null };
}

export function deleteGroup(
  turn: Turn,
  group: Group,
  token: ReplyToken,
): void {
  const fault = group.isBlank
    ? "GROUP_ID_NOT_FOUND"
    : group.state === "Empty" && group.pendingMembers.size === 0
    ? undefined
    : "NON_EMPTY_GROUP";
  if (fault !== undefined) return turn.reply(token, { error: fault });
  const records = group.offsets.all().map(([topic, partition]) =>
    tombstone(group, topic, partition)
  );
  if (group.hasMetadata) records.push(groupTombstone(group));
  if (records.length > 0) turn.append(records);
  turn.replyWhenCommitted(token, { error: null }, (error) => ({ error }));
}

export function offsetDelete(
  turn: Turn,
  group: Group,
  request: OffsetDeleteRequest,
  token: ReplyToken,
): void {
  const fault = group.isBlank
    ? "GROUP_ID_NOT_FOUND"
    : group.state !== "Empty" && group.protocolType !== CONSUMER_PROTOCOL_TYPE
    ? "NON_EMPTY_GROUP"
    : undefined;
  if (fault !== undefined) {
    turn.reply(token, { error: fault, topics: [] });
    return;
  }
  const records: GroupRecord[] = [];
  const topics = request.topics.map(({ topic, partitions }) => {
    const isRefused = group.isSubscribedTo(topic);
    return {
      topic,
      partitions: partitions.map((partition) => {
        const exists =
          group.offsets.committed.get(topic, partition) !== undefined;
        if (exists && !isRefused) {
          records.push(tombstone(group, topic, partition));
        }
        const error = isRefused ? "GROUP_SUBSCRIBED_TO_TOPIC" as const : null;
        return { partition, error };
      }),
    };
  });
  if (records.length > 0) turn.append(records);
  turn.replyWhenCommitted(
    token,
    { error: null, topics },
    (error) => refusal({ type: "offsetDelete", ...request }, error),
  );
}

/** Removes the offsets of a topic that is no more. */
export function forgetTopic(turn: Turn, group: Group, topic: string): void {
  const records = group.offsets.all()
    .filter((one) => one[0] === topic)
    .map(([, partition]) => tombstone(group, topic, partition));
  if (records.length > 0) turn.append(records);
}

/**
 * Removes offsets past their time, and with the last one an empty group. Time
 * runs from the commit, or from when the group became empty if that is later
 * (KIP-211); while it is not empty, only for topics that nobody subscribes to.
 */
export function expireOffsets(turn: Turn, group: Group): void {
  if (group.pendingMembers.size > 0) return;
  const nowMs = turn.now.wallMs;
  const isOver = (topic: string, partition: number, offset: CommittedOffset) =>
    !group.offsets.isUnstable(topic, partition) &&
    (offset.expireTimestamp >= 0
      ? offset.expireTimestamp <= nowMs
      : expiryBaseMs(group, offset) + turn.config.offsetsRetentionMs <= nowMs);
  if (group.state !== "Empty" && group.state !== "Stable") return;
  const isConsumer = group.protocolType === CONSUMER_PROTOCOL_TYPE;
  if (group.state === "Stable" && !isConsumer) return;
  const subscribed = new Map<string, boolean>();
  const records: GroupRecord[] = [];
  let kept = 0;
  for (const [topic, partition, offset] of group.offsets.committed.entries()) {
    if (!subscribed.has(topic)) {
      subscribed.set(topic, group.isSubscribedTo(topic));
    }
    if (!subscribed.get(topic) && isOver(topic, partition, offset)) {
      records.push(tombstone(group, topic, partition));
    } else kept++;
  }
  const isGone = group.state === "Empty" && group.hasMetadata && kept === 0 &&
    !group.offsets.hasPending;
  if (isGone) records.push(groupTombstone(group));
  if (records.length > 0) turn.append(records);
}

function expiryBaseMs(group: Group, offset: CommittedOffset): number {
  return group.protocolType !== null && group.state === "Empty"
    ? Math.max(group.stateTimestampMs, offset.commitTimestamp)
    : offset.commitTimestamp;
}
