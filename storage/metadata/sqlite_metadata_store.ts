/**
 * The metadata store on one SQLite file, shared by the brokers of one machine.
 * It owns when things happen: reads, commits, polling for what other processes
 * did. What happens is in sqlite_state.ts (transactions, compaction),
 * sqlite_leases.ts and watch_set.ts; who waits is in write_queue.ts.
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
  type MetadataClock,
  type MetadataTimers,
  Patience,
} from "./patience.ts";
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
import { type Outcome, WriteQueue } from "./write_queue.ts";

/** How often the file is asked for changes by others; it costs microseconds. */
const POLL_INTERVAL_MS = 15;
/** How long an operation may wait for the lock of the file. */
const BUSY_TIMEOUT_MS = 3_000;
/** Revisions read at a time for watches. */
const PAGE_REVISIONS = 256;

export interface SqliteMetadataStoreOptions {
  /** Of the file; its folder must exist. Made when there is none. */
  path: string;
  clock: MetadataClock;
  timers: MetadataTimers;
  /** How much history to keep; by default 10,000 revisions and 64 MiB. */
  retention?: Retention;
}

interface Write {
  durability: Durability;
  /** Throws LeaseEndedError or RangeError before it has changed anything. */
  body(state: StateRow, now: Now): unknown;
}

export class SqliteMetadataStore implements MetadataStore {
  readonly #options: SqliteMetadataStoreOptions;
  readonly #session: SqliteSession;
  readonly #patience: Patience;
  readonly #queue: WriteQueue<Write>;
  readonly #leases = new LeaseSightings();
  readonly #watches = new WatchSet();
  #expiry: Promise<unknown> | undefined;
  #poll: { cancel(): void } | undefined;
  /** Of the last look by {@linkcode #pollOnce}; undefined: look again. */
  #dataVersion: number | undefined;
  #busySinceMs: number | undefined;
  #closed = false;

