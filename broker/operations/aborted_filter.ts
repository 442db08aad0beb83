/**
 * Leaves out what belongs to aborted transactions, for readers that cannot do
 * it themselves as Kafka's clients do (KIP-98). It is told of batches in the
 * order of the log.
 */
import type { BatchHeader } from "../../storage/log/record_batch.ts";

export class AbortedFilter {
  readonly #waiting: { producerId: number; firstOffset: number }[];
  #next = 0;
  /** Producers whose transaction under way ends with an abort. */
  readonly #aborting = new Set<number>();

  /** What `Log.abortedTransactions` says of the range that is read. */
  constructor(
    aborted: readonly { producerId: number; firstOffset: number }[],
  ) {
    this.#waiting = aborted.toSorted((a, b) => a.firstOffset - b.firstOffset);
  }

  /** Whether the batch has nothing for readers: a marker, or aborted. */
  hides(header: BatchHeader): boolean {
    const waiting = this.#waiting;
    while (
      this.#next < waiting.length &&
      waiting[this.#next].firstOffset <= header.lastOffset
    ) this.#aborting.add(waiting[this.#next++].producerId);
    if (header.isControl) {
      this.#aborting.delete(header.producerId);
      return true;
    }
    return header.isTransactional && this.#aborting.has(header.producerId);
  }
}
