/**
 * The metadata store in memory, for whole clusters in one process on a simulated
 * clock. `MemoryMetadata` is the store itself, reliable as etcd is; each broker
 * reaches it through a connection of its own, whose faults a test controls.
 */
import {
  type Compare,
  type KeyValue,
  LeaseEndedError,
  type MetadataStore,
  MetadataUnavailableError,
  type Operation,
  type Transaction,
  type TransactionResult,
  type Watch,
  type WatchHandlers,
} from "../../storage/metadata/metadata_store.ts";
import type {
  MetadataClock,
  MetadataTimers,
} from "../../storage/metadata/patience.ts";
import {
  checkKey,
  checkLeaseTtl,
  checkPrefix,
  checkRevision,
  checkTransaction,
} from "../../storage/metadata/validation.ts";
import {
  type Change,
  type HistoryPage,
  WatchSet,
} from "../../storage/metadata/watch_set.ts";

/** What a test may do to one connection, at any moment. */
export interface MetadataFaults {
  /** Nothing arrives, neither at the store nor, later on, from it. */
  unreachable: boolean;
  /** How long a request, an answer or a watch's news is on the way. */
  delayMs(): number;
  /** The request is carried out, and its answer never arrives. */
  loseAnswer(): boolean;
  /** After so long without an answer a call is given up. */
  timeoutMs: number;
}

interface Lease {
  ttlMs: number;
  endsMs: number;
}

export interface MemoryMetadataOptions {
  clock: MetadataClock;
  timers: MetadataTimers;
}

export class MemoryMetadata {
  readonly clock: MetadataClock;
  readonly timers: MetadataTimers;
  readonly #entries = new Map<string, KeyValue>();
  readonly #leases = new Map<string, Lease>();
  readonly #listeners = new Set<() => void>();
  #changes: Change[] = [];
  #revision = 1;
  #compactRevision = 1;
  #lastLeaseId = 0;
  /** What is asked of it while it is away; undefined: it is here. */
  #waiting: (() => void)[] | undefined;

  constructor({ clock, timers }: MemoryMetadataOptions) {
    this.clock = clock;
    this.timers = timers;
  }

  /** A store object as a broker has it, without faults unless given. */
  connect(faults: Partial<MetadataFaults> = {}): MemoryMetadataStore {
    return new MemoryMetadataStore(this, faults);
  }

  get revision(): number {
    this.#endDueLeases();
    return this.#revision;
  }

  get(key: string): KeyValue | undefined {
    this.#endDueLeases();
    return this.#entries.get(key);
  }

