/**
 * The watches of one store object: how far each has come, and who gets what. It
 * owns order and completeness (whole revisions, none twice, none left out); it
 * knows neither when there is news nor where the history is kept.
 */
import type { Watch, WatchEvent, WatchHandlers } from "./metadata_store.ts";

/** A change and the revision that made it. */
export interface Change {
  revision: number;
  event: WatchEvent;
}

/** A stretch of history, seen at one moment. */
export interface HistoryPage {
  /** The newest revision that there is. */
  revision: number;
  /** The oldest one whose changes are still known. */
  compactRevision: number;
  /** All changes from the later of `from` and that up to `to`, in order. */
  changes: Change[];
  /** The last revision of the page, inclusive. */
  to: number;
}

interface Watcher {
  prefix: string;
  handlers: WatchHandlers;
  nextRevision: number;
  /** What the watch was told last. */
  healthy: boolean;
}

export class WatchSet {
  readonly #watchers = new Set<Watcher>();
  #delivering = false;
  #again = false;

  get size(): number {
    return this.#watchers.size;
  }

  /** Delivers nothing by itself. */
  add(prefix: string, fromRevision: number, handlers: WatchHandlers): Watch {
    const watcher = {
      prefix,
      handlers,
      nextRevision: fromRevision,
      healthy: true,
    };
    this.#watchers.add(watcher);
    return { close: () => void this.#watchers.delete(watcher) };
  }

  clear(): void {
    this.#watchers.clear();
  }

  /**
   * Delivers all that `readPage` has. Called again from within a handler it
   * leaves the work to the call that is running, which ends in the same turn.
   */
  deliver(readPage: (from: number) => HistoryPage): void {
    this.#again = true;
    if (this.#delivering) return;
    this.#delivering = true;
    try {
      while (this.#again) {
        this.#again = false;
        this.#deliverOnce(readPage);
      }
    } finally {
      this.#delivering = false;
    }
  }

  /** Tells the watches that the store cannot be reached, or can again. */
  setHealth(fault: Error | undefined): void {
    const healthy = fault === undefined;
    for (const watcher of [...this.#watchers]) {
      if (watcher.healthy === healthy) continue;
      watcher.healthy = healthy;
      this.#call(watcher, () => watcher.handlers.onHealth?.(fault));
    }
  }

  #deliverOnce(readPage: (from: number) => HistoryPage): void {
    while (this.#watchers.size > 0) {
      const from = Math.min(
        ...[...this.#watchers].map((watcher) => watcher.nextRevision),
      );
      const page = readPage(from);
      for (const watcher of [...this.#watchers]) this.#advance(watcher, page);
      if (page.to >= page.revision) return;
    }
  }

  #advance(watcher: Watcher, page: HistoryPage): void {
    if (watcher.nextRevision < page.compactRevision) {
      const { compactRevision } = page;
      this.#call(
        watcher,
        () => {
          this.#watchers.delete(watcher);
          watcher.handlers.onCompacted(compactRevision);
        },
      );
      return;
    }
    const changes = page.changes.filter(({ revision, event }) =>
      revision >= watcher.nextRevision &&
      keyOf(event).startsWith(watcher.prefix)
    );
    watcher.nextRevision = Math.max(watcher.nextRevision, page.to + 1);
    if (changes.length === 0) return;
    this.#call(watcher, () =>
      watcher.handlers.onBatch({
        revision: changes[changes.length - 1].revision,
        events: changes.map((change) => change.event),
      }));
  }

  /**
   * What a handler throws is its program's error: it must surface, but the other
   * watches and the transaction that just committed have no part in it.
   */
  #call(watcher: Watcher, callback: () => void): void {
    if (!this.#watchers.has(watcher)) return;
    try {
      callback();
    } catch (error) {
      queueMicrotask(() => {
        throw error;
      });
    }
  }
}

function keyOf(event: WatchEvent): string {
  return event.kind === "put" ? event.entry.key : event.key;
}
