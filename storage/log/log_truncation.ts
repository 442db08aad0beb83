/**
 * Removes the end of a log, or all of it, so that a crash at any moment leaves
 * either the old log or the new one: the checkpoint is lowered first, then files
 * go from the last one backwards.
 */
import { DiskFullError } from "../error.ts";
import { invariant } from "../assert.ts";
import type { LogCore } from "./log_core.ts";
import type { LogFlusher } from "./log_flusher.ts";
import { replayProducers } from "./recovery.ts";
import { type Offset, offset } from "./types.ts";

export class LogTruncation {
  readonly #core: LogCore;
  readonly #flusher: LogFlusher;

  constructor(core: LogCore, flusher: LogFlusher) {
    this.#core = core;
    this.#flusher = flusher;
  }

  /** Removes everything at or after `end`. Durable when it returns. */
  truncateTo(end: Offset): void {
    const core = this.#core;
    core.assertWritable();
    if (end >= core.logEndOffset) return;
    core.changeFiles(() => {
      if (end <= core.logStartOffset) {
        truncateAll(core, core.logStartOffset);
        return;
      }
      this.#flusher.flushDataNow();
      truncateLog(core, end);
    });
  }

  /** Removes everything; the next record gets `start`. */
  truncateFullyAndStartAt(start: Offset): void {
    const core = this.#core;
    core.assertWritable();
    core.changeFiles(() => truncateAll(core, start));
  }
}

/**
 * Removes everything at or after `end`, which lies inside the log, above its
 * start. A batch that straddles `end` goes as a whole. All batches are on the
 * disk already.
 */
function truncateLog(core: LogCore, end: Offset): void {
  core.generation++;
  const index = core.segmentIndex(end);
  invariant(index >= 0, "A log above its start has a segment there");
  const segment = core.segments[index];
  const scanner = segment.scanFrom(end);
  let endPosition = scanner.position;
  let newEnd: number = end;
  for (const { header, position } of scanner) {
    endPosition = position;
    if (header.lastOffset >= end) {
      newEnd = Math.min(header.baseOffset, end);
      break;
    }
    endPosition = scanner.position;
  }
  const newEndOffset = offset(newEnd);
  lowerCheckpoint(core, index, newEndOffset, endPosition);
  try {
    cutFiles(core, index, { end: newEndOffset, position: endPosition });
  } catch (cause) {
    // Also when the disk calls itself full: files and memory differ by now.
    throw core.goOffline(cause);
  }
}

function cutFiles(
  core: LogCore,
  index: number,
  { end, position }: { end: Offset; position: number },
): void {
  const segment = core.segments[index];
  core.epochs.truncateFromEnd(end);
  core.dropSnapshots((at) => at > end);
  while (core.segments.length > index + 1) {
    const last = core.segments.pop()!;
    core.sizeBytes -= last.sizeBytes;
    last.remove();
    core.directoryNeedsSync = true;
    core.syncDirectory();
  }
  core.sizeBytes -= segment.sizeBytes - position;
  segment.truncateTo(end, position);
  segment.syncNow();
  segment.syncIndexesNow();
  core.logEndOffset = end;
  core.flushedOffset = end;
  core.recoveryPoint = end;
  core.compactedUpTo = offset(Math.min(core.compactedUpTo, end));
  core.bytesSinceCheckpoint = 0;
}

function lowerCheckpoint(
  core: LogCore,
  index: number,
  end: Offset,
  endPosition: number,
): void {
  const segment = core.segments[index];
  const mustReplay = core.producers.dependsOn(end);
  try {
    // All of them: those beyond `end` are right until the checkpoint is there, and
    // left out afterwards. It may be newer than the file is.
    core.writeEpochs();
    if (mustReplay) replayProducers(core, end, core.nowMs);
    const producers = core.captureProducers();
    if (producers !== undefined) core.writeSnapshot(end, producers);
    for (const each of core.segments) {
      core.noteIndexFiles(each);
      each.syncIndexesNow();
    }
    core.syncDirectory();
    core.checkpoints.save({
      recoveryPoint: end,
      logStartOffset: core.logStartOffset,
      segmentBaseOffset: segment.baseOffset,
      segmentBytes: endPosition,
      offsetEntries: segment.index.countBelow(endPosition),
      timeEntries: segment.timeIndex.countBelow(end),
      abortedEntries: segment.aborted.countBelow(end),
      hasProducerSnapshot: producers !== undefined,
      compactedUpTo: offset(Math.min(core.compactedUpTo, end)),
    });
  } catch (error) {
    // Nothing has been cut: without room the log goes on as it was.
    if (mustReplay && error instanceof DiskFullError) {
      replayProducers(core, core.logEndOffset, core.nowMs);
    }
    throw error;
  }
}

/** The log goes on, empty, at `start`. */
function truncateAll(core: LogCore, start: Offset): void {
  core.generation++;
  core.ensureDirectory();
  core.checkpoints.save({
    recoveryPoint: start,
    logStartOffset: start,
    segmentBaseOffset: -1,
    segmentBytes: 0,
    offsetEntries: 0,
    timeEntries: 0,
    abortedEntries: 0,
    hasProducerSnapshot: false,
    compactedUpTo: start,
  });
  // A segment of this name tells recovery that all older ones are gone.
  const namesake = core.segments.find(({ baseOffset }) => baseOffset === start);
  if (namesake !== undefined) {
    namesake.remove();
    core.files.fileSystem.syncDirectory(core.directory);
  }
  for (const segment of core.segments) segment.remove();
  core.segments = [];
  core.producers.clear();
  core.epochs.clear();
  core.dropSnapshots(() => true);
  core.files.fileSystem.syncDirectory(core.directory);
  core.directoryNeedsSync = false;
  core.logStartOffset = start;
  core.logEndOffset = start;
  core.flushedOffset = start;
  core.recoveryPoint = start;
  core.compactedUpTo = start;
  core.sizeBytes = 0;
  core.bytesSinceCheckpoint = 0;
  core.hasRolled = false;
}
