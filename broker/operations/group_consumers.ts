/**
 * The members that poll through this broker, beside their groups' coordinator:
 * finds or makes the one that a call is for, bounds how many there are, forgets
 * those whose session is over. What a member does is `group_member.ts`.
 */
import { Failure } from "../../contract/errors.ts";
import type { PartitionFault } from "../../contract/http.ts";
import type { Clock, Random, Timer, Timers } from "../environment.ts";
import { type GroupClient, HttpMember } from "../group/http_member.ts";
import type { OffsetCommitResponse } from "../group/messages.ts";
import {
  GROUP_CONSUMER_LIMITS,
  type GroupConsumerLimits,
} from "./group_limits.ts";
import { GroupMember, memberText } from "./group_member.ts";
import { byTopic, unknownMember } from "./group_positions.ts";
import type {
  GroupCommitRequest,
  GroupLeaveRequest,
  GroupPoll,
  GroupPollRequest,
} from "./group_operations.ts";
import type { ClusterRecords } from "./operations.ts";

/** Which topics there are. */
export interface KnownTopics {
  knownTopic(topic: string): { readonly partitions: number } | undefined;
  /** Looks again before it calls a topic unknown. */
  topic(topic: string): Promise<{ readonly partitions: number } | Failure>;
}

export interface GroupConsumersOptions {
  readonly groups: GroupClient;
  readonly topics: KnownTopics;
  readonly environment: {
    readonly clock: Clock;
    readonly timers: Timers;
    readonly random: Random;
  };
  readonly limits?: Partial<GroupConsumerLimits>;
}

interface Entry {
  readonly consumer: GroupMember;
  readonly sessionTimeoutMs: number;
  expiresAtMs: number;
}

export class GroupConsumers {
  readonly #options: GroupConsumersOptions;
  readonly #limits: GroupConsumerLimits;
  readonly #entries = new Map<string, Entry>();
  #sweep: Timer | undefined;

  constructor(options: GroupConsumersOptions) {
    this.#options = options;
    this.#limits = { ...GROUP_CONSUMER_LIMITS, ...options.limits };
  }

  /** Members that are remembered. */
  get size(): number {
    return this.#entries.size;
  }

  async poll(
    request: GroupPollRequest,
    records: ClusterRecords,
  ): Promise<GroupPoll | Failure> {
    for (const topic of request.topics) {
      const known = this.#options.topics.knownTopic(topic) ??
        await this.#options.topics.topic(topic);
      if (known instanceof Failure) return known;
    }
    const entry = this.#entry(request);
    if (entry instanceof Failure) return entry;
    const answer = await entry.consumer.poll(request, records);
    this.#touch(entry);
    // Another broker has the group now: what is known here is getting old.
    const hasMoved = answer instanceof Failure &&
      answer.code === "NOT_COORDINATOR";
    if (hasMoved) this.#remove(request.groupId, request.member);
    return answer;
  }

  async commit(
    request: GroupCommitRequest,
  ): Promise<PartitionFault[] | Failure> {
    const { groupId, member } = request;
    if (member === undefined) return await this.#commitOutside(request);
    const entry = this.#entries.get(keyOf(groupId, member));
    if (entry === undefined) return unknownMember(memberText(groupId, member));
    const refused = await entry.consumer.commit(request);
    this.#touch(entry);
    return refused;
  }

  async leave(request: GroupLeaveRequest): Promise<Failure | undefined> {
    const { groupId, member, ack } = request;
    const consumer = this.#entries.get(keyOf(groupId, member))?.consumer ??
      this.#create(groupId, member, {
        clientHost: "",
        // Not used: nobody joins.
        sessionTimeoutMs: 0,
      });
    const failure = await consumer.leave(ack);
    if (failure === undefined) this.#remove(groupId, member);
    return failure;
  }

  /** Forgets the members; their sessions end where their groups are. */
  close(): void {
    this.#sweep?.cancel();
    this.#sweep = undefined;
    this.#entries.clear();
  }

  #entry(request: GroupPollRequest): Entry | Failure {
    const { groupId, member, sessionTimeoutMs } = request;
    const key = keyOf(groupId, member);
    const known = this.#entries.get(key);
    if (known !== undefined) return known;
    if (this.#entries.size >= this.#limits.members) {
      return new Failure(
        "BROKER_NOT_AVAILABLE",
        `This broker serves ${this.#limits.members} members of groups already, as many as it may; try again when one has left.`,
        { retryAfterMs: 1000 },
      );
    }
    const consumer = this.#create(groupId, member, request);
    const entry = { consumer, sessionTimeoutMs, expiresAtMs: 0 };
    this.#entries.set(key, entry);
    this.#touch(entry);
    if (this.#sweep === undefined) this.#armSweep();
    return entry;
  }

  #create(
    groupId: string,
    name: string,
    { clientHost, sessionTimeoutMs }: {
      clientHost: string;
      sessionTimeoutMs: number;
    },
  ): GroupMember {
    const { groups, topics, environment } = this.#options;
    const member = new HttpMember({
      groupId,
      name,
      clientHost,
      sessionTimeoutMs,
      // A client between two polls is waited for as long as its session lasts.
      rebalanceTimeoutMs: sessionTimeoutMs,
      group: groups,
      partitionCount: (topic) => topics.knownTopic(topic)?.partitions,
      uuid: () => environment.random.uuid(),
    });
    const limits = this.#limits;
    return new GroupMember({
      groupId,
      name,
      member,
      groups,
      limits,
      ...environment,
    });
  }

  #touch(entry: Entry): void {
    entry.expiresAtMs = this.#options.environment.clock.monotonicMs() +
      entry.sessionTimeoutMs;
  }

  #remove(groupId: string, member: string): void {
    this.#entries.delete(keyOf(groupId, member));
  }

  #armSweep(): void {
    const { clock, timers } = this.#options.environment;
    this.#sweep = timers.after(this.#limits.sweepMs, () => {
      const nowMs = clock.monotonicMs();
      for (const [key, { consumer, expiresAtMs }] of this.#entries) {
        if (expiresAtMs <= nowMs && !consumer.isBusy) this.#entries.delete(key);
      }
      this.#sweep = undefined;
      if (this.#entries.size > 0) this.#armSweep();
    });
  }

  async #commitOutside(
    { groupId, offsets }: GroupCommitRequest,
  ): Promise<PartitionFault[] | Failure> {
    const { topics } = await this.#options.groups.request("offsetCommit", {
      groupId,
      generationId: -1,
      memberId: "",
      groupInstanceId: null,
      retentionTimeMs: -1,
      topics: byTopic(offsets),
    });
    return refusals(groupId, topics);
  }
}

/** What a commit from outside was refused for; the group's own reason first. */
export function refusals(
  groupId: string,
  topics: OffsetCommitResponse["topics"],
): PartitionFault[] | Failure {
  const refused: PartitionFault[] = [];
  for (const { topic, partitions } of topics) {
    for (const { partition, error } of partitions) {
      if (error === "UNKNOWN_MEMBER_ID") return nonEmpty(groupId);
      if (error === null) continue;
      const detail = "The coordinator of the group refused the commit.";
      refused.push({ topic, partition, code: error, detail });
    }
  }
  return refused;
}

export function nonEmpty(groupId: string): Failure {
  return new Failure(
    "NON_EMPTY_GROUP",
    `Group "${groupId}" has members; its offsets can be set from outside when all have left.`,
  );
}

function keyOf(groupId: string, member: string): string {
  return JSON.stringify([groupId, member]);
}
