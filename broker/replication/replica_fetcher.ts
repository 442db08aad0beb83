/**
 * Follows one leader: fetches for all partitions that this broker follows there,
 * appends what comes, makes it safe, and asks for more (DESIGN D6). Owns the
 * requests, their pauses and their bounds; what an answer does is the replica's.
 *
 * An ask says that everything below its offset is safe here, so a partition is
 * asked for again only when what the last answer brought is. Busy partitions
 * have a request of their own (`fetch_lanes.ts`).
 */
import { InvariantError } from "../../storage/assert.ts";
import { StorageError } from "../../storage/error.ts";
import type { Environment, Timer } from "../environment.ts";
import type { Logger } from "../logger.ts";
import {
  FETCH_LANE_LIMITS,
  FetchLanes,
  type FetchRound,
} from "./fetch_lanes.ts";
import type { FetchAnswer, FetchAsk, FetchSource } from "./fetch_source.ts";
import type { FetchThrottle } from "./fetch_throttle.ts";
import type { PartitionReplica } from "./partition_replica.ts";

export const FETCHER_LIMITS = {
  bytesPerAnswer: 10 * 1024 * 1024,
  bytesPerPartition: 1024 * 1024,
  /** Bytes appended before others have a turn. */
  bytesPerTurn: 1024 * 1024,
  /**
   * How long a leader may hold a request while producers wait here for what it
   * tells of their records: they were written when this broker led.
   */
  owedWaitMs: 50,
  /** Logs that are flushed at a time. */
  flushes: 64,
  /** First pause after a failure, doubled each time. */
  backOffMs: 100,
  maxBackOffMs: 1000,
  /** One that waits looks so often whether it still must: throttles change. */
  lookAgainMs: 1000,
} as const;

export interface ReplicaFetcherOptions {
  readonly leaderId: number;
  readonly source: FetchSource;
  readonly environment: Environment;
  readonly logger: Logger;
  readonly throttle: FetchThrottle;
  /** Whether the throttle is for this one. */
  isThrottled(replica: PartitionReplica): boolean;
  onFetched(replica: PartitionReplica, bytes: number): void;
  onDiskFailing(replica: PartitionReplica): void;
  onFatal(fault: unknown): void;
}

/** A partition in one leader epoch. */
interface Followed {
  readonly replica: PartitionReplica;
  readonly epoch: number;
  failures: number;
  notBeforeMs: number;
  /** It got records, or came, or failed. */
  busyUntilMs: number;
  /** A request for it is on its way, or what it brought is not safe yet. */
  isAsked: boolean;
}

type Round = FetchRound<Followed>;

export class ReplicaFetcher {
  readonly #options: ReplicaFetcherOptions;
  /** Those first that have waited longest since they got records. */
  readonly #followed = new Map<PartitionReplica, Followed>();
  readonly #lanes = new FetchLanes<Followed>();
  readonly #running = new Set<Promise<void>>();
  #timer: Timer | undefined;
  #isKicked = false;
  #isStopped = false;
  /** In a row, of the leader as a whole. */
  #failures = 0;
  #notBeforeMs = -Infinity;

  constructor(options: ReplicaFetcherOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#followed.size;
  }

