/**
 * Looking at groups and moving their offsets, from outside of them. Works beside
 * the group's coordinator; owns no state.
 */
import { type ErrorCode, Failure } from "../../contract/errors.ts";
import type {
  AssignedPartitions,
  GroupDescription,
  GroupPartition,
  GroupState,
  ListedGroup,
  ResetOffset,
} from "../../contract/http.ts";
import {
  CONSUMER_PROTOCOL_TYPE,
  decodeAssignment,
} from "../group/consumer_protocol.ts";
import type { GroupClient } from "../group/http_member.ts";
import type {
  DescribedMember,
  DescribeGroupResponse,
  FetchedOffset,
  ListGroupsResponse,
} from "../group/messages.ts";
import { nonEmpty, refusals } from "./group_consumers.ts";
import { byTopic } from "./group_positions.ts";
import type { Place, ResetRequest } from "./group_operations.ts";
import type { ClusterRecords, ReadableRange } from "./operations.ts";

export interface AdministeredGroups extends GroupClient {
  list(states: readonly string[]): Promise<ListGroupsResponse>;
}

export interface GroupAdminOptions {
  readonly groups: AdministeredGroups;
  readonly brokerId: number;
  /** Partitions that other brokers are asked for at one time. */
  readonly partitionsAtOnce: number;
}

type Committed = Place & FetchedOffset;

export class GroupAdmin {
  readonly #options: GroupAdminOptions;

  constructor(options: GroupAdminOptions) {
    this.#options = options;
  }

  async list(states: readonly GroupState[]): Promise<ListedGroup[] | Failure> {
    const { error, groups } = await this.#options.groups.list(states);
    if (error !== null) {
      return new Failure(error, "A coordinator on this broker is not ready.");
    }
    return groups.map(({ groupId, protocolType, state }) => ({
      group: groupId,
      protocolType,
      state,
    }));
  }

  async describe(
    groupId: string,
    records: ClusterRecords,
  ): Promise<GroupDescription | Failure> {
    const described = await this.#state(groupId);
    if (described instanceof Failure) return described;
    const committed = await this.#committed(groupId);
    if (committed instanceof Failure) return committed;
    if (described.state === "Dead" && committed.length === 0) {
      return unknownGroup(groupId);
    }
    const members = described.members.map((member) => ({
      memberId: member.memberId,
      instanceId: member.groupInstanceId,
      clientId: member.clientId,
      clientHost: member.clientHost,
      assignment: assignmentOf(described, member),
    }));
    const offsets = await withRanges(
      rowsOf(committed, members),
      records,
    );
    return {
      group: groupId,
      state: described.state,
      protocolType: described.protocolType,
      protocol: described.protocol,
      generationId: described.generationId,
      coordinator: this.#options.brokerId,
      members,
      offsets,
      totalLag: offsets.reduce((sum, { lag }) => sum + (lag ?? 0), 0),
    };
  }

  async delete(groupId: string): Promise<Failure | undefined> {
    const { error } = await this.#options.groups.request("deleteGroup", {
      groupId,
    });
    switch (error) {
      case null:
        return undefined;
      case "GROUP_ID_NOT_FOUND":
        return unknownGroup(groupId);
      case "NON_EMPTY_GROUP":
        return new Failure(
          error,
          `Group "${groupId}" has members; it can be deleted when all have left.`,
        );
      default:
        return coordinatorSays(groupId, error);
    }
  }

  async reset(
    request: ResetRequest,
    records: ClusterRecords,
  ): Promise<ResetOffset[] | Failure> {
    const { groupId, dryRun } = request;
    const described = await this.#state(groupId);
    if (described instanceof Failure) return described;
    const isEmpty = described.state === "Empty" || described.state === "Dead";
    if (!isEmpty) return nonEmpty(groupId);
    const committed = await this.#committed(groupId);
    if (committed instanceof Failure) return committed;
    const offsets = await this.#targets(request, committed, records);
    if (offsets instanceof Failure || dryRun) return offsets;
    const { topics } = await this.#options.groups.request("offsetCommit", {
      groupId,
      generationId: -1,
      memberId: "",
      groupInstanceId: null,
      retentionTimeMs: -1,
      topics: byTopic(
        offsets.map((one) => ({ ...one, offset: one.after, metadata: null })),
      ),
    });
    const refused = refusals(groupId, topics);
    if (refused instanceof Failure) return refused;
    return refused.length === 0 ? offsets : new Failure(
      refused[0].code,
      `The offset of partition ${refused[0].partition} of topic "${
        refused[0].topic
      }" could not be set; others may have been.`,
    );
  }

  async #state(groupId: string): Promise<DescribeGroupResponse | Failure> {
    const described = await this.#options.groups.request("describeGroup", {
      groupId,
    });
    return described.error === null
      ? described
      : coordinatorSays(groupId, described.error);
  }

  async #committed(groupId: string): Promise<Committed[] | Failure> {
    const { error, topics } = await this.#options.groups.request(
      "offsetFetch",
      { groupId, topics: null, requireStable: false },
    );
    if (error !== null) return coordinatorSays(groupId, error);
    return topics.flatMap(({ topic, partitions }) =>
      partitions.map((one) => ({ topic, ...one }))
    );
  }

  async #targets(
    request: ResetRequest,
    committed: readonly Committed[],
    records: ClusterRecords,
  ): Promise<ResetOffset[] | Failure> {
    const before = new Map(
      committed.map((one) => [placeKey(one), one.offset]),
    );
    const topics = request.topic !== undefined
      ? [request.topic]
      : [...new Set(committed.map(({ topic }) => topic))].sort();
    if (topics.length === 0) return unknownGroup(request.groupId);
    const offsets: ResetOffset[] = [];
    for (const topic of topics) {
      const ranges = await records.ranges(topic);
      if (ranges instanceof Failure) {
        // A topic that is gone does not keep the others from being set.
        if (request.topic === undefined) continue;
        return ranges;
      }
      const partitions = request.partition !== undefined
        ? [request.partition]
        : request.topic !== undefined
        ? [...ranges.keys()].sort((a, b) => a - b)
        : committed.filter((one) => one.topic === topic)
          .map(({ partition }) => partition).sort((a, b) => a - b);
      const { partitionsAtOnce } = this.#options;
      for (let i = 0; i < partitions.length; i += partitionsAtOnce) {
        const found = await Promise.all(
          partitions.slice(i, i + partitionsAtOnce).map(async (partition) => {
            const place = { topic, partition };
            const after = await targetOf(request, place, ranges, records);
            return after instanceof Failure ? after : {
              ...place,
              before: before.get(placeKey(place)) ?? null,
              after,
            };
          }),
        );
        for (const one of found) {
          if (one instanceof Failure) return one;
          offsets.push(one);
        }
      }
    }
    return offsets;
  }
}

