/**
 * Keeps a broker's logs within their bounds, in the background: retention by
 * time and size for all, compaction for the topics that ask for it. Owns when
 * and in which slices; what goes is the log's decision. One log at a time, with
 * a turn for everybody else between slices.
 */
import { StorageError } from "../../storage/error.ts";
import type { Environment, Timer } from "../environment.ts";
import type { Logger } from "../logger.ts";
import type { PartitionReplica } from "./partition_replica.ts";

export const CLEANER_LIMITS = {
  /** From the end of one round over all logs to the next. */
  intervalMs: 15_000,
  /** How long retention works before others have a turn. */
  sliceMs: 5,
  /** Memory for the keys of a compaction; what does not fit waits for the next. */
  keyMapBytes: 16 * 1024 * 1024,
} as const;

export interface LogCleanerOptions {
  readonly environment: Environment;
  readonly logger: Logger;
  replicas(): Iterable<PartitionReplica>;
}

/** The broker stops: what is half done is given up, without harm. */
class CleaningStopped extends Error {}

export class LogCleaner {
  readonly #options: LogCleanerOptions;
  #timer: Timer | undefined;
  #round = Promise.resolve();
  #isStopped = false;

  constructor(options: LogCleanerOptions) {
    this.#options = options;
  }

  start(): void {
    if (this.#isStopped) return;
    this.#timer = this.#options.environment.timers.after(
      CLEANER_LIMITS.intervalMs,
      () => {
        this.#round = this.#clean().finally(() => this.start());
      },
    );
  }

  /** Resolves when no log is worked on any more. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#timer?.cancel();
    await this.#round;
  }

  async #clean(): Promise<void> {
    try {
      await this.#retain();
      await this.#compact();
    } catch (fault) {
      if (!(fault instanceof CleaningStopped)) throw fault;
    }
  }

  async #retain(): Promise<void> {
    const { clock } = this.#options.environment;
    let sliceStartMs = clock.monotonicMs();
    for (const replica of [...this.#options.replicas()]) {
      if (!isCleanable(replica)) continue;
      this.#attempt(
        replica,
        () =>
          replica.log.enforceRetention(clock.nowMs(), replica.highWatermark),
      );
      if (clock.monotonicMs() - sliceStartMs < CLEANER_LIMITS.sliceMs) continue;
      await this.#pause();
      sliceStartMs = clock.monotonicMs();
    }
  }

  async #compact(): Promise<void> {
    const { clock } = this.#options.environment;
    for (const replica of [...this.#options.replicas()]) {
      const { log } = replica;
      if (!isCleanable(replica)) continue;
      if (!replica.settings.log.cleanupPolicy.compact) continue;
      const below = replica.lastStableOffset;
      const nowMs = clock.nowMs();
      if (!log.isCompactionDue({ nowMs, below })) continue;
      try {
        await log.compact({
          nowMs,
          below,
          keyMapBytes: CLEANER_LIMITS.keyMapBytes,
          pause: () => this.#pause(),
        });
      } catch (fault) {
        this.#say(replica, fault);
      }
      await this.#pause();
    }
  }

  #attempt(replica: PartitionReplica, work: () => void): void {
    try {
      work();
    } catch (fault) {
      this.#say(replica, fault);
    }
  }

  #say({ topic, partition }: PartitionReplica, fault: unknown): void {
    if (!(fault instanceof StorageError)) throw fault;
    this.#options.logger.error("A partition cannot be cleaned", {
      topic,
      partition,
      cause: fault.message,
    });
  }

  #pause(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#options.environment.timers.soon(() => {
        if (this.#isStopped) reject(new CleaningStopped());
        else resolve();
      });
    });
  }
}

function isCleanable(replica: PartitionReplica): boolean {
  return replica.isOpen && !replica.log.isOffline;
}
