/**
 * The one move that a transactional id makes at a time: a producer id that is
 * being had for it, or a state that is on its way into the log. Owns what is
 * under way, and who waits for it; which move is made is the coordinator's.
 */
import type { ErrorCode } from "../../contract/errors.ts";
import type { TransactionResponse } from "./answers.ts";
import type { TransactionConfig } from "./config.ts";
import { toRecord, type TransactionFacts } from "./transaction.ts";
import { type Asker, timerName, type Turn } from "./turn.ts";

/** Who is answered `response` when a state is committed. */
export interface Waiting {
  readonly asker: Asker;
  readonly response: TransactionResponse;
}

export interface Allocating {
  readonly type: "allocating";
  readonly asker: Asker;
}

export interface Appending {
  readonly type: "appending";
  readonly appendId: number;
  /** Null: the id is forgotten. */
  readonly next: TransactionFacts | null;
  /** Null: nobody, the move is the coordinator's own, or was answered. */
  waiting: Waiting | null;
}

export class Transaction {
  readonly transactionalId: string;
  /** What is committed; undefined while its first record is under way. */
  facts: TransactionFacts | undefined;
  move: Allocating | Appending | undefined;
  /** When the open transaction is aborted, on the monotonic clock. */
  deadlineMs: number | undefined;

  constructor(transactionalId: string) {
    this.transactionalId = transactionalId;
  }
}

export class Moves {
  readonly #config: Pick<TransactionConfig, "appendTimeoutMs">;
  readonly #appends = new Map<number, Transaction>();
  #nextAppendId = 1;

  constructor(config: Pick<TransactionConfig, "appendTimeoutMs">) {
    this.#config = config;
  }

  /** Asks for a producer id. */
  allocate(turn: Turn, transaction: Transaction, asker: Asker): void {
    transaction.move = { type: "allocating", asker };
    const { transactionalId } = transaction;
    turn.act({ type: "allocateProducerId", transactionalId });
  }

  append(
    turn: Turn,
    transaction: Transaction,
    { next, waiting }: Pick<Appending, "next" | "waiting">,
  ): void {
    const appendId = this.#nextAppendId++;
    transaction.move = { type: "appending", appendId, next, waiting };
    this.#appends.set(appendId, transaction);
    const { transactionalId } = transaction;
    const value = next === null ? null : toRecord(next);
    turn.append(appendId, { key: { transactionalId }, value });
    turn.setTimer(
      timerName("append", transactionalId),
      this.#config.appendTimeoutMs,
    );
  }

  /** It is decided what became of an append; undefined: it is not known. */
  take(
    turn: Turn,
    appendId: number,
  ): { transaction: Transaction; move: Appending } | undefined {
    const transaction = this.#appends.get(appendId);
    this.#appends.delete(appendId);
    const move = transaction?.move;
    if (transaction === undefined || move?.type !== "appending") {
      return undefined;
    }
    transaction.move = undefined;
    turn.cancelTimer(timerName("append", transaction.transactionalId));
    return { transaction, move };
  }

  /** Nothing that was under way concerns this coordinator any more. */
  clear(): void {
    this.#appends.clear();
  }
}

/** Answers who waits for a move, which stays under way. */
export function refuseWaiting(
  turn: Turn,
  { move }: Transaction,
  error: ErrorCode,
): void {
  if (move?.type === "allocating") turn.refuse(move.asker, error);
  if (move?.type !== "appending" || move.waiting === null) return;
  turn.refuse(move.waiting.asker, error);
  move.waiting = null;
}
