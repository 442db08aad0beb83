/**
 * One watch on etcd that survives the loss of its stream. It watches the whole
 * namespace and shows only its prefix: so it meets every revision of the store,
 * and it is known when a given one has been delivered.
 */
import type { EtcdCodec, EtcdKeyValue, EtcdRange } from "./etcd_codec.ts";
import { EtcdError } from "./etcd_gateway.ts";
import type { EtcdMember, EtcdMembers } from "./etcd_members.ts";
import {
  MetadataUnavailableError,
  type WatchEvent,
  type WatchHandlers,
} from "./metadata_store.ts";
import { silence, unavailable } from "./etcd_errors.ts";
import type { MetadataTimers } from "./patience.ts";

/** How long etcd may take to say that it watches. */
const OPEN_TIMEOUT_MS = 5_000;
const REOPEN_DELAY_MS = 100;
const REOPEN_DELAY_MAX_MS = 2_000;

export interface EtcdWatchOptions {
  members: EtcdMembers;
  timers: MetadataTimers;
  /** Of all keys of the namespace, as etcd has them. */
  range: EtcdRange;
  codec: EtcdCodec;
  prefix: string;
  fromRevision: number;
  handlers: WatchHandlers;
  /** Called once when the watch ends by itself or is closed. */
  ended(): void;
}

interface WatchResponse {
  readonly created?: boolean;
  readonly canceled?: boolean;
  readonly cancel_reason?: string;
  readonly compact_revision?: string;
  readonly events?: readonly {
    /** A put when absent. */
    readonly type?: string;
    readonly kv: EtcdKeyValue;
  }[];
}

export class EtcdWatch {
  readonly #options: EtcdWatchOptions;
  /** The newest revision that was delivered. */
  #revision: number;
  /** Aborts the stream that is, or is being opened. */
  #stream: AbortController | undefined;
  /** Who was asked for the stream that is, or is being opened. */
  #member: EtcdMember | undefined;
  readonly #endCare: () => void;
  #opening: { cancel(): void } | undefined;
  #reopening: { cancel(): void } | undefined;
  #failures = 0;
  #hasHeard = false;
  #closed = false;
  readonly #waiting = new Set<() => void>();

