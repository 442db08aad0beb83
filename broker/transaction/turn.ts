/**
 * What the handling of one event may do: answer, set timers, append, and let the
 * edge act. Gathers the effects in order; decides nothing.
 */
import type { ErrorCode } from "../../contract/errors.ts";
import type { Effect, Instant, ReplyToken } from "../coordinator/core.ts";
import {
  refusal,
  type TransactionRequest,
  type TransactionResponse,
} from "./answers.ts";
import type { TransactionAction } from "./messages.ts";
import type { TransactionRecord } from "./records.ts";

export type TransactionEffect = Effect<
  TransactionRecord,
  TransactionResponse,
  TransactionAction
>;

/** Somebody who waits for an answer. */
export interface Asker {
  readonly token: ReplyToken;
  readonly request: TransactionRequest;
}

export type TimerKind = "timeout" | "complete" | "append";

export function timerName(kind: TimerKind, transactionalId: string): string {
  return JSON.stringify([kind, transactionalId]);
}

export class Turn {
  readonly now: Instant;
  readonly effects: TransactionEffect[] = [];

  constructor(now: Instant) {
    this.now = now;
  }

  reply({ token }: Asker, response: TransactionResponse): void {
    this.effects.push({ type: "reply", token, response });
  }

  refuse(asker: Asker, error: ErrorCode): void {
    this.reply(asker, refusal(asker.request, error));
  }

  append(appendId: number, record: TransactionRecord): void {
    const records = [record];
    this.effects.push({ type: "append", appendId, records, producer: null });
  }

  act(action: TransactionAction): void {
    this.effects.push({ type: "act", action });
  }

  setTimer(name: string, delayMs: number): void {
    const atMs = this.now.monotonicMs + delayMs;
    this.effects.push({ type: "setTimer", name, atMs });
  }

  cancelTimer(name: string): void {
    this.effects.push({ type: "cancelTimer", name });
  }
}
