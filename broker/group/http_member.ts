/**
 * A group member on behalf of an HTTP client, beside members that speak the
 * Kafka protocol. Owns joining, syncing, renewing the session, and the leader's
 * work when this member leads; the door owns polls, records and waiting.
 *
 * It is a static member (KIP-345) whose instance id is the client's name for
 * itself: so the client keeps its place when its next call reaches another
 * broker, and a coordinator that took over knows it again. The session lasts as
 * long as `settle` is called in time.
 */
import { type ErrorCode, Failure } from "../../contract/errors.ts";
import { type AssignableMember, ASSIGNORS } from "./assignors.ts";
import {
  CONSUMER_PROTOCOL_TYPE,
  decodeAssignment,
  decodeSubscription,
  encodeAssignment,
  encodeSubscription,
  type TopicPartitions,
} from "./consumer_protocol.ts";
import {
  type CommittedPartition,
  type GroupApi,
  type JoinGroupResponse,
  newMemberId,
  type OffsetCommitResponse,
  type SyncGroupRequest,
} from "./messages.ts";

/** The group's coordinator, here or on another broker. */
export interface GroupClient {
  request<Name extends Exclude<keyof GroupApi, "listGroups">>(
    name: Name,
    request: GroupApi[Name]["request"],
  ): Promise<GroupApi[Name]["response"]>;
}

export interface HttpMemberOptions {
  readonly groupId: string;
  /** The client's name for itself, unique in the group. */
  readonly name: string;
  readonly clientHost: string;
  readonly sessionTimeoutMs: number;
  readonly rebalanceTimeoutMs: number;
  readonly group: GroupClient;
  /** Undefined when there is no such topic. */
  partitionCount(topic: string): number | undefined;
  uuid(): string;
}

/** What the member holds, of which generation. */
export interface Holding {
  readonly generationId: number;
  readonly partitions: readonly TopicPartitions[];
}

/** Rounds of join and sync within one call, each of which waits for others. */
const MOST_ROUNDS = 5;

export class HttpMember {
  readonly #options: HttpMemberOptions;
  readonly #instanceId: string;
  #memberId = "";
  #topics: readonly string[] = [];
  #holding: Holding | undefined;
  /** When this member led: the partition counts that it assigned by. */
  #assignedBy: ReadonlyMap<string, number> | undefined;
  #settling: Promise<Holding | Failure> | undefined;
  /** It left while it was settling, which must not bring it back. */
  #hasLeft = false;

  constructor(options: HttpMemberOptions) {
    this.#options = options;
    this.#instanceId = `http-${options.name}`;
  }

  get memberId(): string {
    return this.#memberId;
  }

