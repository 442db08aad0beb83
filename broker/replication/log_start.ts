/**
 * The start of a partition's log on its leader: raised when records are deleted,
 * for good once whoever may lead next has raised it too. Owns who waits for
 * that.
 */
import type { Failure } from "../../contract/errors.ts";
import type { Offset } from "../../storage/log/types.ts";
import { AppendWaits } from "./append_waits.ts";
import type { InSyncReplicas } from "./in_sync_replicas.ts";
import type { ReplicaParts } from "./replica_parts.ts";

export class LogStart {
  readonly #parts: ReplicaParts;
  readonly #inSync: InSyncReplicas;
  readonly #waits: AppendWaits;

  constructor(parts: ReplicaParts, inSync: InSyncReplicas) {
    const { clock, timers } = parts.environment;
    this.#parts = parts;
    this.#inSync = inSync;
    this.#waits = new AppendWaits(timers, () => clock.monotonicMs(), {
      late:
        "The records are deleted here, but not on every in-sync replica in time: they may or may not come back",
    });
  }

  get #common(): number {
    return this.#inSync.lowWatermark(this.#parts.log.logStartOffset);
  }

  /** Resolves when all that may lead have raised it, or never will. */
  raise(before: Offset, timeoutMs: number): Promise<Failure | undefined> {
    return new Promise((resolve) => {
      try {
        this.#parts.log.advanceLogStart(before);
      } catch (fault) {
        return resolve(this.#parts.storageFailure(fault));
      }
      if (before <= this.#common) return resolve(undefined);
      this.#waits.add(before, { timeoutMs, settle: resolve });
    });
  }

  /** Others may have raised theirs, or need not any more. */
  lookAgain(): void {
    if (this.#waits.count > 0) this.#waits.reach(this.#common);
  }

  fail(failure: Failure): void {
    this.#waits.fail(failure);
  }
}
