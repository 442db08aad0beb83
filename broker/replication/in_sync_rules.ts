/**
 * The rules of the in-sync set and the high watermark, as pure functions of what
 * a leader knows (DESIGN D6; KIP-16, KIP-101, KIP-595, KIP-966). Who acts on them is
 * elsewhere.
 *
 * A follower's fetch at an offset says: all below is as safe here as the topic's
 * level wants. That is its *safe end*.
 */
import { neededInSync, withEligible } from "../cluster/eligible.ts";
import { type PartitionFact, partitionFact } from "../cluster/facts.ts";
import type { TopicSettings } from "../topic_config.ts";

export const REPLICATION_LIMITS = {
  /** A follower that has not caught up for so long leaves the in-sync set. */
  lagTimeMaxMs: 5000,
  /** How often a leader looks for followers that have stopped fetching. */
  lagCheckMs: 500,
  /**
   * A replica whose disk was full does not ask for records for so long: asking
   * again at once would bring it back in sync, and maybe to lead, until the next
   * record.
   */
  fullDiskPauseMs: 5000,
} as const;

/** What a leader remembers of a follower's fetches in its epoch. */
export interface FollowerProgress {
  /** Exclusive; undefined: not heard of, or not to be relied upon any more. */
  readonly safeEnd: number | undefined;
  /** When it last had everything that the leader had, on the leader's clock. */
  readonly caughtUpMs: number;
  /** Of its latest fetch. */
  readonly fetchedAtMs: number;
  /** The leader's log end at its latest fetch. */
  readonly endAtFetch: number;
}

/** Before a follower's first fetch: it is given the time that all are given. */
export function unheard(nowMs: number): FollowerProgress {
  return {
    safeEnd: undefined,
    caughtUpMs: nowMs,
    fetchedAtMs: nowMs,
    endAtFetch: Infinity,
  };
}

/**
 * After a fetch. It caught up now when it asks at the leader's end, and at its
 * previous fetch when it asks at what was the end by then.
 */
export function progressAfterFetch(
  before: FollowerProgress,
  report: { fetchOffset: number; logEndOffset: number; nowMs: number },
): FollowerProgress {
  const { fetchOffset, logEndOffset, nowMs } = report;
  let { caughtUpMs } = before;
  if (fetchOffset >= logEndOffset) caughtUpMs = nowMs;
  else if (fetchOffset >= before.endAtFetch) {
    caughtUpMs = Math.max(caughtUpMs, before.fetchedAtMs);
  }
  return {
    safeEnd: fetchOffset,
    caughtUpMs,
    fetchedAtMs: nowMs,
    endAtFetch: logEndOffset,
  };
}

/**
 * All that are in sync, or will be if a change whose outcome is not known was
 * made: a record is acknowledged when it is safe on every one of them (KIP-497).
 */
export function maximalIsr(
  isr: readonly number[],
  proposed: readonly number[] | undefined,
): readonly number[] {
  if (proposed === undefined) return isr;
  return [...isr, ...proposed.filter((id) => !isr.includes(id))];
}

/**
 * The high watermark: the least safe end in the maximal in-sync set. It never
 * goes back, and stays while any of them has not been heard of, too few are in
 * sync (`isHeldBack`), or others are eligible to lead (`keepsEligible`).
 */
export function nextHighWatermark(
  present: number,
  safeEnds: readonly (number | undefined)[],
): number {
  let least = Infinity;
  for (const safeEnd of safeEnds) {
    if (safeEnd === undefined) return present;
    if (safeEnd < least) least = safeEnd;
  }
  return least === Infinity ? present : Math.max(present, least);
}

/** Who has not caught up for too long. */
export function laggards(
  isr: readonly number[],
  self: number,
  progressOf: (brokerId: number) => FollowerProgress | undefined,
  nowMs: number,
): number[] {
  return isr.filter((id) => {
    if (id === self) return false;
    const progress = progressOf(id);
    return progress !== undefined &&
      nowMs - progress.caughtUpMs > REPLICATION_LIMITS.lagTimeMaxMs;
  });
}

/**
 * Whether a follower that fetches at `fetchOffset` has all that a member of the
 * in-sync set must have: every acknowledged record, and everything from before
 * this epoch, which may have been acknowledged without this leader knowing.
 */
export function mayJoin(
  brokerId: number,
  fetchOffset: number,
  partition: {
    state: PartitionFact;
    highWatermark: number;
    epochStartOffset: number;
  },
): boolean {
  const { state, highWatermark, epochStartOffset } = partition;
  return state.replicas.includes(brokerId) && !state.isr.includes(brokerId) &&
    fetchOffset >= highWatermark && fetchOffset >= epochStartOffset;
}

