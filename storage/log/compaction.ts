/**
 * Compaction keeps the last record of each key (NOTES 4.10): reads which keys
 * are in the part not compacted yet, then rewrites the closed segments from the
 * log's start, merging small neighbours. Offsets stay. Everything that changes
 * files goes by the swap of `compaction_files.ts`; readers see the old segments
 * until the new one stands. What a batch keeps is `compaction_filter.ts`.
 */
import { invariant } from "../assert.ts";
import type { FileHandle } from "../file_system.ts";
import type { BatchHeader } from "./batch_header.ts";
import { beginSwap, cleanedPath, finishSwap } from "./compaction_files.ts";
import { CompactionFilter, tryDecode } from "./compaction_filter.ts";
import type { LogCore } from "./log_core.ts";
import { MAX_SEGMENT_BYTES } from "./log_config.ts";
import { OffsetMap } from "./offset_map.ts";
import type { Segment } from "./segment.ts";
import { type Offset, offset } from "./types.ts";

/** Bytes handled between two pauses, and of one write. */
const STRIDE_BYTES = 4 * 1024 * 1024;
const MAX_RELATIVE_OFFSET = 2 ** 31 - 1;
export const DEFAULT_KEY_MAP_BYTES = 128 * 1024 * 1024;

export interface CompactionOptions {
  nowMs: number;
  /** Exclusive: the smaller of last stable offset and high watermark. */
  below: Offset;
  /** Memory for keys; what does not fit waits for the next compaction. */
  keyMapBytes?: number;
  /** Lets others run: called every few MiB. */
  pause?: () => Promise<void>;
}

export interface CompactionResult {
  /** Exclusive: below, only the last value of each key is left. */
  compactedUpTo: Offset;
  recordsRemoved: number;
  bytesBefore: number;
  bytesAfter: number;
  /** False when the log was truncated or closed meanwhile: nothing is harmed. */
  isComplete: boolean;
}

/** The log was changed under a compaction, which gives up. */
class Interrupted extends Error {}

/** Closed segments below the bound and the checkpoint's, and old enough. */
function cleanableSegments(
  core: LogCore,
  options: { nowMs: number; below: Offset },
): Segment[] {
  const { minCompactionLagMs } = core.config;
  const cleanable: Segment[] = [];
  for (const [index, segment] of core.segments.slice(0, -1).entries()) {
    if (core.segments[index + 1].baseOffset > options.below) break;
    // The checkpoint knows a position in its segment, which must not change.
    if (segment.baseOffset >= core.checkpointBase) break;
    const timestampMs = segment.maxTimestamp?.timestampMs ?? segment.createdMs;
    if (
      minCompactionLagMs > 0 &&
      timestampMs > options.nowMs - minCompactionLagMs
    ) break;
    cleanable.push(segment);
  }
  return cleanable;
}

/** Whether enough is new, or anything is too old, to be left uncompacted. */
export function isCompactionDue(
  core: LogCore,
  options: { nowMs: number; below: Offset },
): boolean {
  const segments = cleanableSegments(core, options);
  const dirty = segments.filter(({ nextOffset }) =>
    nextOffset > core.compactedUpTo
  );
  if (dirty.length === 0) return false;
  const { maxCompactionLagMs, minCleanableDirtyRatio } = core.config;
  const firstMs = dirty[0].firstTimestampMs ?? dirty[0].createdMs;
  if (options.nowMs - firstMs > maxCompactionLagMs) return true;
  const sum = (list: Segment[]) =>
    list.reduce((total, { sizeBytes }) => total + sizeBytes, 0);
  return sum(dirty) >= minCleanableDirtyRatio * sum(segments);
}

/**
 * One at a time: truncation, a raised log start or a closed log end it early,
 * without harm.
 *
 * @throws DiskFullError and leaves the log as it was.
 */
export async function compactLog(
  core: LogCore,
  options: CompactionOptions,
): Promise<CompactionResult> {
  core.assertWritable();
  invariant(!core.isCompacting, "A log is compacted by one caller at a time");
  core.isCompacting = true;
  try {
    return await new Compaction(core, options).run();
  } finally {
    core.isCompacting = false;
  }
}

class Compaction {
  readonly #core: LogCore;
  readonly #options: CompactionOptions;
  readonly #generation: number;
  #bytesSincePause = 0;

  constructor(core: LogCore, options: CompactionOptions) {
    this.#core = core;
    this.#options = options;
    this.#generation = core.generation;
  }