  private constructor(
    options: SqliteMetadataStoreOptions,
    session: SqliteSession,
    patience: Patience,
  ) {
    this.#options = options;
    this.#session = session;
    this.#patience = patience;
    this.#queue = new WriteQueue<Write>({
      clock: options.clock,
      timers: options.timers,
      patience,
      timeoutMs: BUSY_TIMEOUT_MS,
      commit: (writes) => this.#commit(writes),
      committed: () => this.#deliver(),
      toError,
    });
  }

  /**
   * Throws `MetadataFileError` when the file can never serve, and
   * `MetadataUnavailableError` when it stays locked for too long.
   */
  static async open(
    options: SqliteMetadataStoreOptions,
  ): Promise<SqliteMetadataStore> {
    const patience = new Patience(options.clock, options.timers);
    try {
      const session = await patience.retry(
        BUSY_TIMEOUT_MS,
        () => SqliteSession.open(options.path),
      );
      return new SqliteMetadataStore(options, session, patience);
    } catch (error) {
      throw toError(error);
    }
  }

  async get(key: string): Promise<KeyValue | undefined> {
    checkKey(key);
    return await this.#read(() => getEntry(this.#session, key));
  }

  async list(
    prefix: string,
  ): Promise<{ revision: number; entries: KeyValue[] }> {
    checkPrefix(prefix);
    return await this.#read(() => ({
      revision: new StateRow(this.#session).revision,
      entries: listEntries(this.#session, prefix),
    }));
  }

  async transact(transaction: Transaction): Promise<TransactionResult> {
    checkTransaction(transaction);
    return await this.#write(
      "durable",
      (state) => applyTransaction(this.#session, state, transaction),
    );
  }

  watch(prefix: string, fromRevision: number, handlers: WatchHandlers): Watch {
    checkPrefix(prefix);
    checkRevision(fromRevision);
    if (this.#closed) throw closedError();
    const watch = this.#watches.add(prefix, fromRevision, handlers);
    this.#dataVersion = undefined;
    this.#options.timers.soon(() => this.#pollOnce());
    this.#armPoll();
    return watch;
  }

  async catchUp(): Promise<number> {
    return await this.#retry(() => {
      const { revision } = new StateRow(this.#session);
      this.#deliverOrThrow();
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
      (state, now) =>
        grantLease(this.#session, state, { ttlMs, now, sightings }),
    );
    return { leaseId, ttlMs };
  }

  async keepAlive(leaseId: string): Promise<boolean> {
    const sightings = this.#leases;
    return await this.#write(
      "eventual",
      (_state, now) => renewLease(this.#session, leaseId, { now, sightings }),
    );
  }

  async revokeLease(leaseId: string): Promise<void> {
    const id = leaseNumber(leaseId);
    if (id === undefined) return;
    await this.#write(
      "durable",
      (state) => endLease(this.#session, state, id),
    );
  }

  async compact(revision: number): Promise<void> {
    checkRevision(revision);
    await this.#write("durable", (state) => {
      if (revision > state.revision) {
        throw new RangeError(
          `Revision ${revision} is in the future: the newest is ` +
            `${state.revision}.`,
        );
      }
      compactBefore(this.#session, state, revision);
    });
  }

  close(): Promise<void> {
    if (this.#closed) return Promise.resolve();
    this.#closed = true;
    this.#poll?.cancel();
    this.#watches.clear();
    this.#queue.close(closedError());
    this.#patience.wakeAll();
    this.#session.close();
    return Promise.resolve();
  }

  /** Runs `body` at one moment at which no lease is known to have ended. */
  async #read<T>(body: () => T): Promise<T> {
    for (;;) {
      const answer = await this.#retry(() =>
        this.#session.read(() =>
          this.#lookAtLeases() ? undefined : { result: body() }
        )
      );
      if (answer !== undefined) return answer.result;
      await this.#endDueLeases();
    }
  }

  async #retry<T>(body: () => T): Promise<T> {
    try {
      return await this.#patience.retry(BUSY_TIMEOUT_MS, () => {
        if (this.#closed) throw closedError();
        return body();
      });
    } catch (error) {
      throw toError(error);
    }
  }

  async #write<T>(
    durability: Durability,
    body: (state: StateRow, now: Now) => T,
  ): Promise<T> {
    if (this.#closed) throw closedError();
    return await this.#queue.add({ durability, body }) as T;
  }

  #commit(writes: Write[]): Outcome[] {
    const durability = writes.every((write) => write.durability === "eventual")
      ? "eventual"
      : "durable";
    return this.#session.write(durability, () => {
      // Read with the lock held: a pause before it makes `now` later, and a
      // pause after it keeps others from ending a lease that is renewed here.
      const now = this.#now();
      const state = new StateRow(this.#session);
      this.#leases.look(this.#session, now);
      for (const id of this.#leases.due(now)) {
        endLease(this.#session, state, id);
      }
      const outcomes = writes.map((write) => attempt(write, state, now));
      const retention = this.#options.retention ?? DEFAULT_RETENTION;
      compactAutomatically(this.#session, state, retention);
      state.save();
      return outcomes;
    });
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
      if (dataVersion !== this.#dataVersion) {
        this.#session.read(() => this.#lookAtLeases());
        this.#dataVersion = dataVersion;
        this.#deliverOrThrow();
      }
      this.#busySinceMs = undefined;
      this.#watches.setHealth(undefined);
    } catch (error) {
      this.#reportFault(error);
    }
    if (this.#closed || this.#leases.due(this.#now()).length === 0) return;
    // When it fails, the next poll does it again.
    this.#endDueLeases().catch(() => {});
  }

  #lookAtLeases(): boolean {
    const now = this.#now();
    this.#leases.look(this.#session, now);
    return this.#leases.due(now).length > 0;
  }

  /** Every write does so first: one that does nothing else will do. */
  async #endDueLeases(): Promise<void> {
    this.#expiry ??= this.#write("eventual", () => undefined);
    try {
      await this.#expiry;
    } finally {
      this.#expiry = undefined;
    }
  }

  /** A transaction that committed has succeeded, even if watches must wait. */
  #deliver(): void {
    if (this.#closed) return;
    try {
      this.#deliverOrThrow();
    } catch (error) {
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
    this.#dataVersion = undefined;
    if (isBusy(error)) {
      const nowMs = this.#options.clock.monotonicMs();
      this.#busySinceMs ??= nowMs;
      if (nowMs - this.#busySinceMs < BUSY_TIMEOUT_MS) return;
    }
    this.#watches.setHealth(toError(error));
  }

  #now(): Now {
    const { clock } = this.#options;
    return { wallMs: clock.nowMs(), monotonicMs: clock.monotonicMs() };
  }
}

function attempt(write: Write, state: StateRow, now: Now): Outcome {
  try {
    return { result: write.body(state, now) };
  } catch (error) {
    if (error instanceof LeaseEndedError || error instanceof RangeError) {
      return { refusal: error };
    }
    throw error;
  }
}

/** What SQLite throws is the disk's or another process's doing. */
function toError(thrown: unknown): Error {
  if (!isSqliteError(thrown)) return thrown as Error;
  return new MetadataUnavailableError(
    `The metadata store failed: ${thrown.message}`,
    { cause: thrown },
  );
}

function closedError(): MetadataUnavailableError {
  return new MetadataUnavailableError("The metadata store is closed.");
}
