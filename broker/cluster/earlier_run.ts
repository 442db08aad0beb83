/**
 * Two runs of one broker must not overlap: they would change each other's
 * partitions, and both would be believed. Owns the wait for an earlier run to be
 * over, and the note by which a broker knows its own last run.
 *
 * The folder's lock says that no process runs on this folder any more, so the
 * run noted in it is over and its lease can be ended. A run on another folder (a
 * second machine with the same id, or this broker before its disk was replaced)
 * is over when its lease is: one that keeps renewing it is refused.
 */
import type { FileSystem } from "../../storage/file_system.ts";
import { ConfigurationError } from "../config.ts";
import type { Timers } from "../environment.ts";
import { KEYS, type LiveFact, readFact } from "./facts.ts";
import type { MetadataView } from "./metadata_view.ts";

export const EARLIER_RUN_LIMITS = {
  /**
   * Past any lease that nobody renews: etcd's are of 2 s, ended up to half a
   * second late, and begin anew when etcd elects.
   */
  longestWaitMs: 4000,
  stepMs: 50,
} as const;

const NOTE = "last-run";

/** Durably, before the cluster can see the run. */
export function noteRun(
  fileSystem: FileSystem,
  folder: string,
  incarnation: string,
): void {
  fileSystem.writeFileAtomic(
    `${folder}/${NOTE}`,
    new TextEncoder().encode(incarnation),
  );
}

export interface EarlierRunOptions {
  readonly view: MetadataView;
  readonly timers: Timers;
  readonly fileSystem: FileSystem;
  readonly folder: string;
  readonly brokerId: number;
}

/**
 * Resolves when no run of this broker lives.
 *
 * @throws ConfigurationError when one goes on living.
 */
export async function untilEarlierRunIsOver(
  options: EarlierRunOptions,
): Promise<void> {
  const { view, timers, brokerId } = options;
  const { longestWaitMs, stepMs } = EARLIER_RUN_LIMITS;
  const lastRun = readNote(options);
  for (let waitedMs = 0;; waitedMs += stepMs) {
    const entry = await view.store.get(KEYS.liveBroker(brokerId));
    if (entry === undefined) return;
    const { incarnation } = readFact<LiveFact>(entry.key, entry.value);
    if (incarnation === lastRun && entry.leaseId !== undefined) {
      return await view.store.revokeLease(entry.leaseId);
    }
    if (waitedMs >= longestWaitMs) throw placeTaken(brokerId);
    await new Promise<void>((resolve) => timers.after(stepMs, resolve));
  }
}

export function placeTaken(brokerId: number): ConfigurationError {
  return new ConfigurationError([
    `broker ${brokerId} is already running in this cluster, on another data ` +
    "folder: stop it, or give this one another --id",
  ]);
}

function readNote(
  { fileSystem, folder }: EarlierRunOptions,
): string | undefined {
  const path = `${folder}/${NOTE}`;
  if (!fileSystem.exists(path)) return undefined;
  return new TextDecoder().decode(fileSystem.readFile(path));
}
