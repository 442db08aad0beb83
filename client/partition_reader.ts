/**
 * Reads one partition ahead of whoever takes the records: follows its leader,
 * waits for new records, resumes at the next offset after every interruption.
 * Owns the position in the partition and the retries of consume.
 */
import { Failure } from "../contract/errors.ts";
import type {
  ConsumeAnswer,
  ConsumedRecord,
  SkippedRun,
} from "../contract/http.ts";
import type { StartPosition } from "./api.ts";
import { type Cluster, NobodyAnswers } from "./cluster.ts";
import { CONSUMER_LIMITS } from "./consumer_limits.ts";
import {
  type Answer,
  faultText,
  isRetriable,
  Unreachable,
} from "./http_client.ts";
import { PATIENCE_MS, pauseMs, sleep } from "./retry.ts";
import type { Semaphore } from "./semaphore.ts";
import type { ClientWorld } from "./terminal.ts";

export interface ReaderEvents {
  /** Something changed: records came, the end was reached, reading failed. */
  changed(): void;
  /** Records that the schema rules out, a whole run at a time. */
  skipped(partition: number, run: SkippedRun): void;
  /** Something passing worth a line. */
  notice(text: string): void;
}

/** Reading cannot go on. */
export class ReadFault {
  /** A sentence without full stop. */
  readonly reason: string;
  constructor(reason: string) {
    this.reason = reason;
  }
}

export interface ReaderOptions {
  readonly world: ClientWorld;
  readonly cluster: Cluster;
  readonly topic: string;
  readonly partition: number;
  readonly start: StartPosition;
  readonly validate: boolean;
  /** Stop at the end as it is when first reached. */
  readonly untilEnd: boolean;
  readonly maxRecords: number;
  readonly maxBytes: number;
  /** Several partitions share it; see CONSUMER_LIMITS. */
  readonly requests: Semaphore;
  /** False: polls now and then instead of holding a request open. */
  readonly mayWait: boolean;
  readonly giveUpAfterMs: number;
  readonly events: ReaderEvents;
  readonly signal: AbortSignal;
}

export class PartitionReader {
  readonly partition: number;
  readonly #options: ReaderOptions;
  #start: StartPosition;
  readonly #answers: ConsumedRecord[][] = [];
  #index = 0;
  #room: (() => void) | undefined;
  #isAtEnd = false;
  #isFailing = false;
  #isDone = false;
  #fault: ReadFault | undefined;
  #openRun: SkippedRun | undefined;

  constructor(options: ReaderOptions) {
    this.partition = options.partition;
    this.#options = options;
    this.#start = options.start;
  }

  get fault(): ReadFault | undefined {
    return this.#fault;
  }

  /** Nothing more will come. */
  get isDone(): boolean {
    return this.#isDone && this.#answers.length === 0;
  }

  /**
   * More records are about to come, so that whoever merges partitions in turn
   * should wait: false at the end of the log, and while its broker is away.
   */
  get isExpectingMore(): boolean {
    return !this.#isAtEnd && !this.#isFailing && !this.#isDone;
  }

  /** The next record, or undefined when none is here now. */
  take(): ConsumedRecord | undefined {
    const records = this.#answers[0];
    if (records === undefined) return undefined;
    const record = records[this.#index++];
    if (this.#index === records.length) {
      this.#answers.shift();
      this.#index = 0;
      this.#room?.();
    }
    return record;
  }

  /** Runs until the signal, the end (when asked) or a fault. */
  async run(): Promise<void> {
    const { signal, events } = this.#options;
    while (!signal.aborted && !this.#isDone) {
      if (this.#answers.length >= CONSUMER_LIMITS.answersAhead) {
        await this.#waitForRoom();
        continue;
      }
      const answer = await this.#fetch();
      if (answer === undefined) break;
      this.#accept(answer);
      events.changed();
      const mustPause = this.#isAtEnd && !this.#options.mayWait;
      if (mustPause && !this.#isDone) {
        const jitter = 0.5 + this.#options.world.random();
        const delayMs = CONSUMER_LIMITS.idlePauseMs * jitter;
        await sleep(this.#options.world, delayMs, signal);
      }
    }
    this.#reportRun();
    this.#isDone = true;
    events.changed();
  }

  #waitForRoom(): Promise<void> {
    const { signal } = this.#options;
    return new Promise((resolve) => {
      const end = () => {
        this.#room = undefined;
        signal.removeEventListener("abort", end);
        resolve();
      };
      this.#room = end;
      signal.addEventListener("abort", end);
    });
  }

  #accept(answer: ConsumeAnswer): void {
    for (const run of answer.skipped ?? []) this.#noteSkipped(run);
    if (answer.records.length > 0) {
      const last = answer.records[answer.records.length - 1].offset;
      // A run in the midst of the records is over; one at their end may go on.
      if (this.#openRun !== undefined && this.#openRun.lastOffset < last) {
        this.#reportRun();
      }
      this.#answers.push(answer.records);
    }
    this.#start = { offset: answer.nextOffset };
    this.#isAtEnd = answer.nextOffset >= answer.highWatermark;
    if (this.#isAtEnd) {
      this.#reportRun();
      if (this.#options.untilEnd) this.#isDone = true;
    }
  }

  /** Joins runs that two answers cut, so that each is told of once. */
  #noteSkipped(run: SkippedRun): void {
    const open = this.#openRun;
    if (open !== undefined && open.lastOffset + 1 === run.firstOffset) {
      this.#openRun = { ...open, lastOffset: run.lastOffset };
      return;
    }
    this.#reportRun();
    this.#openRun = run;
  }

