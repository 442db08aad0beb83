/**
 * Transactions, for the Kafka door: finds the coordinator of a transactional id
 * and asks it. The rules are in `broker/transaction/`.
 */
import { Failure } from "../../contract/errors.ts";
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

export class Transactions {
  readonly #coordination: Coordination;
  readonly #host: TransactionHost;

  constructor(coordination: Coordination, host: TransactionHost) {
    this.#coordination = coordination;
    this.#host = host;
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
      const named = { ...request, type: name };
      return refusal(
        named as unknown as Parameters<typeof refusal>[0],
        runtime.code,
      );
    }
    return await runtime.request(name, request);
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
