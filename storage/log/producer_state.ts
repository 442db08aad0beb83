/**
 * What a log remembers of the producers that wrote to it (KIP-98): the epoch and
 * the last five batches of each, and the transactions that are open. It is part
 * of the log: followers hold it too, and it is rebuilt from a snapshot and the
 * batches after it. Deciding and recording only; it touches no file.
 */
import { addSequence, type BatchHeader } from "./batch_header.ts";
import type { ControlType } from "./records.ts";
import {
  type ProducerSequence,
  RefusedSequences,
} from "./refused_sequences.ts";
import type { Offset } from "./types.ts";

/** Batches remembered per producer: as many as a client has in flight. */
export const REMEMBERED_BATCHES = 5;

export interface ProducerBatch {
  baseSequence: number;
  lastSequence: number;
  baseOffset: Offset;
  lastOffset: Offset;
  /** -1 unless the batch has LogAppendTime. */
  appendTimeMs: number;
}

/** Immutable: replaced at each change. */
export interface ProducerEntry {
  epoch: number;
  /** Oldest first, at most five. */
  batches: readonly ProducerBatch[];
  coordinatorEpoch: number;
  /** Of the open transaction; -1: none is open. */
  transactionFirstOffset: number;
  /** Wall clock of the last write, for expiry. */
  lastWriteMs: number;
}

/** A transaction that has ended. */
export interface EndedTransaction {
  producerId: number;
  firstOffset: Offset;
  /** Of its marker. */
  lastOffset: Offset;
}

export type ProducerRejection = {
  kind: "rejected";
  code:
    | "OUT_OF_ORDER_SEQUENCE_NUMBER"
    | "INVALID_PRODUCER_EPOCH"
    | "INVALID_TXN_STATE"
    | "TRANSACTION_COORDINATOR_FENCED";
  detail: string;
};

export type ProducerVerdict =
  | { kind: "append" }
  | {
    kind: "duplicate";
    baseOffset: Offset;
    lastOffset: Offset;
    appendTimeMs: number;
  }
  | ProducerRejection;

/** What a control batch carries, read from its record. */
export interface Marker {
  type: ControlType;
  coordinatorEpoch: number;
}

const APPEND: ProducerVerdict = { kind: "append" };

export class ProducerState {
  #entries = new Map<number, ProducerEntry>();
  readonly #refused = new RefusedSequences();
  /** Ended, with a marker that may not be below the high watermark yet. */
  #ended: EndedTransaction[] = [];
  #undo: { producerId: number; entry: ProducerEntry | undefined }[] = [];
  #endedBefore = 0;
  /** Exclusive end of the last batch recorded. */
  #writtenTo = 0;

  get isEmpty(): boolean {
    return this.#entries.size === 0 && this.#ended.length === 0;
  }

  get entries(): ReadonlyMap<number, ProducerEntry> {
    return this.#entries;
  }

  get ended(): readonly EndedTransaction[] {
    return this.#ended;
  }

  /**
   * Whether a batch may be appended now (NOTES 4.5). `marker` is what a control
   * batch carries.
   */
  check(header: BatchHeader, marker?: Marker): ProducerVerdict {
    const { producerId, producerEpoch, baseSequence } = header;
    if (producerId < 0) return APPEND;
    const entry = this.#entries.get(producerId);
    // A group coordinator's transactional commits carry no sequence.
    const hasSequence = !header.isControl && baseSequence >= 0;
    if (entry === undefined) {
      const before = hasSequence ? this.#refused.before(header) : undefined;
      return before === undefined ? APPEND : outOfOrder(header, before);
    }
    if (hasSequence && producerEpoch === entry.epoch) {
      const same = entry.batches.find((batch) =>
        batch.baseSequence === baseSequence &&
        batch.lastSequence === header.lastSequence
      );
      if (same !== undefined) {
        const { baseOffset, lastOffset, appendTimeMs } = same;
        return { kind: "duplicate", baseOffset, lastOffset, appendTimeMs };
      }
    }
    if (producerEpoch < entry.epoch) {
      return reject(
        "INVALID_PRODUCER_EPOCH",
        `Producer ${producerId} has epoch ${producerEpoch}, and a newer one with epoch ${entry.epoch} has taken its place`,
      );
    }
    if (header.isControl) return markerVerdict(entry, marker);
    const expected = hasSequence ? this.#expected(header, entry) : undefined;
    if (expected !== undefined && baseSequence !== expected) {
      return outOfOrder(header, expected);
    }
    if (entry.transactionFirstOffset >= 0 && !header.isTransactional) {
      return reject(
        "INVALID_TXN_STATE",
        `Producer ${producerId} has an open transaction and sent a batch outside of it`,
      );
    }
    return APPEND;
  }

