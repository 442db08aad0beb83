/**
 * The rules of in-sync replicas (DESIGN D6), as pure functions: how far the
 * high watermark may go, who has fallen behind, who may join. What a leader
 * remembers and when it acts on it is `in_sync_replicas.ts`.
 */

export const REPLICATION_LIMITS = {
  /** Kafka's replica.lag.time.max.ms: behind for longer, a replica leaves. */
  lagTimeMaxMs: 5000,
  /** How often a leader looks for replicas that have stopped fetching. */
  lagCheckMs: 500,
} as const;

/** What a leader knows of one follower, by its fetches in this epoch. */
export interface FollowerProgress {
  /** Exclusive: all below is as safe there as its level wants (D4). */
  readonly safeEnd: number;
  /** When it last had all that the leader had then. */
  readonly caughtUpAtMs: number;
  readonly fetchedAtMs: number;
  /** The leader's log end at that fetch. */
  readonly logEndAtFetch: number;
}

export interface FollowerFetch {
  readonly fetchOffset: number;
  readonly nowMs: number;
  readonly logEnd: number;
}

/**
 * As Kafka: who has the log's end of this fetch is caught up now; who has that of
 * the fetch before was so then, so that a steady stream keeps nobody out.
 */
export function progressAfterFetch(
  before: FollowerProgress | undefined,
  { fetchOffset, nowMs, logEnd }: FollowerFetch,
  becameLeaderAtMs: number,
): FollowerProgress {
  let caughtUpAtMs = before?.caughtUpAtMs ?? becameLeaderAtMs;
  if (fetchOffset >= logEnd) caughtUpAtMs = nowMs;
  else if (before !== undefined && fetchOffset >= before.logEndAtFetch) {
    caughtUpAtMs = Math.max(caughtUpAtMs, before.fetchedAtMs);
  }
  return {
    safeEnd: fetchOffset,
    caughtUpAtMs,
    fetchedAtMs: nowMs,
    logEndAtFetch: logEnd,
  };
}

/**
 * How far the high watermark may go: what every replica has that is in sync, or
 * might be by now. One that was not heard of holds it where it is.
 */
export function highWatermarkBound(options: {
  readonly current: number;
  readonly ownSafeEnd: number;
  readonly leader: number;
  readonly inSync: Iterable<number>;
  readonly safeEndOf: (brokerId: number) => number | undefined;
}): number {
  let bound = options.ownSafeEnd;
  for (const brokerId of options.inSync) {
    if (brokerId === options.leader) continue;
    const safeEnd = options.safeEndOf(brokerId);
    if (safeEnd === undefined) return options.current;
    bound = Math.min(bound, safeEnd);
  }
  return Math.max(options.current, bound);
}

/** Followers of the ISR that have been behind for too long. */
export function laggards(options: {
  readonly isr: readonly number[];
  readonly leader: number;
  readonly nowMs: number;
  readonly logEnd: number;
  readonly becameLeaderAtMs: number;
  readonly progressOf: (brokerId: number) => FollowerProgress | undefined;
}): number[] {
  const { isr, leader, nowMs, logEnd, progressOf } = options;
  return isr.filter((brokerId) => {
    if (brokerId === leader) return false;
    const progress = progressOf(brokerId);
    if (progress !== undefined && progress.safeEnd >= logEnd) {
      // It has all; only silence counts against it.
      return nowMs - progress.fetchedAtMs > REPLICATION_LIMITS.lagTimeMaxMs;
    }
    const since = progress?.caughtUpAtMs ?? options.becameLeaderAtMs;
    return nowMs - since > REPLICATION_LIMITS.lagTimeMaxMs;
  });
}

/** Whether a fetch shows that the follower belongs into the ISR. */
export function mayJoin(options: {
  readonly fetchOffset: number;
  readonly highWatermark: number;
  readonly epochStartOffset: number;
}): boolean {
  const { fetchOffset, highWatermark, epochStartOffset } = options;
  return fetchOffset >= highWatermark && fetchOffset >= epochStartOffset;
}

/** Where a follower cuts its log after a leader said that they differ. */
export function divergencePoint(options: {
  readonly ownEndOfEpoch: number | undefined;
  readonly leaderEndOffset: number;
  readonly logStart: number;
}): number {
  const own = options.ownEndOfEpoch ?? options.logStart;
  return Math.max(options.logStart, Math.min(own, options.leaderEndOffset));
}