/**
 * Whether the high watermark stays where it is because too few are in sync: what
 * is in the page caches of too few can be lost with them, so nobody may read it
 * (KIP-966). What is on the disk of one may be read.
 */
export function isHeldBack(
  state: PartitionFact,
  { minInsyncReplicas, flushMessages }: Pick<
    TopicSettings,
    "minInsyncReplicas" | "flushMessages"
  >,
): boolean {
  return flushMessages !== 1 &&
    state.isr.length < neededInSync(minInsyncReplicas, state);
}

/**
 * Whether eligible replicas stay so although that keeps the high watermark where
 * it is, where nothing else does: they need not have what is above it. A leader
 * whose records are on the disk lets them go rather than keep from readers what
 * may have been acknowledged before it led, or what came since.
 */
export function keepsEligible(
  state: PartitionFact,
  leader: {
    minInsyncReplicas: number;
    /** Its high watermark is above all from before its epoch. */
    knowsCommitted: boolean;
    /** It was written to since there are eligible ones. */
    hasNewRecords: boolean;
  },
): boolean {
  if (state.isr.length >= neededInSync(leader.minInsyncReplicas, state)) {
    return false;
  }
  return leader.knowsCommitted && !leader.hasNewRecords;
}

/** In the order of the replicas, as the preferred leader is. */
export function withInSync(
  state: PartitionFact,
  brokerId: number,
): PartitionFact {
  const isr = state.replicas.filter((id) =>
    id === brokerId || state.isr.includes(id)
  );
  return { ...partitionFact(state), isr };
}

export function withoutInSync(
  state: PartitionFact,
  brokerIds: readonly number[],
): PartitionFact {
  const isr = state.isr.filter((id) => !brokerIds.includes(id));
  return { ...partitionFact(state), isr };
}

/** What a broker knows that writes a partition's state because of its disk. */
export interface FailingDisk {
  /** Whose disk it is. */
  readonly brokerId: number;
  readonly minInsyncReplicas: number;
  /** Whether what it has can be relied upon, though it takes no more. */
  readonly isReadable: boolean;
}

/**
 * The state in which another replica leads, because the leader's disk fails: one
 * in sync, else one that is eligible; undefined when no other may. A leader that
 * can still be read gives nothing up to one that is eligible, which may lack
 * what was acknowledged with `acks=1`, and may be so because its disk is full as
 * well: the two would hand over to each other at every append.
 */
export function handedOver(
  state: PartitionFact,
  disk: FailingDisk,
  mayLead: (brokerId: number) => boolean,
): PartitionFact | undefined {
  const { replicas, removing = [], eligible = [] } = state;
  const others = state.isr.filter((id) => id !== disk.brokerId);
  const last = disk.isReadable ? [] : eligible.filter(mayLead);
  for (const isr of [others, last]) {
    const candidates = replicas.filter((id) => isr.includes(id) && mayLead(id));
    const leader = candidates.find((id) => !removing.includes(id)) ??
      candidates[0];
    if (leader === undefined) continue;
    const leaderEpoch = state.leaderEpoch + 1;
    const next = { ...partitionFact(state), leader, leaderEpoch, isr };
    return withEligible(state, next, eligibleBeside(disk));
  }
  return undefined;
}

/**
 * The state in which a follower whose disk fails is not waited for; undefined:
 * it is not, or leads, or is the last one.
 */
export function stoodDown(
  state: PartitionFact,
  disk: FailingDisk,
): PartitionFact | undefined {
  const { brokerId } = disk;
  const isDue = state.isr.includes(brokerId) && state.isr.length > 1 &&
    state.leader !== brokerId;
  return isDue
    ? withEligible(
      state,
      withoutInSync(state, [brokerId]),
      eligibleBeside(disk),
    )
    : undefined;
}

function eligibleBeside({ brokerId, ...disk }: FailingDisk) {
  const { minInsyncReplicas, isReadable } = disk;
  return { minInsyncReplicas, lost: isReadable ? [] : [brokerId] };
}

/**
 * Where a follower cuts its log when the leader's records of `epoch`, the
 * largest that it knows up to the follower's last one, end at `endOffset`.
 * `ownEnd` is where the follower's own records up to that epoch end.
 */
export function truncationPoint(ownEnd: number, endOffset: number): number {
  return Math.min(ownEnd, endOffset);
}
