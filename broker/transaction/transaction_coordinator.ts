/**
 * The transactions of one coordinator partition as a pure state machine
 * (NOTES 4.9, Kafka's transaction protocol before KIP-890): events in, effects
 * out. Every state is in the log before anybody hears of it. A transactional
 * id makes one move at a time; what comes meanwhile is told to try again
 * (CONCURRENT_TRANSACTIONS). Owns the moves and their order; which move a
 * request asks for says `decisions.ts`. Writes no marker itself: the edge does.
 */
import { invariant } from "../../storage/assert.ts";
import type { ErrorCode } from "../../contract/errors.ts";
import {
  appendErrorForClients,
  type CoordinatorCore,
  type CoordinatorEvent,
  type Instant,
  type LogEntry,
} from "../coordinator/core.ts";
import {
  describe,
  initialised,
  list,
  producerFault,
  refusal,
  type TransactionRequest,
  type TransactionResponse,
} from "./answers.ts";
import type { TransactionConfig } from "./config.ts";
import {
  allocated,
  decide,
  decideInit,
  type Decision,
  type InitRequest,
} from "./decisions.ts";
import { Moves, refuseWaiting, Transaction, type Waiting } from "./moves.ts";
import type {
  TopicPartition,
  TransactionAction,
  TransactionApi,
  TransactionNotice,
} from "./messages.ts";
import type { TransactionRecord } from "./records.ts";
import {
  completed,
  fenced,
  fromRecord,
  isPrepared,
  type TransactionFacts,
} from "./transaction.ts";
import {
  type Asker,
  type TimerKind,
  timerName,
  type TransactionEffect,
  Turn,
} from "./turn.ts";

export interface TransactionCoordinatorOptions {
  readonly config: TransactionConfig;
  /** Where the offsets of a group are kept. */
  offsetsPartition(groupId: string): TopicPartition;
}

const NEVER: Instant = { wallMs: 0, monotonicMs: 0 };
const EXPIRY_TIMER = JSON.stringify(["expiry"]);

