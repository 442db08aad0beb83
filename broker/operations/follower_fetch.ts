/**
 * What a leader answers to its followers: whole batches up to the end of the log,
 * durable or not, and the high watermark. Owns the checks of who asks and of
 * whether the two logs agree (KIP-595), and the wait for something new; what a
 * follower's progress means is the replica's.
 *
 * A request for a thousand partitions in which nothing happens is the usual one:
 * each costs a few comparisons and one callback.
 */
import { Failure } from "../../contract/errors.ts";
import type { Log } from "../../storage/log/log.ts";
import { leaderEpoch, type Offset, offset } from "../../storage/log/types.ts";
import type { MetadataView } from "../cluster/metadata_view.ts";
import type { Environment } from "../environment.ts";
import type { FetchAnswer } from "../replication/fetch_source.ts";
import { epochFault } from "./epoch_fault.ts";
import { untilAny } from "./until_any.ts";

export interface FollowerFetchPartition {
  /** undefined: the topic is not known here. */
  readonly topic: string | undefined;
  readonly partition: number;
  readonly fetchOffset: number;
  /** -1: of no record, or not told. */
  readonly lastFetchedEpoch: number;
  /** Where the follower's log begins; -1: not told. */
  readonly logStartOffset: number;
  /** -1: not told. */
  readonly currentLeaderEpoch: number;
  readonly maxBytes: number;
}

export interface FollowerFetchOptions {
  /** The follower. */
  readonly brokerId: number;
  /** Of the metadata that it had when it asked; undefined: not told. */
  readonly knownRevision?: number;
  readonly partitions: readonly FollowerFetchPartition[];
  readonly maxWaitMs: number;
  readonly minBytes: number;
  /** Soft by one batch. */
  readonly maxBytes: number;
  readonly signal: AbortSignal;
  /** Memory for the batches; new memory where it is not told. */
  readonly allocate?: (sizeBytes: number) => Uint8Array;
}

/** What is needed of a partition's replica. */
export interface FollowedReplica {
  readonly log: Log;
  readonly isLeader: boolean;
  /** undefined: this broker does not lead. */
  readonly leaderEpoch: number | undefined;
  readonly highWatermark: Offset;
  /** Nobody who may lead next holds what this log lacks. */
  readonly isSettled: boolean;
  notLeader(): Failure;
  attempt<Result>(work: () => Result): Result | Failure;
  /** Everything below `fetchOffset` is safe at that broker. */
  followerFetched(
    progress: {
      brokerId: number;
      fetchOffset: number;
      logStartOffset: number;
      epoch: number;
      nowMs: number;
    },
  ): void;
  /** Calls once at the next append, and when this broker leads no longer. */
  onAppended(callback: () => void): () => void;
}

export interface FollowerFetchesOptions {
  readonly view: MetadataView;
  readonly replicas: {
    replica(topic: string, partition: number): FollowedReplica | undefined;
  };
  readonly environment: Pick<Environment, "clock" | "timers">;
  /** Bytes of record batches that are handed out. */
  onServed(bytes: number): void;
}

/** A partition that is asked for, with its answer so far. */
interface Slot {
  readonly asked: FollowerFetchPartition;
  /** undefined: the answer is final. */
  readonly replica: FollowedReplica | undefined;
  /** In which the follower was admitted: its answer counts in no other. */
  readonly epoch: number | undefined;
  answer: FetchAnswer;
  /** Not looked at since something happened. */
  isDue: boolean;
}

const NO_BYTES = new Uint8Array();

export class FollowerFetches {
  readonly #options: FollowerFetchesOptions;

  constructor(options: FollowerFetchesOptions) {
    this.#options = options;
  }

  /** In the order of the request; waits as it says while there is too little. */
  async fetch(options: FollowerFetchOptions): Promise<FetchAnswer[]> {
    const { clock } = this.#options.environment;
    const nowMs = clock.monotonicMs();
    const deadlineMs = nowMs + options.maxWaitMs;
    const slots = options.partitions.map((asked) =>
      this.#admit(asked, options, nowMs)
    );
    for (;;) {
      const isEnough = readAll(slots, options);
      const leftMs = deadlineMs - clock.monotonicMs();
      if (isEnough || leftMs <= 0 || options.signal.aborted) break;
      await this.#waitForAny(slots, leftMs, options.signal);
    }
    return this.#finish(slots);
  }

