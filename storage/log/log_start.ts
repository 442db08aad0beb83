/**
 * The start of a log: raised to an offset, and the whole segments below removed,
 * so that a crash at any moment leaves the old start or the new one. Owns the
 * order of these steps; why the start is raised is the caller's
 * (`retention.ts`, or whoever deletes records).
 */
import { invariant } from "../assert.ts";
import type { LogCore } from "./log_core.ts";
import type { LogFlusher } from "./log_flusher.ts";
import type { Offset } from "./types.ts";

export class LogStart {
  readonly #core: LogCore;
  readonly #flusher: LogFlusher;

  constructor(core: LogCore, flusher: LogFlusher) {
    this.#core = core;
    this.#flusher = flusher;
  }

  /** To at most the log's end. Durable when it returns; never lowers. */
  advanceTo(to: Offset): void {
    const core = this.#core;
    core.assertWritable();
    if (to <= core.logStartOffset) return;
    invariant(to <= core.logEndOffset, "The log start is beyond the log's end");
    const before = core.logStartOffset;
    core.logStartOffset = to;
    core.changeFiles(() => {
      try {
        core.ensureDirectory();
        this.#flusher.checkpointNow();
      } catch (error) {
        core.logStartOffset = before;
        throw error;
      }
      core.epochs.truncateFromStart(to);
      this.#removeHead((_, nextOffset) => nextOffset <= to);
    });
  }

  /**
   * The same without a checkpoint that says so, for which a full disk has no
   * room: recovery takes the first segment that it finds for the start. What the
   * present checkpoint needs stays.
   */
  makeRoomBelow(start: Offset): void {
    const core = this.#core;
    core.changeFiles(() => {
      this.#removeHead((base, nextOffset) =>
        nextOffset <= start && base < core.checkpointBase
      );
      const first = core.segments[0].baseOffset;
      if (first > core.logStartOffset) core.logStartOffset = first;
    });
  }

  #removeHead(isGone: (base: Offset, nextOffset: Offset) => boolean): void {
    const core = this.#core;
    let count = 0;
    while (
      count < core.segments.length - 1 &&
      isGone(
        core.segments[count].baseOffset,
        core.segments[count + 1].baseOffset,
      )
    ) count++;
    if (count === 0) return;
    for (const segment of core.segments.splice(0, count)) {
      core.sizeBytes -= segment.sizeBytes;
      segment.remove();
    }
    core.directoryNeedsSync = true;
    core.syncDirectory();
  }
}
