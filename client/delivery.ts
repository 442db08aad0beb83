/**
 * Getting one batch stored exactly once: where to send it, what to do with
 * each answer, when to give up. Owns the retries of produce. The sequence number
 * of a batch never changes while it is retried, so a broker that stored it and
 * lost the answer gives the same offsets again (KIP-98).
 */
import type { Failure } from "../contract/errors.ts";
import { type ProduceBatchAnswer } from "../contract/http.ts";
import { type Cluster, NobodyAnswers } from "./cluster.ts";
import {
  type Answer,
  faultText,
  isFault,
  isRetriable,
  Unreachable,
} from "./http_client.ts";
import type { Batch, PartitionQueue } from "./partition_queue.ts";
import { PRODUCER_LIMITS } from "./producer_limits.ts";
import { PATIENCE_MS, pauseMs, sleep } from "./retry.ts";
import type { ClientWorld } from "./terminal.ts";

export interface Acknowledgement {
  readonly partition: number;
  /** Of the record; undefined when only "stored before" is known. */
  readonly offset: number | undefined;
  readonly tag: number;
}

/** The broker will never take this record. */
export interface Rejection {
  readonly partition: number;
  readonly tag: number;
  /** A sentence without full stop. */
  readonly reason: string;
}

export interface DeliveryEvents {
  acknowledged(
    partition: number,
    tags: readonly number[],
    offsetOf: (index: number) => number | undefined,
  ): void;
  rejected(rejection: Rejection): void;
  /** Something passing worth a line, such as a broker that does not answer. */
  notice(text: string): void;
}

/** Records remain unsent, and trying on is of no use. */
export class DeliveryFault {
  readonly reason: string;
  constructor(reason: string) {
    this.reason = reason;
  }
}

export class Delivery {
  readonly #world: ClientWorld;
  readonly #cluster: Cluster;
  readonly #topic: string;
  readonly #events: DeliveryEvents;
  readonly #deliveryTimeoutMs: number;
  /** All partitions of one producer share one identity. */
  #identity: Promise<PartitionQueue["identity"] | DeliveryFault> | undefined;

  #stopped: DeliveryFault | undefined;

  constructor(
    options: {
      world: ClientWorld;
      cluster: Cluster;
      topic: string;
      events: DeliveryEvents;
      deliveryTimeoutMs?: number;
    },
  ) {
    this.#world = options.world;
    this.#cluster = options.cluster;
    this.#topic = options.topic;
    this.#events = options.events;
    this.#deliveryTimeoutMs = options.deliveryTimeoutMs ??
      PRODUCER_LIMITS.deliveryTimeoutMs;
  }

  /** Starts no further request; one that may be stored is still settled. */
  stop(fault: DeliveryFault): void {
    this.#stopped ??= fault;
  }

