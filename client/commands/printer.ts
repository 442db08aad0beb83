/** Text to standard output and to standard error. */
import type { Terminal } from "../terminal.ts";

const encoder = new TextEncoder();

export class Printer {
  readonly #terminal: Terminal;

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
  }

  /** To standard output, exactly. */
  out(text: string): Promise<void> {
    return this.#terminal.output.write(encoder.encode(text));
  }

  /** To standard error, exactly. Losing it must not end the work. */
  async error(text: string): Promise<void> {
    try {
      await this.#terminal.error.write(encoder.encode(text));
    } catch {
      // Nobody reads it: there is nowhere left to say so.
    }
  }
}

/** What `--json` prints. */
export function json(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}

/** Control characters, which would move a terminal's cursor or ring its bell. */
// deno-lint-ignore no-control-regex
const CONTROL = /[\x00-\x08\x0b-\x1f\x7f-\x9f]/g;

export function printable(text: string): string {
  return text.replaceAll(
    CONTROL,
    (character) =>
      `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
