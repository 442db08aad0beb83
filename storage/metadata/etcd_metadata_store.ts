/**
 * The metadata store on etcd v3, for brokers on several machines. It owns the
 * translation between the contract and etcd's calls, and what may be tried
 * again; watching is in etcd_watch.ts. All keys stand below a namespace, so that
 * several clusters, and others, can share one etcd.
 *
 * The package and gRPC are loaded when a store is opened, not before: a broker
 * on SQLite does not pay for them. They read the `GRPC_*` and `*_proxy`
 * environment variables and the package's own .proto files, which a confined
 * broker needs permission for.
 */
import { Buffer } from "node:buffer";
import type { Etcd3, IOptions, IRangeRequest } from "etcd3";
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
import {
  endedLease,
  isLeaseNotFound,
  isRefusal,
  isTokenInvalid,
  messageOf,
  unavailable,
  wasNotSent,
} from "./etcd_errors.ts";
import { EtcdWatch } from "./etcd_watch.ts";
import type { MetadataClock, MetadataTimers } from "./patience.ts";
import {
  checkKey,
  checkLeaseTtl,
  checkPrefix,
  checkRevision,
  checkTransaction,
} from "./validation.ts";

/** How long a call may take, with all that is tried again. */
const REQUEST_TIMEOUT_MS = 5_000;
const RETRY_DELAY_MS = 50;
/** How long one member may take over a call that another can be asked for. */
const ATTEMPT_TIMEOUT_MS = 1_200;

export interface EtcdMetadataStoreOptions {
  /**
   * Such as `http://10.0.0.1:2379`. With `https:` TLS is used; then hosts must
   * be given by name, for gRPC under Deno refuses to check addresses.
   */
  endpoints: string[];
  /** PEM. Without it `https:` endpoints are checked by the system's roots. */
  credentials?: {
    rootCertificate: Uint8Array;
    privateKey?: Uint8Array;
    certChain?: Uint8Array;
  };
  auth?: { username: string; password: string };
  /** All keys in etcd start with it and a colon; by default `/streamnest`. */
  namespace?: string;
  clock: MetadataClock;
  timers: MetadataTimers;
}

export class EtcdMetadataStore implements MetadataStore {
  readonly #client: Etcd3;
  readonly #options: EtcdMetadataStoreOptions;
  readonly #codec: EtcdCodec;
  readonly #watches = new Set<EtcdWatch>();
  #closed = false;

  private constructor(
    client: Etcd3,
    codec: EtcdCodec,
    options: EtcdMetadataStoreOptions,
  ) {
    this.#client = client;
    this.#codec = codec;
    this.#options = options;
  }

  /**
   * Does not wait for etcd: the first call does. Throws RangeError when there is
   * no endpoint, or one that cannot be used.
   */
  static async open(
    options: EtcdMetadataStoreOptions,
  ): Promise<EtcdMetadataStore> {
    checkEndpoints(options.endpoints);
    const codec = new EtcdCodec(options.namespace ?? "/streamnest");
    const { Etcd3 } = await import("etcd3");
    const { credentials, auth, endpoints } = options;
    const client = new Etcd3({
      hosts: endpoints,
      auth,
      credentials: credentials && {
        rootCertificate: Buffer.from(credentials.rootCertificate),
        privateKey: toBuffer(credentials.privateKey),
        certChain: toBuffer(credentials.certChain),
      },
      grpcOptions: {
        // A watch sends a thousand revisions at a time, however large.
        "grpc.max_receive_message_length": -1,
        "grpc.max_send_message_length": -1,
        "grpc.initial_reconnect_backoff_ms": 100,
        "grpc.max_reconnect_backoff_ms": 1_000,
        // Finds connections that a network split has cut without a word. etcd
        // refuses clients that ask more often than every 5 s.
        "grpc.keepalive_time_ms": 10_000,
        "grpc.keepalive_timeout_ms": 3_000,
      },
      // What is tried again is decided here: a compare-and-set that is sent
      // twice would fail against itself.
      faultHandling: { global: ONCE, host: () => ONCE },
    });
    return new EtcdMetadataStore(client, codec, options);
  }

