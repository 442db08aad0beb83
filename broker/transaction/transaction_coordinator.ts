/**
 * The transactions of one coordinator partition as a pure state machine
 * (NOTES 4.9, Kafka's transaction protocol before KIP-890): events in, effects
 * out. Every state is in the log before anybody hears of it. A transactional
 * id makes one move at a time; what comes meanwhile is told to try again
 * (CONCURRENT_TRANSACTIONS). Writes no marker itself: the edge does.
 */
import { invariant } from "../../storage/assert.ts";
import type { ErrorCode } from "../../contract/errors.ts";
import {
  appendErrorForClients,
  type CoordinatorCore,
  type CoordinatorEvent,
  type Effect,
  type Instant,
  type LogEntry,
  type ReplyToken,
} from "../coordinator/core.ts";
import {
  describe,
  initialised,
  producerFault,
  refusal,
  type TransactionRequest,
  type TransactionResponse,
} from "./answers.ts";
import type { TransactionConfig } from "./config.ts";
import type {
  InitProducerIdRequest,
  TopicPartition,
  TransactionAction,
  TransactionApi,
  TransactionNotice,
} from "./messages.ts";
import type { TransactionRecord } from "./records.ts";
import {
  bumped,
  completed,
  ending,
  fenced,
  firstFacts,
  fromRecord,
  holdsAll,
  isPrepared,
  needsRotation,
  recognises,
  rotated,
  toRecord,
  type TransactionFacts,
  withPartitions,
} from "./transaction.ts";

type Request = TransactionRequest;
type Response = TransactionResponse;
type TransactionEffect = Effect<TransactionRecord, Response, TransactionAction>;

export interface TransactionCoordinatorOptions {
  readonly config: TransactionConfig;
  /** Where the offsets of a group are kept. */
  offsetsPartition(groupId: string): TopicPartition;
}

/** Somebody who waits for a move; null when the coordinator itself does. */
interface Asker {
  readonly token: ReplyToken;
  readonly request: Request;
}

/** A move under way. */
type Move =
  | { readonly type: "allocating"; readonly asker: Asker }
  | {
    readonly type: "appending";
    readonly appendId: number;
    /** Null: the id is forgotten. */
    readonly next: TransactionFacts | null;
    asker: Asker | null;
    readonly response: Response | null;
  };

class Transaction {
  readonly transactionalId: string;
  /** What is committed; undefined while its first record is under way. */
  facts: TransactionFacts | undefined;
  move: Move | undefined;
  /** When the open transaction is aborted, on the monotonic clock. */
  deadlineMs: number | undefined;

  constructor(transactionalId: string) {
    this.transactionalId = transactionalId;
  }
}

const EXPIRY_TIMER = JSON.stringify(["expiry"]);
type TimerKind = "timeout" | "complete" | "append";

function timerName(kind: TimerKind, transactionalId: string): string {
  return JSON.stringify([kind, transactionalId]);
}

