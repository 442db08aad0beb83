/**
 * When a lease of the metadata file has ended, and what that does. It owns the
 * rule of time; it begins no transaction and reads no clock by itself.
 *
 * The processes of one machine share no monotonic clock that a confined broker
 * may read (`performance.now` counts from the start of each process, the uptime
 * of the system needs a permission), and the wall clock can be set. So no time
 * of one process is compared with a time of another. A holder renews a lease by
 * raising a counter. Every process measures, by its own monotonic clock, how
 * long it has seen the counter stand still; that long enough, the lease has
 * ended, and whoever is first to see so deletes it with its keys.
 *
 * Hence a lease never ends sooner than its time after the renewal that its
 * holder had answered, whatever happens to the wall clock, and ends later only
 * by how late the renewal was seen (with watches, a poll). A holder that was
 * paused finds, by its own clock and the counter as it left it, that its lease
 * has ended even if nobody else was there to see it.
 *
 * The wall clock serves one purpose: a process that meets a lease for the first
 * time takes it for ended when it was renewed longer ago than it may live. So a
 * cluster that starts again after an hour waits for no lease of its former life.
 * A clock that is set forward at the very moment when a process starts may so
 * end a live lease early: its holder is told by `false`, and its transactions
 * that compare the lease's key fail, as ever.
 */
import { applyOperations, leaseNumber, type StateRow } from "./sqlite_state.ts";
import type { SqliteSession } from "./sqlite_session.ts";

/** The two times of now. */
export interface Now {
  wallMs: number;
  monotonicMs: number;
}

interface Sighting {
  renewals: number;
  /** By this process's monotonic clock; minus infinity: ended before. */
  sinceMs: number;
  ttlMs: number;
}

/** What one process knows of all leases: it is shared by its connections. */
export class LeaseSightings {
  #sightings = new Map<number, Sighting>();

  /** Takes in how the leases stand, inside a transaction of the caller. */
  look(session: SqliteSession, now: Now): void {
    const rows = session.all(
      "SELECT id, ttl_ms, renewals, renewed_at_ms FROM lease",
    );
    const previous = this.#sightings;
    this.#sightings = new Map();
    for (const row of rows) {
      const id = row.id as number;
      const renewals = row.renewals as number;
      const ttlMs = row.ttl_ms as number;
      const seen = previous.get(id);
      const ended = seen === undefined &&
        (row.renewed_at_ms as number) + ttlMs <= now.wallMs;
      const sinceMs = seen !== undefined && seen.renewals === renewals
        ? seen.sinceMs
        : ended
        ? -Infinity
        : now.monotonicMs;
      this.#sightings.set(id, { renewals, sinceMs, ttlMs });
    }
  }

  /** Own renewals are known without a look. */
  renewed(id: number, sighting: Sighting): void {
    this.#sightings.set(id, sighting);
  }

  /** The leases that have ended as far as was seen. */
  due(now: Now): number[] {
    return [...this.#sightings]
      .filter(([, seen]) => now.monotonicMs - seen.sinceMs >= seen.ttlMs)
      .map(([id]) => id);
  }
}

export function grantLease(
  session: SqliteSession,
  state: StateRow,
  { ttlMs, now, sightings }: {
    ttlMs: number;
    now: Now;
    sightings: LeaseSightings;
  },
): string {
  const id = ++state.lastLeaseId;
  session.run("INSERT INTO lease VALUES (?, ?, 0, ?)", id, ttlMs, now.wallMs);
  sightings.renewed(id, { renewals: 0, sinceMs: now.monotonicMs, ttlMs });
  return String(id);
}

/** False when there is no such lease. Ends the due ones first, to be right. */
export function renewLease(
  session: SqliteSession,
  leaseId: string,
  { now, sightings }: { now: Now; sightings: LeaseSightings },
): boolean {
  const id = leaseNumber(leaseId);
  if (id === undefined) return false;
  const row = session.get(
    `UPDATE lease SET renewals = renewals + 1, renewed_at_ms = ?
      WHERE id = ? RETURNING renewals, ttl_ms`,
    now.wallMs,
    id,
  );
  if (row === undefined) return false;
  sightings.renewed(id, {
    renewals: row.renewals as number,
    sinceMs: now.monotonicMs,
    ttlMs: row.ttl_ms as number,
  });
  return true;
}

/** Deletes a lease and its keys, these in a revision of their own. */
export function endLease(
  session: SqliteSession,
  state: StateRow,
  id: number,
): void {
  const keys = session.all(
    "SELECT key FROM current WHERE lease_id = ? ORDER BY key",
    id,
  );
  applyOperations(
    session,
    state,
    keys.map((row) => ({ kind: "delete", key: row.key as string })),
  );
  session.run("DELETE FROM lease WHERE id = ?", id);
}
