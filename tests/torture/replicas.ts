/** Compares the replicas of partitions, on the disks of stopped brokers. */
import {
  BATCH_HEADER_BYTES,
  readBatchHeader,
} from "../../storage/log/batch_header.ts";
import { DenoFileSystem } from "../../storage/deno_file_system.ts";
import { DEFAULT_LOG_CONFIG, Log, OpenFiles } from "../../storage/log/log.ts";
import { offset } from "../../storage/log/types.ts";
import type { Slot, Violation } from "./history.ts";

const READ_BYTES = 1024 * 1024;
const RULE = "replicas agree byte for byte below the high watermark";

export interface ReplicaQuestion {
  readonly slot: Slot;
  readonly highWatermark: number;
  /** Of the brokers that hold it. */
  readonly folders: ReadonlyMap<number, string>;
}

/** What differs; nothing for one replica. */
export function differences(question: ReplicaQuestion): Violation[] {
  const { slot, folders } = question;
  const name = `${slot.topic}_${slot.partition}`;
  const violations: Violation[] = [];
  const complain = (detail: string) => violations.push({ rule: RULE, detail });
  let first: { broker: number; batches: Uint8Array[] } | undefined;
  for (const [broker, folder] of folders) {
    try {
      const batches = readBatches(`${folder}/${name}`, question.highWatermark);
      first ??= { broker, batches };
      const where = firstDifference(first.batches, batches);
      if (where !== undefined) {
        complain(
          `${name} of brokers ${first.broker} and ${broker}: ${where}`,
        );
      }
    } catch (error) {
      complain(`${name} of broker ${broker}: ${(error as Error).message}`);
    }
  }
  return violations;
}

/** Whole batches from offset 0 to the high watermark. */
function readBatches(directory: string, highWatermark: number): Uint8Array[] {
  if (highWatermark === 0) return [];
  const fileSystem = new DenoFileSystem();
  const log = Log.open({
    fileSystem,
    openFiles: new OpenFiles(fileSystem, { limit: 16 }),
    directory,
    config: DEFAULT_LOG_CONFIG,
    nowMs: Date.now(),
  });
  try {
    if (log.logEndOffset < highWatermark) {
      throw new Error(`ends at ${log.logEndOffset}, not at ${highWatermark}`);
    }
    const batches: Uint8Array[] = [];
    for (let next = offset(0); next < highWatermark;) {
      const { bytes, nextOffset } = log.read(next, {
        maxBytes: READ_BYTES,
        upperBound: offset(highWatermark),
        minOneBatch: true,
      });
      if (nextOffset === next) throw new Error(`has nothing at ${next}`);
      for (let at = 0; at + BATCH_HEADER_BYTES <= bytes.length;) {
        const { sizeBytes } = readBatchHeader(bytes, at);
        batches.push(bytes.subarray(at, at + sizeBytes));
        at += sizeBytes;
      }
      next = nextOffset;
    }
    return batches;
  } finally {
    log.close();
  }
}

function firstDifference(
  one: readonly Uint8Array[],
  other: readonly Uint8Array[],
): string | undefined {
  for (let index = 0; index < Math.max(one.length, other.length); index++) {
    const [a, b] = [one[index], other[index]];
    if (a === undefined || b === undefined) {
      return `${one.length} batches against ${other.length}`;
    }
    if (a.length === b.length && a.every((byte, at) => byte === b[at])) {
      continue;
    }
    const [left, right] = [readBatchHeader(a), readBatchHeader(b)];
    return `offset ${left.baseOffset} of epoch ${left.leaderEpoch} against ` +
      `offset ${right.baseOffset} of epoch ${right.leaderEpoch}`;
  }
  return undefined;
}
