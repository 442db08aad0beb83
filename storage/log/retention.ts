/** Which segments are old or too many (NOTES 4.10). Decides; deletes nothing. */
import type { LogCore } from "./log_core.ts";
import type { Segment } from "./segment.ts";
import type { Offset } from "./types.ts";

/** The active segment's first record is older than `segmentMs`. */
export function mustRollByTime(core: LogCore, nowMs: number): boolean {
  const { active } = core;
  if (active === undefined || active.sizeBytes === 0) return false;
  return nowMs - ageStartMs(active.firstTimestampMs, active) >
    core.config.segmentMs;
}

/** How many of the oldest closed segments may go, all below `deletableBelow`. */
export function deletableSegments(
  core: LogCore,
  nowMs: number,
  deletableBelow: Offset,
): number {
  const { segments, config } = core;
  if (!config.cleanupPolicy.delete) return 0;
  let count = 0;
  let { sizeBytes } = core;
  while (count < segments.length - 1) {
    const segment = segments[count];
    if (segments[count + 1].baseOffset > deletableBelow) break;
    const isOld = config.retentionMs >= 0 &&
      nowMs - ageStartMs(segment.maxTimestamp?.timestampMs, segment) >
        config.retentionMs;
    const isTooMuch = config.retentionBytes >= 0 &&
      sizeBytes - segment.sizeBytes >= config.retentionBytes;
    if (!isOld && !isTooMuch) break;
    sizeBytes -= segment.sizeBytes;
    count++;
  }
  return count;
}

/** Records without a time are as old as our knowledge of their segment. */
function ageStartMs(timestampMs: number | undefined, segment: Segment): number {
  return timestampMs !== undefined && timestampMs >= 0
    ? timestampMs
    : segment.createdMs;
}
