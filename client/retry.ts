/** Waiting between attempts: exponential, jittered, capped, cut short by abort. */
import type { ClientWorld } from "./terminal.ts";

const FIRST_PAUSE_MS = 25;
const LONGEST_PAUSE_MS = 1000;
/** What takes longer than a change of leaders is worth a line. */
export const PATIENCE_MS = 3000;

/**
 * The pause before attempt `attempt` + 1 (the first is 0): half of an
 * exponential bound fixed, half of it random, so that many clients spread out.
 * A server's wish (`Retry-After`) is a lower bound, within the same cap.
 */
export function pauseMs(
  attempt: number,
  random: number,
  retryAfterMs = 0,
): number {
  const bound = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** attempt);
  const jittered = bound * (0.5 + random / 2);
  return Math.max(jittered, Math.min(retryAfterMs, LONGEST_PAUSE_MS));
}

/** Resolves after `delayMs`, or at once when `signal` aborts. */
export function sleep(
  world: ClientWorld,
  delayMs: number,
  signal?: AbortSignal,
): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const end = () => {
      timer.cancel();
      signal?.removeEventListener("abort", end);
      resolve();
    };
    const timer = world.after(delayMs, end);
    signal?.addEventListener("abort", end);
  });
}
