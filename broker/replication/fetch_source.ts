/**
 * What a follower asks of a leader, and what it gets: the seam between the rules
 * of replication and the protocol that carries them (Kafka's Fetch, D6). A form
 * that speaks it lives with the Kafka door; a test gives its own.
 */
import type { ErrorCode } from "../../contract/errors.ts";

export interface FetchAsk {
  /** A topic made again under its name is another one. */
  readonly topicId: string;
  readonly partition: number;
  /**
   * Exclusive end of what the follower holds as safely as its durability level
   * wants (D4): everything below counts as replicated here.
   */
  readonly fetchOffset: number;
  /** Of the follower's last record; -1: it has none. */
  readonly lastFetchedEpoch: number;
  /** The epoch in which the follower follows: another one is refused. */
  readonly currentLeaderEpoch: number;
  readonly logStartOffset: number;
  readonly maxBytes: number;
}

export type FetchAnswer =
  | {
    readonly kind: "records";
    /** Whole batches, ascending; empty: nothing new. */
    readonly bytes: Uint8Array;
    readonly highWatermark: number;
    readonly logStartOffset: number;
    /**
     * Everybody who may be elected in the leader's place was heard of in this
     * epoch: nobody holds anything that its log lacks.
     */
    readonly isSettled: boolean;
  }
  | {
    /**
     * The logs differ below `fetchOffset`: the leader's records of `epoch`, the
     * largest it knows up to `lastFetchedEpoch`, end at `endOffset` (KIP-595).
     */
    readonly kind: "diverged";
    readonly epoch: number;
    readonly endOffset: number;
  }
  | {
    /** `fetchOffset` is below the leader's first offset, or above its last. */
    readonly kind: "outOfRange";
    readonly logStartOffset: number;
    readonly logEndOffset: number;
  }
  | { readonly kind: "refused"; readonly code: ErrorCode };

export interface FetchSource {
  /**
   * One answer per ask, in order. Waits at the leader up to `maxWaitMs` while
   * there is nothing new for any of them.
   *
   * Rejects when the leader cannot be reached or does not answer in time.
   */
  fetch(
    leaderId: number,
    asks: readonly FetchAsk[],
    options: {
      readonly maxWaitMs: number;
      readonly maxBytes: number;
      readonly signal: AbortSignal;
    },
  ): Promise<FetchAnswer[]>;
  /** Ends all connections. Idempotent. */
  close(): void;
}