  #reportRun(): void {
    if (this.#openRun === undefined) return;
    this.#options.events.skipped(this.partition, this.#openRun);
    this.#openRun = undefined;
  }

  /** One answer, however often it must be asked; undefined: stop. */
  async #fetch(): Promise<ConsumeAnswer | undefined> {
    const { cluster, world, signal, topic } = this.#options;
    let failingSinceMs: number | undefined;
    let isSaid = false;
    for (let attempt = 0; !signal.aborted; attempt++) {
      const address = cluster.addressFor(topic, this.partition);
      const answer = await this.#request(address);
      if (signal.aborted) return undefined;
      if (!(answer instanceof Failure) && !(answer instanceof Unreachable)) {
        this.#isFailing = false;
        return answer;
      }
      if (answer instanceof Failure && answer.code === "OFFSET_OUT_OF_RANGE") {
        this.#moveInRange(answer);
        if (this.#fault !== undefined) return undefined;
        continue;
      }
      if (!isRetriable(answer)) return this.#fail(faultText(answer));
      failingSinceMs ??= world.monotonicMs();
      this.#isFailing = true;
      this.#options.events.changed();
      const elapsedMs = world.monotonicMs() - failingSinceMs;
      if (answer instanceof Unreachable) {
        this.#options.events.notice(`${faultText(answer)}; trying again`);
      } else if (!isSaid && elapsedMs >= PATIENCE_MS) {
        isSaid = true;
        this.#options.events.notice(`${faultText(answer)}; waiting`);
      }
      const retryAfterMs = answer instanceof Failure
        ? answer.details.retryAfterMs
        : 0;
      const delayMs = pauseMs(attempt, world.random(), retryAfterMs);
      await sleep(world, delayMs, signal);
      if (signal.aborted) return undefined;
      const nobody = await cluster.refresh(address);
      const end = this.#reasonToEnd(answer, nobody, elapsedMs);
      if (end !== undefined) return this.#fail(end);
    }
    return undefined;
  }

  async #request(address: string): Promise<Answer<ConsumeAnswer>> {
    const { cluster, requests, signal, topic } = this.#options;
    const waits = this.#isAtEnd && this.#options.mayWait &&
      !this.#options.untilEnd;
    const waitMs = waits ? CONSUMER_LIMITS.waitMs : 0;
    await requests.acquire();
    try {
      const place = { topic, partition: this.partition };
      return await cluster.whileServed(
        { address, place, waitMs, signal },
        (signal) =>
          cluster.api.fetch(address, {
            topic,
            partition: this.partition,
            start: this.#start,
            maxRecords: this.#options.maxRecords,
            maxBytes: this.#options.maxBytes,
            waitMs,
            validate: this.#options.validate,
            signal,
          }),
      );
    } finally {
      requests.release();
    }
  }

  #reasonToEnd(
    fault: Failure | Unreachable,
    nobody: NobodyAnswers | undefined,
    elapsedMs: number,
  ): string | undefined {
    if (nobody !== undefined) {
      return elapsedMs >= this.#options.giveUpAfterMs ? nobody.text : undefined;
    }
    const isUnknown = fault instanceof Failure &&
      fault.code === "UNKNOWN_TOPIC_OR_PARTITION";
    if (isUnknown) {
      return elapsedMs >= CONSUMER_LIMITS.unknownTopicMs
        ? faultText(fault)
        : undefined;
    }
    return elapsedMs >= this.#options.giveUpAfterMs
      ? `given up after ${Math.round(elapsedMs / 1000)} s: ${faultText(fault)}`
      : undefined;
  }

  #fail(reason: string): undefined {
    this.#fault = new ReadFault(reason);
    return undefined;
  }

  /**
   * Records that retention removed are told of and passed over. An offset
   * beyond the end that the caller asked for is a fault; one that was reached
   * means that the log became shorter, and reading goes on at its new end.
   */
  #moveInRange({ detail, details }: Failure): void {
    const offset = "offset" in this.#start ? this.#start.offset : undefined;
    const { earliestOffset, latestOffset } = details;
    const where = `${this.#options.topic} partition ${this.partition}`;
    const isNumber = typeof offset === "number";
    if (isNumber && earliestOffset !== undefined && offset < earliestOffset) {
      this.#options.events.notice(
        `offset ${offset} of ${where} is no longer stored; ` +
          `going on at ${earliestOffset}, the first that is`,
      );
      this.#start = { offset: earliestOffset };
      return;
    }
    const isFirst = this.#start === this.#options.start;
    if (!isFirst && latestOffset !== undefined) {
      this.#options.events.notice(
        `${where} now ends at offset ${latestOffset}, before ` +
          `${offset}, which was reached; going on there`,
      );
      this.#start = { offset: latestOffset };
      return;
    }
    this.#fail(
      isNumber && latestOffset !== undefined
        ? `offset ${offset} is beyond the end of ${where}; ` +
          `the next record there gets ${latestOffset}`
        : detail.replace(/\.$/, ""),
    );
  }
}
