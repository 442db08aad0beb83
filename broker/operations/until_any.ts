/** Waiting for the first of many things, as a parked fetch does. */
import type { Timers } from "../environment.ts";

/**
 * Resolves when any of what `listen` subscribes to calls back, time is up, or
 * nobody waits any longer. `listen` returns what takes its subscriptions back.
 */
export function untilAny(
  timers: Timers,
  { waitMs, signal }: { waitMs: number; signal?: AbortSignal },
  listen: (finish: () => void) => (() => void)[],
): Promise<void> {
  return new Promise((resolve) => {
    let takeBacks: (() => void)[] = [];
    const finish = () => {
      timer.cancel();
      signal?.removeEventListener("abort", finish);
      for (const takeBack of takeBacks) takeBack();
      resolve();
    };
    const timer = timers.after(waitMs, finish);
    signal?.addEventListener("abort", finish, { once: true });
    takeBacks = listen(finish);
  });
}
