/**
 * Consumes as a member of a consumer group: the brokers say which partitions,
 * and keep how far the group is. What was returned is committed when the caller
 * comes back for more or leaves, so that what it did not deal with comes again,
 * to it or to another member. Owns the retries of polls.
 */
import { Failure } from "../contract/errors.ts";
import type {
  GroupRecord,
  GroupRecordsAnswer,
  PartitionFault,
  SkippedRun,
} from "../contract/http.ts";
import { type Cluster, NobodyAnswers } from "./cluster.ts";
import { CONSUMER_LIMITS } from "./consumer_limits.ts";
import {
  type Answer,
  faultText,
  isFault,
  isRetriable,
  Unreachable,
} from "./http_client.ts";
import { ReadFault } from "./partition_reader.ts";
import { PATIENCE_MS, pauseMs, sleep } from "./retry.ts";
import type { ClientWorld } from "./terminal.ts";

export interface GroupConsumerOptions {
  readonly world: ClientWorld;
  readonly cluster: Cluster;
  readonly group: string;
  /** This consumer's name, unique in the group. */
  readonly member: string;
  readonly topics: readonly string[];
  /** Where to begin in a partition for which the group has no offset. */
  readonly autoOffsetReset: "earliest" | "latest";
  /** Leave out what breaks the topic's schema. */
  readonly validate: boolean;
  /** End when nothing is left of what this member holds. */
  readonly untilEnd?: boolean;
  readonly giveUpAfterMs?: number;
  readonly skipped: (topic: string, partition: number, run: SkippedRun) => void;
  /** Something passing worth a line. */
  readonly notice: (text: string) => void;
}

/** The name of no answer: reading begins where the group's commits are. */
const NOTHING_RECEIVED = "none";
/** Long enough to know that there is nothing. */
const END_WAIT_MS = 500;

export class GroupConsumer {
  readonly #options: GroupConsumerOptions;
  readonly #stop = new AbortController();
  /** The last answer that arrived. */
  #received = NOTHING_RECEIVED;
  #hasJoined = false;

  constructor(options: GroupConsumerOptions) {
    this.#options = options;
  }

  /**
   * At least one and at most `maximum` records, as soon as there are any; those
   * of the call before are committed. Undefined: there will be none, since
   * `stop` was called or (with `untilEnd`) all is read.
   */
  async next(
    maximum: number,
  ): Promise<readonly GroupRecord[] | ReadFault | undefined> {
    for (;;) {
      if (this.#stop.signal.aborted) return undefined;
      const answer = await this.#poll(maximum);
      if (answer === undefined || answer instanceof ReadFault) return answer;
      this.#received = answer.poll;
      this.#tell(answer);
      if (answer.records.length > 0) return answer.records;
      if (this.#options.untilEnd && isAtEnd(answer)) return undefined;
      if (answer.state === "rebalancing") await this.#pause(0);
    }
  }

  /** Ends a `next` that waits. Idempotent. */
  stop(): void {
    this.#stop.abort();
  }

  /**
   * Gives the member's place up. With `isDealtWith` what `next` returned last is
   * committed before; without, it comes again to another member.
   */
  async leave(
    { isDealtWith }: { isDealtWith: boolean },
  ): Promise<Failure | Unreachable | NobodyAnswers | undefined> {
    this.stop();
    if (!this.#hasJoined) return undefined;
    const { cluster, group, member } = this.#options;
    const ack = isDealtWith ? this.#received : NOTHING_RECEIVED;
    const answer = await cluster.ask((address) =>
      cluster.api.leaveGroup(address, { group, member, ack })
    );
    return answer instanceof NobodyAnswers || isFault(answer)
      ? answer
      : undefined;
  }

  /** Undefined: stopped. */
  async #poll(
    maximum: number,
  ): Promise<GroupRecordsAnswer | ReadFault | undefined> {
    const { world, cluster, giveUpAfterMs = CONSUMER_LIMITS.giveUpAfterMs } =
      this.#options;
    const startedMs = world.monotonicMs();
    let isSaid = false;
    for (let attempt = 0;; attempt++) {
      const address = cluster.anyAddress();
      const answer = await this.#ask(address, maximum);
      if (this.#stop.signal.aborted) return undefined;
      if (!isFault(answer)) return answer;
      const elapsedMs = world.monotonicMs() - startedMs;
      if (!isPassing(answer)) return new ReadFault(faultText(answer));
      if (answer instanceof Unreachable) {
        this.#options.notice(`${faultText(answer)}; trying again`);
      } else if (!isSaid && elapsedMs >= PATIENCE_MS) {
        isSaid = true;
        this.#options.notice(`${faultText(answer)}; waiting`);
      }
      await this.#pause(attempt, answer);
      const nobody = await cluster.refresh(address);
      if (elapsedMs < giveUpAfterMs) continue;
      const reason = `given up after ${Math.round(elapsedMs / 1000)} s: ` +
        faultText(answer);
      return new ReadFault(nobody?.text ?? reason);
    }
  }

  #ask(
    address: string,
    maximum: number,
  ): Promise<Answer<GroupRecordsAnswer>> {
    const { cluster, group, member, topics, ...options } = this.#options;
    this.#hasJoined = true;
    const waitMs = options.untilEnd ? END_WAIT_MS : CONSUMER_LIMITS.waitMs;
    return cluster.whileServed(
      { address, waitMs, signal: this.#stop.signal },
      (signal) =>
        cluster.api.pollGroup(address, {
          group,
          member,
          topics,
          maxRecords: Math.min(maximum, CONSUMER_LIMITS.recordsPerFetch),
          maxBytes: CONSUMER_LIMITS.largestFetchBytes,
          waitMs,
          autoOffsetReset: options.autoOffsetReset,
          validate: options.validate,
          ack: this.#received,
          signal,
        }),
    );
  }

  async #pause(attempt: number, fault?: Failure | Unreachable): Promise<void> {
    const { world } = this.#options;
    const retryAfterMs = fault instanceof Failure
      ? fault.details.retryAfterMs
      : 0;
    await sleep(
      world,
      pauseMs(attempt, world.random(), retryAfterMs),
      this.#stop.signal,
    );
  }

  #tell(answer: GroupRecordsAnswer): void {
    for (const { topic, partition, ...run } of answer.skipped ?? []) {
      this.#options.skipped(topic, partition, run);
    }
    for (const fault of answer.notCommitted ?? []) {
      this.#options.notice(
        `${placeText(fault)} went to another member before its messages were ` +
          "committed; they may come again there",
      );
    }
    for (const fault of answer.unavailable ?? []) {
      const detail = fault.detail.replace(/\.$/, "");
      this.#options.notice(`${placeText(fault)} cannot be read now: ${detail}`);
    }
  }
}

function placeText({ topic, partition }: PartitionFault): string {
  return `partition ${partition} of ${topic}`;
}

/** Nothing came within the wait, of partitions that could all be read. */
function isAtEnd({ state, skipped, unavailable }: GroupRecordsAnswer): boolean {
  return state === "stable" && skipped === undefined &&
    unavailable === undefined;
}

/**
 * A poll may be refused because an earlier one of ours, whose connection broke,
 * is not over yet. An unknown topic is retriable for records in flight only.
 */
function isPassing(fault: Failure | Unreachable): boolean {
  if (fault instanceof Unreachable) return true;
  if (fault.code === "UNKNOWN_TOPIC_OR_PARTITION") return false;
  return fault.code === "DUPLICATE_RESOURCE" || isRetriable(fault);
}
