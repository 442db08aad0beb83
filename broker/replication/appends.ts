/**
 * What a producer hands to a partition's leader, and what comes back.
 */
import type { Failure } from "../../contract/errors.ts";
import type { QueuedBatch } from "./append_queue.ts";

/** Where records went. */
export interface Appended {
  readonly baseOffset: number;
  readonly leaderEpoch: number;
  readonly appendTimeMs: number;
  readonly logAppendTime: boolean;
}

/**
 * What an acknowledgement waits for: that all in-sync replicas have the records
 * as safely as the topic's level says (Kafka's acks=all), that this one has
 * (acks=1), or the append alone (acks=0).
 */
export type AckWait = "inSync" | "leader" | "append";

export interface AppendOptions {
  /** Longest wait for the durability that was asked for. */
  readonly timeoutMs: number;
  /** Called when the records are in the log, however the wait ends. */
  readonly onStored?: () => void;
  /**
   * The wait goes on when another leads, until it is known what became of the
   * records: for who could not send them again without having them twice. A
   * failure with `mayBeStored: false` says that they are gone for good.
   */
  readonly outlivesLeader?: boolean;
}

export interface Waiter {
  readonly timeoutMs: number;
  readonly wait: AckWait;
  /** What records that brought no timestamp got. */
  readonly queuedAtMs: number;
  /** Told once the records are in the log; not for a duplicate. */
  readonly onStored: (() => void) | undefined;
  readonly outlivesLeader: boolean;
  readonly done: (result: Appended | Failure) => void;
}

/** Ends all appends of these batches with `failure`. */
export function failAll(
  batches: readonly QueuedBatch<Waiter>[],
  failure: Failure,
): void {
  for (const batch of batches) {
    for (const { done } of batch.appends) done.done(failure);
  }
}
