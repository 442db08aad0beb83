/**
 * One watch on etcd that survives the loss of its stream. It watches the whole
 * namespace and shows only its prefix: so it meets every revision of the store,
 * and it is known when a given one has been delivered.
 */
import { Buffer } from "node:buffer";
import type { IDuplexStream, IKeyValue, IWatchResponse } from "etcd3";
import type { IWatchRequest } from "etcd3";
import type { EtcdMember, EtcdMembers } from "./etcd_members.ts";
import {
  type KeyValue,
  MetadataUnavailableError,
  type WatchEvent,
  type WatchHandlers,
} from "./metadata_store.ts";
import { silence, unavailable } from "./etcd_errors.ts";
import type { MetadataTimers } from "./patience.ts";

const REOPEN_DELAY_MS = 100;
const REOPEN_DELAY_MAX_MS = 2_000;

export interface EtcdWatchOptions {
  members: EtcdMembers;
  timers: MetadataTimers;
  /** Of all keys of the namespace, as etcd has them. */
  range: { key: Buffer; range_end: Buffer };
  namespaceBytes: number;
  toEntry(kv: IKeyValue): KeyValue;
  prefix: string;
  fromRevision: number;
  handlers: WatchHandlers;
  /** Called once when the watch ends by itself or is closed. */
  ended(): void;
}

type Stream = IDuplexStream<IWatchRequest, IWatchResponse>;

export class EtcdWatch {
  readonly #options: EtcdWatchOptions;
  /** The newest revision that was delivered. */
  #revision: number;
  #stream: Stream | undefined;
  /** Who was asked for the stream that is, or is being opened. */
  #member: EtcdMember | undefined;
  readonly #endCare: () => void;
  #reopening: { cancel(): void } | undefined;
  #failures = 0;
  /** Which opening is the last: a stream of another comes too late. */
  #attempt = 0;
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
        this.#lost(new Error("the stream is silent"));
      });
      this.#waiting.add(check);
      check();
    });
  }

  async #open(): Promise<void> {
    if (this.#closed) return;
    const attempt = ++this.#attempt;
    let stream: Stream;
    try {
      if (this.#failures > 0) await this.#findMember();
      if (this.#closed || attempt !== this.#attempt) return;
      this.#member = this.#options.members.current;
      stream = await this.#member.client.watchClient.watch();
    } catch (error) {
      if (attempt === this.#attempt) this.#lost(error as Error);
      return;
    }
    // An error must always have a listener; that of a former stream is moot.
    stream.on("error", (error) => {
      if (this.#stream === stream) this.#lost(error);
    });
    stream.on("end", () => {
      if (this.#stream === stream) this.#lost(new Error("the stream ended"));
    });
    stream.on("data", (response) => {
      if (this.#stream === stream) this.#receive(response);
    });
    if (this.#closed || attempt !== this.#attempt) return stream.cancel();
    this.#stream = stream;
    stream.write({
      create_request: {
        ...this.#options.range,
        start_revision: this.#revision + 1,
      },
    });
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
      ({ kv }, options) => kv.range({ key, serializable: true }, options),
    );
  }

  #receive(response: IWatchResponse): void {
    if (Number(response.compact_revision) > 0) {
      const { handlers } = this.#options;
      this.close();
      call(() => handlers.onCompacted(Number(response.compact_revision)));
      return;
    }
    if (response.canceled) {
      return this.#lost(new Error(response.cancel_reason));
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

  #deliver(response: IWatchResponse): void {
    const { prefix, handlers } = this.#options;
    const events: WatchEvent[] = [];
    for (const { type, kv } of response.events) {
      const modRevision = Number(kv.mod_revision);
      // Nothing comes twice, even if a stream should begin too early.
      if (modRevision <= this.#revision) continue;
      const key = kv.key.subarray(this.#options.namespaceBytes).toString();
      if (key.startsWith("\0") || !key.startsWith(prefix)) continue;
      events.push(
        type === "Put"
          ? { kind: "put", entry: this.#options.toEntry(kv) }
          : { kind: "delete", key, modRevision },
      );
    }
    const last = response.events.at(-1);
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
    this.#attempt++;
    stream?.cancel();
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