export class TransactionCoordinator implements
  CoordinatorCore<
    TransactionApi,
    TransactionRecord,
    TransactionNotice,
    TransactionAction
  > {
  readonly #options: TransactionCoordinatorOptions;
  readonly #transactions = new Map<string, Transaction>();
  readonly #moves: Moves;
  /** Of the event that is handled now, or was last. */
  #turn = new Turn(NEVER);

  constructor(options: TransactionCoordinatorOptions) {
    this.#options = options;
    this.#moves = new Moves(options.config);
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
    return this.#inTurn(now, () => {
      for (const transaction of this.#transactions.values()) {
        this.#pursue(transaction);
      }
      this.#turn.setTimer(
        EXPIRY_TIMER,
        this.#options.config.idExpiryIntervalMs,
      );
    });
  }

  handle(
    event: CoordinatorEvent<TransactionRequest, TransactionNotice>,
    now: Instant,
  ): TransactionEffect[] {
    return this.#inTurn(now, () => {
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
    return this.#inTurn(NEVER, () => {
      for (const transaction of this.#transactions.values()) {
        refuseWaiting(this.#turn, transaction, "NOT_COORDINATOR");
        const { transactionalId } = transaction;
        for (const kind of ["timeout", "complete", "append"] as const) {
          this.#turn.cancelTimer(timerName(kind, transactionalId));
        }
      }
      this.#turn.cancelTimer(EXPIRY_TIMER);
      this.#transactions.clear();
      this.#moves.clear();
    });
  }

  refuse(request: TransactionRequest, error: ErrorCode): TransactionResponse {
    return refusal(request, error);
  }

  /** What is committed of an id; for tests and diagnosis. */
  facts(transactionalId: string): TransactionFacts | undefined {
    return this.#transactions.get(transactionalId)?.facts;
  }

  #inTurn(now: Instant, run: () => void): TransactionEffect[] {
    this.#turn = new Turn(now);
    run();
    return this.#turn.effects;
  }

  #transaction(transactionalId: string): Transaction {
    let transaction = this.#transactions.get(transactionalId);
    if (transaction === undefined) {
      transaction = new Transaction(transactionalId);
      this.#transactions.set(transactionalId, transaction);
    }
    return transaction;
  }

  #request(asker: Asker): void {
    const { request } = asker;
    const { config } = this.#options;
    if (request.type === "listTransactions") {
      const answer = list(this.#transactions.values(), request);
      return this.#turn.reply(asker, answer);
    }
    if (request.transactionalId === "") {
      return this.#turn.refuse(asker, "INVALID_REQUEST");
    }
    const transaction = this.#transactions.get(request.transactionalId);
    switch (request.type) {
      case "initProducerId":
        return this.#init(transaction, request, asker);
      case "describeTransaction":
        return this.#turn.reply(asker, describe(transaction?.facts));
      default: {
        const fault = producerFault(transaction?.facts, request) ??
          (transaction?.move && "CONCURRENT_TRANSACTIONS");
        if (fault !== undefined) return this.#turn.refuse(asker, fault);
        const decision = decide(transaction!.facts!, request, {
          nowMs: this.#turn.now.wallMs,
          partitionsPerTransaction: config.partitionsPerTransaction,
          offsetsPartition: (id) => this.#options.offsetsPartition(id),
        });
        this.#carryOut(transaction!, decision, asker);
      }
    }
  }

  #init(
    known: Transaction | undefined,
    request: InitRequest,
    asker: Asker,
  ): void {
    const { transactionTimeoutMs, transactionalId } = request;
    const { maxTimeoutMs, idsPerCoordinator } = this.#options.config;
    if (transactionTimeoutMs <= 0 || transactionTimeoutMs > maxTimeoutMs) {
      return this.#turn.refuse(asker, "INVALID_TRANSACTION_TIMEOUT");
    }
    if (known?.move !== undefined) {
      return this.#turn.refuse(asker, "CONCURRENT_TRANSACTIONS");
    }
    if (known?.facts !== undefined) {
      const { wallMs } = this.#turn.now;
      const decision = decideInit(known.facts, request, wallMs);
      return this.#carryOut(known, decision, asker);
    }
    if (this.#transactions.size >= idsPerCoordinator) {
      return this.#turn.refuse(asker, "COORDINATOR_NOT_AVAILABLE");
    }
    const transaction = this.#transaction(transactionalId);
    this.#moves.allocate(this.#turn, transaction, asker);
  }

  #carryOut(transaction: Transaction, decision: Decision, asker: Asker): void {
    switch (decision.type) {
      case "refuse":
        return this.#turn.refuse(asker, decision.error);
      case "reply":
        return this.#turn.reply(asker, decision.response);
      case "allocate":
        return this.#moves.allocate(this.#turn, transaction, asker);
      case "append": {
        const { next, response } = decision;
        return this.#append(transaction, next, { asker, response });
      }
    }
  }

  #append(
    transaction: Transaction,
    next: TransactionFacts | null,
    waiting: Waiting | null,
  ): void {
    this.#moves.append(this.#turn, transaction, { next, waiting });
  }

  #appended(appendId: number): void {
    const taken = this.#moves.take(this.#turn, appendId);
    if (taken === undefined) return;
    const { transaction, move } = taken;
    if (move.next === null) {
      this.#transactions.delete(transaction.transactionalId);
      return;
    }
    transaction.facts = move.next;
    if (move.waiting !== null) {
      this.#turn.reply(move.waiting.asker, move.waiting.response);
    }
    this.#pursue(transaction);
  }

  #appendFailed(appendId: number, cause: ErrorCode): void {
    const taken = this.#moves.take(this.#turn, appendId);
    if (taken === undefined) return;
    const { transaction, move } = taken;
    if (move.waiting !== null) {
      this.#turn.refuse(move.waiting.asker, appendErrorForClients(cause));
    } else this.#retryOwnMove(transaction);
    this.#forgetIfBlank(transaction);
  }

  /** Moves that nobody asked for are nobody else's to retry. */
  #retryOwnMove(transaction: Transaction): void {
    const { retryMs } = this.#options.config;
    const { transactionalId, facts } = transaction;
    if (facts?.state === "Ongoing") {
      this.#turn.setTimer(timerName("timeout", transactionalId), retryMs);
    } else if (isPrepared(facts)) {
      this.#turn.setTimer(timerName("complete", transactionalId), retryMs);
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
      transaction.deadlineMs = this.#turn.now.monotonicMs + facts.timeoutMs;
      this.#turn.setTimer(timeout, facts.timeoutMs);
      return;
    }
    transaction.deadlineMs = undefined;
    this.#turn.cancelTimer(timeout);
    if (!isPrepared(facts)) return;
    this.#turn.act({
      type: "writeMarkers",
      transactionalId,
      producerId: facts.producerId,
      producerEpoch: facts.producerEpoch,
      committed: facts.state === "PrepareCommit",
      partitions: facts.partitions,
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
      this.#turn.setTimer(name, this.#options.config.retryMs);
    } else if (kind === "complete") this.#complete(transaction);
    else if (facts?.state === "Ongoing") {
      const next = fenced(facts, this.#turn.now.wallMs);
      this.#append(transaction, next, null);
    }
  }

  #complete(transaction: Transaction): void {
    const { facts } = transaction;
    if (facts === undefined || !isPrepared(facts)) return;
    const next = completed(facts, this.#turn.now.wallMs);
    this.#append(transaction, next, null);
  }

  /**
   * The log does not say yet: who asked hears that we are not available, the
   * move stays under way, since the log may yet have it.
   */
  #appendTakesLong(transaction: Transaction): void {
    if (transaction.move?.type !== "appending") return;
    refuseWaiting(this.#turn, transaction, "COORDINATOR_NOT_AVAILABLE");
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
        this.#turn.refuse(move.asker, notice.error);
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
    const nowMs = this.#turn.now.wallMs;
    const next = allocated(facts, asker.request, { producerId, nowMs });
    const response = initialised(next);
    this.#append(transaction, next, { asker, response });
  }

  /** Forgets ids that rest, and looks again later. */
  #expire(): void {
    const { idExpirationMs, idExpiryIntervalMs } = this.#options.config;
    for (const transaction of this.#transactions.values()) {
      const { facts, move } = transaction;
      if (facts === undefined || move !== undefined) continue;
      if (facts.state === "Ongoing" || isPrepared(facts)) continue;
      if (
        facts.lastUpdateTimestampMs + idExpirationMs > this.#turn.now.wallMs
      ) {
        continue;
      }
      this.#append(transaction, null, null);
    }
    this.#turn.setTimer(EXPIRY_TIMER, idExpiryIntervalMs);
  }
}