  async run(): Promise<CompactionResult> {
    const core = this.#core;
    const result: CompactionResult = {
      compactedUpTo: core.compactedUpTo,
      recordsRemoved: 0,
      bytesBefore: core.sizeBytes,
      bytesAfter: core.sizeBytes,
      isComplete: true,
    };
    try {
      const segments = cleanableSegments(core, this.#options);
      const isAborted = abortedFilter(core);
      const { latest, end } = await this.#readKeys(segments, isAborted);
      const filter = new CompactionFilter({
        latest,
        end,
        isAborted,
        nowMs: this.#options.nowMs,
        deleteRetentionMs: core.config.deleteRetentionMs,
        producerOffsets: core.producers.lastOffsets(),
      });
      const targets = segments.filter(({ baseOffset }) => baseOffset < end);
      for (const group of this.#groups(targets)) {
        await this.#rewrite(group, filter);
        result.recordsRemoved = filter.recordsRemoved;
        result.bytesAfter = core.sizeBytes;
      }
      if (end > core.compactedUpTo) core.compactedUpTo = end;
    } catch (error) {
      if (!(error instanceof Interrupted)) throw error;
      result.isComplete = false;
    }
    result.compactedUpTo = core.compactedUpTo;
    return result;
  }

  /** The last offset of each key that is new, as far as memory goes. */
  async #readKeys(
    segments: readonly Segment[],
    isAborted: (header: BatchHeader) => boolean,
  ): Promise<{ latest: OffsetMap; end: Offset }> {
    const core = this.#core;
    const latest = new OffsetMap(
      this.#options.keyMapBytes ?? DEFAULT_KEY_MAP_BYTES,
    );
    let end = core.compactedUpTo;
    for (const segment of segments) {
      if (segment.nextOffset <= core.compactedUpTo) continue;
      const scanner = segment.scan({ from: 0, verify: true });
      for (const batch of scanner) {
        const { header } = batch;
        await this.#progress(header.sizeBytes);
        if (header.lastOffset < core.compactedUpTo) continue;
        if (header.isControl || isAborted(header)) continue;
        for (const record of tryDecode(scanner.bytesOf(batch)) ?? []) {
          if (record.key === null) continue;
          if (latest.put(record.key, record.offset)) continue;
          return { latest, end: header.baseOffset };
        }
      }
      if (scanner.fault !== undefined) {
        throw core.corrupt(segment, scanner.fault, scanner.position);
      }
      end = segment.nextOffset;
    }
    return { latest, end };
  }

  /** Neighbours that fit into one segment together. */
  #groups(segments: readonly Segment[]): Segment[][] {
    const limit = Math.min(this.#core.config.segmentBytes, MAX_SEGMENT_BYTES);
    const groups: Segment[][] = [];
    let sizeBytes = 0;
    for (const segment of segments) {
      const group = groups.at(-1);
      const fits = group !== undefined &&
        sizeBytes + segment.sizeBytes <= limit &&
        segment.nextOffset - group[0].baseOffset <= MAX_RELATIVE_OFFSET &&
        segment.aborted.file.length === 0;
      if (fits) {
        group.push(segment);
        sizeBytes += segment.sizeBytes;
      } else {
        groups.push([segment]);
        sizeBytes = segment.sizeBytes;
      }
    }
    return groups;
  }

