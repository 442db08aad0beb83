/**
 * Retention (NOTES 4.10): which segments are old or too many, and their end.
 * Owns these decisions; how segments go is `log_start.ts`.
 */
import { DiskFullError } from "../error.ts";
import type { LogAppender } from "./log_appender.ts";
import type { LogCore } from "./log_core.ts";
import type { LogStart } from "./log_start.ts";
import type { Segment } from "./segment.ts";
import type { Offset } from "./types.ts";

export class Retention {
  readonly #core: LogCore;
  readonly #appender: LogAppender;
  readonly #start: LogStart;

  constructor(
    core: LogCore,
    parts: { readonly appender: LogAppender; readonly start: LogStart },
  ) {
    this.#core = core;
    this.#appender = parts.appender;
    this.#start = parts.start;
  }

  /** Returns how many segments went. */
  enforce(nowMs: number, deletableBelow: Offset): number {
    const core = this.#core;
    core.assertWritable();
    if (mustRollByTime(core, nowMs)) this.#appender.roll(nowMs);
    core.producers.expire(nowMs, core.config.producerIdExpirationMs);
    const count = deletableSegments(core, nowMs, deletableBelow);
    if (count === 0) return 0;
    const before = core.segments.length;
    const start = core.segments[count].baseOffset;
    try {
      this.#start.advanceTo(start);
    } catch (error) {
      if (!(error instanceof DiskFullError)) throw error;
      this.#start.makeRoomBelow(start);
    }
    return before - core.segments.length;
  }
}

/** The active segment's first record is older than `segmentMs`. */
function mustRollByTime(core: LogCore, nowMs: number): boolean {
  const { active } = core;
  if (active === undefined || active.sizeBytes === 0) return false;
  return nowMs - ageStartMs(active.firstTimestampMs, active) >
    core.config.segmentMs;
}

/** How many of the oldest closed segments may go, all below `deletableBelow`. */
function deletableSegments(
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