  /** Undefined when every record was acknowledged or rejected. */
  async deliver(
    queue: PartitionQueue,
    batch: Batch,
  ): Promise<DeliveryFault | undefined> {
    // Parts of a batch that had to be cut, in order.
    const parts = [batch];
    for (let part = parts.shift(); part !== undefined; part = parts.shift()) {
      if (this.#stopped !== undefined) return this.#stopped;
      const answer = await this.#store(queue, part);
      if (answer instanceof DeliveryFault) return answer;
      if (isFault(answer)) parts.unshift(...this.#cut(queue, part, answer));
      else this.#settle(queue, part, answer);
    }
    return undefined;
  }

  /** Sends until there is an answer that will not change. */
  async #store(
    queue: PartitionQueue,
    batch: Batch,
  ): Promise<ProduceBatchAnswer | Failure | DeliveryFault> {
    const startedMs = this.#world.monotonicMs();
    let mayBeStored = false;
    let isSaid = false;
    for (let attempt = 0;; attempt++) {
      const identity = await this.#identify(queue);
      if (identity instanceof DeliveryFault) return identity;
      const address = this.#cluster.addressFor(this.#topic, queue.partition);
      const body = this.#body(queue, batch, identity);
      const place = { topic: this.#topic, partition: queue.partition };
      const answer = await this.#cluster.whileServed(
        { address, place },
        (signal) =>
          this.#cluster.api.produce(address, body, {
            timeoutMs: PRODUCER_LIMITS.requestTimeoutMs,
            signal,
          }),
      );
      const fault = faultOf(answer, batch);
      if (fault === undefined) return answer as ProduceBatchAnswer;
      if (fault instanceof Unreachable) {
        mayBeStored ||= fault.mayHaveArrived;
        this.#events.notice(`${faultText(fault)}; trying again`);
      } else if (fault.code === "DUPLICATE_SEQUENCE_NUMBER") {
        return { results: [] };
      } else if (fault.code === "UNKNOWN_PRODUCER_ID" && !mayBeStored) {
        // The broker forgot us (KIP-360) and stores nothing of this batch.
        this.#forgetIdentity(queue);
      } else if (!isRetriable(fault)) {
        // Cutting a batch that an earlier attempt may have stored would store
        // parts of it twice.
        if (isAboutRecords(fault) && !mayBeStored) return fault;
        const doubt = mayBeStored ? "; it may have been stored before" : "";
        return new DeliveryFault(`${faultText(fault)} (${fault.code})${doubt}`);
      } else {
        mayBeStored ||= fault.details.mayBeStored === true ||
          !STORED_NOTHING.has(fault.code);
      }
      const elapsedMs = this.#world.monotonicMs() - startedMs;
      const isTold = isSaid || fault instanceof Unreachable;
      if (!isTold && elapsedMs >= PATIENCE_MS) {
        isSaid = true;
        this.#events.notice(`${faultText(fault)}; waiting`);
      }
      const end = await this.#beforeRetry(fault, {
        address,
        attempt,
        elapsedMs,
      });
      if (end !== undefined) return end;
    }
  }

  /** Pauses and looks for the leader again; a fault when time is up. */
  async #beforeRetry(
    fault: Failure | Unreachable,
    { address, attempt, elapsedMs }: {
      address: string;
      attempt: number;
      elapsedMs: number;
    },
  ): Promise<DeliveryFault | undefined> {
    const isUnknown = !(fault instanceof Unreachable) &&
      fault.code === "UNKNOWN_TOPIC_OR_PARTITION";
    const limitMs = isUnknown
      ? PRODUCER_LIMITS.unknownTopicMs
      : this.#deliveryTimeoutMs;
    const retryAfterMs = fault instanceof Unreachable
      ? 0
      : fault.details.retryAfterMs;
    await sleep(
      this.#world,
      pauseMs(attempt, this.#world.random(), retryAfterMs),
    );
    const nobody = await this.#cluster.refresh(address);
    if (elapsedMs < limitMs) return undefined;
    if (nobody instanceof NobodyAnswers) return new DeliveryFault(nobody.text);
    return new DeliveryFault(
      isUnknown
        ? faultText(fault)
        : `given up after ${Math.round(elapsedMs / 1000)} s: ` +
          faultText(fault),
    );
  }

  /**
   * The broker refused a batch and stored nothing of it: leaves out the
   * records it named, else halves the batch, until single records stand alone.
   */
  #cut(queue: PartitionQueue, batch: Batch, failure: Failure): Batch[] {
    const { partition } = queue;
    const named = new Map(
      (failure.details.records ?? []).map((
        { index, message },
      ) => [index, message]),
    );
    const count = batch.texts.length;
    if (count === 1) {
      const reason = faultText(failure);
      this.#events.rejected({ partition, tag: batch.tags[0], reason });
      return [];
    }
    const isNamed = [...named.keys()].some((index) => index < count);
    if (!isNamed) {
      const middle = count >> 1;
      return [
        batch.pick((index) => index < middle),
        batch.pick((index) => index >= middle),
      ];
    }
    for (const [index, reason] of named) {
      if (index >= count) continue;
      const tag = batch.tags[index];
      this.#events.rejected({ partition, tag, reason });
    }
    const rest = batch.pick((index) => !named.has(index));
    return rest.texts.length === 0 ? [] : [rest];
  }

  #settle(
    queue: PartitionQueue,
    batch: Batch,
    { results }: ProduceBatchAnswer,
  ): void {
    const { partition } = queue;
    queue.sequence = nextSequence(queue.sequence, batch.texts.length);
    const isFailed = results.some((result) => "code" in result);
    if (!isFailed) {
      this.#events.acknowledged(
        partition,
        batch.tags,
        (index) => (results[index] as { offset?: number })?.offset,
      );
      return;
    }
    results.forEach((result, index) => {
      const tag = batch.tags[index];
      if ("code" in result) {
        this.#events.rejected({ partition, tag, reason: result.detail });
      } else {
        this.#events.acknowledged(partition, [tag], () => result.offset);
      }
    });
  }

  #body(
    queue: PartitionQueue,
    batch: Batch,
    identity: NonNullable<PartitionQueue["identity"]>,
  ): string {
    const producer = { ...identity, sequence: queue.sequence };
    return `{"topic":${JSON.stringify(this.#topic)},"partition":` +
      `${queue.partition},"producer":${JSON.stringify(producer)},` +
      `"messages":[${batch.texts.join(",")}]}`;
  }

  async #identify(
    queue: PartitionQueue,
  ): Promise<NonNullable<PartitionQueue["identity"]> | DeliveryFault> {
    if (queue.identity !== undefined) return queue.identity;
    this.#identity ??= this.#newIdentity();
    const identity = await this.#identity;
    if (identity instanceof DeliveryFault) return identity;
    queue.identity = identity;
    queue.sequence = 0;
    return identity!;
  }

  async #newIdentity(): Promise<PartitionQueue["identity"] | DeliveryFault> {
    const startedMs = this.#world.monotonicMs();
    for (let attempt = 0;; attempt++) {
      const answer = await this.#cluster.ask((address) =>
        this.#cluster.api.createProducer(address)
      );
      const isFailed = answer instanceof NobodyAnswers || isFault(answer);
      if (!isFailed) {
        const { producerId, producerEpoch } = answer;
        return { producerId, producerEpoch };
      }
      const elapsedMs = this.#world.monotonicMs() - startedMs;
      if (elapsedMs >= this.#deliveryTimeoutMs) {
        return new DeliveryFault(
          answer instanceof NobodyAnswers ? answer.text : faultText(answer),
        );
      }
      await sleep(this.#world, pauseMs(attempt, this.#world.random()));
    }
  }

  #forgetIdentity(queue: PartitionQueue): void {
    queue.identity = undefined;
    this.#identity = undefined;
  }
}