  /** Checks who asks and for what, and tells the replica of the progress. */
  #admit(
    asked: FollowerFetchPartition,
    { brokerId, knownRevision }: FollowerFetchOptions,
    nowMs: number,
  ): Slot {
    const replica = this.#follows(asked, brokerId);
    if (replica instanceof Failure) return settled(asked, refusal(replica));
    const epoch = replica.leaderEpoch;
    const fault = epochFault(epoch, asked.currentLeaderEpoch);
    if (fault !== undefined) return settled(asked, refusal(fault));
    const gap = gapOf(replica, asked);
    if (gap !== undefined) return settled(asked, gap);
    // Before the wait: it may be what an acknowledgement waits for.
    if (this.#knowsSettings(asked, knownRevision)) {
      replica.followerFetched({
        brokerId,
        fetchOffset: asked.fetchOffset,
        logStartOffset: asked.logStartOffset,
        epoch: asked.currentLeaderEpoch,
        nowMs,
      });
    }
    const answer = nothing(replica);
    return { asked, replica, epoch, answer, isDue: true };
  }

  /**
   * One that has not heard of the topic's settings yet may have made its records
   * less safe than they ask: it is served, and does not count.
   */
  #knowsSettings(
    { topic }: FollowerFetchPartition,
    knownRevision: number | undefined,
  ): boolean {
    if (topic === undefined || knownRevision === undefined) return true;
    const { topics } = this.#options.view.image;
    return knownRevision >= (topics.get(topic)?.modRevision ?? 0);
  }

  #follows(
    { topic, partition }: FollowerFetchPartition,
    brokerId: number,
  ): FollowedReplica | Failure {
    const { view, replicas } = this.#options;
    if (topic === undefined) {
      return new Failure("UNKNOWN_TOPIC_ID", "The topic is not known here");
    }
    const state = view.image.topics.get(topic)?.partitionStates[partition];
    const replica = replicas.replica(topic, partition);
    if (state === undefined || replica === undefined) {
      return new Failure(
        "UNKNOWN_TOPIC_OR_PARTITION",
        `Topic "${topic}" has no partition ${partition} here`,
      );
    }
    if (!replica.isLeader) return replica.notLeader();
    return state.replicas.includes(brokerId) ? replica : new Failure(
      "NOT_LEADER_OR_FOLLOWER",
      `Broker ${brokerId} is no replica of partition ${partition} of topic "${topic}"`,
    );
  }

  #waitForAny(
    slots: readonly Slot[],
    waitMs: number,
    signal: AbortSignal,
  ): Promise<void> {
    const { timers } = this.#options.environment;
    return untilAny(
      timers,
      { waitMs, signal },
      (finish) =>
        slots.flatMap((slot) =>
          slot.replica === undefined ? [] : [slot.replica.onAppended(() => {
            slot.isDue = true;
            finish();
          })]
        ),
    );
  }

  /** The high watermark may have moved during the wait. */
  #finish(slots: readonly Slot[]): FetchAnswer[] {
    let bytes = 0;
    const answers = slots.map(({ answer, replica, epoch }) => {
      if (answer.kind !== "records" || replica === undefined) return answer;
      if (replica.leaderEpoch !== epoch) return refusal(replica.notLeader());
      bytes += answer.bytes.length;
      return { ...nothing(replica), bytes: answer.bytes };
    });
    if (bytes > 0) this.#options.onServed(bytes);
    return answers;
  }
}

/** Reads what is due; true: it is time to answer. */
function readAll(slots: readonly Slot[], options: FollowerFetchOptions) {
  let sizeBytes = 0;
  let isUrgent = slots.length === 0;
  for (const slot of slots) {
    if (slot.isDue) {
      slot.isDue = false;
      slot.answer = readOne(slot, options, sizeBytes);
    }
    if (slot.answer.kind === "records") sizeBytes += slot.answer.bytes.length;
    else isUrgent = true;
    if (startHasMoved(slot)) isUrgent = true;
  }
  return isUrgent || sizeBytes >= options.minBytes;
}

/** Who deleted the records before it may wait for the follower to know. */
function startHasMoved({ asked, replica }: Slot): boolean {
  return replica !== undefined && asked.logStartOffset >= 0 &&
    asked.logStartOffset < replica.log.logStartOffset;
}

function readOne(
  { asked, replica, epoch, answer }: Slot,
  options: FollowerFetchOptions,
  sizeBytes: number,
): FetchAnswer {
  if (replica === undefined) return answer;
  if (replica.leaderEpoch !== epoch) return refusal(replica.notLeader());
  const { log } = replica;
  if (asked.fetchOffset < log.logStartOffset) return outOfRange(replica);
  const isNew = asked.fetchOffset < log.logEndOffset;
  const roomBytes = options.maxBytes - sizeBytes;
  if (!isNew || (roomBytes <= 0 && sizeBytes > 0)) return nothing(replica);
  const slice = replica.attempt(() =>
    log.read(offset(asked.fetchOffset), {
      maxBytes: Math.max(0, Math.min(asked.maxBytes, roomBytes)),
      upperBound: log.logEndOffset,
      // However large: one that never came would stay behind for good.
      minOneBatch: true,
      allocate: options.allocate,
    })
  );
  return slice instanceof Failure
    ? refusal(slice)
    : { ...nothing(replica), bytes: slice.bytes };
}

/** Where the follower's log is not a part of this one. */
function gapOf(
  replica: FollowedReplica,
  asked: FollowerFetchPartition,
): FetchAnswer | undefined {
  const { log } = replica;
  const { fetchOffset, lastFetchedEpoch } = asked;
  if (lastFetchedEpoch >= 0) {
    const end = log.epochEndOffset(leaderEpoch(lastFetchedEpoch)) ??
      { epoch: log.latestEpoch, endOffset: log.logEndOffset };
    if (end.epoch < lastFetchedEpoch || end.endOffset < fetchOffset) {
      return {
        kind: "diverged",
        epoch: Math.max(end.epoch, 0),
        endOffset: end.endOffset,
      };
    }
  }
  const isInside = fetchOffset >= log.logStartOffset &&
    fetchOffset <= log.logEndOffset;
  return isInside ? undefined : outOfRange(replica);
}

function nothing({ highWatermark, isSettled, log }: FollowedReplica) {
  return {
    kind: "records",
    bytes: NO_BYTES,
    highWatermark,
    logStartOffset: log.logStartOffset,
    isSettled,
  } as const;
}

function outOfRange({ log }: FollowedReplica): FetchAnswer {
  const { logStartOffset, logEndOffset } = log;
  return { kind: "outOfRange", logStartOffset, logEndOffset };
}

function refusal({ code }: Failure): FetchAnswer {
  return { kind: "refused", code };
}

function settled(asked: FollowerFetchPartition, answer: FetchAnswer): Slot {
  const replica = undefined;
  return { asked, replica, epoch: undefined, answer, isDue: false };
}