export class TransactionCoordinator implements
  CoordinatorCore<
    TransactionApi,
    TransactionRecord,
    TransactionNotice,
    TransactionAction
  > {
  readonly #options: TransactionCoordinatorOptions;
  readonly #transactions = new Map<string, Transaction>();
  readonly #appends = new Map<number, Transaction>();
  #nextAppendId = 1;
  #effects: TransactionEffect[] = [];
  #now: Instant = { wallMs: 0, monotonicMs: 0 };

  constructor(options: TransactionCoordinatorOptions) {
    this.#options = options;
  }

  replay(entry: LogEntry<TransactionRecord>): void {
    // No producer writes this log in a transaction: it has no markers.
    if (entry.type === "marker") return;
    const { key: { transactionalId }, value } = entry.record;
    const facts = value === null ? undefined : fromRecord(value);
    if (facts === undefined) this.#transactions.delete(transactionalId);
    else this.#transaction(transactionalId).facts = facts;
  }

  /** Takes up what was left: markers to write, timeouts to watch. */
  loaded(now: Instant): TransactionEffect[] {
    return this.#turn(now, () => {
      for (const transaction of this.#transactions.values()) {
        this.#pursue(transaction);
      }
      this.#setTimer(
        EXPIRY_TIMER,
        this.#options.config.idExpiryIntervalMs,
      );
    });
  }

  handle(
    event: CoordinatorEvent<Request, TransactionNotice>,
    now: Instant,
  ): TransactionEffect[] {
    return this.#turn(now, () => {
      switch (event.type) {
        case "request":
          return this.#request({ token: event.token, request: event.request });
        case "timer":
          return this.#timer(event.name);
        case "notice":
          return this.#notice(event.notice);
        case "appended":
          return this.#appended(event.appendId);
        case "appendFailed":
          return this.#appendFailed(event.appendId, event.error);
      }
    });
  }

  resign(): TransactionEffect[] {
    return this.#turn({ wallMs: 0, monotonicMs: 0 }, () => {
      for (const { transactionalId, move } of this.#transactions.values()) {
        if (move?.asker) this.#refuse(move.asker, "NOT_COORDINATOR");
        for (const kind of ["timeout", "complete", "append"] as const) {
          this.#cancelTimer(timerName(kind, transactionalId));
        }
      }
      this.#cancelTimer(EXPIRY_TIMER);
      this.#transactions.clear();
      this.#appends.clear();
    });
  }

  refuse(request: Request, error: ErrorCode): Response {
    return refusal(request, error);
  }

  /** What is committed of an id; for tests and diagnosis. */
  facts(transactionalId: string): TransactionFacts | undefined {
    return this.#transactions.get(transactionalId)?.facts;
  }

  #turn(now: Instant, run: () => void): TransactionEffect[] {
    this.#now = now;
    this.#effects = [];
    run();
    return this.#effects;
  }

  #transaction(transactionalId: string): Transaction {
    let transaction = this.#transactions.get(transactionalId);
    if (transaction === undefined) {
      transaction = new Transaction(transactionalId);
      this.#transactions.set(transactionalId, transaction);
    }
    return transaction;
  }

  #reply(asker: Asker | null, response: Response | null): void {
    if (asker === null || response === null) return;
    this.#effects.push({ type: "reply", token: asker.token, response });
  }

  #refuse(asker: Asker, error: ErrorCode): void {
    this.#reply(asker, refusal(asker.request, error));
  }

  #setTimer(name: string, delayMs: number): void {
    const atMs = this.#now.monotonicMs + delayMs;
    this.#effects.push({ type: "setTimer", name, atMs });
  }

  #cancelTimer(name: string): void {
    this.#effects.push({ type: "cancelTimer", name });
  }

  #request(asker: Asker): void {
    const { request } = asker;
    if (request.type === "listTransactions") {
      return this.#reply(asker, this.#list(request));
    }
    if (request.transactionalId === "") {
      return this.#refuse(asker, "INVALID_REQUEST");
    }
    const transaction = this.#transactions.get(request.transactionalId);
    switch (request.type) {
      case "initProducerId":
        return this.#init(transaction, request, asker);
      case "describeTransaction":
        return this.#reply(asker, describe(transaction?.facts));
      default: {
        const fault = producerFault(transaction?.facts, request) ??
          (transaction?.move && "CONCURRENT_TRANSACTIONS");
        if (fault !== undefined) return this.#refuse(asker, fault);
        this.#ofProducer(transaction!, request, asker);
      }
    }
  }

  #ofProducer(
    transaction: Transaction,
    request: Extract<
      Request,
      { type: "addPartitions" | "addOffsets" | "endTransaction" }
    >,
    asker: Asker,
  ): void {
    switch (request.type) {
      case "addPartitions":
        return this.#add(transaction, request.partitions, asker);
      case "addOffsets":
        return this.#add(
          transaction,
          [this.#options.offsetsPartition(request.groupId)],
          asker,
        );
      case "endTransaction":
        return this.#end(transaction, request.committed, asker);
    }
  }

  #init(
    known: Transaction | undefined,
    request: InitProducerIdRequest,
    asker: Asker,
  ): void {
    const { transactionTimeoutMs, producerId, producerEpoch } = request;
    const { config } = this.#options;
    if (
      transactionTimeoutMs <= 0 || transactionTimeoutMs > config.maxTimeoutMs
    ) return this.#refuse(asker, "INVALID_TRANSACTION_TIMEOUT");
    if (known?.move !== undefined) {
      return this.#refuse(asker, "CONCURRENT_TRANSACTIONS");
    }
    const facts = known?.facts;
    if (known === undefined || facts === undefined) {
      if (this.#transactions.size >= config.idsPerCoordinator) {
        return this.#refuse(asker, "COORDINATOR_NOT_AVAILABLE");
      }
      return this.#allocate(this.#transaction(request.transactionalId), asker);
    }
    if (!recognises(facts, producerId, producerEpoch)) {
      return this.#refuse(asker, "PRODUCER_FENCED");
    }
    if (facts.state === "PrepareCommit" || facts.state === "PrepareAbort") {
      return this.#refuse(asker, "CONCURRENT_TRANSACTIONS");
    }
    const expectedEpoch = producerId === -1 ? -1 : producerEpoch;
    if (facts.state === "Ongoing") {
      // A producer that is fenced already must not abort its successor's work.
      if (expectedEpoch !== -1 && expectedEpoch !== facts.producerEpoch) {
        return this.#refuse(asker, "PRODUCER_FENCED");
      }
      const next = fenced(facts, this.#now.wallMs);
      const response = refusal(asker.request, "CONCURRENT_TRANSACTIONS");
      return this.#append(known, next, asker, response);
    }
    if (needsRotation(facts, expectedEpoch)) {
      return this.#allocate(known, asker);
    }
    const next = bumped(facts, {
      timeoutMs: transactionTimeoutMs,
      nowMs: this.#now.wallMs,
      expectedEpoch,
    });
    if (typeof next === "string") return this.#refuse(asker, next);
    this.#append(known, next, asker, initialised(next));
  }

  #allocate(transaction: Transaction, asker: Asker): void {
    transaction.move = { type: "allocating", asker };
    const { transactionalId } = transaction;
    this.#effects.push({
      type: "act",
      action: { type: "allocateProducerId", transactionalId },
    });
  }

  #add(
    transaction: Transaction,
    partitions: readonly TopicPartition[],
    asker: Asker,
  ): void {
    const facts = transaction.facts!;
    if (facts.state === "PrepareCommit" || facts.state === "PrepareAbort") {
      return this.#refuse(asker, "CONCURRENT_TRANSACTIONS");
    }
    if (facts.state === "Ongoing" && holdsAll(facts, partitions)) {
      return this.#reply(asker, { error: null });
    }
    const next = withPartitions(facts, partitions, this.#now.wallMs);
    if (
      next.partitions.length > this.#options.config.partitionsPerTransaction
    ) return this.#refuse(asker, "INVALID_REQUEST");
    this.#append(transaction, next, asker, { error: null });
  }

  #end(transaction: Transaction, committed: boolean, asker: Asker): void {
    const facts = transaction.facts!;
    switch (facts.state) {
      case "Ongoing":
        return this.#append(
          transaction,
          ending(facts, committed, this.#now.wallMs),
          asker,
          { error: null },
        );
      case "CompleteCommit":
      case "CompleteAbort":
        // A retry, when the outcome is the same.
        return committed === (facts.state === "CompleteCommit")
          ? this.#reply(asker, { error: null })
          : this.#refuse(asker, "INVALID_TXN_STATE");
      case "PrepareCommit":
      case "PrepareAbort":
        return this.#refuse(
          asker,
          committed === (facts.state === "PrepareCommit")
            ? "CONCURRENT_TRANSACTIONS"
            : "INVALID_TXN_STATE",
        );
      case "Empty":
        return this.#refuse(asker, "INVALID_TXN_STATE");
    }
  }

  #append(
    transaction: Transaction,
    next: TransactionFacts | null,
    asker: Asker | null,
    response: Response | null,
  ): void {
    const appendId = this.#nextAppendId++;
    transaction.move = { type: "appending", appendId, next, asker, response };
    this.#appends.set(appendId, transaction);
    const { transactionalId } = transaction;
    const value = next === null ? null : toRecord(next);
    this.#effects.push({
      type: "append",
      appendId,
      records: [{ key: { transactionalId }, value }],
      producer: null,
    });
    this.#setTimer(
      timerName("append", transactionalId),
      this.#options.config.appendTimeoutMs,
    );
  }

  #takeAppend(appendId: number) {
    const transaction = this.#appends.get(appendId);
    this.#appends.delete(appendId);
    const move = transaction?.move;
    if (transaction === undefined || move?.type !== "appending") {
      return undefined;
    }
    transaction.move = undefined;
    this.#cancelTimer(timerName("append", transaction.transactionalId));
    return { transaction, move };
  }

  #appended(appendId: number): void {
    const taken = this.#takeAppend(appendId);
    if (taken === undefined) return;
    const { transaction, move } = taken;
    if (move.next === null) {
      this.#transactions.delete(transaction.transactionalId);
      return;
    }
    transaction.facts = move.next;
    this.#reply(move.asker, move.response);
    this.#pursue(transaction);
  }

  #appendFailed(appendId: number, cause: ErrorCode): void {
    const taken = this.#takeAppend(appendId);
    if (taken === undefined) return;
    const { transaction, move } = taken;
    if (move.asker !== null) {
      this.#refuse(move.asker, appendErrorForClients(cause));
    } else this.#retryOwnMove(transaction);
    this.#forgetIfBlank(transaction);
  }

  /** Moves that nobody asked for are nobody else's to retry. */
  #retryOwnMove(transaction: Transaction): void {
    const { retryMs } = this.#options.config;
    const { transactionalId, facts } = transaction;
    if (facts?.state === "Ongoing") {
      this.#setTimer(timerName("timeout", transactionalId), retryMs);
    } else if (isPrepared(facts)) {
      this.#setTimer(timerName("complete", transactionalId), retryMs);
    }
  }

  #forgetIfBlank({ transactionalId, facts, move }: Transaction): void {
    if (facts === undefined && move === undefined) {
      this.#transactions.delete(transactionalId);
    }
  }

  /** What a committed state demands next. */
  #pursue(transaction: Transaction): void {
    const { transactionalId, facts } = transaction;
    if (facts === undefined) return;
    const timeout = timerName("timeout", transactionalId);
    if (facts.state === "Ongoing") {
      if (transaction.deadlineMs !== undefined) return;
      // Of one that was loaded the time begins anew: its start was taken from
      // another broker's clock, which may differ by more than the time there is.
      transaction.deadlineMs = this.#now.monotonicMs + facts.timeoutMs;
      this.#setTimer(timeout, facts.timeoutMs);
      return;
    }
    transaction.deadlineMs = undefined;
    this.#cancelTimer(timeout);
    if (!isPrepared(facts)) return;
    this.#effects.push({
      type: "act",
      action: {
        type: "writeMarkers",
        transactionalId,
        producerId: facts.producerId,
        producerEpoch: facts.producerEpoch,
        committed: facts.state === "PrepareCommit",
        partitions: facts.partitions,
      },
    });
  }

  #timer(name: string): void {
    if (name === EXPIRY_TIMER) return this.#expire();
    const [kind, transactionalId] = JSON.parse(name) as [TimerKind, string];
    const transaction = this.#transactions.get(transactionalId);
    if (transaction === undefined) return;
    if (kind === "append") return this.#appendTakesLong(transaction);
    const { facts, move } = transaction;
    if (move !== undefined) {
      // Whatever it leads to, this is looked at again.
      this.#setTimer(name, this.#options.config.retryMs);
    } else if (kind === "complete") this.#complete(transaction);
    else if (facts?.state === "Ongoing") {
      const next = fenced(facts, this.#now.wallMs);
      this.#append(transaction, next, null, null);
    }
  }

  #complete(transaction: Transaction): void {
    const { facts } = transaction;
    if (facts === undefined || !isPrepared(facts)) return;
    const next = completed(facts, this.#now.wallMs);
    this.#append(transaction, next, null, null);
  }

  /**
   * The log does not say yet: who asked hears that we are not available, the
   * move stays under way, since the log may yet have it.
   */
  #appendTakesLong({ move }: Transaction): void {
    if (move?.type !== "appending" || move.asker === null) return;
    this.#refuse(move.asker, "COORDINATOR_NOT_AVAILABLE");
    move.asker = null;
  }

  #notice(notice: TransactionNotice): void {
    const transaction = this.#transactions.get(notice.transactionalId);
    if (transaction === undefined) return;
    switch (notice.type) {
      case "producerIdAllocated":
        return this.#allocated(transaction, notice.producerId);
      case "producerIdRefused": {
        const { move } = transaction;
        if (move?.type !== "allocating") return;
        transaction.move = undefined;
        this.#refuse(move.asker, notice.error);
        return this.#forgetIfBlank(transaction);
      }
      case "markersWritten": {
        const { facts, move } = transaction;
        const isOfThisEnd = facts?.producerId === notice.producerId &&
          facts.producerEpoch === notice.producerEpoch;
        if (isOfThisEnd && move === undefined) this.#complete(transaction);
      }
    }
  }

  #allocated(transaction: Transaction, producerId: number): void {
    const { facts, move } = transaction;
    if (move?.type !== "allocating") return;
    const { asker } = move;
    invariant(
      asker.request.type === "initProducerId",
      "only InitProducerId needs a producer id",
    );
    const timeoutMs = asker.request.transactionTimeoutMs;
    const nowMs = this.#now.wallMs;
    const expectedEpoch = asker.request.producerId === -1
      ? -1
      : asker.request.producerEpoch;
    const next = facts === undefined
      ? firstFacts(producerId, timeoutMs, nowMs)
      : rotated(facts, producerId, { timeoutMs, nowMs, expectedEpoch });
    this.#append(transaction, next, asker, initialised(next));
  }

  /** Forgets ids that rest, and looks again later. */
  #expire(): void {
    const { idExpirationMs, idExpiryIntervalMs } = this.#options.config;
    for (const transaction of this.#transactions.values()) {
      const { facts, move } = transaction;
      if (facts === undefined || move !== undefined) continue;
      if (facts.state === "Ongoing" || isPrepared(facts)) continue;
      if (facts.lastUpdateTimestampMs + idExpirationMs > this.#now.wallMs) {
        continue;
      }
      this.#append(transaction, null, null, null);
    }
    this.#setTimer(EXPIRY_TIMER, idExpiryIntervalMs);
  }

  #list(request: Extract<Request, { type: "listTransactions" }>): Response {
    const states = new Set(request.states);
    const ids = new Set(request.producerIds);
    const transactions = [];
    for (const { transactionalId, facts } of this.#transactions.values()) {
      if (facts === undefined) continue;
      const { state, producerId } = facts;
      if (states.size > 0 && !states.has(state)) continue;
      if (ids.size > 0 && !ids.has(producerId)) continue;
      transactions.push({ transactionalId, producerId, state });
    }
    return { error: null, transactions };
  }
}