/** Answers that tell for certain that nothing of the batch is stored. */
const STORED_NOTHING: ReadonlySet<string> = new Set([
  "NOT_LEADER_OR_FOLLOWER",
  "LEADER_NOT_AVAILABLE",
  "BROKER_NOT_AVAILABLE",
  "NOT_ENOUGH_REPLICAS",
  "THROTTLING_QUOTA_EXCEEDED",
]);

/** Kafka's sequence numbers wrap at 2^31 - 1 to 0. */
function nextSequence(sequence: number, count: number): number {
  return (sequence + count) % 2 ** 31;
}

/** What kept all of the batch from being stored; undefined: nothing. */
function faultOf(
  answer: Answer<ProduceBatchAnswer>,
  batch: Batch,
): Failure | Unreachable | undefined {
  if (isFault(answer)) return answer;
  if (answer.results?.length === batch.texts.length) return undefined;
  return new Unreachable("the broker", "answered for other records", true);
}

/** A fault of records, not of the whole undertaking. */
function isAboutRecords(failure: Failure): boolean {
  const codes: readonly string[] = [
    "INVALID_RECORD",
    "MESSAGE_TOO_LARGE",
    "RECORD_LIST_TOO_LARGE",
    "INVALID_REQUEST",
    "INVALID_TIMESTAMP",
  ];
  return codes.includes(failure.code);
}
