/**
 * Consumer groups, for both doors: finds the group's coordinator and asks it.
 * The rules of groups are in `broker/group/`.
 */
import { type ErrorCode, Failure } from "../../contract/errors.ts";
import type { BrokerImage } from "../cluster/metadata_image.ts";
import type { CoordinatorHost } from "../coordinator/coordinator_host.ts";
import { refusal } from "../group/answers.ts";
import type { GroupApi, GroupNotice } from "../group/messages.ts";
import type { GroupRecord } from "../group/records.ts";
import type { Coordination } from "./coordination.ts";

export type GroupHost = CoordinatorHost<
  GroupApi,
  GroupRecord,
  GroupNotice,
  never
>;

/**
 * Answered from memory: a broker whose lease has ended would tell what was so
 * before another took over, and a committed offset would go back.
 */
const NEED_LEASE: ReadonlySet<keyof GroupApi> = new Set([
  "offsetFetch",
  "describeGroup",
]);

export interface GroupsOptions {
  readonly coordination: Coordination;
  readonly host: GroupHost;
  /** False once another broker may coordinate what this one did. */
  holdsLease(): boolean;
}

export class Groups {
  readonly #coordination: Coordination;
  readonly #host: GroupHost;
  readonly #holdsLease: () => boolean;

  constructor({ coordination, host, holdsLease }: GroupsOptions) {
    this.#coordination = coordination;
    this.#host = host;
    this.#holdsLease = holdsLease;
  }

  /** The broker that coordinates the group, alive. */
  coordinator(groupId: string): Promise<BrokerImage | Failure> {
    return this.#coordination.coordinator(groupId);
  }

  /** Of a coordinator that lives; undefined: none is known. */
  leaderEpoch(groupId: string): number | undefined {
    return this.#coordination.leaderEpoch(groupId);
  }

  /**
   * Asks the coordinator on this broker; NOT_COORDINATOR where it is elsewhere.
   * Never rejects: what goes wrong is in the response.
   */
  async request<Name extends Exclude<keyof GroupApi, "listGroups">>(
    name: Name,
    request: GroupApi[Name]["request"],
  ): Promise<GroupApi[Name]["response"]> {
    const partition = await this.#coordination.partition(request.groupId);
    const runtime = partition instanceof Failure
      ? partition
      : this.#host.runtime(partition);
    if (runtime instanceof Failure) {
      return refused(name, request, runtime.code);
    }
    const response = await runtime.request(name, request);
    // Looked at last: the lease may have ended while this was on its way.
    return NEED_LEASE.has(name) && !this.#holdsLease()
      ? refused(name, request, "NOT_COORDINATOR")
      : response;
  }

  /** The groups that this broker coordinates; states empty means all. */
  async list(
    states: readonly string[],
  ): Promise<GroupApi["listGroups"]["response"]> {
    const answers = await Promise.all(
      this.#host.runtimes().map((runtime) =>
        runtime.request("listGroups", { states })
      ),
    );
    return {
      error: answers.find(({ error }) => error !== null)?.error ?? null,
      groups: answers.flatMap(({ groups }) => groups),
    };
  }

  /** A transaction's end is committed in a partition of the offsets topic. */
  transactionEnded(
    partition: number,
    producerId: number,
    committed: boolean,
  ): void {
    const runtime = this.#host.runtime(partition);
    if (runtime instanceof Failure) return;
    runtime.notify({ type: "transactionEnded", producerId, committed });
  }

  /** No group needs the offsets of a topic that is gone. */
  topicDeleted(topic: string): void {
    for (const runtime of this.#host.runtimes()) {
      runtime.notify({ type: "topicDeleted", topic });
    }
  }
}

function refused<Name extends Exclude<keyof GroupApi, "listGroups">>(
  name: Name,
  request: GroupApi[Name]["request"],
  code: ErrorCode,
): GroupApi[Name]["response"] {
  const named = { ...request, type: name };
  return refusal(named as unknown as Parameters<typeof refusal>[0], code);
}
