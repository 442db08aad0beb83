/**
 * One group: its members, its state and its offsets, with the questions that
 * can be asked of them. What moves it from state to state is in the files
 * beside this one (`join.ts`, `sync.ts`, `rebalance.ts`, ...); what is durable
 * of it changes in `replay` only. Membership itself is soft, as in Kafka: the
 * log has what the members of a generation agreed on, and that a group emptied.
 */
import type { ReplyToken } from "../coordinator/core.ts";
import {
  CONSUMER_PROTOCOL_TYPE,
  subscribedTopics,
} from "./consumer_protocol.ts";
import { GroupOffsets } from "./group_offsets.ts";
import type { GroupStateName, JoinedMember, JoinProtocol } from "./messages.ts";
import type {
  GroupMemberValue,
  GroupMetadataValue,
  GroupRecord,
} from "./records.ts";

export const NO_BYTES = new Uint8Array(0);

export interface Member {
  readonly memberId: string;
  readonly groupInstanceId: string | null;
  clientId: string;
  clientHost: string;
  rebalanceTimeoutMs: number;
  sessionTimeoutMs: number;
  protocols: readonly JoinProtocol[];
  assignment: Uint8Array;
  /** Its parked JoinGroup. */
  join: { token: ReplyToken; isNew: boolean } | undefined;
  /** Its parked SyncGroup. */
  sync: ReplyToken | undefined;
  /** When its session ends, on the monotonic clock. */
  sessionDeadlineMs: number;
  /** When its timer will fire; undefined while none is set. */
  timerAtMs: number | undefined;
}

/** The phase in which members (re)join, while it lasts. */
export interface JoinPhase {
  /** The first one of an empty group: waits for its time, not for members. */
  readonly isInitial: boolean;
  deadlineMs: number;
  /** Of an initial phase: by how much it may yet be extended. */
  remainingMs: number;
  /** Of an initial phase: someone joined since its deadline was set. */
  hasNewcomers: boolean;
}

export type LivingState = Exclude<GroupStateName, "Dead">;

export class Group {
  readonly groupId: string;
  state: LivingState = "Empty";
  /** When the state was entered, wall clock; -1 when unknown. */
  stateTimestampMs = -1;
  generationId = 0;
  /** Null until a member joins: a group that only holds offsets. */
  protocolType: string | null = null;
  protocol: string | null = null;
  leader: string | null = null;
  /** In the order in which they joined. */
  readonly members = new Map<string, Member>();
  /** Instance id to member id. */
  readonly staticMembers = new Map<string, string>();
  /** Ids handed out and not yet used, with the end of their time. */
  readonly pendingMembers = new Map<string, number>();
  /** Members that have not sent the SyncGroup of this generation. */
  readonly unsynced = new Set<string>();
  syncDeadlineMs: number | undefined;
  joinPhase: JoinPhase | undefined;
  readonly offsets = new GroupOffsets();
  /** The log has a group metadata record of it, so it needs a tombstone. */
  isPersisted = false;

  constructor(groupId: string) {
    this.groupId = groupId;
  }

  /**
   * Nothing is known of it: as if it did not exist. A generation that was given
   * out is not to come again, even if the log never heard of it.
   */
  get isBlank(): boolean {
    return !this.isPersisted && this.generationId === 0 &&
      this.state === "Empty" &&
      this.members.size === 0 && this.pendingMembers.size === 0 &&
      this.offsets.isEmpty;
  }

  /** There is more to forget than offsets. */
  get hasMetadata(): boolean {
    return this.isPersisted || this.generationId > 0;
  }

  addMember(member: Member, protocolType: string): void {
    if (this.members.size === 0) this.protocolType = protocolType;
    this.leader ??= member.memberId;
    this.members.set(member.memberId, member);
    this.pendingMembers.delete(member.memberId);
    if (member.groupInstanceId !== null) {
      this.staticMembers.set(member.groupInstanceId, member.memberId);
    }
  }

  deleteMember(member: Member): void {
    this.members.delete(member.memberId);
    this.unsynced.delete(member.memberId);
    const instance = member.groupInstanceId;
    if (
      instance !== null && this.staticMembers.get(instance) === member.memberId
    ) {
      this.staticMembers.delete(instance);
    }
    if (this.leader === member.memberId) {
      this.leader = this.members.keys().next().value ?? null;
    }
  }

  /** The longest that any member asks for; bounds both phases. */
  rebalanceTimeoutMs(): number {
    let longest = 0;
    for (const member of this.members.values()) {
      longest = Math.max(longest, member.rebalanceTimeoutMs);
    }
    return longest;
  }

  /** Whether a member of these protocols leaves all with one in common. */
  supports(
    protocolType: string,
    protocols: readonly JoinProtocol[],
    replacedMemberId?: string,
  ): boolean {
    if (protocolType === "" || protocols.length === 0) return false;
    if (this.members.size === 0) return true;
    return this.protocolType === protocolType &&
      protocols.some(({ name }) => this.isCandidate(name, replacedMemberId));
  }

  isCandidate(protocolName: string, exceptMemberId?: string): boolean {
    for (const { memberId, protocols } of this.members.values()) {
      if (memberId === exceptMemberId) continue;
      if (!protocols.some(({ name }) => name === protocolName)) return false;
    }
    return true;
  }