  constructor(options: EtcdWatchOptions) {
    this.#options = options;
    this.#revision = options.fromRevision - 1;
    this.#endCare = options.members.onLeft((member) => {
      if (member === this.#member) this.#lost(silence(member.name));
    });
    options.timers.soon(() => void this.#open());
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#endCare();
    this.#reopening?.cancel();
    this.#dropStream();
    for (const check of [...this.#waiting]) check();
    this.#options.ended();
  }

  /**
   * Resolves true when `revision` was delivered or the watch has ended; false
   * after `timeoutMs`: then the stream is taken for dead and opened elsewhere.
   */
  reached(revision: number, timeoutMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      const settle = (result: boolean) => {
        timer.cancel();
        this.#waiting.delete(check);
        resolve(result);
      };
      const check = () => {
        if (this.#closed || this.#revision >= revision) settle(true);
      };
      const timer = this.#options.timers.after(timeoutMs, () => {
        settle(false);
        this.#lost(new EtcdError("the stream is silent"));
      });
      this.#waiting.add(check);
      check();
    });
  }

  /** Has anything come since this was asked before? */
  takeHeard(): boolean {
    const hasHeard = this.#hasHeard;
    this.#hasHeard = false;
    return hasHeard;
  }

  async #open(): Promise<void> {
    if (this.#closed) return;
    const controller = new AbortController();
    this.#stream = controller;
    const isCurrent = () => this.#stream === controller;
    try {
      if (this.#failures > 0) await this.#findMember();
      if (!isCurrent()) return;
      await this.#follow(this.#options.members.current, controller.signal);
      if (isCurrent()) this.#lost(new EtcdError("the stream ended"));
    } catch (error) {
      // That of a former stream is moot.
      if (isCurrent()) this.#lost(error as Error);
    }
  }

  /** Receives until the stream ends or is given up. */
  async #follow(member: EtcdMember, signal: AbortSignal): Promise<void> {
    const { timers, range } = this.#options;
    this.#member = member;
    this.#opening = timers.after(
      OPEN_TIMEOUT_MS,
      () => this.#lost(silence(member.name)),
    );
    const responses = member.gateway.stream<WatchResponse>("/watch", {
      create_request: { ...range, start_revision: this.#revision + 1 },
    }, signal);
    for await (const response of responses) {
      if (signal.aborted) return;
      this.#receive(response);
    }
  }

  /**
   * Of a watch whose token etcd has forgotten it says no more than that it is
   * not permitted, and nothing renews the token. Any other call does, and finds
   * a member that answers.
   */
  async #findMember(): Promise<void> {
    const { members, range: { key } } = this.#options;
    await members.call(
      "repeatable",
      (gateway, signal) =>
        gateway.call("/kv/range", { key, serializable: true }, signal),
    );
  }

  #receive(response: WatchResponse): void {
    this.#hasHeard = true;
    this.#opening?.cancel();
    if (Number(response.compact_revision ?? 0) > 0) {
      const { handlers } = this.#options;
      this.close();
      call(() => handlers.onCompacted(Number(response.compact_revision)));
      return;
    }
    if (response.canceled) {
      return this.#lost(new EtcdError(response.cancel_reason ?? "canceled"));
    }
    if (response.created) {
      if (this.#failures > 0) {
        call(() => this.#options.handlers.onHealth?.(undefined));
      }
      this.#failures = 0;
      return;
    }
    this.#deliver(response);
    for (const check of [...this.#waiting]) check();
  }

  #deliver({ events: all = [] }: WatchResponse): void {
    const { prefix, handlers, codec } = this.#options;
    const events: WatchEvent[] = [];
    for (const { type, kv } of all) {
      const modRevision = Number(kv.mod_revision);
      // Nothing comes twice, even if a stream should begin too early.
      if (modRevision <= this.#revision) continue;
      const key = codec.contractKey(kv);
      if (key.startsWith("\0") || !key.startsWith(prefix)) continue;
      events.push(
        type === "DELETE"
          ? { kind: "delete", key, modRevision }
          : { kind: "put", entry: codec.entry(kv) },
      );
    }
    const last = all.at(-1);
    if (last === undefined) return;
    const newest = Math.max(this.#revision, Number(last.kv.mod_revision));
    this.#revision = newest;
    const shown = events.at(-1);
    if (shown === undefined) return;
    const revision = shown.kind === "put"
      ? shown.entry.modRevision
      : shown.modRevision;
    call(() => handlers.onBatch({ revision, events }));
  }

  /** Opens another stream from where this one came to, a little later. */
  #lost(error: Error): void {
    if (this.#closed || this.#reopening !== undefined) return;
    const member = this.#member;
    this.#dropStream();
    if (this.#failures === 0) {
      const fault = new MetadataUnavailableError(
        `The watch on etcd was lost: ${unavailable(error).message}`,
        { cause: error },
      );
      call(() => this.#options.handlers.onHealth?.(fault));
      if (this.#closed) return;
    }
    const delayMs = Math.min(
      REOPEN_DELAY_MAX_MS,
      REOPEN_DELAY_MS * 2 ** this.#failures,
    );
    this.#failures++;
    this.#reopening = this.#options.timers.after(delayMs, () => {
      this.#reopening = undefined;
      void this.#open();
    });
    if (member !== undefined) {
      this.#options.members.leave(member, { isSilent: false });
    }
  }

  #dropStream(): void {
    const stream = this.#stream;
    this.#stream = undefined;
    this.#member = undefined;
    this.#opening?.cancel();
    stream?.abort();
  }
}

/** A handler's error is its program's: it surfaces, and the watch goes on. */
function call(callback: () => void): void {
  try {
    callback();
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}
