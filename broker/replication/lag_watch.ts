/**
 * Looks now and then at every partition that this broker leads: who lags behind
 * leaves the in-sync set. Owns the beat; a beat that comes late says that this
 * broker itself stood still, which is no fault of its followers.
 */
import type { Environment, Timer } from "../environment.ts";
import { REPLICATION_LIMITS } from "./in_sync_rules.ts";
import type { PartitionReplica } from "./partition_replica.ts";

export class LagWatch {
  readonly #environment: Pick<Environment, "clock" | "timers">;
  readonly #replicas: () => Iterable<PartitionReplica>;
  #timer: Timer | undefined;
  #isStopped = false;

  constructor(
    environment: Pick<Environment, "clock" | "timers">,
    replicas: () => Iterable<PartitionReplica>,
  ) {
    this.#environment = environment;
    this.#replicas = replicas;
  }

  start(): void {
    if (this.#isStopped) return;
    const { clock, timers } = this.#environment;
    const { lagCheckMs } = REPLICATION_LIMITS;
    const dueMs = clock.monotonicMs() + lagCheckMs;
    this.#timer = timers.after(lagCheckMs, () => {
      const nowMs = clock.monotonicMs();
      const lateMs = nowMs - dueMs;
      for (const replica of this.#replicas()) {
        if (lateMs > lagCheckMs) replica.excuse(lateMs);
        replica.lookAround(nowMs);
      }
      this.start();
    });
  }

  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
  }
}
