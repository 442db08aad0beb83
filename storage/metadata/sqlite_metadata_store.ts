/**
 * The metadata store on one SQLite file, shared by the brokers of one machine.
 * It owns when things happen: the queue of writes, waiting for the file's lock,
 * polling for what other processes did. What happens is in sqlite_state.ts
 * (transactions, compaction), sqlite_leases.ts and watch_set.ts.
 *
 * Writes are gathered: all that were asked for by the end of a turn share one
 * commit, hence one sync of the disk, yet each keeps its own revision. SQLite
 * blocks the thread while it syncs, so it never also waits for locks: when
 * another process writes, this one tries again a little later.
 *
 * A process that is stopped (SIGSTOP) in the microseconds between BEGIN and
 * COMMIT keeps the lock until it goes on or dies; until then others can read
 * but every write ends in MetadataUnavailableError.
 */
import {
  type KeyValue,
  LeaseEndedError,
  type MetadataStore,
  MetadataUnavailableError,
  type Transaction,
  type TransactionResult,
  type Watch,
  type WatchHandlers,
} from "./metadata_store.ts";
import {
  endLease,
  grantLease,
  LeaseSightings,
  type Now,
  renewLease,
} from "./sqlite_leases.ts";
import {
  type Durability,
  isBusy,
  isSqliteError,
  SqliteSession,
} from "./sqlite_session.ts";
import {
  applyTransaction,
  compactAutomatically,
  compactBefore,
  DEFAULT_RETENTION,
  getEntry,
  leaseNumber,
  listChanges,
  listEntries,
  type Retention,
  StateRow,
} from "./sqlite_state.ts";
import {
  checkKey,
  checkLeaseTtl,
  checkPrefix,
  checkRevision,
  checkTransaction,
} from "./validation.ts";
import { type HistoryPage, WatchSet } from "./watch_set.ts";

/** How often the file is asked for changes by others; it costs microseconds. */
const POLL_INTERVAL_MS = 12;
/** How long an operation may wait for the lock of the file. */
const BUSY_TIMEOUT_MS = 3_000;
const BUSY_DELAY_MAX_MS = 16;
/** Writes that share one commit. */
const MAX_BATCH = 64;
/** Writes that may wait. */
const MAX_QUEUE = 4_096;
/** Revisions read at a time for watches. */
const PAGE_REVISIONS = 256;

/** The part of the environment's clock that is needed. */
export interface MetadataClock {
  /** Milliseconds since the Unix epoch; may jump. */
  nowMs(): number;
  /** Milliseconds from some start, with fractions; never goes back. */
  monotonicMs(): number;
}

/** The part of the environment's timers that is needed. */
export interface MetadataTimers {
  after(delayMs: number, callback: () => void): { cancel(): void };
  /** Calls once at the end of this turn of the event loop. */
  soon(callback: () => void): void;
}

export interface SqliteMetadataStoreOptions {
  /** Of the file; its folder must exist. Made when there is none. */
  path: string;
  clock: MetadataClock;
  timers: MetadataTimers;
  /** How much history to keep; by default 10,000 revisions and 64 MiB. */
  retention?: Retention;
}

interface Job {
  durability: Durability;
  deadlineMs: number;
  /** Throws LeaseEndedError or RangeError before it has changed anything. */
  body(session: SqliteSession, state: StateRow, now: Now): unknown;
  resolve(result: unknown): void;
  reject(error: unknown): void;
}

type Outcome = { result: unknown } | { refusal: Error };

export class SqliteMetadataStore implements MetadataStore {
  readonly #options: SqliteMetadataStoreOptions;
  readonly #session: SqliteSession;
  /** For lease renewals, which need no sync; opened when first needed. */
  #eventualSession: SqliteSession | undefined;
  readonly #leases = new LeaseSightings();
  readonly #watches = new WatchSet();
  readonly #queue: Job[] = [];
  readonly #sleeps = new Set<() => void>();
  #writing = false;
  #expiring = false;
  #poll: { cancel(): void } | undefined;
  #seenDataVersion = -1;
  #busySinceMs: number | undefined;
  #closed = false;

