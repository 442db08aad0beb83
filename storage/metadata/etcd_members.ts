/**
 * The members of one etcd cluster, and which of them is asked: the first until
 * it fails, then the next. Owns how long a call may take, what may be tried
 * again, and that nothing waits for a member that is silent; refuses to know what
 * is asked.
 *
 * A member that lost its power or its network does not even refuse: connections
 * to it stay open, and what is sent there gets no answer. The client of the
 * package would go on asking it for seconds, longer than a broker's lease lives.
 * So each member has a client of its own, and each call a time of its own.
 */
import { Buffer } from "node:buffer";
import type { Etcd3, IOptions } from "etcd3";
import {
  isMembersFault,
  isRefusal,
  isSilence,
  silence,
  unavailable,
  wasNotSent,
} from "./etcd_errors.ts";
import { EtcdToken, isTokenEnded } from "./etcd_token.ts";
import { MetadataUnavailableError } from "./metadata_store.ts";
import type { MetadataClock, MetadataTimers } from "./patience.ts";

/** How long a call may take, with all that is tried again. */
const REQUEST_TIMEOUT_MS = 5_000;
const RETRY_DELAY_MS = 50;
/** How long one member may take over a call that another can be asked for. */
const ATTEMPT_TIMEOUT_MS = 1_200;
/** So often the members that are not asked now are made ready to be. */
const READY_INTERVAL_MS = 60_000;
/** gRPC gives up what is no longer waited for so much later. */
const DEADLINE_SLACK_MS = 200;

export interface EtcdMembersOptions {
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
  clock: MetadataClock;
  timers: MetadataTimers;
}

export interface EtcdMember {
  readonly client: Etcd3;
  /** As in `--metadata`, such as `etcd1.lan:2379`. */
  readonly name: string;
  /** Undefined: etcd asks for no user. */
  readonly token: EtcdToken | undefined;
}

/** May be sent twice without harm, or not. */
export type CallKind = "repeatable" | "write";

export interface CallOptions {
  /** Milliseconds of the wall clock, as gRPC wants it. */
  readonly deadline: number;
}

interface Attempt {
  readonly member: EtcdMember;
  giveUp(error: Error): void;
}

export class EtcdMembers {
  readonly #members: readonly EtcdMember[];
  readonly #options: EtcdMembersOptions;
  readonly #attempts = new Set<Attempt>();
  readonly #onLeft = new Set<(member: EtcdMember) => void>();
  #current = 0;
  #isClosed = false;
  /** Undefined until the first answer, and where there is one member. */
  #getReady: { cancel(): void } | undefined;

  private constructor(
    members: readonly EtcdMember[],
    options: EtcdMembersOptions,
  ) {
    this.#members = members;
    this.#options = options;
  }

