/**
 * The metadata store on etcd v3, for brokers on several machines. It owns the
 * translation between the contract and etcd's calls; whom they go to, and what
 * may be tried again, is in etcd_members.ts, how in etcd_gateway.ts, watching in
 * etcd_watch.ts. All keys stand below a namespace, so that several clusters, and
 * others, can share one etcd.
 */
import {
  type KeyValue,
  type LeaseEndedError,
  type MetadataStore,
  MetadataUnavailableError,
  type Transaction,
  type TransactionResult,
  type Watch,
  type WatchHandlers,
} from "./metadata_store.ts";
import {
  EtcdCodec,
  type EtcdKeyValue,
  type EtcdRange,
  isLeaseId,
} from "./etcd_codec.ts";
import { endedLease, isCompacted, isLeaseNotFound } from "./etcd_errors.ts";
import {
  type CallKind,
  closedError,
  EtcdMembers,
  type EtcdMembersOptions,
} from "./etcd_members.ts";
import { EtcdError } from "./etcd_gateway.ts";
import { EtcdWatch } from "./etcd_watch.ts";
import type { MetadataTimers } from "./patience.ts";
import {
  checkKey,
  checkLeaseTtl,
  checkPrefix,
  checkRevision,
  checkTransaction,
} from "./validation.ts";

/** How long a watch may take to show what was written. */
const WATCH_TIMEOUT_MS = 5_000;
/**
 * Watches that have met nothing for so long are asked to meet something: a
 * network split cuts connections without a word.
 */
const WATCH_CARE_MS = 10_000;
/** Of one member: a lease lives little longer, and another is to be asked too. */
const KEEP_ALIVE_ATTEMPT_MS = 800;

/** Of each answer of etcd, as far as it is looked at. */
interface Answer {
  readonly header: { readonly revision: string };
}

interface RangeResponse extends Answer {
  readonly kvs?: readonly EtcdKeyValue[];
}

interface TxnResponse extends Answer {
  readonly succeeded?: boolean;
  readonly responses?: readonly {
    readonly response_put?: unknown;
    readonly response_delete_range?: { readonly deleted?: string };
  }[];
}

export interface EtcdMetadataStoreOptions extends EtcdMembersOptions {
  /** All keys in etcd start with it and a colon; by default `/streamnest`. */
  namespace?: string;
}

export class EtcdMetadataStore implements MetadataStore {
  readonly #members: EtcdMembers;
  readonly #timers: MetadataTimers;
  readonly #codec: EtcdCodec;
  readonly #watches = new Set<EtcdWatch>();
  /** Runs while there are watches. */
  #care: { cancel(): void } | undefined;

  private constructor(
    members: EtcdMembers,
    codec: EtcdCodec,
    timers: MetadataTimers,
  ) {
    this.#members = members;
    this.#codec = codec;
    this.#timers = timers;
  }

  /**
   * Does not wait for etcd: the first call does. Throws RangeError when there is
   * no endpoint, or one that cannot be used.
   */
  static open(options: EtcdMetadataStoreOptions): EtcdMetadataStore {
    const codec = new EtcdCodec(options.namespace ?? "/streamnest");
    const members = EtcdMembers.open(options);
    return new EtcdMetadataStore(members, codec, options.timers);
  }

