/**
 * Follows one leader: fetches for all partitions that this broker follows there,
 * in one request after the other, appends what comes, makes it safe, and asks
 * for more (DESIGN D6). Owns the loop, its pauses and its bounds; what is done
 * with an answer is the replica's.
 *
 * An ask says that everything below its offset is safe here, so that the next
 * request goes out only when what the last one brought is.
 */
import { Failure } from "../../contract/errors.ts";
import { InvariantError } from "../../storage/assert.ts";
import type { Environment, Timer } from "../environment.ts";
import type { Logger } from "../logger.ts";
import type { FetchAnswer, FetchAsk, FetchSource } from "./fetch_source.ts";
import type { FetchPosition, PartitionReplica } from "./partition_replica.ts";

export const FETCHER_LIMITS = {
  /** How long the leader holds a request for which it has nothing. */
  maxWaitMs: 500,
  bytesPerAnswer: 10 * 1024 * 1024,
  bytesPerPartition: 1024 * 1024,
  /** Pause after a failure, doubled each time. */
  backOffMs: 50,
  maxBackOffMs: 1000,
} as const;

export interface ReplicaFetcherOptions {
  readonly leaderId: number;
  readonly source: FetchSource;
  readonly environment: Environment;
  readonly logger: Logger;
  /** Bytes per second for replicas that are being added; null: no bound. */
  throttleBytesPerSecond(): number | null;
  /** Whether the throttle is for this one. */
  isThrottled(replica: PartitionReplica): boolean;
  onFetched(replica: PartitionReplica, bytes: number): void;
  onFatal(fault: unknown): void;
}

interface Followed {
  readonly replica: PartitionReplica;
  failures: number;
  notBeforeMs: number;
}

interface Ready {
  readonly followed: Followed;
  readonly epoch: NonNullable<PartitionReplica["following"]>["leaderEpoch"];
  readonly position: FetchPosition;
}

export class ReplicaFetcher {
  readonly #options: ReplicaFetcherOptions;
  readonly #followed = new Map<PartitionReplica, Followed>();
  #request: AbortController | undefined;
  #sleep: { timer: Timer; end(): void } | undefined;
  #isStopped = false;
  #turn = 0;
  #failures = 0;
  /** Throttled replicas are not fetched for before. */
  #throttledUntilMs = -Infinity;
  readonly #running: Promise<void>;

  constructor(options: ReplicaFetcherOptions) {
    this.#options = options;
    this.#running = this.#run().catch((fault) => options.onFatal(fault));
  }

  get size(): number {
    return this.#followed.size;
  }

  /** Follows another one, or anew: a request that waits is given up for it. */
  add(replica: PartitionReplica): void {
    this.#followed.set(replica, { replica, failures: 0, notBeforeMs: 0 });
    this.#wake();
  }

  remove(replica: PartitionReplica): void {
    this.#followed.delete(replica);
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#wake();
    await this.#running;
  }

