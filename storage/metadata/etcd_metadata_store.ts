/**
 * The metadata store on etcd v3, for brokers on several machines. It owns the
 * translation between the contract and etcd's calls; whom they go to, and what
 * may be tried again, is in etcd_members.ts, watching in etcd_watch.ts. All keys stand below a namespace, so that
 * several clusters, and others, can share one etcd.
 *
 * The package and gRPC are loaded when a store is opened, not before: a broker
 * on SQLite does not pay for them. They read the `GRPC_*` and `*_proxy`
 * environment variables and the package's own .proto files, which a confined
 * broker needs permission for.
 */
import { Buffer } from "node:buffer";
import type { IRangeRequest } from "etcd3";
import {
  type KeyValue,
  type MetadataStore,
  MetadataUnavailableError,
  type Transaction,
  type TransactionResult,
  type Watch,
  type WatchHandlers,
} from "./metadata_store.ts";
import { EtcdCodec, isLeaseId } from "./etcd_codec.ts";
import { endedLease, isLeaseNotFound, messageOf } from "./etcd_errors.ts";
import {
  closedError,
  EtcdMembers,
  type EtcdMembersOptions,
} from "./etcd_members.ts";
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
/** Of one member: a lease lives little longer, and another is to be asked too. */
const KEEP_ALIVE_ATTEMPT_MS = 800;

export interface EtcdMetadataStoreOptions extends EtcdMembersOptions {
  /** All keys in etcd start with it and a colon; by default `/streamnest`. */
  namespace?: string;
}

export class EtcdMetadataStore implements MetadataStore {
  readonly #members: EtcdMembers;
  readonly #timers: MetadataTimers;
  readonly #codec: EtcdCodec;
  readonly #watches = new Set<EtcdWatch>();

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
  static async open(
    options: EtcdMetadataStoreOptions,
  ): Promise<EtcdMetadataStore> {
    const codec = new EtcdCodec(options.namespace ?? "/streamnest");
    const members = await EtcdMembers.open(options);
    return new EtcdMetadataStore(members, codec, options.timers);
  }

  /** Of the member that answers, such as `3.4.23`. */
  async version(): Promise<string> {
    const { version } = await this.#members.call(
      "repeatable",
      (client, options) => client.maintenance.status(options),
    );
    return version;
  }

  async get(key: string): Promise<KeyValue | undefined> {
    checkKey(key);
    const { kvs } = await this.#range({ key: this.#codec.key(key) });
    return kvs.length === 0 ? undefined : this.#codec.entry(kvs[0]);
  }

  async list(
    prefix: string,
  ): Promise<{ revision: number; entries: KeyValue[] }> {
    checkPrefix(prefix);
    const { header, kvs } = await this.#range(this.#codec.prefixRange(prefix));
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
    const response = await this.#members.call(
      "write",
      (client, options) => client.kv.txn(request, options),
      { known: (error) => isLeaseNotFound(error) && endedLease(transaction) },
    );
    const revision = Number(response.header.revision);
    const changed = response.responses.some((part) =>
      part.response_put != null ||
      Number(part.response_delete_range?.deleted ?? 0) > 0
    );
    if (changed) await this.#reached(revision);
    return { succeeded: response.succeeded, revision };
  }

  watch(prefix: string, fromRevision: number, handlers: WatchHandlers): Watch {
    checkPrefix(prefix);
    checkRevision(fromRevision);
    if (this.#members.isClosed) throw closedError();
    const watch = new EtcdWatch({
      members: this.#members,
      timers: this.#timers,
      range: this.#codec.watchedRange(),
      namespaceBytes: this.#codec.namespaceBytes,
      toEntry: (kv) => this.#codec.entry(kv),
      prefix,
      fromRevision,
      handlers,
      ended: () => void this.#watches.delete(watch),
    });
    this.#watches.add(watch);
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
    const { header } = await this.#members.call(
      "repeatable",
      (client, options) =>
        client.kv.put(
          { key: this.#codec.barrierKey(), value: Buffer.of() },
          options,
        ),
    );
    const revision = Number(header.revision);
    await this.#reached(revision);
    return revision;
  }

  /** etcd counts in seconds, and knows no lease shorter than two by default. */
  async grantLease(
    ttlMs: number,
  ): Promise<{ leaseId: string; ttlMs: number }> {
    checkLeaseTtl(ttlMs);
    const { ID, TTL } = await this.#members.call(
      "repeatable",
      (client, options) =>
        client.leaseClient.leaseGrant(
          { ID: 0, TTL: Math.ceil(ttlMs / 1_000) },
          options,
        ),
    );
    return { leaseId: ID, ttlMs: Number(TTL) * 1_000 };
  }

  async keepAlive(leaseId: string): Promise<boolean> {
    if (this.#members.isClosed) throw closedError();
    if (!isLeaseId(leaseId)) return false;
    return await this.#members.call(
      "repeatable",
      async (client, options) => {
        const stream = await client.leaseClient.leaseKeepAlive(options);
        try {
          return await new Promise<boolean>((resolve, reject) => {
            stream.on("data", (answer) => resolve(Number(answer.TTL) > 0));
            stream.on("error", reject);
            stream.on("end", () => reject(new Error("The stream has ended.")));
            stream.write({ ID: leaseId });
          });
        } finally {
          stream.end();
        }
      },
      { attemptMs: KEEP_ALIVE_ATTEMPT_MS },
    );
  }

  async revokeLease(leaseId: string): Promise<void> {
    if (!isLeaseId(leaseId)) return;
    await this.#members.call(
      "repeatable",
      (client, options) =>
        client.leaseClient.leaseRevoke({ ID: leaseId }, options),
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
    await this.#members.call(
      "repeatable",
      (client, options) =>
        client.kv.compact({ revision: revision - 1 }, options),
      {
        known: (error) =>
          messageOf(error).includes("has been compacted") && "done",
      },
    );
  }

  close(): Promise<void> {
    for (const watch of [...this.#watches]) watch.close();
    this.#members.close();
    return Promise.resolve();
  }

  #range(request: IRangeRequest) {
    return this.#members.call(
      "repeatable",
      (client, options) => client.kv.range(request, options),
    );
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
