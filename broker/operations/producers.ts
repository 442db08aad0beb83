/**
 * Producer ids (KIP-98): unique over the cluster for ever. A broker takes a block
 * of them from the metadata store and hands them out from memory; what is left
 * of a block when it stops is never used.
 */
import { type ErrorCode, Failure } from "../../contract/errors.ts";
import { KEYS } from "../cluster/facts.ts";
import type { MetadataView } from "../cluster/metadata_view.ts";
import { orUnavailable } from "./metadata_failure.ts";
import type { ProducerOperations } from "./operations.ts";

const BLOCK_SIZE = 1000;
const MAX_PRODUCER_ID = Number.MAX_SAFE_INTEGER - BLOCK_SIZE;

export class Producers implements ProducerOperations {
  readonly #view: MetadataView;
  #next = 0;
  /** Exclusive. */
  #blockEnd = 0;
  #taking: Promise<void> | undefined;

  constructor(view: MetadataView) {
    this.#view = view;
  }

  allocate(): Promise<
    { producerId: number; producerEpoch: number } | Failure
  > {
    return orUnavailable(() => this.#allocate());
  }

  async #allocate(): Promise<
    { producerId: number; producerEpoch: number } | Failure
  > {
    while (this.#next >= this.#blockEnd) {
      this.#taking ??= this.#takeBlock().finally(() => {
        this.#taking = undefined;
      });
      await this.#taking;
      if (this.#blockEnd >= MAX_PRODUCER_ID) {
        return new Failure(
          "UNKNOWN_SERVER_ERROR",
          "All producer ids of this cluster are used up",
        );
      }
    }
    return { producerId: this.#next++, producerEpoch: 0 };
  }

  async #takeBlock(): Promise<void> {
    for (;;) {
      const counter = await this.#view.store.get(KEYS.nextProducerId);
      const first = Number(counter?.value ?? 0);
      const { succeeded } = await this.#view.transact({
        compare: [{
          key: KEYS.nextProducerId,
          target: "modRevision",
          equals: counter?.modRevision ?? 0,
        }],
        success: [{
          kind: "put",
          key: KEYS.nextProducerId,
          value: String(first + BLOCK_SIZE),
        }],
      });
      if (!succeeded) continue;
      this.#next = first;
      this.#blockEnd = first + BLOCK_SIZE;
      return;
    }
  }
}

/**
 * Why there is no producer id: what Kafka answers while it has no block of ids,
 * since every client asks again after that, and not after every other error.
 */
export function allocationError(failure: Failure): ErrorCode {
  return failure.retriable ? "COORDINATOR_LOAD_IN_PROGRESS" : failure.code;
}
