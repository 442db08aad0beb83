/**
 * One connection to the metadata file: how it is opened, set up and checked, and
 * what its errors mean. It owns the file's format (tables, version) and refuses
 * to know what the rows stand for: transactions, leases and watches do.
 *
 * The process must not open the file by any other way than SQLite: closing any
 * descriptor of it drops the locks of the whole process (fcntl(2)).
 */
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { StorageError } from "../error.ts";

/** "SNst": tells our file from other SQLite databases. */
const APPLICATION_ID = 0x534e7374;

/**
 * Version 1. A change of the tables gets the next number and a migration here,
 * run in the same transaction that sets the number.
 *
 * `change` holds what each revision did to a key, in order of `id`; a value that
 * is NULL is a deletion. A row stays while it is above the compacted revision,
 * or while `current` points to it. `lease.renewals` grows with each keep-alive:
 * other processes see by it that the holder lives (see sqlite_leases.ts).
 */
const FORMAT_VERSION = 1;
const TABLES = `
  CREATE TABLE state (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    revision INTEGER NOT NULL,
    compact_revision INTEGER NOT NULL,
    last_lease_id INTEGER NOT NULL,
    history_bytes INTEGER NOT NULL
  );
  INSERT INTO state VALUES (1, 1, 1, 0, 0);
  CREATE TABLE change (
    id INTEGER PRIMARY KEY,
    revision INTEGER NOT NULL,
    key TEXT NOT NULL,
    value TEXT,
    create_revision INTEGER NOT NULL,
    version INTEGER NOT NULL,
    lease_id INTEGER
  );
  CREATE INDEX change_by_revision ON change (revision);
  CREATE TABLE current (
    key TEXT PRIMARY KEY,
    change_id INTEGER NOT NULL,
    lease_id INTEGER
  ) WITHOUT ROWID;
  CREATE INDEX current_by_lease ON current (lease_id)
    WHERE lease_id IS NOT NULL;
  CREATE TABLE lease (
    id INTEGER PRIMARY KEY,
    ttl_ms INTEGER NOT NULL,
    renewals INTEGER NOT NULL,
    renewed_at_ms INTEGER NOT NULL
  );
  PRAGMA application_id = ${APPLICATION_ID};
  PRAGMA user_version = ${FORMAT_VERSION};
`;

/**
 * When a commit is on the disk. `durable`: before it returns, come power loss.
 * `eventual`: with the next durable commit of anybody, at the latest; until then
 * it survives the end of every process, but not of the machine.
 */
export type Durability = "durable" | "eventual";

/** The file cannot serve as the metadata store; the message says why. */
export class MetadataFileError extends StorageError {
  override readonly name = "MetadataFileError";
}

/** What a statement takes and gives. */
export type SqlValue = number | string | Uint8Array | null;
export type SqlRow = Record<string, SqlValue>;

export class SqliteSession {
  readonly #database: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();
  #durability: Durability | undefined;

  private constructor(database: DatabaseSync) {
    this.#database = database;
  }

  /**
   * Opens the file and makes it when there is none. Throws MetadataFileError
   * when it never can be opened, and what {@linkcode isBusy} recognises when
   * another process is just doing the same: then the caller tries again.
   */
  static open(path: string): SqliteSession {
    let database: DatabaseSync;
    try {
      database = new DatabaseSync(path);
    } catch (cause) {
      throw fileError(path, cause);
    }
    const session = new SqliteSession(database);
    try {
      session.#configure();
      session.#prepareFile(path);
      return session;
    } catch (cause) {
      session.close();
      if (isBusy(cause) || cause instanceof MetadataFileError) throw cause;
      throw fileError(path, cause);
    }
  }

  all(sql: string, ...values: SqlValue[]): SqlRow[] {
    return this.#statement(sql).all(...values) as SqlRow[];
  }

  get(sql: string, ...values: SqlValue[]): SqlRow | undefined {
    return this.#statement(sql).get(...values) as SqlRow | undefined;
  }

  run(sql: string, ...values: SqlValue[]): void {
    this.#statement(sql).run(...values);
  }

  /** Runs `body` with the sight of one moment. */
  read<T>(body: () => T): T {
    return this.#bracket("BEGIN", body);
  }

