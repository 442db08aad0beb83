/** Flushes many logs, as when a broker starts or stops. */
import type { Log } from "../../storage/log/log.ts";

/** Logs that are flushed at a time. */
const FLUSHES_AT_ONCE = 64;

/** Together, because disks are good at that. Resolves to what went wrong. */
export async function flushAll(logs: readonly Log[]): Promise<unknown[]> {
  const faults: unknown[] = [];
  let next = 0;
  const work = async () => {
    while (next < logs.length) {
      const log = logs[next++];
      if (log.isOffline) continue;
      await log.flush().catch((fault) => faults.push(fault));
    }
  };
  await Promise.all(
    Array.from({ length: FLUSHES_AT_ONCE }, work),
  );
  return faults;
}
