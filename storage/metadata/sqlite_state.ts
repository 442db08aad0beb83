/**
 * What the rows of the metadata file mean: reading keys and history, applying a
 * transaction, compaction. Everything here runs inside a transaction of SQLite
 * that the caller has begun. It owns no connection, no clock and no leases.
 */
import {
  type Compare,
  type KeyValue,
  LeaseEndedError,
  type Operation,
  type Transaction,
  type TransactionResult,
  type WatchEvent,
} from "./metadata_store.ts";
import type { SqliteSession, SqlRow, SqlValue } from "./sqlite_session.ts";
import { prefixEnd } from "./validation.ts";
import type { Change } from "./watch_set.ts";

/** How much history is kept for watches that begin in the past. */
export interface Retention {
  revisions: number;
  /** Of keys and values, with {@linkcode CHANGE_OVERHEAD_BYTES} a change. */
  bytes: number;
}

export const DEFAULT_RETENTION: Retention = {
  revisions: 10_000,
  bytes: 64 * 1024 * 1024,
};

/** Automatic compaction waits for so many revisions: it is not for each one. */
const COMPACTION_STEP_REVISIONS = 256;
/** And forgets about so many changes at a time, to be quick. */
const COMPACTION_STEP_CHANGES = 2_000;
/** However large the values, so much stays for a watch that lags a little. */
const MIN_RETAINED_REVISIONS = 64;
/** What a change costs in the file beyond its key and value, roughly. */
const CHANGE_OVERHEAD_BYTES = 64;

// A value is stored as text, so that people can read the file, and read as
// bytes, because the text of node:sqlite ends at U+0000.
const ENTRY = `c.key AS key, CAST(c.value AS BLOB) AS value,
  c.revision AS modRevision, c.create_revision AS createRevision,
  c.version AS version, c.lease_id AS leaseId`;

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** The store's counters, as a transaction finds and leaves them. */
export class StateRow {
  revision: number;
  compactRevision: number;
  lastLeaseId: number;
  historyBytes: number;
  readonly #session: SqliteSession;
  readonly #saved: SqlRow;

  constructor(session: SqliteSession) {
    const row = session.get("SELECT * FROM state")!;
    this.#session = session;
    this.#saved = row;
    this.revision = row.revision as number;
    this.compactRevision = row.compact_revision as number;
    this.lastLeaseId = row.last_lease_id as number;
    this.historyBytes = row.history_bytes as number;
  }

  save(): void {
    const unchanged = this.#saved.revision === this.revision &&
      this.#saved.compact_revision === this.compactRevision &&
      this.#saved.last_lease_id === this.lastLeaseId;
    if (unchanged) return;
    this.#session.run(
      `UPDATE state SET revision = ?, compact_revision = ?,
        last_lease_id = ?, history_bytes = ?`,
      this.revision,
      this.compactRevision,
      this.lastLeaseId,
      this.historyBytes,
    );
  }
}

export function getEntry(
  session: SqliteSession,
  key: string,
): KeyValue | undefined {
  const row = session.get(
    `SELECT ${ENTRY} FROM current AS k JOIN change AS c ON c.id = k.change_id
      WHERE k.key = ?`,
    key,
  );
  return row && toEntry(row);
}

/** In key order. */
export function listEntries(
  session: SqliteSession,
  prefix: string,
): KeyValue[] {
  const [where, ...bounds] = within("k.key", prefix);
  return session.all(
    `SELECT ${ENTRY} FROM current AS k JOIN change AS c ON c.id = k.change_id
      WHERE ${where} ORDER BY k.key`,
    ...bounds,
  ).map(toEntry);
}

/** All changes of the revisions `from` to `to`, both inclusive, in order. */
export function listChanges(
  session: SqliteSession,
  from: number,
  to: number,
): Change[] {
  return session.all(
    `SELECT ${ENTRY} FROM change AS c WHERE c.revision BETWEEN ? AND ?
      ORDER BY c.id`,
    from,
    to,
  ).map((row) => ({
    revision: row.modRevision as number,
    event: toEvent(row),
  }));
}

