/**
 * How appends get to a partition's leader role: through a queue that gathers
 * those of one turn. Owns the queue; refuses what the leader refuses, and all
 * while nobody leads here.
 */
import type { Failure } from "../../contract/errors.ts";
import type { NewRecord } from "../operations/operations.ts";
import {
  type AppendBudget,
  AppendQueue,
  type ProducerFields,
  type QueuedBatch,
} from "./append_queue.ts";
import {
  type AckWait,
  type Appended,
  type AppendOptions,
  failAll,
  type Waiter,
} from "./appends.ts";
import type { OneATurn } from "./one_a_turn.ts";
import type { ReplicaParts } from "./replica_parts.ts";

/** What is needed of the leader role. */
interface Leading {
  refusal(wait: AckWait): Failure | undefined;
  append(batches: QueuedBatch<Waiter>[]): void;
}

export interface AppenderOptions {
  readonly parts: ReplicaParts;
  /** Shared by the partitions of a broker. */
  readonly budget: AppendBudget;
  /** Likewise: the first append of a partition is slow. */
  readonly firstAppends: OneATurn;
  /** Undefined: this broker does not lead. */
  leader(): Leading | undefined;
}

export class Appender {
  readonly queue: AppendQueue<Waiter>;
  readonly #options: AppenderOptions;
  #isStopped = false;

  constructor(options: AppenderOptions) {
    const { parts, budget, firstAppends } = options;
    this.#options = options;
    this.queue = new AppendQueue({
      soon: (work) =>
        parts.isPrepared
          ? parts.environment.timers.soon(work)
          : firstAppends.add(work),
      budget,
      drain: (batches) => this.#drain(batches),
    });
  }

  /**
   * Resolves when every in-sync replica has the records as durable as the
   * topic's level says.
   */
  appendRecords(
    records: readonly NewRecord[],
    options: AppendOptions & { producer?: ProducerFields },
  ): Promise<Appended | Failure> {
    return new Promise((resolve) => {
      const waiter = this.#waiter(options, "inSync", resolve);
      if (waiter === undefined) return;
      const { queuedAtMs } = waiter;
      this.queue.addRecords(records, queuedAtMs, options.producer, waiter);
    });
  }

  /**
   * Appends a batch that was checked before; its offset and epoch are stamped
   * into `bytes`.
   */
  appendBatch(
    bytes: Uint8Array,
    recordCount: number,
    options: AppendOptions & { wait: AckWait },
  ): Promise<Appended | Failure> {
    return new Promise((resolve) => {
      const waiter = this.#waiter(options, options.wait, resolve);
      if (waiter === undefined) return;
      this.queue.addBatch(bytes, recordCount, waiter);
    });
  }

  /** Takes no more; what is queued is written. */
  stop(): void {
    this.#isStopped = true;
    this.#options.leader()?.append(this.queue.take());
  }

  /** Undefined: it was refused, and `done` told so. */
  #waiter(
    { timeoutMs, onStored, outlivesLeader = false }: AppendOptions,
    wait: AckWait,
    done: Waiter["done"],
  ): Waiter | undefined {
    const { parts, leader } = this.#options;
    const leading = this.#isStopped ? undefined : leader();
    const refusal = leading === undefined
      ? parts.notLeader()
      : leading.refusal(wait);
    if (refusal !== undefined) {
      done(refusal);
      return undefined;
    }
    const queuedAtMs = parts.environment.clock.nowMs();
    return { timeoutMs, wait, queuedAtMs, onStored, outlivesLeader, done };
  }

  #drain(batches: QueuedBatch<Waiter>[]): void {
    const { parts, leader } = this.#options;
    const leading = leader();
    if (leading !== undefined) return leading.append(batches);
    failAll(batches, parts.notLeader());
  }
}
