/**
 * The members of one etcd cluster, and which of them is asked: the first until
 * it fails, then the next. Owns how long a call may take, what may be tried
 * again, and that nothing waits for a member that is silent; refuses to know what
 * is asked.
 *
 * A member that lost its power or its network does not even refuse: connections
 * to it stay open, and what is sent there gets no answer. So each member has a
 * gateway of its own, and each call a time of its own, shorter than a broker's
 * lease lives.
 */
import { type EtcdCredentials, openEtcdConnection } from "./etcd_connection.ts";
import {
  isMembersFault,
  isRefusal,
  isSilence,
  silence,
  unavailable,
  wasNotSent,
} from "./etcd_errors.ts";
import { EtcdGateway } from "./etcd_gateway.ts";
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

export interface EtcdMembersOptions {
  /** Such as `http://10.0.0.1:2379`. With `https:` TLS is used. */
  endpoints: string[];
  /** PEM. Without it `https:` endpoints are checked by the system's roots. */
  credentials?: EtcdCredentials;
  auth?: { username: string; password: string };
  clock: MetadataClock;
  timers: MetadataTimers;
}

export interface EtcdMember {
  readonly gateway: EtcdGateway;
  /** As in `--metadata`, such as `etcd1.lan:2379`. */
  readonly name: string;
  /** Undefined: etcd asks for no user. */
  readonly token: EtcdToken | undefined;
}

/** May be sent twice without harm, or not. */
export type CallKind = "repeatable" | "write";

/** Asks one member; `signal` aborts when the attempt is given up. */
export type Ask<T> = (gateway: EtcdGateway, signal: AbortSignal) => Promise<T>;

interface Attempt {
  readonly member: EtcdMember;
  giveUp(error: Error): void;
}

export class EtcdMembers {
  readonly #members: readonly EtcdMember[];
  readonly #options: EtcdMembersOptions;
  readonly #attempts = new Set<Attempt>();
  /** Of tokens that are asked for. */
  readonly #renewals = new Set<AbortController>();
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
  static open(options: EtcdMembersOptions): EtcdMembers {
    checkEndpoints(options.endpoints);
    const open = () => openEtcdConnection(options.credentials);
    const members = options.endpoints.map((endpoint) => {
      const token = options.auth && new EtcdToken(options.auth);
      const gateway = new EtcdGateway({ endpoint, open, token });
      return { gateway, token, name: endpoint.replace(/^https?:\/\//, "") };
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
    work: Ask<T>,
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
    for (const renewal of [...this.#renewals]) renewal.abort(closedError());
    for (const { gateway } of this.#members) gateway.close();
  }

  /** Takes its own time at the most; what is given up is aborted. */
  async #attempt<T>(
    member: EtcdMember,
    attemptMs: number,
    work: Ask<T>,
  ): Promise<T> {
    const { timers } = this.#options;
    const { promise: givenUp, reject } = Promise.withResolvers<never>();
    const controller = new AbortController();
    const attempt = {
      member,
      giveUp(error: Error) {
        reject(error);
        controller.abort(error);
      },
    };
    this.#attempts.add(attempt);
    const timer = timers.after(attemptMs, () => {
      // After a turn in which this process stood still the answer may be here.
      timers.soon(() => {
        if (!this.#attempts.has(attempt)) return;
        attempt.giveUp(silence(member.name));
        member.gateway.renew();
        this.leave(member, { isSilent: true });
      });
    });
    try {
      const answer = async () => {
        await this.#haveToken(member);
        controller.signal.throwIfAborted();
        return await work(member.gateway, controller.signal);
      };
      return await Promise.race([answer(), givenUp]);
    } finally {
      timer.cancel();
      this.#attempts.delete(attempt);
    }
  }

  /** Others may wait for the same token: it is asked for beyond an attempt. */
  async #haveToken({ token, gateway, name }: EtcdMember): Promise<void> {
    await token?.have(gateway, async (ask) => {
      const controller = new AbortController();
      this.#renewals.add(controller);
      const timer = this.#options.timers.after(
        REQUEST_TIMEOUT_MS,
        () => controller.abort(silence(name)),
      );
      try {
        return await ask(controller.signal);
      } finally {
        timer.cancel();
        this.#renewals.delete(controller);
      }
    });
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
    await this.#attempt(
      member,
      ATTEMPT_TIMEOUT_MS,
      (gateway, signal) =>
        gateway.call(
          "/kv/range",
          { key: ANY_KEY, serializable: true },
          signal,
        ),
    ).catch((error) => {
      if (isTokenEnded(error)) member.token?.forget();
    });
  }
}

export function closedError(): MetadataUnavailableError {
  return new MetadataUnavailableError("The metadata store is closed.");
}

/** U+0000, in base64. */
const ANY_KEY = "AA==";

function checkEndpoints(endpoints: string[]): void {
  if (endpoints.length === 0) throw new RangeError("etcd has no endpoint.");
  for (const endpoint of endpoints) {
    const url = URL.parse(endpoint);
    if (url === null || !/^https?:$/.test(url.protocol) || url.port === "") {
      throw new RangeError(
        `The etcd endpoint "${endpoint}" must be like http://host:2379.`,
      );
    }
    if (url.protocol !== URL.parse(endpoints[0])!.protocol) {
      throw new RangeError(
        "The etcd endpoints must be all http: or all https:.",
      );
    }
  }
}
