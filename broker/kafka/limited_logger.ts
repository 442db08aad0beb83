/**
 * Lines that anybody on the network can provoke, so many per second and no
 * more. Owns the counting; what was left out is told by the next line.
 */
import type { Clock } from "../environment.ts";
import type { LogFields, Logger, LogLevel } from "../logger.ts";

/** Lines of one message in one window. */
const LINES_PER_WINDOW = 10;
const WINDOW_MS = 10_000;

interface Window {
  startMs: number;
  lines: number;
  leftOut: number;
}

export class LimitedLogger {
  readonly #logger: Logger;
  readonly #clock: Clock;
  /** By message: texts in our code, hence few. */
  readonly #windows = new Map<string, Window>();

  constructor(options: { logger: Logger; clock: Clock }) {
    this.#logger = options.logger;
    this.#clock = options.clock;
  }

  write(level: LogLevel, message: string, fields: LogFields): void {
    const nowMs = this.#clock.monotonicMs();
    let window = this.#windows.get(message);
    if (window === undefined) {
      window = { startMs: nowMs, lines: 0, leftOut: 0 };
      this.#windows.set(message, window);
    } else if (nowMs - window.startMs >= WINDOW_MS) {
      window.startMs = nowMs;
      window.lines = 0;
    }
    if (window.lines >= LINES_PER_WINDOW) {
      window.leftOut++;
      return;
    }
    window.lines++;
    const { leftOut } = window;
    window.leftOut = 0;
    const all = leftOut === 0 ? fields : { ...fields, leftOut };
    this.#logger[level](message, all);
  }
}