  /** Of the member that answers, such as `3.4.23`. */
  async version(): Promise<string> {
    const { version } = await this.#call<{ version: string }>(
      "repeatable",
      "/maintenance/status",
      {},
    );
    return version;
  }

  async get(key: string): Promise<KeyValue | undefined> {
    checkKey(key);
    const { kvs = [] } = await this.#range({ key: this.#codec.key(key) });
    return kvs.length === 0 ? undefined : this.#codec.entry(kvs[0]);
  }

  async list(
    prefix: string,
  ): Promise<{ revision: number; entries: KeyValue[] }> {
    checkPrefix(prefix);
    const { header, kvs = [] } = await this.#range(
      this.#codec.prefixRange(prefix),
    );
    return {
      revision: Number(header.revision),
      entries: kvs.map((kv) => this.#codec.entry(kv)),
    };
  }

  async transact(transaction: Transaction): Promise<TransactionResult> {
    checkTransaction(transaction);
    const { compare, success, failure = [] } = transaction;
    const request = {
      compare: compare.map((condition) => this.#codec.compare(condition)),
      success: success.map((operation) => this.#codec.operation(operation)),
      failure: failure.map((operation) => this.#codec.operation(operation)),
    };
    const response = await this.#call<TxnResponse, LeaseEndedError>(
      "write",
      "/kv/txn",
      request,
      { known: (error) => isLeaseNotFound(error) && endedLease(transaction) },
    );
    const revision = Number(response.header.revision);
    const { succeeded = false, responses = [] } = response;
    const changed = responses.some((part) =>
      part.response_put != null ||
      Number(part.response_delete_range?.deleted ?? 0) > 0
    );
    if (changed) await this.#reached(revision);
    return { succeeded, revision };
  }

  watch(prefix: string, fromRevision: number, handlers: WatchHandlers): Watch {
    checkPrefix(prefix);
    checkRevision(fromRevision);
    if (this.#members.isClosed) throw closedError();
    const watch = new EtcdWatch({
      members: this.#members,
      timers: this.#timers,
      range: this.#codec.watchedRange(),
      codec: this.#codec,
      prefix,
      fromRevision,
      handlers,
      ended: () => void this.#watches.delete(watch),
    });
    this.#watches.add(watch);
    this.#takeCare();
    return watch;
  }

  /**
   * Writes a key that no watch shows, and waits until the watches have met it:
   * only so it is certain, on every version of etcd, that nothing is on the way.
   */
  async catchUp(): Promise<number> {
    if (this.#watches.size === 0) {
      const { header } = await this.#range({ key: this.#codec.barrierKey() });
      return Number(header.revision);
    }
    const { header } = await this.#call<Answer>("repeatable", "/kv/put", {
      key: this.#codec.barrierKey(),
    });
    const revision = Number(header.revision);
    await this.#reached(revision);
    return revision;
  }

  /** etcd counts in seconds, and knows no lease shorter than two by default. */
  async grantLease(
    ttlMs: number,
  ): Promise<{ leaseId: string; ttlMs: number }> {
    checkLeaseTtl(ttlMs);
    const { ID, TTL } = await this.#call<{ ID: string; TTL: string }>(
      "repeatable",
      "/lease/grant",
      { TTL: Math.ceil(ttlMs / 1_000) },
    );
    return { leaseId: ID, ttlMs: Number(TTL) * 1_000 };
  }

  async keepAlive(leaseId: string): Promise<boolean> {
    if (this.#members.isClosed) throw closedError();
    if (!isLeaseId(leaseId)) return false;
    return await this.#members.call(
      "repeatable",
      async (gateway, signal) => {
        const answers = gateway.stream<{ TTL?: string }>(
          "/lease/keepalive",
          { ID: leaseId },
          signal,
        );
        let isKept: boolean | undefined;
        for await (const { TTL = 0 } of answers) isKept = Number(TTL) > 0;
        if (isKept === undefined) throw new EtcdError("the stream ended");
        return isKept;
      },
      { attemptMs: KEEP_ALIVE_ATTEMPT_MS },
    );
  }

  async revokeLease(leaseId: string): Promise<void> {
    if (!isLeaseId(leaseId)) return;
    await this.#call(
      "repeatable",
      "/lease/revoke",
      { ID: leaseId },
      { known: (error) => isLeaseNotFound(error) && "done" },
    );
  }

  /**
   * etcd keeps of its compacted revision what is current, but loses deletions;
   * so the one before is compacted, and `revision` stays whole.
   */
  async compact(revision: number): Promise<void> {
    checkRevision(revision);
    const { header } = await this.#range({ key: this.#codec.barrierKey() });
    if (revision > Number(header.revision)) {
      throw new RangeError(
        `Revision ${revision} is in the future: the newest is ` +
          `${header.revision}.`,
      );
    }
    if (revision < 2) return;
    await this.#call(
      "repeatable",
      "/kv/compaction",
      { revision: revision - 1 },
      { known: (error) => isCompacted(error) && "done" },
    );
  }

  close(): Promise<void> {
    this.#care?.cancel();
    for (const watch of [...this.#watches]) watch.close();
    this.#members.close();
    return Promise.resolve();
  }

  #range(request: EtcdRange): Promise<RangeResponse> {
    return this.#call("repeatable", "/kv/range", request);
  }

  #call<Response, Known = never>(
    kind: CallKind,
    path: string,
    request: unknown,
    options: { known?: (error: unknown) => Known | false } = {},
  ): Promise<Response | Exclude<Known, Error>> {
    return this.#members.call<Response, Known>(
      kind,
      (gateway, signal) => gateway.call(path, request, signal),
      options,
    );
  }

  /** Finds watches that are cut off: they meet what nobody else writes. */
  #takeCare(): void {
    this.#care ??= this.#timers.after(WATCH_CARE_MS, async () => {
      const silent = [...this.#watches].filter((watch) => !watch.takeHeard());
      // What etcd does not take shows nothing of the watches.
      if (silent.length > 0) await this.catchUp().catch(() => {});
      this.#care = undefined;
      if (this.#watches.size > 0 && !this.#members.isClosed) this.#takeCare();
    });
  }

  /** Resolves when every watch has delivered `revision`. */
  async #reached(revision: number): Promise<void> {
    const waits = [...this.#watches].map((watch) =>
      watch.reached(revision, WATCH_TIMEOUT_MS)
    );
    const reached = await Promise.all(waits);
    if (reached.every((it) => it)) return;
    throw new MetadataUnavailableError(
      `The watches on etcd did not come to revision ${revision} in ` +
        `${WATCH_TIMEOUT_MS} ms.`,
    );
  }
}
