/**
 * The edge of a coordinator: carries out the effects of a pure core over one
 * partition of an internal topic. Owns the timers, the promises of those who
 * asked, and the order load, serve, resign. Decides nothing about groups or
 * transactions, and knows the log only as `InternalLog`.
 */
import { type ErrorCode, Failure } from "../../contract/errors.ts";
import { invariant } from "../../storage/assert.ts";
import { StorageError } from "../../storage/error.ts";
import type { Clock, Timer, Timers } from "../environment.ts";
import type {
  Api,
  CoordinatorCore,
  CoordinatorEvent,
  Effect,
  Instant,
  LogEntry,
  ProducerStamp,
  ReplyToken,
  RequestOf,
  ResponseOf,
} from "./core.ts";

/** One partition of an internal topic that this broker leads. */
export interface InternalLog<Record> {
  /**
   * Appends the records as one batch, in the order of the calls, and resolves
   * when they are committed: held by every in-sync replica, as durable as the
   * topic asks. Resolves with a failure only when the records are not in the log
   * or this broker has lost the partition (`resign` follows); while neither is
   * known it stays pending. Throws StorageError as the log does.
   */
  append(
    records: readonly Record[],
    producer: ProducerStamp | null,
  ): Promise<Failure | undefined>;
  /** All entries from the start to the log end at the time of the call. */
  readAll(): AsyncIterable<readonly LogEntry<Record>[]>;
}

export interface CoordinatorRuntimeOptions<
  A extends Api,
  Record,
  Notice,
  Action,
> {
  readonly core: CoordinatorCore<A, Record, Notice, Action>;
  readonly log: InternalLog<Record>;
  readonly clock: Clock;
  readonly timers: Timers;
  /**
   * Carries out an action and resolves with what the core is to hear of it,
   * undefined for nothing. `signal` aborts when this broker resigns; what
   * resolves afterwards is ignored.
   */
  perform?(action: Action, signal: AbortSignal): Promise<Notice | undefined>;
  /** A programmer's error in work that nobody awaits: stops the process. */
  onFatal(error: unknown): void;
}

const LONGEST_TIMER_MS = 0x7fffffff;

export class CoordinatorRuntime<A extends Api, Record, Notice, Action> {
  readonly #options: CoordinatorRuntimeOptions<A, Record, Notice, Action>;
  #state: "loading" | "serving" | "resigned" = "loading";
  readonly #waiting = new Map<ReplyToken, (response: ResponseOf<A>) => void>();
  readonly #timers = new Map<string, Timer>();
  readonly #abort = new AbortController();
  /** What was told while loading. */
  #earlyNotices: Notice[] = [];
  #nextToken = 1;

  constructor(options: CoordinatorRuntimeOptions<A, Record, Notice, Action>) {
    this.#options = options;
  }

  get isServing(): boolean {
    return this.#state === "serving";
  }

  /** Replays the log, then serves. Throws StorageError. Called once. */
  async load(): Promise<void> {
    const { core, log } = this.#options;
    for await (const entries of log.readAll()) {
      if (this.#state === "resigned") return;
      for (const entry of entries) core.replay(entry);
    }
    if (this.#state === "resigned") return;
    this.#state = "serving";
    this.#perform(core.loaded(this.#now()));
    for (const notice of this.#earlyNotices.splice(0)) this.notify(notice);
  }

  /** Never rejects: what goes wrong is in the response. */
  request<Name extends keyof A & string>(
    name: Name,
    request: A[Name]["request"],
  ): Promise<A[Name]["response"]> {
    const named = { ...request, type: name } as unknown as RequestOf<A>;
    const refused: ErrorCode | undefined = this.#state === "loading"
      ? "COORDINATOR_LOAD_IN_PROGRESS"
      : this.#state === "resigned"
      ? "NOT_COORDINATOR"
      : undefined;
    if (refused !== undefined) {
      return Promise.resolve(this.#options.core.refuse(named, refused));
    }
    const token = this.#nextToken++;
    return new Promise((resolve) => {
      this.#waiting.set(token, resolve);
      this.#handle({ type: "request", token, request: named });
    });
  }

  notify(notice: Notice): void {
    if (this.#state === "loading") this.#earlyNotices.push(notice);
    else this.#handle({ type: "notice", notice });
  }

  /** This broker leads the partition no more. Idempotent. */
  resign(): void {
    if (this.#state === "resigned") return;
    this.#perform(this.#options.core.resign());
    this.#state = "resigned";
    this.#abort.abort();
    for (const timer of this.#timers.values()) timer.cancel();
    this.#timers.clear();
    invariant(this.#waiting.size === 0, "resigning answers every request");
  }

  #now(): Instant {
    const { clock } = this.#options;
    return { wallMs: clock.nowMs(), monotonicMs: clock.monotonicMs() };
  }

  #handle(event: CoordinatorEvent<RequestOf<A>, Notice>): void {
    if (this.#state !== "serving") return;
    this.#perform(this.#options.core.handle(event, this.#now()));
  }

  #perform(effects: readonly Effect<Record, ResponseOf<A>, Action>[]): void {
    for (const effect of effects) {
      switch (effect.type) {
        case "reply":
          this.#reply(effect.token, effect.response);
          break;
        case "append":
          this.#detach(this.#append(effect));
          break;
        case "setTimer":
          this.#setTimer(effect.name, effect.atMs);
          break;
        case "cancelTimer":
          this.#timers.get(effect.name)?.cancel();
          this.#timers.delete(effect.name);
          break;
        case "act":
          this.#detach(this.#act(effect.action));
      }
    }
  }

  #reply(token: ReplyToken, response: ResponseOf<A>): void {
    const resolve = this.#waiting.get(token);
    invariant(resolve !== undefined, "a request is answered once");
    this.#waiting.delete(token);
    resolve(response);
  }

  #detach(work: Promise<void>): void {
    work.catch((error) => this.#options.onFatal(error));
  }

  async #append(
    { appendId, records, producer }: Extract<
      Effect<Record, ResponseOf<A>, Action>,
      { type: "append" }
    >,
  ): Promise<void> {
    let error: ErrorCode | undefined;
    try {
      error = (await this.#options.log.append(records, producer))?.code;
    } catch (cause) {
      if (!(cause instanceof StorageError)) throw cause;
      error = "KAFKA_STORAGE_ERROR";
    }
    this.#handle(
      error === undefined
        ? { type: "appended", appendId }
        : { type: "appendFailed", appendId, error },
    );
  }

  async #act(action: Action): Promise<void> {
    const work = this.#options.perform?.(action, this.#abort.signal);
    invariant(work !== undefined, "the core's actions can be performed");
    const notice = await work;
    if (notice !== undefined) this.#handle({ type: "notice", notice });
  }

  #setTimer(name: string, atMs: number): void {
    this.#timers.get(name)?.cancel();
    const delayMs = Math.ceil(atMs - this.#options.clock.monotonicMs());
    this.#timers.set(
      name,
      this.#options.timers.after(
        Math.min(Math.max(delayMs, 0), LONGEST_TIMER_MS),
        () => {
          this.#timers.delete(name);
          this.#handle({ type: "timer", name });
        },
      ),
    );
  }
}
