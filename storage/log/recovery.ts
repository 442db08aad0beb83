/**
 * Opens what a log left on the disk, after a clean stop or a crash at any byte:
 * trusts what the checkpoint vouches for, verifies what came after it, and cuts
 * the tail at the first bad batch. What it keeps of that is not flushed yet. Bad bytes that the checkpoint vouches for are never cut: they are
 * a `CorruptLogError`.
 */
import { CorruptLogError } from "../error.ts";
import { BatchScanner } from "./batch_scanner.ts";
import type { Checkpoint } from "./checkpoint.ts";
import { finishSwaps } from "./compaction_files.ts";
import { EPOCH_FILE, type LogCore } from "./log_core.ts";
import { decodeProducers } from "./producer_snapshot.ts";
import { readControlRecord } from "./records.ts";
import { type Segment, SEGMENT_SUFFIXES, segmentPath } from "./segment.ts";
import { type Offset, offset } from "./types.ts";

const SEGMENT_NAME = /^(\d{20})\.(log|index|timeindex|txnindex|snapshot)$/;
const LEFT_OVER_NAME = /\.(cleaned|tmp)$/;

interface Found {
  bases: Offset[];
  snapshots: Offset[];
}

/** Fills an empty `core` from its directory, which may not exist. */
export function recoverLog(core: LogCore, nowMs: number): void {
  if (!core.files.fileSystem.exists(core.directory)) return;
  core.directoryExists = true;
  const found = listDirectory(core);
  const checkpoint = core.checkpoints.load();
  assertPlausible(core, found.bases, checkpoint);
  const bases = dropSuperseded(core, found.bases, checkpoint);
  core.snapshots = found.snapshots;
  core.logStartOffset = checkpoint?.logStartOffset ?? offset(0);
  if (checkpoint !== undefined && checkpoint.segmentBaseOffset >= 0) {
    // Retention on a full disk may have had no room to say so.
    const first = bases[0] ?? core.logStartOffset;
    if (first > core.logStartOffset) core.logStartOffset = first;
  }
  core.compactedUpTo = checkpoint?.compactedUpTo ?? offset(0);
  core.logEndOffset = checkpoint?.recoveryPoint ?? core.logStartOffset;
  core.recoveryPoint = core.logEndOffset;
  core.checkpointBase = checkpoint?.segmentBaseOffset ?? -1;
  // A truncation that a crash interrupted may have left newer ones.
  core.dropSnapshots((at) => at > core.recoveryPoint);
  loadEpochs(core, bases, checkpoint);
  const first = checkpoint === undefined
    ? 0
    : adoptSegments(core, bases, checkpoint, nowMs);
  loadProducers(core, checkpoint, nowMs);
  const hasChanged = verifyRest(core, bases.slice(first), checkpoint, nowMs);
  if (core.logEndOffset < core.logStartOffset) startOver(core);
  core.epochs.truncateFromEnd(core.logEndOffset);
  core.epochs.truncateFromStart(core.logStartOffset);
  core.flushedOffset = hasChanged
    ? offset(Math.max(core.logStartOffset, core.recoveryPoint))
    : core.logEndOffset;
  core.sizeBytes = core.segments.reduce(
    (sum, { sizeBytes }) => sum + sizeBytes,
    0,
  );
  core.producers.expire(nowMs, core.config.producerIdExpirationMs);
  core.hasRecovered = hasChanged;
}

function listDirectory(core: LogCore): Found {
  const { fileSystem } = core.files;
  const { directory } = core;
  if (finishSwaps(core.files, directory)) core.directoryNeedsSync = true;
  const found: Found = { bases: [], snapshots: [] };
  const indexes: { base: number; name: string }[] = [];
  for (const { name } of fileSystem.readDirectory(directory)) {
    const match = SEGMENT_NAME.exec(name);
    if (match === null) {
      if (LEFT_OVER_NAME.test(name)) fileSystem.remove(`${directory}/${name}`);
      continue;
    }
    const base = offset(Number(match[1]));
    if (match[2] === "log") found.bases.push(base);
    else if (match[2] === "snapshot") found.snapshots.push(base);
    else indexes.push({ base, name });
  }
  const bases = new Set<number>(found.bases);
  for (const { base, name } of indexes) {
    if (!bases.has(base)) fileSystem.remove(`${directory}/${name}`);
  }
  return found;
}

/** Before its second segment a log has a checkpoint. */
function assertPlausible(
  core: LogCore,
  bases: readonly Offset[],
  checkpoint: Checkpoint | undefined,
): void {
  if (checkpoint !== undefined || bases.length === 0) return;
  if (bases.length === 1 && bases[0] === 0) return;
  throw new CorruptLogError(
    "open",
    core.checkpoints.path,
    "there are segments, but no checkpoint that is whole",
  );
}