  /** Throws RangeError when there is no endpoint, or one that is no use. */
  static async open(options: EtcdMembersOptions): Promise<EtcdMembers> {
    checkEndpoints(options.endpoints);
    const { Etcd3 } = await import("etcd3");
    const members = options.endpoints.map((endpoint) => {
      const token = options.auth && new EtcdToken(options.auth);
      const client = new Etcd3({
        ...clientOptions(endpoint, options),
        defaultCallOptions: token?.callOptions,
      });
      return { client, token, name: endpoint.replace(/^https?:\/\//, "") };
    });
    return new EtcdMembers(members, options);
  }

  /** Who is asked now. */
  get current(): EtcdMember {
    return this.#members[this.#current];
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Calls each time when a member is asked no more; returns what ends that. */
  onLeft(callback: (member: EtcdMember) => void): () => void {
    this.#onLeft.add(callback);
    return () => this.#onLeft.delete(callback);
  }

  /**
   * Asks another from now on, unless that is so already. Of a silent one
   * nothing is awaited any more: what was sent there may have been done.
   */
  leave(member: EtcdMember, options: { isSilent: boolean }): void {
    if (this.#members.length === 1 || member !== this.current) return;
    this.#current = (this.#current + 1) % this.#members.length;
    if (options.isSilent) {
      for (const attempt of [...this.#attempts]) {
        if (attempt.member === member) attempt.giveUp(silence(member.name));
      }
    }
    for (const callback of [...this.#onLeft]) callback(member);
  }

  /**
   * Calls until it is answered, for as long as a call may take. What may have
   * been applied is repeated only when it does no harm twice. `known` turns an
   * error into an answer, or into the error that a caller expects.
   *
   * @throws MetadataUnavailableError
   */
  async call<T, K = never>(
    kind: CallKind,
    work: (client: Etcd3, options: CallOptions) => Promise<T>,
    options: {
      known?: (error: unknown) => K | false;
      /** Of one member; the default is as for most calls. */
      attemptMs?: number;
    } = {},
  ): Promise<T | Exclude<K, Error>> {
    const { clock, timers } = this.#options;
    const endMs = clock.monotonicMs() + REQUEST_TIMEOUT_MS;
    // One member's certificate may be bad, and another's good.
    let refusals = 0;
    // The last attempt is cut short: what was heard before tells more.
    let reason: unknown;
    for (;;) {
      if (this.#isClosed) throw closedError();
      const leftMs = Math.max(1, endMs - clock.monotonicMs());
      const attemptMs = kind === "repeatable" && this.#members.length > 1
        ? Math.min(leftMs, options.attemptMs ?? ATTEMPT_TIMEOUT_MS)
        : leftMs;
      const member = this.current;
      try {
        const answer = await this.#attempt(member, attemptMs, work);
        if (this.#getReady === undefined) this.#scheduleReady(0);
        return answer;
      } catch (error) {
        const answer = options.known?.(error);
        if (answer instanceof Error) throw answer;
        if (answer) return answer as Exclude<K, Error>;
        if (!isSilence(error) && !isRefusal(error)) reason = error;
        const isForgotten = isTokenEnded(error);
        if (isForgotten) member.token?.forget();
        const isOfMember = !isForgotten && isMembersFault(error);
        if (isOfMember) this.leave(member, { isSilent: false });
        if (isRefusal(error) && !isForgotten) refusals++;
        const isRefused = refusals >= (isOfMember ? this.#members.length : 1);
        const again = kind === "repeatable" || isForgotten ||
          wasNotSent(error);
        const isLate = clock.monotonicMs() + RETRY_DELAY_MS >= endMs;
        if (this.#isClosed || isLate || isRefused || !again) {
          throw unavailable(isSilence(error) ? reason ?? error : error);
        }
      }
      await new Promise<void>((resolve) => {
        timers.after(RETRY_DELAY_MS, resolve);
      });
    }
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#getReady?.cancel();
    for (const attempt of [...this.#attempts]) attempt.giveUp(closedError());
    for (const { client } of this.#members) client.close();
  }

  /** Waits for its own time at the most, whatever the package waits for. */
  async #attempt<T>(
    member: EtcdMember,
    attemptMs: number,
    work: (client: Etcd3, options: CallOptions) => Promise<T>,
  ): Promise<T> {
    const { clock, timers } = this.#options;
    const { promise: givenUp, reject } = Promise.withResolvers<never>();
    const attempt = { member, giveUp: reject };
    this.#attempts.add(attempt);
    const timer = timers.after(attemptMs, () => {
      // After a turn in which this process stood still the answer may be here.
      timers.soon(() => {
        if (!this.#attempts.has(attempt)) return;
        reject(silence(member.name));
        this.leave(member, { isSilent: true });
      });
    });
    try {
      const deadline = clock.nowMs() + attemptMs + DEADLINE_SLACK_MS;
      const answer = async () => {
        const latest = clock.nowMs() + REQUEST_TIMEOUT_MS;
        await member.token?.have(member.client, latest);
        return await work(member.client, { deadline });
      };
      return await Promise.race([answer(), givenUp]);
    } finally {
      timer.cancel();
      this.#attempts.delete(attempt);
    }
  }

  /**
   * Connections and tokens take time to make, a token much of it, and etcd
   * forgets one that is not used for five minutes: too late for a lease when the
   * member that is asked has just fallen silent.
   */
  #scheduleReady(delayMs: number): void {
    if (this.#isClosed || this.#members.length === 1) return;
    this.#getReady = this.#options.timers.after(delayMs, async () => {
      for (const member of this.#members) {
        if (member !== this.current) await this.#use(member);
      }
      this.#scheduleReady(READY_INTERVAL_MS);
    });
  }

  async #use(member: EtcdMember): Promise<void> {
    // That it is asked matters, not whether the key is there or may be read. A
    // failure is met again by the next call.
    const key = Buffer.from("\0");
    await this.#attempt(
      member,
      ATTEMPT_TIMEOUT_MS,
      ({ kv }, options) => kv.range({ key, serializable: true }, options),
    ).catch((error) => {
      if (isTokenEnded(error)) member.token?.forget();
    });
  }
}

export function closedError(): MetadataUnavailableError {
  return new MetadataUnavailableError("The metadata store is closed.");
}

/** A policy of etcd3 that does nothing of its own; it must never throw. */
const ONCE = {
  execute: async (body: (context: { signal: AbortSignal }) => unknown) =>
    await body({ signal: new AbortController().signal }),
} as NonNullable<IOptions["faultHandling"]>["global"] & object;

function clientOptions(
  endpoint: string,
  { credentials }: EtcdMembersOptions,
): IOptions {
  return {
    hosts: endpoint,
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
  };
}

function toBuffer(bytes: Uint8Array | undefined): Buffer | undefined {
  return bytes && Buffer.from(bytes);
}

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
