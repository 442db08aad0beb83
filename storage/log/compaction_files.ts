/**
 * The names by which a compacted segment takes the place of the old ones, so
 * that a crash at any moment leaves either all old or the new one: batches are
 * written to `<base>.log.cleaned`, synced, renamed to `<base>.log.swap` (from
 * now on the new one counts), the old files are removed, and the swap file gets
 * its name. Recovery finishes what was begun.
 */
import type { OpenFiles } from "./open_files.ts";
import { SEGMENT_SUFFIXES, segmentPath } from "./segment.ts";

const CLEANED_SUFFIX = ".log.cleaned";
const SWAP_SUFFIX = ".log.swap";
const SWAP_NAME = /^(\d{20})-(\d{20})\.log\.swap$/;

/** Where the new batches are gathered: nothing counts on it. */
export function cleanedPath(directory: string, firstBase: number): string {
  return segmentPath(directory, firstBase) + CLEANED_SUFFIX;
}

/** From now on the new segment, which is on the disk, is the one that counts. */
export function beginSwap(
  files: OpenFiles,
  directory: string,
  firstBase: number,
  lastBase: number,
): void {
  files.fileSystem.rename(
    cleanedPath(directory, firstBase),
    swapPath(directory, firstBase, lastBase),
  );
  files.fileSystem.syncDirectory(directory);
}

/** Names both ends: the first base offset and the last one it replaces. */
function swapPath(
  directory: string,
  firstBase: number,
  lastBase: number,
): string {
  const last = segmentPath("", lastBase).slice(1);
  return `${segmentPath(directory, firstBase)}-${last}${SWAP_SUFFIX}`;
}

/** Completes the swaps that a crash interrupted; true when there were any. */
export function finishSwaps(files: OpenFiles, directory: string): boolean {
  let hasAny = false;
  for (const { name } of files.fileSystem.readDirectory(directory)) {
    const match = SWAP_NAME.exec(name);
    if (match === null) continue;
    finishSwap(files, directory, Number(match[1]), Number(match[2]));
    hasAny = true;
  }
  return hasAny;
}

/** Removes the segments from the first to the last base; the swap is left. */
export function finishSwap(
  files: OpenFiles,
  directory: string,
  firstBase: number,
  lastBase: number,
): void {
  const { fileSystem } = files;
  for (const { name } of fileSystem.readDirectory(directory)) {
    const base = Number(/^(\d{20})\.log$/.exec(name)?.[1] ?? NaN);
    if (base > firstBase && base <= lastBase) {
      removeSegmentFiles(files, segmentPath(directory, base));
    }
  }
  const first = segmentPath(directory, firstBase);
  // Its index speaks of the old batches: gone before the new ones come.
  removeSegmentFiles(files, first, [".index", ".timeindex"]);
  fileSystem.syncDirectory(directory);
  files.close(`${first}.log`);
  const swap = swapPath(directory, firstBase, lastBase);
  files.close(swap);
  fileSystem.rename(swap, `${first}.log`);
  fileSystem.syncDirectory(directory);
}

function removeSegmentFiles(
  files: OpenFiles,
  prefix: string,
  suffixes: readonly string[] = SEGMENT_SUFFIXES,
): void {
  for (const suffix of suffixes) {
    files.close(prefix + suffix);
    files.fileSystem.remove(prefix + suffix);
  }
}