/**
 * Decides and applies a transaction. Throws LeaseEndedError before it changes
 * anything, so that others may share the commit.
 */
export function applyTransaction(
  session: SqliteSession,
  state: StateRow,
  transaction: Transaction,
): TransactionResult {
  const succeeded = transaction.compare.every((c) => holds(session, c));
  const operations = succeeded
    ? transaction.success
    : transaction.failure ?? [];
  const leases = operations.map((o) =>
    o.kind === "put" ? o.leaseId : undefined
  );
  for (const leaseId of new Set(leases)) {
    if (leaseId !== undefined) checkLease(session, leaseId);
  }
  applyOperations(session, state, operations);
  return { succeeded, revision: state.revision };
}

/** Applies all in the next revision, if they change anything. */
export function applyOperations(
  session: SqliteSession,
  state: StateRow,
  operations: readonly Operation[],
): void {
  const revision = state.revision + 1;
  for (const operation of operations) {
    if (operation.kind === "put") {
      put(session, state, { ...operation, revision });
      state.revision = revision;
      continue;
    }
    const keys = operation.kind === "delete"
      ? [operation.key]
      : listKeys(session, operation.prefix);
    for (const key of keys) {
      if (remove(session, state, { key, revision })) state.revision = revision;
    }
  }
}

/** The number of a lease, or undefined when `leaseId` is none of ours. */
export function leaseNumber(leaseId: string): number | undefined {
  return /^[1-9]\d{0,14}$/.test(leaseId) ? Number(leaseId) : undefined;
}

/** Forgets what happened before `revision`, which must not be in the future. */
export function compactBefore(
  session: SqliteSession,
  state: StateRow,
  revision: number,
): void {
  if (revision <= state.compactRevision) return;
  const range: SqlValue[] = [state.compactRevision, revision - 1];
  const { bytes } = session.get(
    `SELECT ifnull(sum(octet_length(key) + ifnull(octet_length(value), 0)
        + ${CHANGE_OVERHEAD_BYTES}), 0) AS bytes
      FROM change WHERE revision BETWEEN ? AND ?`,
    ...range,
  )!;
  session.run(
    `DELETE FROM change WHERE revision BETWEEN ? AND ? AND NOT EXISTS
      (SELECT 1 FROM current AS k
        WHERE k.key = change.key AND k.change_id = change.id)`,
    ...range,
  );
  state.historyBytes -= bytes as number;
  state.compactRevision = revision;
}

/** Keeps the history within `retention`, a bounded step at a time. */
export function compactAutomatically(
  session: SqliteSession,
  state: StateRow,
  retention: Retention,
): void {
  const kept = state.revision - state.compactRevision + 1;
  const tooMany = kept >= retention.revisions + COMPACTION_STEP_REVISIONS;
  const tooLarge = state.historyBytes > retention.bytes &&
    kept > MIN_RETAINED_REVISIONS;
  if (!tooMany && !tooLarge) return;
  const keep = tooLarge
    ? Math.min(
      retention.revisions,
      Math.max(MIN_RETAINED_REVISIONS, Math.floor(kept / 2)),
    )
    : retention.revisions;
  const target = state.revision - keep + 1;
  const step = session.get(
    `SELECT revision FROM change WHERE revision >= ?
      ORDER BY revision LIMIT 1 OFFSET ${COMPACTION_STEP_CHANGES}`,
    state.compactRevision,
  );
  const reachable = (step?.revision as number | undefined) ?? target;
  compactBefore(
    session,
    state,
    Math.min(target, Math.max(reachable, state.compactRevision + 1)),
  );
}

interface Header {
  changeId: number;
  modRevision: number;
  createRevision: number;
  version: number;
}

/** A key without its value, which can be large. */
function header(session: SqliteSession, key: string): Header | undefined {
  return session.get(
    `SELECT c.id AS changeId, c.revision AS modRevision,
        c.create_revision AS createRevision, c.version AS version
      FROM current AS k JOIN change AS c ON c.id = k.change_id
      WHERE k.key = ?`,
    key,
  ) as Header | undefined;
}