  /**
   * Joins, rejoins or renews the session, whichever is needed; what it holds
   * then. May take as long as a rebalance: callers that cannot wait come back
   * later, and get the same promise while it lasts.
   */
  settle(topics: readonly string[]): Promise<Holding | Failure> {
    if (this.#settling === undefined) {
      this.#hasLeft = false;
      this.#settling = this.#settle([...new Set(topics)].sort())
        .finally(() => this.#settling = undefined);
    }
    return this.#settling;
  }

  async #settle(topics: readonly string[]): Promise<Holding | Failure> {
    const isSame = topics.join(" ") === this.#topics.join(" ");
    this.#topics = topics;
    if (this.#holding === undefined || !isSame || this.#topicsGrew()) {
      return await this.#join();
    }
    const { error } = await this.#options.group.request("heartbeat", {
      groupId: this.#options.groupId,
      generationId: this.#holding.generationId,
      memberId: this.#memberId,
      groupInstanceId: this.#instanceId,
    });
    if (error === null) return this.#holding;
    return this.#mustRejoin(error) ? await this.#join() : this.#failure(error);
  }

  /** A leader looks after the topics of all: more partitions, new assignment. */
  #topicsGrew(): boolean {
    for (const [topic, count] of this.#assignedBy ?? []) {
      if ((this.#options.partitionCount(topic) ?? 0) !== count) return true;
    }
    return false;
  }

  #mustRejoin(error: ErrorCode): boolean {
    switch (error) {
      case "UNKNOWN_MEMBER_ID":
      case "FENCED_INSTANCE_ID":
        this.#memberId = "";
        return true;
      case "ILLEGAL_GENERATION":
      case "REBALANCE_IN_PROGRESS":
        return true;
      default:
        return false;
    }
  }

  #failure(error: ErrorCode): Failure {
    const { groupId, name } = this.#options;
    return new Failure(
      error,
      `Member "${name}" of group "${groupId}" could not renew its place.`,
    );
  }

  async #join(): Promise<Holding | Failure> {
    this.#holding = this.#assignedBy = undefined;
    let error: ErrorCode = "REBALANCE_IN_PROGRESS";
    for (let round = 0; round < MOST_ROUNDS; round++) {
      const joined = await this.#requestJoin();
      if (joined.error === null) {
        this.#memberId = joined.memberId;
        const synced = await this.#options.group.request(
          "syncGroup",
          this.#syncRequest(joined),
        );
        if (synced.error === null) {
          this.#holding = {
            generationId: joined.generationId,
            partitions: decodeAssignment(synced.assignment)?.partitions ?? [],
          };
          return this.#holding;
        }
        error = synced.error;
      } else error = joined.error;
      if (!this.#mustRejoin(error) || this.#hasLeft) break;
    }
    return this.#failure(error);
  }

  #requestJoin(): Promise<JoinGroupResponse> {
    const { groupId, name, clientHost } = this.#options;
    const metadata = encodeSubscription({
      topics: this.#topics,
      userData: null,
      ownedPartitions: [],
      generationId: -1,
      rackId: null,
    });
    return this.#options.group.request("joinGroup", {
      groupId,
      memberId: this.#memberId,
      groupInstanceId: this.#instanceId,
      clientId: name,
      clientHost,
      protocolType: CONSUMER_PROTOCOL_TYPE,
      protocols: [...ASSIGNORS.keys()].map((assignor) => ({
        name: assignor,
        metadata,
      })),
      rebalanceTimeoutMs: this.#options.rebalanceTimeoutMs,
      sessionTimeoutMs: this.#options.sessionTimeoutMs,
      newMemberId: newMemberId(
        name,
        this.#instanceId,
        this.#options.uuid(),
      ),
      requiresMemberId: false,
      knowsSkipAssignment: true,
    });
  }

  #syncRequest(joined: JoinGroupResponse): SyncGroupRequest {
    const leads = joined.leader === joined.memberId && !joined.skipAssignment;
    return {
      groupId: this.#options.groupId,
      generationId: joined.generationId,
      memberId: joined.memberId,
      groupInstanceId: this.#instanceId,
      protocolType: joined.protocolType,
      protocolName: joined.protocolName,
      assignments: leads ? this.#assign(joined) : [],
    };
  }

  #assign(joined: JoinGroupResponse): SyncGroupRequest["assignments"] {
    const members: AssignableMember[] = joined.members.map((member) => ({
      memberId: member.memberId,
      groupInstanceId: member.groupInstanceId,
      topics: decodeSubscription(member.metadata)?.topics ?? [],
    }));
    const counts = new Map<string, number>();
    for (const topic of members.flatMap(({ topics }) => topics)) {
      counts.set(topic, this.#options.partitionCount(topic) ?? 0);
    }
    this.#assignedBy = counts;
    const assign = ASSIGNORS.get(joined.protocolName ?? "");
    return [...(assign?.(members, counts) ?? [])].map((
      [memberId, partitions],
    ) => ({
      memberId,
      assignment: encodeAssignment({ partitions, userData: null }),
    }));
  }

  /** Commits as a member of the generation in which the records were handed out. */
  commit(
    generationId: number,
    topics: readonly {
      topic: string;
      partitions: readonly CommittedPartition[];
    }[],
  ): Promise<OffsetCommitResponse> {
    return this.#options.group.request("offsetCommit", {
      groupId: this.#options.groupId,
      generationId,
      memberId: this.#memberId,
      groupInstanceId: this.#instanceId,
      retentionTimeMs: -1,
      topics,
    });
  }

  /** Gives up its place at once. Undefined: it has none any more. */
  async leave(): Promise<Failure | undefined> {
    this.#hasLeft = true;
    const { error, members } = await this.#options.group.request("leaveGroup", {
      groupId: this.#options.groupId,
      members: [{ memberId: "", groupInstanceId: this.#instanceId }],
    });
    const fault = error ?? members[0]?.error ?? null;
    this.#memberId = "";
    this.#holding = this.#assignedBy = undefined;
    return fault === null || fault === "UNKNOWN_MEMBER_ID"
      ? undefined
      : this.#failure(fault);
  }
}
