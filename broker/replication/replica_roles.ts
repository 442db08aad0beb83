/**
 * The role that a replica has: it leads or follows, in one leader epoch, or has
 * none. Owns the change from one to the next, and what becomes then of those who
 * wait; what a role does is `leader_role.ts`'s and `follower_role.ts`'s.
 */
import type { StorageError } from "../../storage/error.ts";
import { leaderEpoch as epochOf, offset } from "../../storage/log/types.ts";
import type { PartitionImage } from "../cluster/metadata_image.ts";
import type { AppendQueue } from "./append_queue.ts";
import type { Waiter } from "./appends.ts";
import { FollowerRole } from "./follower_role.ts";
import { LeaderRole, type LeaderWorld } from "./leader_role.ts";
import type { ReplicaParts } from "./replica_parts.ts";
import type { SafeEnd } from "./safe_end.ts";

export interface ReplicaRolesOptions {
  readonly parts: ReplicaParts;
  readonly safeEnd: SafeEnd;
  readonly queue: AppendQueue<Waiter>;
  readonly world: LeaderWorld;
}

export class ReplicaRoles {
  readonly #options: ReplicaRolesOptions;
  #leader: LeaderRole | undefined;
  #follower: FollowerRole | undefined;
  #keepsWaits = true;

  constructor(options: ReplicaRolesOptions) {
    this.#options = options;
  }

  /** Undefined: it does not lead. */
  get leader(): LeaderRole | undefined {
    return this.#leader;
  }

  /** Undefined: it leads, or follows nobody. */
  get follower(): FollowerRole | undefined {
    return this.#follower;
  }

  /** Leads as `state` says, in a new epoch or on in the same one. */
  lead(state: PartitionImage): void {
    this.#learn(state);
    if (this.#leader?.epoch === state.leaderEpoch) {
      return this.#leader.update(state);
    }
    this.resign();
    this.#leader = new LeaderRole({ ...this.#options, state });
  }

  /** Follows the leader that `state` names, if any. */
  follow(state: PartitionImage): void {
    this.#learn(state);
    const { leader, leaderEpoch } = state;
    const now = this.#follower;
    if (now?.leader === leader && now.leaderEpoch === leaderEpoch) return;
    this.resign();
    const { parts, safeEnd, world } = this.#options;
    if (leader === null || leader === world.brokerId) return;
    this.#follower = new FollowerRole({
      parts,
      safeEnd,
      leader,
      leaderEpoch: epochOf(leaderEpoch),
    });
    this.#follower.lookAtDisk();
  }

  /**
   * Has no role any more: whoever waits must ask the leader, but for those whose
   * wait outlives it.
   */
  resign(): void {
    const leader = this.#leader;
    this.#leader = undefined;
    this.#follower = undefined;
    leader?.end();
    const { parts } = this.#options;
    // Whoever leads next may bring back what was cut.
    parts.highWatermark.failCutOff(parts.notLeader());
    if (!this.#keepsWaits) parts.highWatermark.fail(parts.notLeader());
  }

  /** No wait outlives its leadership any more: this broker stops. */
  keepNoWaits(): void {
    this.#keepsWaits = false;
    const { parts } = this.#options;
    if (!this.#leader) parts.highWatermark.fail(parts.notLeader());
  }

  /** More is safe, or less is needed for that: whoever has a role looks again. */
  lookAgain(): void {
    this.#leader?.recheck();
    this.#follower?.learnHighWatermark();
  }

  /** A flush in the background failed: the log is offline. */
  failed(fault: StorageError): void {
    this.#leader?.failed(fault);
    this.#follower?.lookAtDisk();
  }

  /**
   * What this run starts from. The only replica knows itself what is safe; one
   * of several learns that from the others.
   */
  #learn(state: PartitionImage): void {
    const { parts } = this.#options;
    const { log, highWatermark } = parts;
    const hadState = parts.state !== undefined;
    parts.state = state;
    if (hadState || state.replicas.length > 1) return;
    highWatermark.reset(
      offset(Math.max(log.logStartOffset, log.flushedOffset)),
    );
  }
}