  #wake(): void {
    this.#request?.abort();
    this.#sleep?.end();
  }

  async #run(): Promise<void> {
    // What else is added in this turn shares the first request.
    await this.#rest(0);
    while (!this.#isStopped) {
      const ready = await this.#makeReady();
      if (this.#isStopped) return;
      if (ready.length === 0) await this.#rest(this.#untilNextMs());
      else await this.#fetch(ready);
    }
  }

  /** Who can be asked for now, beginning with another one each time. */
  async #makeReady(): Promise<Ready[]> {
    const nowMs = this.#nowMs();
    const all = [...this.#followed.values()];
    const start = all.length === 0 ? 0 : this.#turn++ % all.length;
    const ready: Ready[] = [];
    const unsafe: Followed[] = [];
    for (const followed of [...all.slice(start), ...all.slice(0, start)]) {
      const { replica } = followed;
      const { following } = replica;
      if (following === undefined || !replica.isOpen) continue;
      if (followed.notBeforeMs > nowMs || this.#mustWait(replica)) continue;
      const position = replica.fetchPosition();
      if (position === undefined) unsafe.push(followed);
      else {
        ready.push({ followed, epoch: following.leaderEpoch, position });
      }
    }
    if (unsafe.length > 0) await this.#makeSafe(unsafe);
    return ready.length === 0 && unsafe.length > 0 && !this.#isStopped
      ? []
      : ready;
  }

  #mustWait(replica: PartitionReplica): boolean {
    return this.#options.isThrottled(replica) &&
      this.#nowMs() < this.#throttledUntilMs;
  }

  #untilNextMs(): number {
    const nowMs = this.#nowMs();
    let atMs = nowMs + FETCHER_LIMITS.maxBackOffMs;
    for (const { replica, notBeforeMs } of this.#followed.values()) {
      const waitMs = this.#mustWait(replica)
        ? Math.max(notBeforeMs, this.#throttledUntilMs)
        : notBeforeMs;
      if (replica.following !== undefined) atMs = Math.min(atMs, waitMs);
    }
    return Math.max(1, atMs - nowMs);
  }

  async #fetch(ready: readonly Ready[]): Promise<void> {
    const { source, leaderId, logger } = this.#options;
    const request = new AbortController();
    this.#request = request;
    let answers: FetchAnswer[];
    try {
      answers = await source.fetch(leaderId, ready.map(askOf), {
        maxWaitMs: FETCHER_LIMITS.maxWaitMs,
        maxBytes: FETCHER_LIMITS.bytesPerAnswer,
        signal: request.signal,
      });
      this.#failures = 0;
    } catch (fault) {
      if (fault instanceof InvariantError) throw fault;
      if (request.signal.aborted) return;
      logger.debug("A leader cannot be fetched from", {
        leader: leaderId,
        cause: String(fault),
      });
      return await this.#rest(this.#backOffMs(this.#failures++));
    } finally {
      this.#request = undefined;
    }
    const changed = ready.flatMap((each, index) =>
      this.#apply(each, answers[index]) ? [each.followed] : []
    );
    await this.#makeSafe(changed);
  }

  /** True when there is something to make safe. */
  #apply({ followed, epoch }: Ready, answer: FetchAnswer): boolean {
    const { replica } = followed;
    if (this.#followed.get(replica) !== followed) return false;
    if (answer.kind === "refused") {
      this.#postpone(followed);
      return false;
    }
    const applied = replica.applyFetched(epoch, answer);
    if (applied instanceof Failure) {
      this.#postpone(followed);
      return false;
    }
    followed.failures = 0;
    const { appendedBytes } = applied;
    if (appendedBytes === 0) return false;
    this.#options.onFetched(replica, appendedBytes);
    this.#throttle(replica, appendedBytes);
    return true;
  }

  #throttle(replica: PartitionReplica, bytes: number): void {
    const rate = this.#options.throttleBytesPerSecond();
    if (rate === null || !this.#options.isThrottled(replica)) return;
    const from = Math.max(this.#nowMs(), this.#throttledUntilMs);
    this.#throttledUntilMs = from + bytes / rate * 1000;
  }

  async #makeSafe(all: readonly Followed[]): Promise<void> {
    await Promise.all(all.map(async (followed) => {
      const failure = await followed.replica.makeFetchedSafe();
      if (failure !== undefined) this.#postpone(followed);
    }));
  }

  #postpone(followed: Followed): void {
    followed.notBeforeMs = this.#nowMs() +
      this.#backOffMs(followed.failures++);
  }

  #backOffMs(failures: number): number {
    const { backOffMs, maxBackOffMs } = FETCHER_LIMITS;
    const longest = Math.min(
      backOffMs * 2 ** Math.min(failures, 10),
      maxBackOffMs,
    );
    return longest * (0.5 + this.#options.environment.random.float() / 2);
  }

  #rest(forMs: number): Promise<void> {
    if (this.#isStopped) return Promise.resolve();
    return new Promise((resolve) => {
      const end = () => {
        timer.cancel();
        this.#sleep = undefined;
        resolve();
      };
      const timer = this.#options.environment.timers.after(forMs, end);
      this.#sleep = { timer, end };
    });
  }

  #nowMs(): number {
    return this.#options.environment.clock.monotonicMs();
  }
}

function askOf({ followed, epoch, position }: Ready): FetchAsk {
  const { topicId, partition } = followed.replica;
  return {
    topicId,
    partition,
    ...position,
    currentLeaderEpoch: epoch,
    maxBytes: FETCHER_LIMITS.bytesPerPartition,
  };
}