  /**
   * Records an appended batch, whose header has its final offsets. Returns the
   * transaction that the batch, a marker, has ended.
   */
  update(
    header: BatchHeader,
    marker: Marker | undefined,
    nowMs: number,
  ): EndedTransaction | undefined {
    const { producerId } = header;
    if (producerId < 0 || marker?.type === "other") return undefined;
    const old = this.#entries.get(producerId);
    this.#writtenTo = header.lastOffset + 1;
    this.#undo.push({ producerId, entry: old });
    if (marker !== undefined) return this.#end(header, marker, old, nowMs);
    const batch: ProducerBatch = {
      baseSequence: header.baseSequence,
      lastSequence: header.lastSequence,
      baseOffset: header.baseOffset,
      lastOffset: header.lastOffset,
      appendTimeMs: header.isLogAppendTime ? header.maxTimestamp : -1,
    };
    const isSame = old !== undefined && old.epoch === header.producerEpoch;
    const opened = old?.transactionFirstOffset ?? -1;
    this.#put(producerId, {
      epoch: header.producerEpoch,
      batches: isSame
        ? [...old.batches.slice(1 - REMEMBERED_BATCHES), batch]
        : [batch],
      coordinatorEpoch: old?.coordinatorEpoch ?? -1,
      // Of an empty batch compaction has removed the data: nothing is open.
      transactionFirstOffset:
        header.isTransactional && opened < 0 && header.recordCount > 0
          ? header.baseOffset
          : opened,
      lastWriteMs: nowMs,
    });
    return undefined;
  }

  /** A batch was not appended, for whatever reason, and comes again maybe. */
  noteRefused(batch: ProducerSequence): void {
    const { producerId, baseSequence } = batch;
    const isKnown = (this.#entries.get(producerId)?.batches.length ?? 0) > 0;
    if (producerId >= 0 && baseSequence >= 0 && !isKnown) {
      this.#refused.note(batch);
    }
  }

  /** What was updated since the last `commit` stays. */
  commit(): void {
    if (this.#undo.length > 0) this.#undo = [];
    this.#endedBefore = this.#ended.length;
  }

  /** What was updated since the last `commit` never happened. */
  rollback(): void {
    for (const { producerId, entry } of this.#undo.reverse()) {
      if (entry === undefined) this.#entries.delete(producerId);
      else this.#entries.set(producerId, entry);
    }
    this.#undo = [];
    this.#ended.length = this.#endedBefore;
  }

  /**
   * First offset of a transaction whose outcome readers cannot know yet, given
   * what is replicated; `highWatermark` when there is none.
   */
  lastStableOffset(highWatermark: Offset): Offset {
    let stable: number = highWatermark;
    for (const { transactionFirstOffset } of this.#entries.values()) {
      if (transactionFirstOffset >= 0 && transactionFirstOffset < stable) {
        stable = transactionFirstOffset;
      }
    }
    for (const { firstOffset, lastOffset } of this.#ended) {
      if (lastOffset >= highWatermark && firstOffset < stable) {
        stable = firstOffset;
      }
    }
    return stable as Offset;
  }

  /** Forgets ended transactions whose marker is below `highWatermark`. */
  forgetEndedBelow(highWatermark: Offset): void {
    if (this.#ended.length === 0) return;
    this.#ended = this.#ended.filter(({ lastOffset }) =>
      lastOffset >= highWatermark
    );
    this.#endedBefore = this.#ended.length;
  }

  /** The first offset of the oldest open transaction. */
  firstOpenOffset(): Offset | undefined {
    let first: number | undefined;
    for (const { transactionFirstOffset } of this.#entries.values()) {
      if (transactionFirstOffset < 0) continue;
      if (first === undefined || transactionFirstOffset < first) {
        first = transactionFirstOffset;
      }
    }
    return first as Offset | undefined;
  }

  /** Whether anything here may come from a batch at or after `end`. */
  dependsOn(end: Offset): boolean {
    return !this.isEmpty && this.#writtenTo > end;
  }

  /** Last offsets of the newest data batch of each producer. */
  lastOffsets(): Set<number> {
    const offsets = new Set<number>();
    for (const { batches } of this.#entries.values()) {
      const last = batches.at(-1);
      if (last !== undefined) offsets.add(last.lastOffset);
    }
    return offsets;
  }

  /** Forgets producers without a write since `nowMs - expirationMs`. */
  expire(nowMs: number, expirationMs: number): void {
    for (const [producerId, entry] of this.#entries) {
      const isOpen = entry.transactionFirstOffset >= 0;
      if (!isOpen && entry.lastWriteMs + expirationMs <= nowMs) {
        this.#entries.delete(producerId);
      }
    }
  }

  /** Takes over what a snapshot held of the batches below `writtenTo`. */
  restore(
    entries: Map<number, ProducerEntry>,
    ended: EndedTransaction[],
    writtenTo: Offset,
  ): void {
    this.#entries = entries;
    this.#ended = ended;
    this.#writtenTo = writtenTo;
    this.commit();
  }

  clear(): void {
    this.restore(new Map(), [], 0 as Offset);
  }

  /**
   * Undefined: any will do. Of whom only a marker is left the data were deleted,
   * as all is of whom nothing is known (`refused_sequences.ts`).
   */
  #expected(
    header: BatchHeader,
    { epoch, batches }: ProducerEntry,
  ): number | undefined {
    if (header.producerEpoch > epoch) return 0;
    const last = batches.at(-1);
    return last === undefined
      ? this.#refused.before(header)
      : addSequence(last.lastSequence, 1);
  }

  #end(
    header: BatchHeader,
    marker: Marker,
    old: ProducerEntry | undefined,
    nowMs: number,
  ): EndedTransaction | undefined {
    const isSame = old !== undefined && old.epoch === header.producerEpoch;
    this.#put(header.producerId, {
      epoch: header.producerEpoch,
      batches: isSame ? old.batches : [],
      coordinatorEpoch: marker.coordinatorEpoch,
      transactionFirstOffset: -1,
      lastWriteMs: nowMs,
    });
    if (old === undefined || old.transactionFirstOffset < 0) return undefined;
    const ended: EndedTransaction = {
      producerId: header.producerId,
      firstOffset: old.transactionFirstOffset as Offset,
      lastOffset: header.lastOffset,
    };
    this.#ended.push(ended);
    return ended;
  }

  #put(producerId: number, entry: ProducerEntry): void {
    this.#refused.forget(producerId);
    this.#entries.set(producerId, entry);
  }
}

/** A coordinator that was deposed must not end a newer transaction. */
function markerVerdict(
  { coordinatorEpoch }: ProducerEntry,
  marker: Marker | undefined,
): ProducerVerdict {
  return marker === undefined || marker.coordinatorEpoch >= coordinatorEpoch
    ? APPEND
    : reject(
      "TRANSACTION_COORDINATOR_FENCED",
      `The marker is of coordinator epoch ${marker.coordinatorEpoch}, and one of epoch ${coordinatorEpoch} has taken over`,
    );
}

function outOfOrder(
  { producerId, baseSequence }: ProducerSequence,
  expected: number,
): ProducerRejection {
  return reject(
    "OUT_OF_ORDER_SEQUENCE_NUMBER",
    `Producer ${producerId} sent sequence ${baseSequence}, expected is ${expected}`,
  );
}

function reject(
  code: ProducerRejection["code"],
  detail: string,
): ProducerRejection {
  return { kind: "rejected", code, detail };
}
