/**
 * The recovery checkpoint of one log: up to where everything is known to be on
 * the disk and right, so that opening the log looks only at what came after.
 *
 * `log-checkpoint` has two slots, 4 KiB apart, written in turn: a write that a
 * crash tears leaves the other one, which is synced by then. A slot is written
 * only after all that it speaks of is on the disk.
 *
 * Slot: int32 version, int64 generation, int64 recoveryPoint, int64
 * logStartOffset, int64 segmentBaseOffset, int64 segmentBytes, int32 offset,
 * time and aborted index entries, int32 hasProducerSnapshot, int64
 * compactedUpTo, int32 CRC-32C.
 */
import {
  readInt32,
  readInt64,
  readUint32,
  writeInt32,
  writeInt64,
} from "./bytes.ts";
import { crc32c } from "./crc32c.ts";
import type { FileHandle } from "../file_system.ts";
import type { OpenFiles } from "./open_files.ts";
import type { Offset } from "./types.ts";

export interface Checkpoint {
  /** First offset not known to be on the disk. */
  recoveryPoint: Offset;
  logStartOffset: Offset;
  /** The segment that holds the recovery point; -1: the log has no segment. */
  segmentBaseOffset: number;
  /** Where in that segment the recovery point is. */
  segmentBytes: number;
  /** Entries of that segment's index files which are on the disk. */
  offsetEntries: number;
  timeEntries: number;
  abortedEntries: number;
  /** True: `<recoveryPoint>.snapshot` exists; false: there are no producers. */
  hasProducerSnapshot: boolean;
  /** First offset that compaction has not looked at. */
  compactedUpTo: Offset;
}

export const CHECKPOINT_FILE = "log-checkpoint";
const FORM_VERSION = 1;
const SLOT_BYTES = 76;
const SLOT_POSITIONS = [0, 4096];

function encodeSlot(checkpoint: Checkpoint, generation: number): Uint8Array {
  const slot = new Uint8Array(SLOT_BYTES);
  writeInt32(slot, 0, FORM_VERSION);
  writeInt64(slot, 4, generation);
  writeInt64(slot, 12, checkpoint.recoveryPoint);
  writeInt64(slot, 20, checkpoint.logStartOffset);
  writeInt64(slot, 28, checkpoint.segmentBaseOffset);
  writeInt64(slot, 36, checkpoint.segmentBytes);
  writeInt32(slot, 44, checkpoint.offsetEntries);
  writeInt32(slot, 48, checkpoint.timeEntries);
  writeInt32(slot, 52, checkpoint.abortedEntries);
  writeInt32(slot, 56, checkpoint.hasProducerSnapshot ? 1 : 0);
  writeInt64(slot, 60, checkpoint.compactedUpTo);
  writeInt32(slot, 72, crc32c(slot.subarray(0, 72)));
  return slot;
}

function decodeSlot(
  slot: Uint8Array,
): { checkpoint: Checkpoint; generation: number } | undefined {
  if (slot.length < SLOT_BYTES) return undefined;
  if (readInt32(slot, 0) !== FORM_VERSION) return undefined;
  if (readUint32(slot, 72) !== crc32c(slot.subarray(0, 72))) return undefined;
  return {
    generation: readInt64(slot, 4),
    checkpoint: {
      recoveryPoint: readInt64(slot, 12) as Offset,
      logStartOffset: readInt64(slot, 20) as Offset,
      segmentBaseOffset: readInt64(slot, 28),
      segmentBytes: readInt64(slot, 36),
      offsetEntries: readInt32(slot, 44),
      timeEntries: readInt32(slot, 48),
      abortedEntries: readInt32(slot, 52),
      hasProducerSnapshot: readInt32(slot, 56) === 1,
      compactedUpTo: readInt64(slot, 60) as Offset,
    },
  };
}

export class CheckpointFile {
  readonly #files: OpenFiles;
  readonly #directory: string;
  #generation = 0;
  #exists = false;
  /** The newest slot is not on the disk: it must be before the other goes. */
  #unsynced = false;

  constructor(files: OpenFiles, directory: string) {
    this.#files = files;
    this.#directory = directory;
  }

  /** False while a crash might leave no checkpoint that is whole. */
  get exists(): boolean {
    return this.#exists;
  }

  get path(): string {
    return `${this.#directory}/${CHECKPOINT_FILE}`;
  }

  /** The newest whole slot; undefined when there is none. */
  load(): Checkpoint | undefined {
    if (!this.#files.fileSystem.exists(this.path)) return undefined;
    const bytes = this.#files.fileSystem.readFile(this.path);
    let newest: Checkpoint | undefined;
    for (const at of SLOT_POSITIONS) {
      const slot = decodeSlot(bytes.subarray(at, at + SLOT_BYTES));
      if (slot !== undefined && slot.generation > this.#generation) {
        this.#generation = slot.generation;
        newest = slot.checkpoint;
      }
    }
    // The first one of all may be torn: then it is as if there were no file.
    this.#exists = newest !== undefined;
    return newest;
  }

  /** Overwrites the older slot; on the disk when it returns. */
  save(checkpoint: Checkpoint): void {
    if (this.#unsynced) this.#files.open(this.path).syncDataSync();
    this.#write(checkpoint).syncDataSync();
    this.#unsynced = false;
    this.#syncDirectoryOnce();
  }

  /** The same without blocking; another save may come in between. */
  async saveLater(checkpoint: Checkpoint): Promise<void> {
    if (this.#unsynced) this.#files.open(this.path).syncDataSync();
    const handle = this.#write(checkpoint);
    const generation = this.#generation;
    await handle.syncData();
    if (generation === this.#generation) this.#unsynced = false;
    this.#syncDirectoryOnce();
  }

  #write(checkpoint: Checkpoint): FileHandle {
    const generation = this.#generation + 1;
    const handle = this.#files.open(this.path, { create: true });
    handle.writeAt(
      encodeSlot(checkpoint, generation),
      SLOT_POSITIONS[generation % 2],
    );
    this.#generation = generation;
    this.#unsynced = true;
    return handle;
  }

  #syncDirectoryOnce(): void {
    if (this.#exists) return;
    this.#files.fileSystem.syncDirectory(this.#directory);
    this.#exists = true;
  }
}
