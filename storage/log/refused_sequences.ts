/**
 * Batches of idempotent producers that were refused while the log knew no other
 * batch of their producer. Owns what may not overtake them: a producer that is not known
 * may begin with any sequence, since what it wrote may have been deleted long
 * ago, and so the batch that it had sent right behind the refused one would be
 * taken for its first, and the one before could never be stored any more. Kafka
 * keeps the lowest tentative sequence likewise (KAFKA-14884), for transactions.
 *
 * Only what was in flight together is held back: a client that does not send the
 * refused batch again, and goes on with later sequences, is let through then.
 */

/** Enough for all that begin to produce while a disk fails. */
export const REFUSED_PRODUCERS = 50;

/** Behind the refused batch: clients have five in flight (NOTES 4.5). */
export const HELD_BACK_BATCHES = 4;

/** What a batch's header says of its producer. */
export interface ProducerSequence {
  /** -1: it has none. */
  readonly producerId: number;
  readonly producerEpoch: number;
  /** -1: it has none. */
  readonly baseSequence: number;
}

interface Refused {
  readonly epoch: number;
  readonly sequence: number;
  heldBack: number;
}

export class RefusedSequences {
  /** By producer id, the newest last. */
  readonly #refused = new Map<number, Refused>();

  get size(): number {
    return this.#refused.size;
  }

  /** A batch of a producer that the log does not know was not appended. */
  note({ producerId, producerEpoch, baseSequence }: ProducerSequence): void {
    const known = this.#refused.get(producerId);
    const isSame = known?.epoch === producerEpoch;
    if (known !== undefined && known.epoch > producerEpoch) return;
    if (isSame && baseSequence > known.sequence) {
      if (++known.heldBack >= HELD_BACK_BATCHES) this.forget(producerId);
      return;
    }
    this.forget(producerId);
    if (this.#refused.size >= REFUSED_PRODUCERS) this.#forgetOldest();
    this.#refused.set(producerId, {
      epoch: producerEpoch,
      sequence: baseSequence,
      heldBack: 0,
    });
  }

  /** The sequence that has to come before this batch; undefined: none. */
  before(batch: ProducerSequence): number | undefined {
    const refused = this.#refused.get(batch.producerId);
    return refused?.epoch === batch.producerEpoch &&
        batch.baseSequence > refused.sequence
      ? refused.sequence
      : undefined;
  }

  /** The producer is known now. */
  forget(producerId: number): void {
    this.#refused.delete(producerId);
  }

  #forgetOldest(): void {
    for (const producerId of this.#refused.keys()) {
      return this.forget(producerId);
    }
  }
}
