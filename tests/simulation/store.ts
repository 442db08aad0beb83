/**
 * A broker's way to the metadata store: requests, answers and news travel, are
 * late, get lost. The store itself (`tests/support/memory_metadata_store.ts`) is
 * as reliable as etcd. Owns one process's connection to it.
 */
import {
  type KeyValue,
  type MetadataStore,
  MetadataUnavailableError,
  type Transaction,
  type TransactionResult,
  type Watch,
  type WatchHandlers,
} from "../../storage/metadata/metadata_store.ts";
import { WatchSet } from "../../storage/metadata/watch_set.ts";
import type { MemoryMetadata } from "../support/memory_metadata_store.ts";
import { type Links, STORE } from "./links.ts";
import type { SimulatedProcess } from "./process.ts";
import { machineOf } from "./tcp.ts";

/** After so long without an answer the store counts as away. */
const TIMEOUT_MS = 2_000;

export class SimulatedStore implements MetadataStore {
  readonly #process: SimulatedProcess;
  readonly #links: Links;
  readonly #shared: MemoryMetadata;
  readonly #watches = new WatchSet();
  readonly #stopListening: () => void;
  readonly #pending = new Set<(fault: Error) => void>();
  /** What this process has been told of. */
  #seenRevision = 0;
  #isClosed = false;

  constructor(
    process: SimulatedProcess,
    links: Links,
    shared: MemoryMetadata,
  ) {
    this.#process = process;
    this.#links = links;
    this.#shared = shared;
    this.#stopListening = shared.listen(() => this.#tell());
    process.onDeath(() => this.#stopListening());
  }

  get(key: string): Promise<KeyValue | undefined> {
    return this.#call(() => this.#shared.get(key));
  }

  list(prefix: string): Promise<{ revision: number; entries: KeyValue[] }> {
    return this.#call(() => this.#shared.list(prefix));
  }

  async transact(transaction: Transaction): Promise<TransactionResult> {
    const result = await this.#call(() => this.#shared.transact(transaction));
    this.#deliver(result.revision);
    return result;
  }

  watch(prefix: string, fromRevision: number, handlers: WatchHandlers): Watch {
    if (this.#isClosed) throw closedError();
    const watch = this.#watches.add(prefix, fromRevision, handlers);
    this.#tell();
    return watch;
  }

  async catchUp(): Promise<number> {
    const revision = await this.#call(() => this.#shared.revision);
    this.#deliver(revision);
    return revision;
  }

  async grantLease(ttlMs: number): Promise<{ leaseId: string; ttlMs: number }> {
    const leaseId = await this.#call(() => this.#shared.grantLease(ttlMs));
    return { leaseId, ttlMs };
  }

  keepAlive(leaseId: string): Promise<boolean> {
    return this.#call(() => this.#shared.keepAlive(leaseId));
  }

  revokeLease(leaseId: string): Promise<void> {
    return this.#call(() => this.#shared.revokeLease(leaseId));
  }

  compact(revision: number): Promise<void> {
    return this.#call(() => this.#shared.compact(revision));
  }

  close(): Promise<void> {
    this.#isClosed = true;
    this.#watches.clear();
    this.#stopListening();
    for (const fail of [...this.#pending]) fail(closedError());
    return Promise.resolve();
  }

  #call<T>(work: () => T): Promise<T> {
    if (this.#isClosed) return Promise.reject(closedError());
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const fail = (fault: Error) => {
      timeout.cancel();
      this.#pending.delete(fail);
      reject(fault);
    };
    const timeout = this.#process.after(TIMEOUT_MS, () => {
      const fault = new MetadataUnavailableError("No answer in time.");
      fail(fault);
      this.#watches.setHealth(fault);
    });
    this.#pending.add(fail);
    const answered = (settle: () => void) =>
      this.#process.enter(() => {
        if (!this.#pending.delete(fail)) return;
        timeout.cancel();
        this.#watches.setHealth(undefined);
        settle();
      });
    this.#atStore(work, {
      resolve: (result) => answered(() => resolve(result)),
      reject: (fault) => answered(() => reject(fault)),
    });
    return promise;
  }

  #atStore<T>(
    work: () => T,
    answer: { resolve(result: T): void; reject(fault: unknown): void },
  ): void {
    const machine = machineOf(this.#process);
    if (this.#links.isLost()) return;
    const doIt = () => {
      let reply: () => void;
      try {
        const result = work();
        reply = () => answer.resolve(result);
      } catch (fault) {
        reply = () => answer.reject(fault);
      }
      // The work is done, and who asked for it will not know.
      if (!this.#links.isLost()) this.#links.send(STORE, machine, reply);
    };
    this.#links.send(machine, STORE, () => this.#shared.whenHere(doIt));
  }

  /** The store sends its news. */
  #tell(): void {
    const { revision } = this.#shared;
    this.#links.send(
      STORE,
      machineOf(this.#process),
      () => this.#process.enter(() => this.#deliver(revision)),
    );
  }

  /** All news up to `revision`, of which some may have come already. */
  #deliver(revision: number): void {
    if (this.#isClosed) return;
    this.#seenRevision = Math.max(this.#seenRevision, revision);
    this.#watches.deliver((from) => {
      const page = this.#shared.readPage(from);
      const to = Math.min(this.#seenRevision, page.to);
      const changes = page.changes.filter((change) => change.revision <= to);
      return { ...page, revision: to, to, changes };
    });
  }
}

function closedError(): MetadataUnavailableError {
  return new MetadataUnavailableError("The metadata store is closed.");
}