  list(prefix: string): { revision: number; entries: KeyValue[] } {
    this.#endDueLeases();
    const entries = [...this.#entries.values()]
      .filter((entry) => entry.key.startsWith(prefix))
      .sort((a, b) => compareCodePoints(a.key, b.key));
    return { revision: this.#revision, entries };
  }

  transact({ compare, success, failure }: Transaction): TransactionResult {
    this.#endDueLeases();
    const succeeded = compare.every((condition) => this.#holds(condition));
    const operations = succeeded ? success : failure ?? [];
    for (const operation of operations) {
      const leaseId = operation.kind === "put" ? operation.leaseId : undefined;
      if (leaseId !== undefined && !this.#leases.has(leaseId)) {
        throw new LeaseEndedError(leaseId);
      }
    }
    this.#apply(operations);
    return { succeeded, revision: this.#revision };
  }

  readPage(from: number): HistoryPage {
    this.#endDueLeases();
    return {
      revision: this.#revision,
      compactRevision: this.#compactRevision,
      changes: this.#changes.filter((change) => change.revision >= from),
      to: this.#revision,
    };
  }

  grantLease(ttlMs: number): string {
    const leaseId = String(++this.#lastLeaseId);
    this.#leases.set(leaseId, {
      ttlMs,
      endsMs: this.clock.monotonicMs() + ttlMs,
    });
    this.#watchLease(leaseId, ttlMs);
    return leaseId;
  }

  keepAlive(leaseId: string): boolean {
    this.#endDueLeases();
    const lease = this.#leases.get(leaseId);
    if (lease === undefined) return false;
    lease.endsMs = this.clock.monotonicMs() + lease.ttlMs;
    return true;
  }

  revokeLease(leaseId: string): void {
    if (!this.#leases.delete(leaseId)) return;
    const keys = this.list("").entries
      .filter((entry) => entry.leaseId === leaseId)
      .map((entry) => entry.key);
    this.#apply(keys.map((key) => ({ kind: "delete", key })));
  }

  compact(revision: number): void {
    if (revision > this.#revision) {
      throw new RangeError(`Revision ${revision} is in the future.`);
    }
    this.#compactRevision = Math.max(this.#compactRevision, revision);
    this.#changes = this.#changes.filter((change) =>
      change.revision >= this.#compactRevision
    );
  }

  /** Nothing is done until it comes back, and no lease ends. */
  leave(): void {
    this.#waiting ??= [];
  }

  /**
   * As an etcd that was started again: leases have their whole time once more.
   * What was asked meanwhile is done now, or lost.
   */
  comeBack({ losesRequests }: { losesRequests: boolean }): void {
    const waiting = this.#waiting;
    if (waiting === undefined) return;
    this.#waiting = undefined;
    const nowMs = this.clock.monotonicMs();
    for (const lease of this.#leases.values()) {
      lease.endsMs = nowMs + lease.ttlMs;
    }
    if (!losesRequests) { for (const work of waiting) work(); }
  }

  /** `work` now, or when it comes back, if ever. */
  whenHere(work: () => void): void {
    if (this.#waiting === undefined) work();
    else this.#waiting.push(work);
  }

  /** Calls back after each revision, until the returned function is called. */
  listen(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  #holds({ key, target, equals }: Compare): boolean {
    const entry = this.#entries.get(key);
    if (target === "value") return entry?.value === equals;
    return (entry?.[target] ?? 0) === equals;
  }

  #apply(operations: Operation[]): void {
    const revision = this.#revision + 1;
    for (const operation of operations) {
      if (operation.kind === "put") {
        this.#put(operation, revision);
        continue;
      }
      const keys = operation.kind === "delete"
        ? [operation.key]
        : this.list(operation.prefix).entries.map((entry) => entry.key);
      for (const key of keys) {
        if (!this.#entries.delete(key)) continue;
        const event = { kind: "delete", key, modRevision: revision } as const;
        this.#changes.push({ revision, event });
      }
    }
    if (this.#changes.at(-1)?.revision !== revision) return;
    this.#revision = revision;
    for (const listener of [...this.#listeners]) listener();
  }

  #put(
    { key, value, leaseId }: Operation & { kind: "put" },
    revision: number,
  ): void {
    const old = this.#entries.get(key);
    const entry: KeyValue = {
      key,
      value,
      createRevision: old?.createRevision ?? revision,
      modRevision: revision,
      version: (old?.version ?? 0) + 1,
      ...(leaseId === undefined ? {} : { leaseId }),
    };
    this.#entries.set(key, entry);
    this.#changes.push({ revision, event: { kind: "put", entry } });
  }

  #endDueLeases(): void {
    if (this.#waiting !== undefined) return;
    const nowMs = this.clock.monotonicMs();
    for (const [leaseId, lease] of this.#leases) {
      if (lease.endsMs <= nowMs) this.revokeLease(leaseId);
    }
  }

  #watchLease(leaseId: string, delayMs: number): void {
    this.timers.after(delayMs, () => {
      this.#endDueLeases();
      const lease = this.#leases.get(leaseId);
      if (lease === undefined) return;
      const leftMs = lease.endsMs - this.clock.monotonicMs();
      // None is left while the store is away.
      this.#watchLease(leaseId, leftMs > 0 ? leftMs : lease.ttlMs);
    });
  }
}

export class MemoryMetadataStore implements MetadataStore {
  /** To be changed by the test as it likes. */
  readonly faults: MetadataFaults;
  readonly #shared: MemoryMetadata;
  readonly #watches = new WatchSet();
  readonly #unlisten: () => void;
  readonly #pending = new Set<() => void>();
  #closed = false;

  constructor(shared: MemoryMetadata, faults: Partial<MetadataFaults>) {
    this.#shared = shared;
    this.faults = {
      unreachable: false,
      delayMs: () => 0,
      loseAnswer: () => false,
      timeoutMs: 3_000,
      ...faults,
    };
    this.#unlisten = shared.listen(() => this.#later(() => this.#deliver()));
  }

  /** Ends a split: the watches get what they missed. */
  reconnect(): void {
    this.faults.unreachable = false;
    this.#deliver();
  }

  async get(key: string): Promise<KeyValue | undefined> {
    checkKey(key);
    return await this.#call(() => this.#shared.get(key));
  }

  async list(
    prefix: string,
  ): Promise<{ revision: number; entries: KeyValue[] }> {
    checkPrefix(prefix);
    return await this.#call(() => this.#shared.list(prefix));
  }

  async transact(transaction: Transaction): Promise<TransactionResult> {
    checkTransaction(transaction);
    const result = await this.#call(() => this.#shared.transact(transaction));
    this.#deliver();
    return result;
  }

  watch(prefix: string, fromRevision: number, handlers: WatchHandlers): Watch {
    checkPrefix(prefix);
    checkRevision(fromRevision);
    if (this.#closed) throw closedError();
    const watch = this.#watches.add(prefix, fromRevision, handlers);
    this.#later(() => this.#deliver());
    return watch;
  }

  async catchUp(): Promise<number> {
    const revision = await this.#call(() => this.#shared.revision);
    this.#deliver();
    return revision;
  }

  async grantLease(
    ttlMs: number,
  ): Promise<{ leaseId: string; ttlMs: number }> {
    checkLeaseTtl(ttlMs);
    const leaseId = await this.#call(() => this.#shared.grantLease(ttlMs));
    return { leaseId, ttlMs };
  }

  async keepAlive(leaseId: string): Promise<boolean> {
    return await this.#call(() => this.#shared.keepAlive(leaseId));
  }

  async revokeLease(leaseId: string): Promise<void> {
    await this.#call(() => this.#shared.revokeLease(leaseId));
  }

  async compact(revision: number): Promise<void> {
    checkRevision(revision);
    await this.#call(() => this.#shared.compact(revision));
  }

  close(): Promise<void> {
    this.#closed = true;
    this.#watches.clear();
    this.#unlisten();
    for (const cancel of [...this.#pending]) cancel();
    return Promise.resolve();
  }

  /** Request, work and answer, each of which a fault can stop. */
  #call<T>(work: () => T): Promise<T> {
    if (this.#closed) return Promise.reject(closedError());
    return new Promise<T>((resolve, reject) => {
      const settle = (action: () => void) => {
        cancelTimeout();
        action();
      };
      const cancelTimeout = this.#after(
        this.faults.timeoutMs,
        () => reject(new MetadataUnavailableError("No answer in time.")),
        () => reject(closedError()),
      );
      this.#later(() => {
        if (this.faults.unreachable) return;
        let answer: () => void;
        try {
          const result = work();
          answer = () => settle(() => resolve(result));
        } catch (error) {
          answer = () => settle(() => reject(error));
        }
        if (this.faults.loseAnswer()) return;
        this.#later(() => {
          if (!this.faults.unreachable) answer();
        });
      });
    });
  }

  #deliver(): void {
    if (this.#closed) return;
    const fault = this.faults.unreachable
      ? new MetadataUnavailableError("The metadata store is unreachable.")
      : undefined;
    this.#watches.setHealth(fault);
    if (fault !== undefined) return;
    this.#watches.deliver((from) => this.#shared.readPage(from));
  }

  #later(action: () => void): void {
    const delayMs = this.faults.delayMs();
    if (delayMs > 0) this.#after(delayMs, action);
    else this.#shared.timers.soon(() => this.#closed || action());
  }

  /** Returns what cancels it; `onClose` is called instead when closed. */
  #after(
    delayMs: number,
    action: () => void,
    onClose: () => void = () => {},
  ): () => void {
    const cancel = () => {
      timer.cancel();
      this.#pending.delete(closed);
    };
    const closed = () => {
      cancel();
      onClose();
    };
    const timer = this.#shared.timers.after(delayMs, () => {
      this.#pending.delete(closed);
      action();
    });
    this.#pending.add(closed);
    return cancel;
  }
}

/** The order of UTF-8, which that of UTF-16 is not. */
function compareCodePoints(a: string, b: string): number {
  const [left, right] = [[...a], [...b]];
  for (let i = 0; i < Math.min(left.length, right.length); i++) {
    const difference = left[i].codePointAt(0)! - right[i].codePointAt(0)!;
    if (difference !== 0) return difference;
  }
  return left.length - right.length;
}

function closedError(): MetadataUnavailableError {
  return new MetadataUnavailableError("The metadata store is closed.");
}