  /**
   * The protocol that all members know and most prefer; of equals the one that
   * the oldest member prefers. Undefined when they have none in common.
   */
  selectProtocol(): string | undefined {
    const [first] = this.members.values();
    if (first === undefined) return undefined;
    const votes = new Map<string, number>();
    for (const { name } of first.protocols) {
      if (this.isCandidate(name)) votes.set(name, 0);
    }
    for (const { protocols } of this.members.values()) {
      const choice = protocols.find(({ name }) => votes.has(name));
      if (choice !== undefined) {
        votes.set(choice.name, votes.get(choice.name)! + 1);
      }
    }
    let best: string | undefined;
    for (const [name, count] of votes) {
      if (best === undefined || count > votes.get(best)!) best = name;
    }
    return best;
  }

  /** What a member said of itself under the chosen protocol. */
  metadataOf(member: Member): Uint8Array {
    return member.protocols.find(({ name }) => name === this.protocol)
      ?.metadata ?? NO_BYTES;
  }

  joinedMembers(): JoinedMember[] {
    return [...this.members.values()].map((member) => ({
      memberId: member.memberId,
      groupInstanceId: member.groupInstanceId,
      metadata: this.metadataOf(member),
    }));
  }

  /** Consumers are subscribed to what their blobs say; if unreadable, to all. */
  isSubscribedTo(topic: string): boolean {
    if (this.protocolType !== CONSUMER_PROTOCOL_TYPE) return false;
    for (const { protocols } of this.members.values()) {
      for (const { metadata } of protocols) {
        const topics = subscribedTopics(metadata);
        if (topics === undefined || topics.includes(topic)) return true;
      }
    }
    return false;
  }

  /** The record of this group as it stands, or with these assignments. */
  metadataRecord(
    wallMs: number,
    assignments?: ReadonlyMap<string, Uint8Array>,
  ): GroupRecord {
    return this.recordOf(
      wallMs,
      [...this.members.values()].map((member) =>
        this.memberValue(
          member,
          assignments === undefined
            ? member.assignment
            : assignments.get(member.memberId) ?? NO_BYTES,
        )
      ),
      this.leader,
    );
  }

  recordOf(
    wallMs: number,
    members: readonly GroupMemberValue[],
    leader: string | null,
  ): GroupRecord {
    return {
      key: { type: "groupMetadata", group: this.groupId },
      value: {
        protocolType: this.protocolType ?? "",
        generation: this.generationId,
        protocol: this.protocol,
        leader,
        currentStateTimestamp: wallMs,
        members,
      },
    };
  }

  memberValue(member: Member, assignment: Uint8Array): GroupMemberValue {
    return {
      memberId: member.memberId,
      groupInstanceId: member.groupInstanceId,
      clientId: member.clientId,
      clientHost: member.clientHost,
      rebalanceTimeout: member.rebalanceTimeoutMs,
      sessionTimeout: member.sessionTimeoutMs,
      subscription: this.metadataOf(member),
      assignment,
    };
  }

  /** Applies a record that is committed. `producerId`: of its transaction. */
  replay(record: GroupRecord, producerId: number | null): void {
    if (record.key.type === "offsetCommit") {
      const value = record.value as Extract<
        GroupRecord,
        { key: { type: "offsetCommit" } }
      >["value"];
      this.offsets.replay(
        record.key.topic,
        record.key.partition,
        value,
        producerId,
      );
      return;
    }
    const value = record.value as GroupMetadataValue | null;
    this.isPersisted = value !== null;
    this.#replayMetadata(
      value ?? {
        protocolType: "",
        generation: 0,
        protocol: null,
        leader: null,
        currentStateTimestamp: -1,
        members: [],
      },
    );
  }

  #replayMetadata(value: GroupMetadataValue): void {
    this.generationId = value.generation;
    this.protocolType = value.protocolType === "" ? null : value.protocolType;
    this.protocol = value.protocol;
    this.stateTimestampMs = value.currentStateTimestamp;
    this.state = value.members.length === 0 ? "Empty" : "Stable";
    const kept = new Set(value.members.map(({ memberId }) => memberId));
    for (const member of [...this.members.values()]) {
      if (!kept.has(member.memberId)) this.deleteMember(member);
    }
    for (const stored of value.members) {
      const member = this.members.get(stored.memberId);
      if (member !== undefined) {
        member.assignment = stored.assignment;
        member.protocols = withStored(value.protocol, stored, member.protocols);
      } else {
        this.addMember(
          memberOfRecord(value.protocol, stored),
          value.protocolType,
        );
      }
    }
    this.leader = value.leader;
  }
}

function storedProtocols(
  protocol: string | null,
  stored: GroupMemberValue,
): JoinProtocol[] {
  return protocol === null
    ? []
    : [{ name: protocol, metadata: stored.subscription }];
}

/** The record knows one protocol; a living member's others stay as they are. */
function withStored(
  protocol: string | null,
  stored: GroupMemberValue,
  protocols: readonly JoinProtocol[],
): readonly JoinProtocol[] {
  return protocols.some(({ name }) => name === protocol)
    ? protocols.map((known) =>
      known.name === protocol
        ? { name: known.name, metadata: stored.subscription }
        : known
    )
    : storedProtocols(protocol, stored);
}

function memberOfRecord(
  protocol: string | null,
  stored: GroupMemberValue,
): Member {
  return {
    memberId: stored.memberId,
    groupInstanceId: stored.groupInstanceId,
    clientId: stored.clientId,
    clientHost: stored.clientHost,
    rebalanceTimeoutMs: stored.rebalanceTimeout < 0
      ? stored.sessionTimeout
      : stored.rebalanceTimeout,
    sessionTimeoutMs: stored.sessionTimeout,
    protocols: storedProtocols(protocol, stored),
    assignment: stored.assignment,
    join: undefined,
    sync: undefined,
    sessionDeadlineMs: Infinity,
    timerAtMs: undefined,
  };
}