  /** Runs `body` as the only writer; when it throws nothing has happened. */
  write<T>(durability: Durability, body: () => T): T {
    this.#setDurability(durability);
    return this.#bracket("BEGIN IMMEDIATE", body);
  }

  /** Changes when, and only when, another connection has committed. */
  dataVersion(): number {
    return this.get("PRAGMA data_version")!.data_version as number;
  }

  close(): void {
    this.#statements.clear();
    this.#database.close();
  }

  #bracket<T>(begin: string, body: () => T): T {
    this.run(begin);
    try {
      const result = body();
      this.run("COMMIT");
      return result;
    } catch (error) {
      this.#rollback();
      throw error;
    }
  }

  /** SQLite ends a transaction by itself after some errors (disk full). */
  #rollback(): void {
    try {
      this.run("ROLLBACK");
    } catch {
      // There was none any more.
    }
  }

  #statement(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.#database.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }

  #prepareFile(path: string): void {
    if (this.#isOurs(path)) return;
    // Not inside a transaction; whoever comes second finds it done. It syncs the
    // file's head, without which a write-ahead log is worth nothing.
    this.#setDurability("durable");
    this.#database.exec("PRAGMA journal_mode = WAL");
    // The first durable commit makes the tables durable too.
    this.write("eventual", () => {
      if (!this.#isOurs(path)) this.#database.exec(TABLES);
    });
  }

  /** False for an empty file; throws for a file that is something else. */
  #isOurs(path: string): boolean {
    const fail = (reason: string) =>
      new MetadataFileError("open the metadata store", path, reason);
    const { id, version, tables } = this.get(
      `SELECT (SELECT application_id FROM pragma_application_id) AS id,
        (SELECT user_version FROM pragma_user_version) AS version,
        (SELECT count(*) FROM sqlite_schema) AS tables`,
    )!;
    if (id === 0 && version === 0 && tables === 0) return false;
    if (id !== APPLICATION_ID) {
      throw fail("it is a database of another program");
    }
    if (version !== FORMAT_VERSION) {
      throw fail(
        `its format is version ${version}, and this StreamNest knows ` +
          `only version ${FORMAT_VERSION}`,
      );
    }
    return true;
  }

  #configure(): void {
    // Waiting is the caller's, who does not block the event loop: timeout 0.
    this.#database.exec(`
      PRAGMA busy_timeout = 0;
      PRAGMA wal_autocheckpoint = 1000;
      PRAGMA journal_size_limit = ${4 * 1024 * 1024};
      PRAGMA cache_size = -1024;
    `);
  }

  #setDurability(durability: Durability): void {
    if (this.#durability === durability) return;
    // NORMAL, unlike OFF, still syncs around checkpoints, so that a power loss
    // cannot damage the file: it only skips the sync of each commit.
    const synchronous = durability === "durable" ? "FULL" : "NORMAL";
    this.#durability = undefined;
    this.#database.exec(`PRAGMA synchronous = ${synchronous}`);
    this.#durability = durability;
  }
}

/** Another connection holds the lock: to be tried again. */
export function isBusy(error: unknown): boolean {
  if (!isSqliteError(error)) return false;
  // `errcode` is absent from errors of `exec`, whose text is SQLite's own.
  const code = (error as { errcode?: number }).errcode;
  if (code !== undefined) return (code & 0xff) === 5 || (code & 0xff) === 6;
  return /^database (table )?(\w+ )?is locked/.test(error.message);
}

/** SQLite, hence the file or the disk, is at fault, not our program. */
export function isSqliteError(error: unknown): error is Error {
  return error instanceof Error &&
    (error as { code?: unknown }).code === "ERR_SQLITE_ERROR";
}

function fileError(path: string, cause: unknown): MetadataFileError {
  return new MetadataFileError(
    "open the metadata store",
    path,
    reasonOf(cause),
    { cause },
  );
}

function reasonOf(cause: unknown): string {
  const message = cause instanceof Error ? cause.message : String(cause);
  if (message.includes("file is not a database")) {
    return "it is a file of another kind";
  }
  if (message.includes("unable to open database file")) {
    return "its folder does not exist or is not writable, or it is a folder";
  }
  if (message.includes("readonly database")) {
    return "it must be writable, and its folder too";
  }
  return message;
}
