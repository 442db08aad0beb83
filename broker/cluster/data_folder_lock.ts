/**
 * One process per folder: an advisory lock on a file in it, which the system
 * takes back when the process ends, however it ends. Owns the lock's file and
 * nothing else in the folder. A seam to the platform (DESIGN D12), for the
 * process around a broker; a simulated broker needs no lock.
 */
import { ConfigurationError } from "../config.ts";
import type { Timers } from "../environment.ts";

export interface FolderLock {
  /** Idempotent. */
  release(): void;
}

export const FOLDER_LOCK_LIMITS = {
  /** How long to wait for a process that is about to end, unless told. */
  longestWaitMs: 2_000,
  /** How often to look. */
  stepMs: 50,
} as const;

export interface LockOptions {
  /** Made when it is missing. */
  readonly folder: string;
  readonly fileName: string;
  /** What holds such a lock, for the fault: "broker 2". */
  readonly owner: string;
  readonly timers: Timers;
  /** For a holder that may be stopping. */
  readonly longestWaitMs?: number;
}

/**
 * Waits for a holder that is stopping (the broker of a supervisor that was
 * killed). Throws `ConfigurationError` when another process keeps the lock, or
 * when the folder cannot be written.
 */
export async function lockFolder(options: LockOptions): Promise<FolderLock> {
  const { folder, fileName, owner, timers } = options;
  const { longestWaitMs = FOLDER_LOCK_LIMITS.longestWaitMs } = options;
  const { stepMs } = FOLDER_LOCK_LIMITS;
  const file = openLockFile(folder, fileName);
  for (let waitedMs = 0; !file.tryLockSync(true); waitedMs += stepMs) {
    if (waitedMs >= longestWaitMs) {
      file.close();
      throw new ConfigurationError([
        `${owner} is already running on the folder "${folder}": stop it, or ` +
        "choose another folder with --data-dir",
      ]);
    }
    await new Promise<void>((resolve) => timers.after(stepMs, resolve));
  }
  let isHeld = true;
  return {
    release() {
      if (!isHeld) return;
      isHeld = false;
      file.close();
    },
  };
}

function openLockFile(folder: string, fileName: string): Deno.FsFile {
  try {
    Deno.mkdirSync(folder, { recursive: true });
    return Deno.openSync(`${folder}/${fileName}`, {
      write: true,
      create: true,
    });
  } catch (cause) {
    throw new ConfigurationError([unwritableFolderFault(folder, cause)], cause);
  }
}

/** One line for a person: which folder, why, and what to do. */
export function unwritableFolderFault(folder: string, cause: unknown): string {
  return `cannot write the folder "${folder}" (${reasonOf(cause)}): choose ` +
    "another one with --data-dir";
}

function reasonOf(cause: unknown): string {
  if (cause instanceof Deno.errors.NotCapable) return "not allowed to Deno";
  const text = cause instanceof Error ? cause.message : String(cause);
  // "Not a directory (os error 20): mkdir '/x'" and the like.
  return text.replace(/ \(os error \d+\).*$/s, "").toLowerCase();
}
