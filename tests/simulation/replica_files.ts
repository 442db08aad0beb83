/**
 * A partition's log as its files show it, from outside of the broker: where it
 * ends, durably or not, and its bytes. Owns the reading; refuses to judge.
 */
import {
  BATCH_HEADER_BYTES,
  type BatchHeader,
  readBatchHeader,
} from "../../storage/log/batch_header.ts";
import type { Machine } from "./cluster.ts";

export interface FoundBatch {
  readonly header: BatchHeader;
  readonly bytes: Uint8Array;
}

export type View = "durable" | "current";

/** The good batches of a replica in order, without gaps; undefined: no log. */
export function batchesOf(
  machine: Machine,
  partition: string,
  view: View,
): FoundBatch[] | undefined {
  const { files } = machine.disk;
  const paths = logPaths(machine, partition);
  if (paths.length === 0) return undefined;
  const batches: FoundBatch[] = [];
  for (const path of paths) {
    const bytes = view === "durable"
      ? files.durableBytes(path)
      : files.currentBytes(path);
    if (bytes === undefined) break;
    if (!readFile(bytes, batches)) break;
  }
  return batches;
}

/**
 * The offset after the last good batch; 0 where there is none. As `batchesOf`,
 * only faster: it looks at sizes and offsets.
 */
export function endOf(
  machine: Machine,
  partition: string,
  view: View,
): number {
  const { files } = machine.disk;
  let end = -1;
  for (const path of logPaths(machine, partition)) {
    const bytes = view === "durable"
      ? files.durableBytes(path)
      : files.currentBytes(path);
    if (bytes === undefined) break;
    const data = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    let position = 0;
    while (bytes.length - position >= BATCH_HEADER_BYTES) {
      const next = position + 12 + data.getInt32(position + 8);
      const base = data.getUint32(position) * 2 ** 32 +
        data.getUint32(position + 4);
      const isGood = bytes[position + 16] === 2 && next <= bytes.length &&
        next > position && (end < 0 || base === end);
      if (!isGood) return Math.max(end, 0);
      end = base + data.getInt32(position + 23) + 1;
      position = next;
    }
  }
  return Math.max(end, 0);
}

function logPaths(machine: Machine, partition: string): string[] {
  return machine.disk.files.pathsIn(`/data/${machine.name}/${partition}`)
    .filter((path) => path.endsWith(".log")).sort();
}

/** False when the file ends with something else than a good batch. */
function readFile(bytes: Uint8Array, batches: FoundBatch[]): boolean {
  let position = 0;
  while (bytes.length - position >= BATCH_HEADER_BYTES) {
    if (bytes[position + 16] !== 2) return false;
    const header = readBatchHeader(bytes, position);
    const end = position + header.sizeBytes;
    if (end > bytes.length) return false;
    const last = batches[batches.length - 1];
    if (
      last !== undefined && header.baseOffset !== last.header.lastOffset + 1
    ) return false;
    batches.push({ header, bytes: bytes.subarray(position, end) });
    position = end;
  }
  return position === bytes.length;
}