/** Removes the segments that deletion or a new start had given up. */
function dropSuperseded(
  core: LogCore,
  bases: Offset[],
  checkpoint: Checkpoint | undefined,
): Offset[] {
  if (checkpoint === undefined) return bases;
  const { logStartOffset, recoveryPoint, segmentBaseOffset } = checkpoint;
  // The log was emptied to go on at the recovery point. What is older is left
  // over, unless a segment that begins just there shows that all else is gone.
  const isEmptied = segmentBaseOffset < 0;
  const hasGoneOn = bases.includes(recoveryPoint);
  const isGone = (base: Offset, next: Offset | undefined) => {
    if (isEmptied) return !hasGoneOn || base < recoveryPoint;
    return next !== undefined && next <= logStartOffset &&
      base !== segmentBaseOffset;
  };
  return bases.filter((base, index) => {
    if (!isGone(base, bases[index + 1])) return true;
    core.newSegment(base, 0).remove();
    core.directoryNeedsSync = true;
    return false;
  });
}

/**
 * Takes over, unread, what lies below the recovery point. Returns the index of
 * the first segment that lies wholly above it.
 */
function adoptSegments(
  core: LogCore,
  bases: Offset[],
  checkpoint: Checkpoint,
  nowMs: number,
): number {
  const { segmentBaseOffset, segmentBytes, recoveryPoint } = checkpoint;
  if (segmentBaseOffset < 0) return 0;
  const at = bases.indexOf(offset(segmentBaseOffset));
  const path = `${segmentPath(core.directory, segmentBaseOffset)}.log`;
  if (at < 0) {
    throw new CorruptLogError("open", path, "the file is missing");
  }
  for (let index = 0; index < at; index++) {
    const segment = core.newSegment(bases[index], nowMs);
    segment.adopt(bases[index + 1], segment.file().sizeBytes);
    core.segments.push(segment);
  }
  const segment = core.newSegment(bases[at], nowMs);
  const fileBytes = segment.file().sizeBytes;
  if (fileBytes < segmentBytes) {
    throw new CorruptLogError(
      "open",
      path,
      `it has ${fileBytes} bytes, but ${segmentBytes} were on the disk`,
      { position: fileBytes },
    );
  }
  trimIndexes(segment, checkpoint);
  segment.resume(recoveryPoint, segmentBytes);
  verifyLastBatch(segment);
  core.segments.push(segment);
  return at + 1;
}

/** Index entries that the checkpoint does not vouch for go. */
function trimIndexes(segment: Segment, checkpoint: Checkpoint): void {
  const { index, timeIndex, aborted } = segment;
  const isShort = index.file.length < checkpoint.offsetEntries ||
    timeIndex.file.length < checkpoint.timeEntries;
  if (isShort) {
    // Lost files: without entries, `resume` makes them anew from the batches.
    index.file.truncate(0);
    timeIndex.file.truncate(0);
  } else {
    index.file.truncate(checkpoint.offsetEntries);
    timeIndex.file.truncate(checkpoint.timeEntries);
  }
  if (aborted.file.length < checkpoint.abortedEntries) {
    throw new CorruptLogError(
      "open",
      aborted.file.path,
      `it has ${aborted.file.length} entries, but ${checkpoint.abortedEntries} were on the disk`,
    );
  }
  aborted.file.truncate(checkpoint.abortedEntries);
}

/** A disk that lost what it had promised shows at the recovery point first. */
function verifyLastBatch(segment: Segment): void {
  const last = segment.index.last();
  if (last === undefined) return;
  const scanner = new BatchScanner({
    file: () => segment.file(),
    from: last.position,
    to: segment.sizeBytes,
    verify: true,
  });
  while (scanner.next() !== undefined);
  if (scanner.fault === undefined) return;
  throw new CorruptLogError("open", segment.path, scanner.fault, {
    position: scanner.position,
  });
}

