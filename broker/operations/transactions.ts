/**
 * Transactions, for the Kafka door: finds the coordinator of a transactional id
 * and asks it. The rules are in `broker/transaction/`.
 *
 * A coordinator answers repeated requests from memory: one whose lease has ended
 * would take the end of a transaction that it has not heard of for a repetition
 * of the one before it, and call it done. So nothing is answered without a lease.
 */
import { type ErrorCode, Failure } from "../../contract/errors.ts";
import type { BrokerImage } from "../cluster/metadata_image.ts";
import type { CoordinatorHost } from "../coordinator/coordinator_host.ts";
import { refusal } from "../transaction/answers.ts";
import type {
  TransactionAction,
  TransactionApi,
  TransactionNotice,
} from "../transaction/messages.ts";
import type { TransactionRecord } from "../transaction/records.ts";
import type { Coordination } from "./coordination.ts";

export type TransactionHost = CoordinatorHost<
  TransactionApi,
  TransactionRecord,
  TransactionNotice,
  TransactionAction
>;

export interface TransactionsOptions {
  readonly coordination: Coordination;
  readonly host: TransactionHost;
  /** False once another broker may coordinate what this one did. */
  holdsLease(): boolean;
}

export class Transactions {
  readonly #coordination: Coordination;
  readonly #host: TransactionHost;
  readonly #holdsLease: () => boolean;

  constructor({ coordination, host, holdsLease }: TransactionsOptions) {
    this.#coordination = coordination;
    this.#host = host;
    this.#holdsLease = holdsLease;
  }

  /** The broker that coordinates the transactional id, alive. */
  coordinator(transactionalId: string): Promise<BrokerImage | Failure> {
    return this.#coordination.coordinator(transactionalId);
  }

  /** As `Groups.request`. */
  async request<Name extends Exclude<keyof TransactionApi, "listTransactions">>(
    name: Name,
    request: TransactionApi[Name]["request"],
  ): Promise<TransactionApi[Name]["response"]> {
    const partition = await this.#coordination.partition(
      request.transactionalId,
    );
    const runtime = partition instanceof Failure
      ? partition
      : this.#host.runtime(partition);
    if (runtime instanceof Failure) {
      return refused(name, request, runtime.code);
    }
    const response = await runtime.request(name, request);
    // Looked at last: the lease may have ended while this was on its way.
    return this.#holdsLease()
      ? response
      : refused(name, request, "NOT_COORDINATOR");
  }

  /** The transactional ids that this broker coordinates. */
  async list(
    request: TransactionApi["listTransactions"]["request"],
  ): Promise<TransactionApi["listTransactions"]["response"]> {
    const answers = await Promise.all(
      this.#host.runtimes().map((runtime) =>
        runtime.request("listTransactions", request)
      ),
    );
    return {
      error: answers.find(({ error }) => error !== null)?.error ?? null,
      transactions: answers.flatMap(({ transactions }) => transactions),
    };
  }
}

function refused<
  Name extends Exclude<keyof TransactionApi, "listTransactions">,
>(
  name: Name,
  request: TransactionApi[Name]["request"],
  code: ErrorCode,
): TransactionApi[Name]["response"] {
  const named = { ...request, type: name };
  return refusal(named as unknown as Parameters<typeof refusal>[0], code);
}
