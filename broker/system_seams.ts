/**
 * The platform's clock, timers and randomness, as a supervisor and a broker on a
 * real machine use them. Small, because a supervisor loads nothing else.
 */
import { setImmediate } from "node:timers";
import { invariant } from "../storage/assert.ts";
import type { Clock, Random, Timers } from "./environment.ts";

/** The longest delay the platform's timers take. */
const LONGEST_DELAY_MS = 2 ** 31 - 1;
/** What `crypto.getRandomValues` fills in one call. */
const RANDOM_BYTES_PER_CALL = 65_536;

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
};

export const systemTimers: Timers = {
  after(delayMs, callback) {
    invariant(
      delayMs >= 0 && delayMs <= LONGEST_DELAY_MS,
      `a timer of ${delayMs} ms`,
    );
    const id = setTimeout(callback, delayMs);
    return { cancel: () => clearTimeout(id) };
  },
  soon: (callback) => void setImmediate(callback),
};

export const systemRandom: Random = {
  bytes(length) {
    const bytes = new Uint8Array(length);
    for (let start = 0; start < length; start += RANDOM_BYTES_PER_CALL) {
      const end = Math.min(length, start + RANDOM_BYTES_PER_CALL);
      crypto.getRandomValues(bytes.subarray(start, end));
    }
    return bytes;
  },
  uuid: () => crypto.randomUUID(),
  float: () => Math.random(),
};