function holds(session: SqliteSession, compare: Compare): boolean {
  if (compare.target === "value") {
    return getEntry(session, compare.key)?.value === compare.equals;
  }
  return (header(session, compare.key)?.[compare.target] ?? 0) ===
    compare.equals;
}

function checkLease(session: SqliteSession, leaseId: string): void {
  const id = leaseNumber(leaseId);
  const found = id !== undefined &&
    session.get("SELECT 1 FROM lease WHERE id = ?", id) !== undefined;
  if (!found) throw new LeaseEndedError(leaseId);
}

function put(
  session: SqliteSession,
  state: StateRow,
  { key, value, leaseId, revision }: {
    key: string;
    value: string;
    leaseId?: string;
    revision: number;
  },
): void {
  const old = header(session, key);
  const lease = leaseId === undefined ? null : leaseNumber(leaseId)!;
  const changeId = insertChange(session, state, {
    revision,
    key,
    value,
    createRevision: old?.createRevision ?? revision,
    version: (old?.version ?? 0) + 1,
    lease,
  });
  session.run(
    `INSERT INTO current VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE
      SET change_id = excluded.change_id, lease_id = excluded.lease_id`,
    key,
    changeId,
    lease,
  );
  dropIfCompacted(session, state, old);
}

function remove(
  session: SqliteSession,
  state: StateRow,
  { key, revision }: { key: string; revision: number },
): boolean {
  const old = header(session, key);
  if (old === undefined) return false;
  insertChange(session, state, {
    revision,
    key,
    value: null,
    createRevision: 0,
    version: 0,
    lease: null,
  });
  session.run("DELETE FROM current WHERE key = ?", key);
  dropIfCompacted(session, state, old);
  return true;
}

function insertChange(
  session: SqliteSession,
  state: StateRow,
  change: {
    revision: number;
    key: string;
    value: string | null;
    createRevision: number;
    version: number;
    lease: number | null;
  },
): number {
  const row = session.get(
    `INSERT INTO change
        (revision, key, value, create_revision, version, lease_id)
      VALUES (?, ?, ?, ?, ?, ?)
      RETURNING id,
        octet_length(key) + ifnull(octet_length(value), 0) AS bytes`,
    change.revision,
    change.key,
    change.value,
    change.createRevision,
    change.version,
    change.lease,
  )!;
  state.historyBytes += (row.bytes as number) + CHANGE_OVERHEAD_BYTES;
  return row.id as number;
}

/** Below the compacted revision only what is current is kept: now it is not. */
function dropIfCompacted(
  session: SqliteSession,
  state: StateRow,
  old: Header | undefined,
): void {
  if (old === undefined || old.modRevision >= state.compactRevision) return;
  session.run("DELETE FROM change WHERE id = ?", old.changeId);
}

function listKeys(session: SqliteSession, prefix: string): string[] {
  const [where, ...bounds] = within("key", prefix);
  return session.all(
    `SELECT key FROM current WHERE ${where} ORDER BY key`,
    ...bounds,
  ).map((row) => row.key as string);
}

function within(column: string, prefix: string): [string, ...string[]] {
  const end = prefixEnd(prefix);
  return end === undefined
    ? [`${column} >= ?`, prefix]
    : [`${column} >= ? AND ${column} < ?`, prefix, end];
}

function toEntry(row: SqlRow): KeyValue {
  const entry = {
    key: row.key as string,
    value: decoder.decode(row.value as Uint8Array),
    createRevision: row.createRevision as number,
    modRevision: row.modRevision as number,
    version: row.version as number,
  };
  return row.leaseId === null
    ? entry
    : { ...entry, leaseId: String(row.leaseId) };
}

function toEvent(row: SqlRow): WatchEvent {
  return row.value === null
    ? {
      kind: "delete",
      key: row.key as string,
      modRevision: row.modRevision as number,
    }
    : { kind: "put", entry: toEntry(row) };
}