  async #rewrite(
    group: readonly Segment[],
    filter: CompactionFilter,
  ): Promise<void> {
    const core = this.#core;
    const { fileSystem } = core.files;
    const path = cleanedPath(core.directory, group[0].baseOffset);
    fileSystem.remove(path);
    const handle = fileSystem.open(path, { create: true });
    let written: { sizeBytes: number; hasChanged: boolean };
    try {
      written = await this.#writeCleaned(group, filter, handle);
    } catch (error) {
      handle.close();
      if (!core.isClosed) fileSystem.remove(path);
      throw error;
    }
    handle.close();
    if (!written.hasChanged && group.length === 1) {
      fileSystem.remove(path);
      return;
    }
    this.#swap(group, written.sizeBytes, filter.goneMarkers);
  }

  async #writeCleaned(
    group: readonly Segment[],
    filter: CompactionFilter,
    handle: FileHandle,
  ): Promise<{ sizeBytes: number; hasChanged: boolean }> {
    const output = new BufferedOutput(handle);
    let hasChanged = false;
    for (const [index, segment] of group.entries()) {
      const isLast = index === group.length - 1;
      const scanner = segment.scan({ from: 0, verify: true });
      for (const batch of scanner) {
        await this.#progress(batch.header.sizeBytes);
        const bytes = scanner.bytesOf(batch);
        // The last batch stays, if empty, so that readers pass the gap.
        const mustStay = isLast && scanner.position === segment.sizeBytes;
        const kept = filter.apply(batch.header, bytes, mustStay);
        if (kept !== bytes) hasChanged = true;
        if (kept !== undefined) output.write(kept);
      }
      if (scanner.fault !== undefined) {
        throw this.#core.corrupt(segment, scanner.fault, scanner.position);
      }
    }
    output.finish();
    await handle.syncData();
    this.#assertUnchanged();
    return { sizeBytes: output.sizeBytes, hasChanged };
  }

  /**
   * From here on there is no waiting. Aborted transactions are forgotten before
   * their markers go: what was in them is gone from the disk since the
   * compaction that gave the markers their time.
   */
  #swap(
    group: readonly Segment[],
    sizeBytes: number,
    goneMarkers: ReadonlySet<number>,
  ): void {
    const core = this.#core;
    const [first] = group;
    const last = group.at(-1)!;
    this.#syncIndexes(group);
    first.aborted.forget(goneMarkers);
    try {
      beginSwap(core.files, core.directory, first.baseOffset, last.baseOffset);
      finishSwap(core.files, core.directory, first.baseOffset, last.baseOffset);
    } catch (cause) {
      throw core.goOffline(cause);
    }
    const segment = core.newSegment(first.baseOffset, first.createdMs);
    segment.adopt(last.nextOffset, sizeBytes);
    const at = core.segments.indexOf(first);
    core.segments.splice(at, group.length, segment);
    const before = group.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    core.sizeBytes += sizeBytes - before;
    // Made when first needed; a time index must be whole before the offset
    // index, whose presence vouches for it.
    segment.rebuildIndexes();
    segment.timeIndex.file.syncNow();
    core.files.fileSystem.syncDirectory(core.directory);
    segment.index.file.syncNow();
  }

  #syncIndexes(group: readonly Segment[]): void {
    try {
      for (const segment of group) segment.syncIndexesNow();
    } catch (cause) {
      throw this.#core.goOffline(cause);
    }
  }

  async #progress(sizeBytes: number): Promise<void> {
    this.#bytesSincePause += sizeBytes;
    if (this.#bytesSincePause < STRIDE_BYTES) return;
    this.#bytesSincePause = 0;
    await this.#options.pause?.();
    this.#assertUnchanged();
  }

  #assertUnchanged(): void {
    const core = this.#core;
    if (core.generation !== this.#generation || core.isClosed) {
      throw new Interrupted();
    }
  }
}

/** Which batches belong to transactions that were aborted. */
function abortedFilter(core: LogCore): (header: BatchHeader) => boolean {
  const byProducer = new Map<number, { first: number; last: number }[]>();
  for (const segment of core.segments) {
    for (const entry of segment.aborted.endingFrom(offset(0))) {
      const list = byProducer.get(entry.producerId) ?? [];
      list.push({ first: entry.firstOffset, last: entry.lastOffset });
      byProducer.set(entry.producerId, list);
    }
  }
  return ({ isTransactional, isControl, producerId, baseOffset }) =>
    isTransactional && !isControl &&
    (byProducer.get(producerId) ?? []).some(({ first, last }) =>
      baseOffset >= first && baseOffset <= last
    );
}

/** Gathers small batches into large writes. */
class BufferedOutput {
  readonly #handle: FileHandle;
  #parts: Uint8Array[] = [];
  #partBytes = 0;
  /** Written and to be written. */
  sizeBytes = 0;

  constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  write(bytes: Uint8Array): void {
    // A copy: the scanner's view is gone with its next chunk.
    this.#parts.push(bytes.slice());
    this.#partBytes += bytes.length;
    this.sizeBytes += bytes.length;
    if (this.#partBytes >= STRIDE_BYTES / 4) this.finish();
  }

  finish(): void {
    const joined = new Uint8Array(this.#partBytes);
    let at = 0;
    for (const part of this.#parts) {
      joined.set(part, at);
      at += part.length;
    }
    this.#handle.writeAt(joined, this.sizeBytes - this.#partBytes);
    this.#parts = [];
    this.#partBytes = 0;
  }
}
