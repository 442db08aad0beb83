/**
 * Structured diagnostic output, a line per event, as text for people or JSON for
 * machines. It never carries record contents.
 */
export type LogLevel = "debug" | "info" | "warn" | "error";
export type LogFields = Record<string, string | number | boolean | null>;

export interface Logger {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields & { cause?: string }): void;
}

const LEVELS: LogLevel[] = ["debug", "info", "warn", "error"];

export interface LoggerOptions {
  level: LogLevel;
  format: "text" | "json";
  /** Milliseconds since the Unix epoch, for the line's time. */
  nowMs(): number;
  /** Takes a whole line without its line feed. */
  writeLine(line: string): void;
  /** Fields on every line, such as the broker's id. */
  context?: LogFields;
}

export function createLogger(options: LoggerOptions): Logger {
  const threshold = LEVELS.indexOf(options.level);
  const write = (level: LogLevel, message: string, fields?: LogFields) => {
    if (LEVELS.indexOf(level) < threshold) return;
    const time = new Date(options.nowMs()).toISOString();
    const all = { ...options.context, ...fields };
    options.writeLine(
      options.format === "json"
        ? JSON.stringify({ time, level, message, ...all })
        : textLine(time, level, message, all),
    );
  };
  return {
    debug: (message, fields) => write("debug", message, fields),
    info: (message, fields) => write("info", message, fields),
    warn: (message, fields) => write("warn", message, fields),
    error: (message, fields) => write("error", message, fields),
  };
}

function textLine(
  time: string,
  level: LogLevel,
  message: string,
  fields: LogFields,
): string {
  const parts = Object.entries(fields).map(([name, value]) => {
    const text = String(value);
    return `${name}=${/[\s"=]/.test(text) ? JSON.stringify(text) : text}`;
  });
  return [time, level.toUpperCase().padEnd(5), message, ...parts].join(" ");
}
