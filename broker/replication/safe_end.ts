/**
 * How far a replica's own log is as safe as its topic's durability level wants
 * (DESIGN D4): the flushed end when every append is flushed before its
 * acknowledgement, the log's end otherwise. Owns when the log is flushed; one
 * fdatasync at a time, appends gather for the next (D3).
 */
import { StorageError } from "../../storage/error.ts";
import type { Log } from "../../storage/log/log.ts";
import type { Offset } from "../../storage/log/types.ts";
import type { Environment, Timer } from "../environment.ts";
import type { TopicSettings } from "../topic_config.ts";

export interface SafeEndOptions {
  readonly log: Log;
  readonly settings: TopicSettings;
  readonly environment: Pick<Environment, "clock" | "timers">;
  /** Seconds that an fdatasync took. */
  onFlush(seconds: number): void;
  /** The safe end may have grown. */
  onSafe(): void;
  /** A flush in the background failed: the log is offline. */
  onFault(fault: StorageError): void;
}

export class SafeEnd {
  readonly #options: SafeEndOptions;
  #settings: TopicSettings;
  #isFlushing = false;
  /** A flush was due while one ran: it did not cover what came meanwhile. */
  #isDue = false;
  #isStopped = false;
  #timer: Timer | undefined;

  constructor(options: SafeEndOptions) {
    this.#options = options;
    this.#settings = options.settings;
  }

  /** Exclusive. */
  get value(): Offset {
    const { log } = this.#options;
    return this.#isEachFlushed ? log.flushedOffset : log.logEndOffset;
  }

  get #isEachFlushed(): boolean {
    return this.#settings.flushMessages === 1;
  }

  reconfigure(settings: TopicSettings): void {
    if (settings.flushMs !== this.#settings.flushMs) this.#cancel();
    this.#settings = settings;
  }

  /** After an append: flushes, now or later, as the level says. */
  pursue(): void {
    const { log } = this.#options;
    const unflushed = log.logEndOffset - log.flushedOffset;
    if (unflushed >= this.#settings.flushMessages) this.#flush();
    else if (unflushed > 0) this.#arm();
  }

  /**
   * Resolves when all that the log holds now is as safe as the level wants.
   *
   * @throws StorageError: the log is offline.
   */
  async reach(): Promise<void> {
    const { log, environment: { clock }, onFlush } = this.#options;
    if (!this.#isEachFlushed) return this.pursue();
    if (log.flushedOffset >= log.logEndOffset) return;
    const startedMs = clock.monotonicMs();
    await log.flush();
    onFlush((clock.monotonicMs() - startedMs) / 1000);
  }

  /** No more flushes begin. */
  stop(): void {
    this.#isStopped = true;
    this.#cancel();
  }

  #cancel(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #arm(): void {
    const { flushMs } = this.#settings;
    if (flushMs === undefined || this.#isStopped) return;
    this.#timer ??= this.#options.environment.timers.after(flushMs, () => {
      this.#timer = undefined;
      this.#flush();
    });
  }

  /** After a flush: nobody else may append, or ask, for long. */
  #goOn(): void {
    const { log } = this.#options;
    if (this.#isStopped || log.flushedOffset >= log.logEndOffset) return;
    if (this.#isDue) this.#flush();
    else this.pursue();
  }

  #flush(): void {
    if (this.#isFlushing) {
      this.#isDue = true;
      return;
    }
    this.#isFlushing = true;
    this.#isDue = false;
    const { log, environment: { clock }, onFlush, onSafe, onFault } =
      this.#options;
    const startedMs = clock.monotonicMs();
    log.flush().then(
      () => {
        this.#isFlushing = false;
        onFlush((clock.monotonicMs() - startedMs) / 1000);
        onSafe();
        this.#goOn();
      },
      (fault: unknown) => {
        this.#isFlushing = false;
        if (!(fault instanceof StorageError)) throw fault;
        onFault(fault);
      },
    );
  }
}
