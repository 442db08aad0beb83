/**
 * Where each leader epoch begins in the log (KIP-101, KIP-279). Owns the rules
 * and the text form; when it is written is the log's decision: it may lag behind
 * the log, because recovery finds newer epochs in the batches themselves.
 */
import { type LeaderEpoch, NO_LEADER_EPOCH, type Offset } from "./types.ts";

export interface EpochStart {
  epoch: LeaderEpoch;
  startOffset: Offset;
}

const FORM_VERSION = 0;

export class EpochCache {
  /** Ascending in both. */
  #entries: EpochStart[] = [];
  /** True while the file does not say what this does. */
  isDirty = true;

  get latest(): LeaderEpoch {
    return this.#entries.at(-1)?.epoch ?? NO_LEADER_EPOCH;
  }

  get entries(): readonly EpochStart[] {
    return this.#entries;
  }

  /** The newest that holds records in a log that ends at `end`. */
  latestBelow(end: Offset): LeaderEpoch {
    const entry = this.#entries.findLast(({ startOffset }) =>
      startOffset < end
    );
    return entry?.epoch ?? NO_LEADER_EPOCH;
  }

  /** A batch or a leader of `epoch` begins at `startOffset`. */
  assign(epoch: LeaderEpoch, startOffset: Offset): void {
    if (epoch <= this.latest) return;
    this.truncateFromEnd(startOffset);
    this.#entries.push({ epoch, startOffset });
    this.isDirty = true;
  }

  /**
   * The largest known epoch at or below `epoch` and where it ends (exclusive);
   * undefined when `epoch` is newer than all. Older than all: `epoch` itself
   * ends where the oldest begins.
   */
  endOffset(
    epoch: LeaderEpoch,
    logEndOffset: Offset,
  ): { epoch: LeaderEpoch; endOffset: Offset } | undefined {
    if (epoch < 0 || this.#entries.length === 0) return undefined;
    if (epoch === this.latest) return { epoch, endOffset: logEndOffset };
    const above = this.#entries.findIndex((entry) => entry.epoch > epoch);
    if (above < 0) return undefined;
    const endOffset = this.#entries[above].startOffset;
    return { epoch: this.#entries[above - 1]?.epoch ?? epoch, endOffset };
  }

  /** The log now ends at `end`: epochs that begin there or later are gone. */
  truncateFromEnd(end: Offset): void {
    const kept = this.#entries.filter(({ startOffset }) => startOffset < end);
    if (kept.length === this.#entries.length) return;
    this.#entries = kept;
    this.isDirty = true;
  }

  /** The log now starts at `start`: its first epoch begins there. */
  truncateFromStart(start: Offset): void {
    const first = this.#entries.findLastIndex(({ startOffset }) =>
      startOffset <= start
    );
    if (first < 0) return;
    if (first === 0 && this.#entries[0].startOffset === start) return;
    this.#entries = this.#entries.slice(first);
    this.#entries[0] = { epoch: this.#entries[0].epoch, startOffset: start };
    this.isDirty = true;
  }

  clear(): void {
    if (this.#entries.length > 0) this.isDirty = true;
    this.#entries = [];
  }

  /** Kafka's text: version, count, then "epoch startOffset" line by line. */
  encode(): Uint8Array {
    const lines = this.#entries.map(({ epoch, startOffset }) =>
      `${epoch} ${startOffset}`
    );
    return new TextEncoder().encode(
      [FORM_VERSION, lines.length, ...lines, ""].join("\n"),
    );
  }

  /** False, and empty, when `bytes` is not such a text. */
  decode(bytes: Uint8Array): boolean {
    this.#entries = [];
    const lines = new TextDecoder().decode(bytes).split("\n");
    if (lines.at(-1) !== "") return false;
    const [version, count, ...rest] = lines;
    if (Number(version) !== FORM_VERSION || Number(count) !== rest.length - 1) {
      return false;
    }
    const entries: EpochStart[] = [];
    for (const line of rest.slice(0, -1)) {
      const match = /^(\d+) (\d+)$/.exec(line);
      const last = entries.at(-1);
      if (match === null) return false;
      const epoch = Number(match[1]) as LeaderEpoch;
      const startOffset = Number(match[2]) as Offset;
      if (
        last !== undefined &&
        (epoch <= last.epoch || startOffset < last.startOffset)
      ) return false;
      entries.push({ epoch, startOffset });
    }
    this.#entries = entries;
    this.isDirty = false;
    return true;
  }
}
