/**
 * The contract of the metadata store: the part of etcd v3's semantics that
 * StreamNest needs (DESIGN D5), served by SQLite (brokers of one machine) and by
 * etcd (brokers of several). One contract suite runs on every form.
 *
 * Keys are UTF-8 strings such as `/topics/demo`, ordered by code point; values
 * are UTF-8 strings (JSON by convention, opaque here). Every transaction that
 * changes something gets the next *revision*, a positive safe integer that
 * grows over the whole store.
 */

/** A key as a revision left it. */
export interface KeyValue {
  readonly key: string;
  readonly value: string;
  /** The revision that made the key (again). */
  readonly createRevision: number;
  /** The revision that wrote this value. */
  readonly modRevision: number;
  /** 1 when made, one more at every write. */
  readonly version: number;
  /** The lease that the key lives by, if any. */
  readonly leaseId?: string;
}

/** One condition of a transaction; an absent key has revision and version 0. */
export type Compare =
  | { key: string; target: "modRevision" | "createRevision"; equals: number }
  | { key: string; target: "value"; equals: string };

/** One effect of a transaction. */
export type Operation =
  | { kind: "put"; key: string; value: string; leaseId?: string }
  | { kind: "delete"; key: string }
  | { kind: "deletePrefix"; prefix: string };

/**
 * All of `compare` hold: `success` is applied; else `failure` is. A branch names
 * a key at most once, prefixes of deletePrefix included, as etcd wants it. Of a
 * key that is absent no comparison of its value holds.
 */
export interface Transaction {
  compare: Compare[];
  success: Operation[];
  failure?: Operation[];
}

export interface TransactionResult {
  readonly succeeded: boolean;
  /** The store's revision after the transaction. */
  readonly revision: number;
}

/** What a revision did to a key. */
export type WatchEvent =
  | { readonly kind: "put"; readonly entry: KeyValue }
  | {
    readonly kind: "delete";
    readonly key: string;
    readonly modRevision: number;
  };

/**
 * All that one or more whole revisions did, in order. `revision` is the newest
 * of them; a batch never holds a part of a revision.
 */
export interface WatchBatch {
  readonly revision: number;
  readonly events: readonly WatchEvent[];
}

/** A watch that runs until closed. Callbacks never overlap. */
export interface Watch {
  close(): void;
}

export interface WatchHandlers {
  onBatch(batch: WatchBatch): void;
  /**
   * The revisions asked for are compacted away: the watch has ended, and the
   * watcher must read the prefix again and watch from there.
   */
  onCompacted(compactRevision: number): void;
  /** The store cannot be reached (`undefined`: it can again). For health only. */
  onHealth?(fault: Error | undefined): void;
}

/** Limits of the contract; both forms refuse what is beyond with RangeError. */
export const METADATA_LIMITS = {
  /** Bytes of a key in UTF-8. */
  keyBytes: 1024,
  /** Bytes of a value in UTF-8. */
  valueBytes: 1024 * 1024,
  /** Comparisons, and operations of either branch, in one transaction. */
  operationsPerTransaction: 128,
  /**
   * Bytes of all keys and values of one transaction together, so that it fits
   * into a request of etcd (1.5 MiB as it is delivered).
   */
  transactionBytes: 1_280 * 1024,
  /** Milliseconds that a lease may live without a keep-alive. */
  leaseTtlMinMs: 1,
  leaseTtlMaxMs: 24 * 60 * 60 * 1000,
} as const;

/** The store cannot be reached, or did not answer in time: outcome unknown. */
export class MetadataUnavailableError extends Error {
  override readonly name = "MetadataUnavailableError";
  /** The store said no, or is not who it should be: it will not change. */
  readonly isRefusal: boolean;
  constructor(
    message?: string,
    options: { cause?: unknown; isRefusal?: boolean } = {},
  ) {
    super(message, { cause: options.cause });
    this.isRefusal = options.isRefusal ?? false;
  }
}

/**
 * A put names a lease that has ended (or never was): nothing of the transaction
 * was applied, and nothing that names the lease ever will be.
 */
export class LeaseEndedError extends Error {
  override readonly name = "LeaseEndedError";
  readonly leaseId: string;
  constructor(leaseId: string) {
    super(`The lease ${leaseId} has ended.`);
    this.leaseId = leaseId;
  }
}

export interface MetadataStore {
  /** Reads are linearizable: they see every transaction that was answered. */
  get(key: string): Promise<KeyValue | undefined>;
  /** All keys that start with `prefix`, in key order, at one revision. */
  list(prefix: string): Promise<{ revision: number; entries: KeyValue[] }>;
  /** Throws `LeaseEndedError` when a put of the chosen branch names no lease. */
  transact(transaction: Transaction): Promise<TransactionResult>;
  /**
   * Calls back for every change of keys under `prefix` from `fromRevision` on
   * (inclusive), old ones first, none twice. A change made through this very
   * store object is delivered before its `transact` resolves.
   */
  watch(prefix: string, fromRevision: number, handlers: WatchHandlers): Watch;
  /** Delivers to this object's watches all changes answered before the call. */
  catchUp(): Promise<number>;
  /** A lease that ends `ttlMs` after its last keep-alive, taking its keys along. */
  grantLease(ttlMs: number): Promise<{ leaseId: string; ttlMs: number }>;
  /** False when the lease has ended (then it never comes back). */
  keepAlive(leaseId: string): Promise<boolean>;
  revokeLease(leaseId: string): Promise<void>;
  /** Forgets history before `revision`; current values stay. */
  compact(revision: number): Promise<void>;
  /** Ends watches; leases are left to end by themselves. */
  close(): Promise<void>;
}
