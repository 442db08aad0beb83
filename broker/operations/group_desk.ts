/** `GroupOperations` of a broker: puts consuming and administration together. */
import { Failure } from "../../contract/errors.ts";
import type { PartitionFault } from "../../contract/http.ts";
import type { BrokerImage } from "../cluster/metadata_image.ts";
import { brokerDescription } from "./descriptions.ts";
import { type AdministeredGroups, GroupAdmin } from "./group_admin.ts";
import { GroupConsumers, type KnownTopics } from "./group_consumers.ts";
import type { Clock, Random, Timers } from "../environment.ts";
import {
  GROUP_CONSUMER_LIMITS,
  type GroupConsumerLimits,
} from "./group_limits.ts";
import type {
  GroupCommitRequest,
  GroupLeaveRequest,
  GroupOperations,
  GroupPoll,
  GroupPollRequest,
  GroupRoute,
  ResetRequest,
} from "./group_operations.ts";
import type { ClusterRecords } from "./operations.ts";

/** `Groups`, which asks the coordinators on this broker. */
export interface CoordinatedGroups extends AdministeredGroups {
  coordinator(groupId: string): Promise<BrokerImage | Failure>;
  leaderEpoch(groupId: string): number | undefined;
}

export interface GroupDeskOptions {
  readonly groups: CoordinatedGroups;
  readonly topics: KnownTopics;
  readonly brokerId: number;
  readonly environment: {
    readonly clock: Clock;
    readonly timers: Timers;
    readonly random: Random;
  };
  readonly limits?: Partial<GroupConsumerLimits>;
}

export class GroupDesk implements GroupOperations {
  readonly #options: GroupDeskOptions;
  readonly #consumers: GroupConsumers;
  readonly #admin: GroupAdmin;

  constructor(options: GroupDeskOptions) {
    const { groups, brokerId } = options;
    const limits = { ...GROUP_CONSUMER_LIMITS, ...options.limits };
    this.#options = options;
    this.#consumers = new GroupConsumers({ ...options, limits });
    const { partitionsAtOnce } = limits;
    this.#admin = new GroupAdmin({ groups, brokerId, partitionsAtOnce });
  }

  /** Members that poll through this broker. */
  get memberCount(): number {
    return this.#consumers.size;
  }

  async route(groupId: string): Promise<GroupRoute | Failure> {
    const broker = await this.#options.groups.coordinator(groupId);
    return broker instanceof Failure ? broker : {
      isLocal: broker.id === this.#options.brokerId,
      broker: brokerDescription(broker),
      leaderEpoch: this.leaderEpoch(groupId) ?? -1,
    };
  }

  leaderEpoch(groupId: string): number | undefined {
    return this.#options.groups.leaderEpoch(groupId);
  }

  list(states: Parameters<GroupAdmin["list"]>[0]) {
    return this.#admin.list(states);
  }

  describe(groupId: string, records: ClusterRecords) {
    return this.#admin.describe(groupId, records);
  }

  delete(groupId: string): Promise<Failure | undefined> {
    return this.#admin.delete(groupId);
  }

  reset(request: ResetRequest, records: ClusterRecords) {
    return this.#admin.reset(request, records);
  }

  poll(
    request: GroupPollRequest,
    records: ClusterRecords,
  ): Promise<GroupPoll | Failure> {
    return this.#consumers.poll(request, records);
  }

  commit(request: GroupCommitRequest): Promise<PartitionFault[] | Failure> {
    return this.#consumers.commit(request);
  }

  leave(request: GroupLeaveRequest): Promise<Failure | undefined> {
    return this.#consumers.leave(request);
  }

  /** Before the coordinators close. */
  close(): void {
    this.#consumers.close();
  }
}