  /** Of the member that answers, such as `3.4.23`. */
  async version(): Promise<string> {
    const { version } = await this.#call(
      "repeatable",
      (options) => this.#client.maintenance.status(options),
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
    const response = await this.#call(
      "write",
      (options) => this.#client.kv.txn(request, options),
      (error) => isLeaseNotFound(error) && endedLease(transaction),
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
    if (this.#closed) throw closedError();
    const watch = new EtcdWatch({
      client: this.#client,
      timers: this.#options.timers,
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
    const { header } = await this.#call(
      "repeatable",
      (options) =>
        this.#client.kv.put(
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
    const { ID, TTL } = await this.#call(
      "repeatable",
      (options) =>
        this.#client.leaseClient.leaseGrant(
          { ID: 0, TTL: Math.ceil(ttlMs / 1_000) },
          options,
        ),
    );
    return { leaseId: ID, ttlMs: Number(TTL) * 1_000 };
  }

  async keepAlive(leaseId: string): Promise<boolean> {
    if (this.#closed) throw closedError();
    if (!isLeaseId(leaseId)) return false;
    return await this.#call(
      "repeatable",
      async (options) => {
        const stream = await this.#client.leaseClient.leaseKeepAlive(options);
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
    );
  }

  async revokeLease(leaseId: string): Promise<void> {
    if (!isLeaseId(leaseId)) return;
    await this.#call(
      "repeatable",
      (options) =>
        this.#client.leaseClient.leaseRevoke({ ID: leaseId }, options),
      (error) => isLeaseNotFound(error) && "done",
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
      (options) => this.#client.kv.compact({ revision: revision - 1 }, options),
      (error) => messageOf(error).includes("has been compacted") && "done",
    );
  }

  close(): Promise<void> {
    if (this.#closed) return Promise.resolve();
    this.#closed = true;
    for (const watch of [...this.#watches]) watch.close();
    this.#client.close();
    return Promise.resolve();
  }

  #range(request: IRangeRequest) {
    return this.#call(
      "repeatable",
      (options) => this.#client.kv.range(request, options),
    );
  }

  /**
   * Calls until it is answered, for as long as a call may take. What may have
   * been applied is repeated only when it does no harm twice. `known` turns an
   * error into an answer, or into the error that a caller expects.
   */
  async #call<T, K = never>(
    kind: "repeatable" | "write",
    call: (options: { deadline: number }) => Promise<T>,
    known?: (error: unknown) => K | false,
  ): Promise<T | Exclude<K, Error>> {
    const { clock, timers, endpoints } = this.#options;
    const endMs = clock.monotonicMs() + REQUEST_TIMEOUT_MS;
    for (;;) {
      if (this.#closed) throw closedError();
      const leftMs = Math.max(1, endMs - clock.monotonicMs());
      const attemptMs = kind === "repeatable" && endpoints.length > 1
        ? Math.min(leftMs, ATTEMPT_TIMEOUT_MS)
        : leftMs;
      try {
        return await call({ deadline: clock.nowMs() + attemptMs });
      } catch (error) {
        const answer = known?.(error);
        if (answer instanceof Error) throw answer;
        if (answer) return answer as Exclude<K, Error>;
        const forgotten = isTokenInvalid(error);
        if (forgotten) await this.#renewToken();
        const again = kind === "repeatable" || wasNotSent(error);
        const late = clock.monotonicMs() + RETRY_DELAY_MS >= endMs;
        if (
          this.#closed || late || !again ||
          (isRefusal(error) && !forgotten)
        ) {
          throw unavailable(error);
        }
      }
      await new Promise<void>((resolve) => {
        timers.after(RETRY_DELAY_MS, resolve);
      });
    }
  }

  /**
   * Calls that are streams, unlike others, do not make etcd3 ask for another
   * token when etcd has forgotten theirs; any other call does.
   */
  async #renewToken(): Promise<void> {
    const deadline = this.#options.clock.nowMs() + ATTEMPT_TIMEOUT_MS;
    const request = { key: this.#codec.barrierKey() };
    // A failure is met again by the call that is repeated.
    await this.#client.kv.range(request, { deadline }).catch(() => {});
  }

  /** Resolves when every watch has delivered `revision`. */
  async #reached(revision: number): Promise<void> {
    const waits = [...this.#watches].map((watch) =>
      watch.reached(revision, REQUEST_TIMEOUT_MS)
    );
    const reached = await Promise.all(waits);
    if (reached.every((it) => it)) return;
    throw new MetadataUnavailableError(
      `The watches on etcd did not come to revision ${revision} in ` +
        `${REQUEST_TIMEOUT_MS} ms.`,
    );
  }
}

/** A policy of etcd3 that does nothing of its own; it must never throw. */
const ONCE = {
  execute: async (body: (context: { signal: AbortSignal }) => unknown) =>
    await body({ signal: new AbortController().signal }),
} as NonNullable<IOptions["faultHandling"]>["global"] & object;

function checkEndpoints(endpoints: string[]): void {
  if (endpoints.length === 0) throw new RangeError("etcd has no endpoint.");
  for (const endpoint of endpoints) {
    const url = URL.parse(endpoint);
    if (url === null || !/^https?:$/.test(url.protocol) || url.port === "") {
      throw new RangeError(
        `The etcd endpoint "${endpoint}" must be like http://host:2379.`,
      );
    }
    const isAddress = /^[\d.]+$|^\[/.test(url.hostname);
    if (url.protocol === "https:" && isAddress) {
      throw new RangeError(
        `The etcd endpoint "${endpoint}" must name its host: TLS checks ` +
          `names, not addresses.`,
      );
    }
    if (url.protocol !== URL.parse(endpoints[0])!.protocol) {
      throw new RangeError(
        "The etcd endpoints must be all http: or all https:.",
      );
    }
  }
}

function toBuffer(bytes: Uint8Array | undefined): Buffer | undefined {
  return bytes && Buffer.from(bytes);
}

function closedError(): MetadataUnavailableError {
  return new MetadataUnavailableError("The metadata store is closed.");
}