  /** Follows another one, or one in another epoch. */
  add(replica: PartitionReplica, epoch: number): void {
    this.#followed.delete(replica);
    this.#followed.set(replica, {
      replica,
      epoch,
      failures: 0,
      notBeforeMs: -Infinity,
      busyUntilMs: this.#nowMs() + FETCH_LANE_LIMITS.busyMs,
      isAsked: false,
    });
    this.#notBeforeMs = -Infinity;
    this.#kick();
  }

  remove(replica: PartitionReplica): void {
    this.#followed.delete(replica);
  }

  /** Resolves when nothing is asked or applied any more. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#timer?.cancel();
    this.#lanes.giveUpAll();
    await Promise.all(this.#running);
  }

  /** What is added in the same turn shares a request. */
  #kick(): void {
    if (this.#isKicked || this.#isStopped) return;
    this.#isKicked = true;
    this.#options.environment.timers.soon(() => {
      this.#isKicked = false;
      if (!this.#isStopped) this.#begin();
    });
  }

  #begin(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    const nowMs = this.#nowMs();
    if (nowMs < this.#notBeforeMs) return this.#arm(this.#notBeforeMs);
    const busy: Followed[] = [];
    const quiet: Followed[] = [];
    let nextMs = Infinity;
    for (const followed of this.#followed.values()) {
      if (followed.isAsked) continue;
      const atMs = this.#readyAtMs(followed);
      if (atMs > nowMs) {
        nextMs = Math.min(nextMs, atMs, nowMs + FETCHER_LIMITS.lookAgainMs);
      } else if (this.#isBusy(followed, nowMs)) busy.push(followed);
      else quiet.push(followed);
    }
    const { rounds, againAtMs } = this.#lanes.begin({ busy, quiet }, nowMs);
    nextMs = Math.min(nextMs, againAtMs);
    if (nextMs < Infinity) this.#arm(nextMs);
    for (const round of rounds) this.#start(round);
  }

  #isBusy({ replica, busyUntilMs }: Followed, nowMs: number): boolean {
    // One that is copied gets records whenever the throttle lets it ask.
    return busyUntilMs > nowMs || this.#options.isThrottled(replica);
  }

  #readyAtMs({ replica, notBeforeMs }: Followed): number {
    const { throttle, isThrottled } = this.#options;
    return isThrottled(replica)
      ? Math.max(notBeforeMs, throttle.freeAtMs)
      : notBeforeMs;
  }

  #arm(atMs: number): void {
    this.#timer?.cancel();
    this.#timer = this.#options.environment.timers.after(
      // A timer may fire a fraction early.
      Math.max(1, Math.ceil(atMs - this.#nowMs())),
      () => this.#kick(),
    );
  }

  #start(round: Round): void {
    const { members } = round;
    for (const each of members) each.isAsked = true;
    const running = this.#run(round).catch((fault) => {
      this.#isStopped = true;
      this.#options.onFatal(fault);
    }).finally(() => {
      for (const each of members) each.isAsked = false;
      this.#running.delete(running);
      this.#lanes.end(round);
      this.#kick();
    });
    this.#running.add(running);
  }

  async #run(round: Round): Promise<void> {
    const { members } = round;
    const unsafe = members.filter(({ replica }) =>
      replica.fetchSink.position() === undefined
    );
    if (unsafe.length > 0) await this.#makeSafe(unsafe);
    const asked: Followed[] = [];
    const asks: FetchAsk[] = [];
    for (const each of members) {
      const ask = this.#askOf(each);
      if (ask === undefined) continue;
      asked.push(each);
      asks.push(ask);
    }
    if (asks.length === 0 || round.signal.aborted) return;
    round.isWaiting = true;
    const owes = asked.some(({ replica }) => replica.owesAnswers);
    const maxWaitMs = owes
      ? Math.min(round.maxWaitMs, FETCHER_LIMITS.owedWaitMs)
      : round.maxWaitMs;
    const answers = await this.#fetch(asks, maxWaitMs, round.signal);
    round.isWaiting = false;
    if (answers === undefined) return;
    await this.#makeSafe(await this.#apply(asked, answers));
  }

  #askOf(followed: Followed): FetchAsk | undefined {
    const { replica, epoch } = followed;
    if (replica.following?.leaderEpoch !== epoch) return undefined;
    const position = replica.fetchSink.position();
    if (position === undefined) {
      this.#postpone(followed);
      return undefined;
    }
    return {
      topicId: replica.topicId,
      partition: replica.partition,
      ...position,
      currentLeaderEpoch: epoch,
      maxBytes: FETCHER_LIMITS.bytesPerPartition,
    };
  }

  /** Undefined: it was given up, or the leader does not answer. */
  async #fetch(
    asks: readonly FetchAsk[],
    maxWaitMs: number,
    signal: AbortSignal,
  ): Promise<FetchAnswer[] | undefined> {
    const { source, leaderId, logger } = this.#options;
    try {
      const answers = await source.fetch(leaderId, asks, {
        maxWaitMs,
        maxBytes: FETCHER_LIMITS.bytesPerAnswer,
        signal,
      });
      this.#failures = 0;
      return answers;
    } catch (fault) {
      if (fault instanceof InvariantError) throw fault;
      if (signal.aborted) return undefined;
      logger.debug("A leader cannot be fetched from", {
        leader: leaderId,
        cause: String(fault),
      });
      this.#notBeforeMs = this.#nowMs() + this.#backOffMs(this.#failures++);
      return undefined;
    }
  }

  /** Resolves those that hold something new. */
  async #apply(
    asked: readonly Followed[],
    answers: readonly FetchAnswer[],
  ): Promise<Followed[]> {
    const changed: Followed[] = [];
    let bytesInTurn = 0;
    for (const [index, followed] of asked.entries()) {
      const answer = answers[index];
      if (this.#followed.get(followed.replica) !== followed) continue;
      if (answer.kind === "records" && answer.bytes.length > 0) {
        if (!await this.#prepare(followed)) continue;
      }
      const sizeBytes = this.#applyOne(followed, answer);
      if (sizeBytes > 0) changed.push(followed);
      bytesInTurn += sizeBytes;
      if (bytesInTurn < FETCHER_LIMITS.bytesPerTurn) continue;
      bytesInTurn = 0;
      await this.#turn();
    }
    return changed;
  }

  /** Bytes that were appended. */
  #applyOne(followed: Followed, answer: FetchAnswer): number {
    const { replica, epoch } = followed;
    const applied = replica.fetchSink.apply(epoch, answer);
    if (applied.kind === "failed") {
      this.#postpone(followed);
      return 0;
    }
    followed.failures = 0;
    if (applied.kind !== "appended") return 0;
    const { onFetched, isThrottled, throttle } = this.#options;
    onFetched(replica, applied.sizeBytes);
    if (isThrottled(replica)) throttle.spend(applied.sizeBytes);
    followed.busyUntilMs = this.#nowMs() + FETCH_LANE_LIMITS.busyMs;
    // Who got records goes behind who may have waited for room in an answer.
    this.#followed.delete(replica);
    this.#followed.set(replica, followed);
    return applied.sizeBytes;
  }

  async #prepare(followed: Followed): Promise<boolean> {
    try {
      await followed.replica.fetchSink.prepare();
      return true;
    } catch (fault) {
      if (!(fault instanceof StorageError)) throw fault;
      this.#postpone(followed);
      return false;
    }
  }

  async #makeSafe(all: readonly Followed[]): Promise<void> {
    let next = 0;
    const work = async () => {
      while (next < all.length) {
        const followed = all[next++];
        try {
          await followed.replica.fetchSink.flush();
        } catch (fault) {
          if (!(fault instanceof StorageError)) throw fault;
          this.#postpone(followed);
        }
      }
    };
    const workers = Math.min(all.length, FETCHER_LIMITS.flushes);
    await Promise.all(Array.from({ length: workers }, work));
  }

  #postpone(followed: Followed): void {
    followed.notBeforeMs = this.#nowMs() +
      this.#backOffMs(followed.failures++);
    followed.busyUntilMs = followed.notBeforeMs + FETCH_LANE_LIMITS.busyMs;
    const { replica } = followed;
    if (replica.isDiskFailing) this.#options.onDiskFailing(replica);
  }

  #backOffMs(failures: number): number {
    const { backOffMs, maxBackOffMs } = FETCHER_LIMITS;
    const longest = Math.min(
      backOffMs * 2 ** Math.min(failures, 10),
      maxBackOffMs,
    );
    return longest * (0.5 + this.#options.environment.random.float() / 2);
  }

  #turn(): Promise<void> {
    return new Promise((resolve) =>
      this.#options.environment.timers.soon(resolve)
    );
  }

  #nowMs(): number {
    return this.#options.environment.clock.monotonicMs();
  }
}