/** Verifies what came after the checkpoint; true when there was anything. */
function verifyRest(
  core: LogCore,
  bases: readonly Offset[],
  checkpoint: Checkpoint | undefined,
  nowMs: number,
): boolean {
  let hasChanged = core.directoryNeedsSync ||
    (checkpoint === undefined && bases.length > 0);
  const { active } = core;
  let isWhole = true;
  if (active !== undefined) {
    const fileBytes = active.file().sizeBytes;
    if (fileBytes > active.sizeBytes) {
      isWhole = verifySegment(core, active, fileBytes, nowMs);
      hasChanged = true;
    }
  }
  for (const base of bases) {
    const segment = core.newSegment(base, nowMs);
    hasChanged = true;
    // A gap before a segment is a tail that the crash has lost.
    if (!isWhole || base !== core.logEndOffset) {
      segment.remove();
      core.directoryNeedsSync = true;
      isWhole = false;
      continue;
    }
    for (const suffix of SEGMENT_SUFFIXES.slice(1)) {
      const path = segmentPath(core.directory, base) + suffix;
      core.files.close(path);
      core.files.fileSystem.remove(path);
    }
    core.addSegment(segment);
    isWhole = verifySegment(core, segment, segment.file().sizeBytes, nowMs);
  }
  return hasChanged;
}

/** Takes in the good batches of a file; false when it had to be cut. */
function verifySegment(
  core: LogCore,
  segment: Segment,
  fileBytes: number,
  nowMs: number,
): boolean {
  segment.markUnsynced();
  const from = segment.sizeBytes;
  const scanner = segment.scan({ from, to: fileBytes, verify: true });
  let end = from;
  for (const batch of scanner) {
    const { header } = batch;
    if (header.baseOffset < core.logEndOffset) break;
    const marker = header.isControl
      ? readControlRecord(scanner.bytesOf(batch))
      : undefined;
    core.noteBatch(header);
    core.noteProducer(header, marker, nowMs, segment);
    end = scanner.position;
  }
  core.producers.commit();
  if (end === fileBytes) return true;
  segment.cutFile(end);
  return false;
}

/** All that is left lies below the log start: an emptied log goes on there. */
function startOver(core: LogCore): void {
  for (const segment of core.segments) segment.remove();
  core.segments = [];
  core.directoryNeedsSync = true;
  core.logEndOffset = core.logStartOffset;
  core.epochs.clear();
}

function loadEpochs(
  core: LogCore,
  bases: readonly Offset[],
  checkpoint: Checkpoint | undefined,
): void {
  // Of a log that was emptied the file may still tell what it held before.
  if (checkpoint !== undefined && checkpoint.segmentBaseOffset < 0) return;
  const path = `${core.directory}/${EPOCH_FILE}`;
  const { fileSystem } = core.files;
  const isRight = fileSystem.exists(path) &&
    core.epochs.decode(fileSystem.readFile(path));
  // What lies beyond the recovery point is found again in the batches.
  if (isRight) core.epochs.truncateFromEnd(core.recoveryPoint);
  else rebuildEpochs(core, bases);
  if (bases.length === 0) core.epochs.clear();
}

function rebuildEpochs(core: LogCore, bases: readonly Offset[]): void {
  let end = core.logStartOffset;
  for (const base of bases) {
    if (base >= core.recoveryPoint) return;
    const segment = core.newSegment(base, 0);
    const to = segment.file().sizeBytes;
    for (const { header } of segment.scan({ from: 0, to, verify: false })) {
      if (header.baseOffset >= core.recoveryPoint) return;
      // As appended: from the end of what was before, also over a gap.
      core.epochs.assign(header.leaderEpoch, end);
      end = offset(header.lastOffset + 1);
    }
  }
}

function loadProducers(
  core: LogCore,
  checkpoint: Checkpoint | undefined,
  nowMs: number,
): void {
  if (checkpoint === undefined || !checkpoint.hasProducerSnapshot) return;
  replayProducers(core, core.recoveryPoint, nowMs);
}

/**
 * Makes the producer state as of `end`, from the newest good snapshot at or
 * below it and the batches after that.
 */
export function replayProducers(
  core: LogCore,
  end: Offset,
  nowMs: number,
): void {
  core.producers.clear();
  let from: number = core.segments[0]?.baseOffset ?? end;
  for (const at of core.snapshots.toReversed()) {
    if (at > end) continue;
    const path = core.snapshotPath(at);
    const isThere = core.files.fileSystem.exists(path);
    if (
      isThere &&
      decodeProducers(core.files.fileSystem.readFile(path), core.producers, at)
    ) {
      from = at;
      break;
    }
  }
  if (from >= end) return;
  const first = Math.max(0, core.segmentIndex(offset(from)));
  for (const segment of core.segments.slice(first)) {
    if (segment.baseOffset >= end) break;
    const scanner = segment.scanFrom(offset(from));
    for (const batch of scanner) {
      const { header } = batch;
      if (header.baseOffset < from) continue;
      if (header.baseOffset >= end) break;
      const marker = header.isControl
        ? readControlRecord(scanner.bytesOf(batch))
        : undefined;
      core.producers.update(header, marker, nowMs);
    }
  }
  core.producers.commit();
}