  private constructor(
    options: SqliteMetadataStoreOptions,
    session: SqliteSession,
  ) {
    this.#options = options;
    this.#session = session;
  }

  /**
   * Throws `MetadataFileError` when the file can never serve, and
   * `MetadataUnavailableError` when it stays locked for too long.
   */
  static async open(
    options: SqliteMetadataStoreOptions,
  ): Promise<SqliteMetadataStore> {
    const { path, clock, timers } = options;
    const deadlineMs = clock.monotonicMs() + BUSY_TIMEOUT_MS;
    for (let attempt = 0;; attempt++) {
      try {
        const session = SqliteSession.open(path, "durable");
        return new SqliteMetadataStore(options, session);
      } catch (error) {
        if (!isBusy(error)) throw error;
        if (clock.monotonicMs() >= deadlineMs) throw unavailable(error);
      }
      await new Promise<void>((resolve) => {
        timers.after(busyDelayMs(clock, attempt), resolve);
      });
    }
  }

  async get(key: string): Promise<KeyValue | undefined> {
    checkKey(key);
    return await this.#read((session) => getEntry(session, key));
  }

  async list(
    prefix: string,
  ): Promise<{ revision: number; entries: KeyValue[] }> {
    checkPrefix(prefix);
    return await this.#read((session) => ({
      revision: new StateRow(session).revision,
      entries: listEntries(session, prefix),
    }));
  }

  async transact(transaction: Transaction): Promise<TransactionResult> {
    checkTransaction(transaction);
    return await this.#write(
      "durable",
      (session, state) => applyTransaction(session, state, transaction),
    );
  }

  watch(prefix: string, fromRevision: number, handlers: WatchHandlers): Watch {
    checkPrefix(prefix);
    checkRevision(fromRevision);
    if (this.#closed) throw closedError();
    const watch = this.#watches.add(prefix, fromRevision, handlers);
    this.#seenDataVersion = -1;
    this.#options.timers.soon(() => this.#pollOnce());
    this.#armPoll();
    return watch;
  }

  async catchUp(): Promise<number> {
    return await this.#read((session) => {
      const { revision } = new StateRow(session);
      return revision;
    }).then((revision) => {
      this.#deliver();
      return revision;
    });
  }

  async grantLease(
    ttlMs: number,
  ): Promise<{ leaseId: string; ttlMs: number }> {
    checkLeaseTtl(ttlMs);
    const sightings = this.#leases;
    const leaseId = await this.#write(
      "eventual",
      (session, state, now) =>
        grantLease(session, state, { ttlMs, now, sightings }),
    );
    return { leaseId, ttlMs };
  }

  async keepAlive(leaseId: string): Promise<boolean> {
    const sightings = this.#leases;
    return await this.#write(
      "eventual",
      (session, _state, now) =>
        renewLease(session, leaseId, { now, sightings }),
    );
  }

  async revokeLease(leaseId: string): Promise<void> {
    const id = leaseNumber(leaseId);
    if (id === undefined) return;
    await this.#write(
      "durable",
      (session, state) => endLease(session, state, id),
    );
  }

  async compact(revision: number): Promise<void> {
    checkRevision(revision);
    await this.#write("durable", (session, state) => {
      if (revision > state.revision) {
        throw new RangeError(
          `Revision ${revision} is in the future: the newest is ` +
            `${state.revision}.`,
        );
      }
      compactBefore(session, state, revision);
    });
  }

  close(): Promise<void> {
    if (this.#closed) return Promise.resolve();
    this.#closed = true;
    this.#poll?.cancel();
    this.#watches.clear();
    for (const wake of this.#sleeps) wake();
    for (const job of this.#queue.splice(0)) job.reject(closedError());
    this.#eventualSession?.close();
    this.#session.close();
    return Promise.resolve();
  }

  /** Runs `body` at one moment at which no lease is known to have ended. */
  async #read<T>(body: (session: SqliteSession) => T): Promise<T> {
    const deadlineMs = this.#options.clock.monotonicMs() + BUSY_TIMEOUT_MS;
    for (let attempt = 0;; attempt++) {
      if (this.#closed) throw closedError();
      try {
        const answer = this.#session.read(() =>
          this.#lookAtLeases() ? undefined : { result: body(this.#session) }
        );
        if (answer !== undefined) return answer.result;
        await this.#endDueLeases();
      } catch (error) {
        const late = this.#options.clock.monotonicMs() >= deadlineMs;
        if (!isBusy(error) || late) throw unavailable(error);
        await this.#sleep(busyDelayMs(this.#options.clock, attempt));
      }
    }
  }

  #write<T>(
    durability: Durability,
    body: (session: SqliteSession, state: StateRow, now: Now) => T,
  ): Promise<T> {
    if (this.#closed) return Promise.reject(closedError());
    if (this.#queue.length >= MAX_QUEUE) {
      return Promise.reject(
        new MetadataUnavailableError(
          `More than ${MAX_QUEUE} metadata transactions are waiting.`,
        ),
      );
    }
    const deadlineMs = this.#options.clock.monotonicMs() + BUSY_TIMEOUT_MS;
    return new Promise<T>((resolve, reject) => {
      this.#queue.push({
        durability,
        deadlineMs,
        body,
        resolve: (result) => resolve(result as T),
        reject,
      });
      this.#startWriting();
    });
  }

  #startWriting(): void {
    if (this.#writing) return;
    this.#writing = true;
    this.#options.timers.soon(() => this.#writeBatch(0));
  }

  /** Commits what waits, then lets the event loop turn before the next. */
  #writeBatch(attempt: number): void {
    if (this.#closed) return;
    const batch = this.#queue.slice(0, MAX_BATCH);
    let outcomes: Outcome[];
    try {
      outcomes = this.#commit(batch);
    } catch (error) {
      if (isBusy(error)) {
        this.#rejectOverdue(error);
        this.#sleep(busyDelayMs(this.#options.clock, attempt))
          .then(() => this.#writeBatch(attempt + 1));
        return;
      }
      outcomes = batch.map(() => ({ refusal: asFailure(error) }));
    }
    this.#queue.splice(0, batch.length);
    this.#deliver();
    batch.forEach((job, index) => {
      const outcome = outcomes[index];
      if ("refusal" in outcome) job.reject(outcome.refusal);
      else job.resolve(outcome.result);
    });
    this.#writing = false;
    if (this.#queue.length > 0) this.#startWriting();
  }

  #commit(batch: Job[]): Outcome[] {
    if (batch.length === 0) return [];
    const session = batch.every((job) => job.durability === "eventual")
      ? this.#openEventualSession()
      : this.#session;
    return session.write(() => {
      // Read with the lock held: a pause before it makes `now` later, and a
      // pause after it keeps others from ending a lease that is renewed here.
      const now = this.#now();
      const state = new StateRow(session);
      this.#leases.look(session, now);
      for (const id of this.#leases.due(now)) endLease(session, state, id);
      const outcomes = batch.map((job) => attemptJob(job, session, state, now));
      compactAutomatically(
        session,
        state,
        this.#options.retention ?? DEFAULT_RETENTION,
      );
      state.save();
      return outcomes;
    });
  }

  #openEventualSession(): SqliteSession {
    this.#eventualSession ??= SqliteSession.open(
      this.#options.path,
      "eventual",
    );
    return this.#eventualSession;
  }

  #rejectOverdue(cause: unknown): void {
    const nowMs = this.#options.clock.monotonicMs();
    const overdue = this.#queue.filter((job) => job.deadlineMs <= nowMs);
    for (const job of overdue) {
      this.#queue.splice(this.#queue.indexOf(job), 1);
      job.reject(unavailable(cause));
    }
  }

  #armPoll(): void {
    if (this.#poll !== undefined || this.#closed) return;
    this.#poll = this.#options.timers.after(POLL_INTERVAL_MS, () => {
      this.#poll = undefined;
      if (this.#watches.size === 0) return;
      this.#pollOnce();
      this.#armPoll();
    });
  }

  /** Delivers what others did, and ends the leases whose time has come. */
  #pollOnce(): void {
    if (this.#closed) return;
    try {
      const dataVersion = this.#session.dataVersion();
      if (dataVersion !== this.#seenDataVersion) {
        this.#session.read(() => this.#lookAtLeases());
        this.#deliverOrThrow();
        this.#seenDataVersion = dataVersion;
      }
      this.#busySinceMs = undefined;
      this.#watches.setHealth(undefined);
    } catch (error) {
      this.#reportFault(error);
    }
    if (this.#closed || this.#leases.due(this.#now()).length === 0) return;
    // When it fails the next poll does it again.
    this.#endDueLeases().catch(() => {});
  }

  #lookAtLeases(): boolean {
    const now = this.#now();
    this.#leases.look(this.#session, now);
    return this.#leases.due(now).length > 0;
  }

  /** Every write does so first: one that does nothing else will do. */
  async #endDueLeases(): Promise<void> {
    if (this.#expiring) return await this.#sleep(1);
    this.#expiring = true;
    try {
      await this.#write("eventual", () => undefined);
    } finally {
      this.#expiring = false;
    }
  }

  /** A transaction that committed has succeeded, even if watches must wait. */
  #deliver(): void {
    try {
      this.#deliverOrThrow();
    } catch (error) {
      this.#seenDataVersion = -1;
      this.#reportFault(error);
    }
  }

  #deliverOrThrow(): void {
    this.#watches.deliver((from) => this.#readPage(from));
  }

  #readPage(from: number): HistoryPage {
    return this.#session.read(() => {
      const { revision, compactRevision } = new StateRow(this.#session);
      const first = Math.max(from, compactRevision);
      const to = Math.min(revision, first + PAGE_REVISIONS - 1);
      const changes = listChanges(this.#session, first, to);
      return { revision, compactRevision, changes, to };
    });
  }

  /** A lock is no fault unless it stays: SQLite takes short ones to recover. */
  #reportFault(error: unknown): void {
    if (!isSqliteError(error)) throw error;
    if (isBusy(error)) {
      const nowMs = this.#options.clock.monotonicMs();
      this.#busySinceMs ??= nowMs;
      if (nowMs - this.#busySinceMs < BUSY_TIMEOUT_MS) return;
    }
    this.#watches.setHealth(unavailable(error));
  }

  #now(): Now {
    const { clock } = this.#options;
    return { wallMs: clock.nowMs(), monotonicMs: clock.monotonicMs() };
  }

  /** Ends early when the store is closed. */
  #sleep(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        timer.cancel();
        this.#sleeps.delete(wake);
        resolve();
      };
      const timer = this.#options.timers.after(delayMs, wake);
      this.#sleeps.add(wake);
    });
  }
}

function attemptJob(
  job: Job,
  session: SqliteSession,
  state: StateRow,
  now: Now,
): Outcome {
  try {
    return { result: job.body(session, state, now) };
  } catch (error) {
    if (error instanceof LeaseEndedError || error instanceof RangeError) {
      return { refusal: error };
    }
    throw error;
  }
}

/** Grows with the attempts, and differs between processes in lockstep. */
function busyDelayMs(clock: MetadataClock, attempt: number): number {
  const jitter = (clock.monotonicMs() * 1_000) % 1;
  return 1 + jitter * Math.min(BUSY_DELAY_MAX_MS, 2 ** attempt);
}

function asFailure(error: unknown): Error {
  return isSqliteError(error) ? unavailable(error) : error as Error;
}

function unavailable(cause: unknown): Error {
  if (!isSqliteError(cause)) return cause as Error;
  return new MetadataUnavailableError(
    `The metadata store failed: ${cause.message}`,
    { cause },
  );
}

function closedError(): MetadataUnavailableError {
  return new MetadataUnavailableError("The metadata store is closed.");
}
