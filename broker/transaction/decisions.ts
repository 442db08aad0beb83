/**
 * What a producer's request makes of its transaction: decided from what is
 * committed of it, and from nothing else (NOTES 4.9; KIP-360 for what a producer
 * may bring along). Who carries it out is `transaction_coordinator.ts`.
 */
import type { ErrorCode } from "../../contract/errors.ts";
import {
  initialised,
  refusal,
  type TransactionRequest,
  type TransactionResponse,
} from "./answers.ts";
import type { TopicPartition } from "./messages.ts";
import {
  bumped,
  ending,
  fenced,
  firstFacts,
  holdsAll,
  isPrepared,
  needsRotation,
  recognises,
  rotated,
  type TransactionFacts,
  withPartitions,
} from "./transaction.ts";

export type Decision =
  | { readonly type: "refuse"; readonly error: ErrorCode }
  /** It is so already. */
  | { readonly type: "reply"; readonly response: TransactionResponse }
  /** `response` is for the time when `next` is committed. */
  | {
    readonly type: "append";
    readonly next: TransactionFacts;
    readonly response: TransactionResponse;
  }
  /** A new producer id is needed first, for `allocated`. */
  | { readonly type: "allocate" };

export type InitRequest = Extract<
  TransactionRequest,
  { type: "initProducerId" }
>;

/** Of a producer that has its id. */
export type ProducerRequest = Extract<
  TransactionRequest,
  { type: "addPartitions" | "addOffsets" | "endTransaction" }
>;

export interface DecisionRules {
  /** Wall clock. */
  readonly nowMs: number;
  readonly partitionsPerTransaction: number;
  /** Where the offsets of a group are kept. */
  offsetsPartition(groupId: string): TopicPartition;
}

const DONE: TransactionResponse = { error: null };

/** `nowMs` is on the wall clock. */
export function decideInit(
  facts: TransactionFacts,
  request: InitRequest,
  nowMs: number,
): Decision {
  const { transactionTimeoutMs, producerId, producerEpoch } = request;
  if (!recognises(facts, producerId, producerEpoch)) {
    return refuse("PRODUCER_FENCED");
  }
  if (isPrepared(facts)) return refuse("CONCURRENT_TRANSACTIONS");
  const expectedEpoch = expectedEpochOf(request);
  if (facts.state === "Ongoing") {
    // A producer that is fenced already must not abort its successor's work.
    if (expectedEpoch !== -1 && expectedEpoch !== facts.producerEpoch) {
      return refuse("PRODUCER_FENCED");
    }
    const response = refusal(request, "CONCURRENT_TRANSACTIONS");
    return { type: "append", next: fenced(facts, nowMs), response };
  }
  if (needsRotation(facts, expectedEpoch)) return { type: "allocate" };
  const timeoutMs = transactionTimeoutMs;
  const next = bumped(facts, { timeoutMs, nowMs, expectedEpoch });
  return typeof next === "string"
    ? refuse(next)
    : { type: "append", next, response: initialised(next) };
}

/** Once the new producer id is there; undefined: the transactional id is new. */
export function allocated(
  facts: TransactionFacts | undefined,
  request: InitRequest,
  { producerId, nowMs }: { producerId: number; nowMs: number },
): TransactionFacts {
  const timeoutMs = request.transactionTimeoutMs;
  const expectedEpoch = expectedEpochOf(request);
  return facts === undefined
    ? firstFacts(producerId, timeoutMs, nowMs)
    : rotated(facts, producerId, { timeoutMs, nowMs, expectedEpoch });
}

export function decide(
  facts: TransactionFacts,
  request: ProducerRequest,
  rules: DecisionRules,
): Decision {
  switch (request.type) {
    case "addPartitions":
      return decideAdd(facts, request.partitions, rules);
    case "addOffsets": {
      const partition = rules.offsetsPartition(request.groupId);
      return decideAdd(facts, [partition], rules);
    }
    case "endTransaction":
      return decideEnd(facts, request.committed, rules.nowMs);
  }
}

function decideAdd(
  facts: TransactionFacts,
  partitions: readonly TopicPartition[],
  { nowMs, partitionsPerTransaction }: DecisionRules,
): Decision {
  if (isPrepared(facts)) return refuse("CONCURRENT_TRANSACTIONS");
  if (facts.state === "Ongoing" && holdsAll(facts, partitions)) {
    return { type: "reply", response: DONE };
  }
  const next = withPartitions(facts, partitions, nowMs);
  return next.partitions.length > partitionsPerTransaction
    ? refuse("INVALID_REQUEST")
    : { type: "append", next, response: DONE };
}

function decideEnd(
  facts: TransactionFacts,
  committed: boolean,
  nowMs: number,
): Decision {
  switch (facts.state) {
    case "Ongoing": {
      const next = ending(facts, committed, nowMs);
      return { type: "append", next, response: DONE };
    }
    case "CompleteCommit":
    case "CompleteAbort":
      // A retry, when the outcome is the same.
      return committed === (facts.state === "CompleteCommit")
        ? { type: "reply", response: DONE }
        : refuse("INVALID_TXN_STATE");
    case "PrepareCommit":
    case "PrepareAbort":
      return refuse(
        committed === (facts.state === "PrepareCommit")
          ? "CONCURRENT_TRANSACTIONS"
          : "INVALID_TXN_STATE",
      );
    case "Empty":
      return refuse("INVALID_TXN_STATE");
  }
}

/** -1: the producer brings none. */
function expectedEpochOf({ producerId, producerEpoch }: InitRequest): number {
  return producerId === -1 ? -1 : producerEpoch;
}

function refuse(error: ErrorCode): Decision {
  return { type: "refuse", error };
}