/** Where a partition's offset goes. */
async function targetOf(
  { target }: ResetRequest,
  { topic, partition }: Place,
  ranges: ReadonlyMap<number, ReadableRange>,
  records: ClusterRecords,
): Promise<number | Failure> {
  if (typeof target === "object" && "timestampMs" in target) {
    return await records.findOffset(topic, partition, target);
  }
  const range = ranges.get(partition);
  if (range === undefined) {
    // Unknown partition, or a leader that cannot be asked: it says which.
    const found = await records.findOffset(topic, partition, "latest");
    return found instanceof Failure ? found : new Failure(
      "LEADER_NOT_AVAILABLE",
      `The leader of partition ${partition} of topic "${topic}" could not be asked for its offsets.`,
      { retryAfterMs: 500 },
    );
  }
  const { logStartOffset, highWatermark } = range;
  if (target === "earliest") return logStartOffset;
  if (target === "latest") return highWatermark;
  const { offset } = target;
  if (offset >= logStartOffset && offset <= highWatermark) return offset;
  return new Failure(
    "OFFSET_OUT_OF_RANGE",
    `Partition ${partition} of topic "${topic}" has offsets from ${logStartOffset} to ${highWatermark}, so ${offset} cannot be set.`,
    {
      field: "offset",
      earliestOffset: logStartOffset,
      latestOffset: highWatermark,
    },
  );
}

function assignmentOf(
  { protocolType }: DescribeGroupResponse,
  { assignment }: DescribedMember,
): AssignedPartitions[] {
  // Other kinds of groups assign what only their members can read.
  if (protocolType !== CONSUMER_PROTOCOL_TYPE) return [];
  return (decodeAssignment(assignment)?.partitions ?? []).map((
    { topic, partitions },
  ) => ({ topic, partitions: [...partitions] }));
}

/** What is committed or assigned, sorted. */
function rowsOf(
  committed: readonly Committed[],
  members: GroupDescription["members"],
): GroupPartition[] {
  const rows = new Map<string, GroupPartition>();
  const row = ({ topic, partition }: Place) => {
    const key = placeKey({ topic, partition });
    const made = rows.get(key) ?? {
      topic,
      partition,
      committedOffset: null,
      metadata: "",
      logStartOffset: null,
      logEndOffset: null,
      lag: null,
      memberId: null,
    };
    rows.set(key, made);
    return made;
  };
  for (const one of committed) {
    if (one.offset < 0) continue;
    row(one).committedOffset = one.offset;
    row(one).metadata = one.metadata;
  }
  for (const { memberId, assignment } of members) {
    for (const { topic, partitions } of assignment) {
      for (const partition of partitions) {
        row({ topic, partition }).memberId = memberId;
      }
    }
  }
  return [...rows.values()].sort((a, b) =>
    a.topic < b.topic ? -1 : a.topic > b.topic ? 1 : a.partition - b.partition
  );
}

/** Lag counts from the log's start where nothing is committed. */
async function withRanges(
  rows: readonly GroupPartition[],
  records: ClusterRecords,
): Promise<GroupPartition[]> {
  const topics = [...new Set(rows.map(({ topic }) => topic))];
  const known = new Map<string, ReadonlyMap<number, ReadableRange>>();
  for (const topic of topics) {
    const ranges = await records.ranges(topic);
    if (!(ranges instanceof Failure)) known.set(topic, ranges);
  }
  return rows.map((row) => {
    const range = known.get(row.topic)?.get(row.partition);
    if (range === undefined) return row;
    const { logStartOffset, highWatermark } = range;
    const next = Math.max(row.committedOffset ?? 0, logStartOffset);
    return {
      ...row,
      logStartOffset,
      logEndOffset: highWatermark,
      lag: Math.max(0, highWatermark - next),
    };
  });
}

function placeKey({ topic, partition }: Place): string {
  return `${topic}/${partition}`;
}

function unknownGroup(groupId: string): Failure {
  return new Failure(
    "GROUP_ID_NOT_FOUND",
    `There is no group "${groupId}", or nothing is known of it.`,
  );
}

export function coordinatorSays(groupId: string, error: ErrorCode): Failure {
  return new Failure(
    error,
    `The coordinator of group "${groupId}" cannot answer now.`,
    { retryAfterMs: 200 },
  );
}
