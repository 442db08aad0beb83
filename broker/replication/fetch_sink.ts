/**
 * Where what a partition's follower fetched goes (`fetch_source.ts` is where it
 * comes from): into the log as the follower role says, into a folder that is
 * this partition's, and onto the disk before more is asked for. Owns that a
 * replica which stops takes nothing; refuses to know how answers get here.
 */
import { StorageError } from "../../storage/error.ts";
import type { FetchAnswer } from "./fetch_source.ts";
import type { Applied, FetchPosition } from "./follower_role.ts";
import type { OneATurn } from "./one_a_turn.ts";
import type { ReplicaParts } from "./replica_parts.ts";
import type { ReplicaRoles } from "./replica_roles.ts";
import type { SafeEnd } from "./safe_end.ts";

export interface FetchSinkOptions {
  readonly parts: ReplicaParts;
  readonly safeEnd: SafeEnd;
  readonly roles: ReplicaRoles;
  /** Shared by the partitions of a broker: the first append is slow. */
  readonly firstAppends: OneATurn;
}

export class FetchSink {
  readonly #options: FetchSinkOptions;
  #isStopped = false;

  constructor(options: FetchSinkOptions) {
    this.#options = options;
  }

  /**
   * Where this follower asks from; undefined when it follows nobody, its log is
   * offline, or `flush` has to make safe what it holds before.
   */
  position(): FetchPosition | undefined {
    return this.#isStopped
      ? undefined
      : this.#options.roles.follower?.position();
  }

  /** Does to the log what the leader answered in `epoch`. */
  apply(epoch: number, answer: FetchAnswer): Applied {
    const { follower } = this.#options.roles;
    if (this.#isStopped || follower?.leaderEpoch !== epoch) {
      return { kind: "stale" };
    }
    return follower.apply(answer);
  }

  /**
   * Before the first `apply` that writes: its folder is made in a turn of its
   * own. Undefined: that is done.
   */
  prepare(): Promise<void> | undefined {
    const { parts, firstAppends } = this.#options;
    if (parts.isPrepared) return undefined;
    return new Promise((resolve, reject) =>
      firstAppends.add(() => {
        try {
          if (!this.#isStopped) parts.prepare();
          resolve();
        } catch (fault) {
          if (fault instanceof StorageError) parts.noteBroken(fault);
          reject(fault);
        }
      })
    );
  }

  /**
   * Resolves when what the log holds is as safe as its level wants.
   *
   * @throws StorageError when the disk fails: the log is offline.
   */
  async flush(): Promise<void> {
    if (this.#isStopped) return;
    const { parts, safeEnd, roles } = this.#options;
    try {
      await safeEnd.reach();
    } catch (fault) {
      if (fault instanceof StorageError) parts.noteBroken(fault);
      roles.follower?.lookAtDisk();
      throw fault;
    }
    roles.lookAgain();
  }

  /** Takes nothing any more. */
  stop(): void {
    this.#isStopped = true;
  }
}
