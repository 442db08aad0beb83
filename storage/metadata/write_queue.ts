/**
 * The queue of a store's writes. All that were asked for by the end of a turn of
 * the event loop are committed together, hence with one sync of the disk, and
 * answered in their order. It owns who waits and for how long; what a commit is,
 * the store says.
 */
import { MetadataUnavailableError } from "./metadata_store.ts";
import type { MetadataClock, MetadataTimers, Patience } from "./patience.ts";
import { isBusy } from "./sqlite_session.ts";

/** Writes that share one commit. */
const MAX_BATCH = 64;
/** Writes that may wait. */
export const MAX_QUEUE = 4_096;

/** What became of one write: its result, or why it alone was refused. */
export type Outcome = { result: unknown } | { refusal: Error };

interface Job<Write> {
  write: Write;
  deadlineMs: number;
  resolve(result: unknown): void;
  reject(error: Error): void;
}

export interface WriteQueueOptions<Write> {
  clock: MetadataClock;
  timers: MetadataTimers;
  patience: Patience;
  /** How long a write may wait for the lock. */
  timeoutMs: number;
  /** Commits all or, when it throws, nothing. */
  commit(writes: Write[]): Outcome[];
  /** Called after each commit, before its writes are answered. */
  committed(): void;
  /** Makes what `commit` threw the error that a caller gets. */
  toError(thrown: unknown): Error;
}

export class WriteQueue<Write> {
  readonly #options: WriteQueueOptions<Write>;
  readonly #jobs: Job<Write>[] = [];
  #running = false;
  #closed = false;

  constructor(options: WriteQueueOptions<Write>) {
    this.#options = options;
  }

  add(write: Write): Promise<unknown> {
    if (this.#jobs.length >= MAX_QUEUE) {
      return Promise.reject(
        new MetadataUnavailableError(
          `More than ${MAX_QUEUE} metadata transactions are waiting.`,
        ),
      );
    }
    const { clock, timeoutMs } = this.#options;
    const deadlineMs = clock.monotonicMs() + timeoutMs;
    return new Promise((resolve, reject) => {
      this.#jobs.push({ write, deadlineMs, resolve, reject });
      this.#start();
    });
  }

  /** Rejects all that wait; nothing more is committed. */
  close(reason: Error): void {
    this.#closed = true;
    for (const job of this.#jobs.splice(0)) job.reject(reason);
  }

  #start(): void {
    if (this.#running || this.#jobs.length === 0) return;
    this.#running = true;
    this.#options.timers.soon(() => this.#run(0));
  }

  /** One commit; the event loop turns before the next. */
  #run(attempt: number): void {
    if (this.#closed) return;
    const batch = this.#jobs.slice(0, MAX_BATCH);
    let outcomes: Outcome[];
    try {
      outcomes = this.#options.commit(batch.map((job) => job.write));
    } catch (thrown) {
      if (isBusy(thrown)) return this.#runLater(attempt, thrown);
      const refusal = this.#options.toError(thrown);
      outcomes = batch.map(() => ({ refusal }));
    }
    this.#jobs.splice(0, batch.length);
    this.#options.committed();
    batch.forEach((job, index) => {
      const outcome = outcomes[index];
      if ("refusal" in outcome) job.reject(outcome.refusal);
      else job.resolve(outcome.result);
    });
    this.#running = false;
    this.#start();
  }

  #runLater(attempt: number, thrown: unknown): void {
    const nowMs = this.#options.clock.monotonicMs();
    const error = this.#options.toError(thrown);
    // The deadlines are in the order of the queue.
    while (this.#jobs.length > 0 && this.#jobs[0].deadlineMs <= nowMs) {
      this.#jobs.shift()!.reject(error);
    }
    if (this.#jobs.length === 0) {
      this.#running = false;
      return;
    }
    this.#options.patience.wait(attempt).then(() => this.#run(attempt + 1));
  }
}
