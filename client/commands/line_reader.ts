/**
 * Lines of an input. A line ends with LF or CR LF; the last one may lack it.
 * A line that is valid UTF-8 comes as text, any other as its bytes. Holds at
 * most one line (up to the limit) and what one read brings.
 */
import type { Input } from "../terminal.ts";

export type Line = string | Uint8Array;

/** The next line is longer than the limit; nothing after it can be read. */
export class LineTooLong {
  readonly limitBytes: number;
  constructor(limitBytes: number) {
    this.limitBytes = limitBytes;
  }
}

const LINE_FEED = 10;
const CARRIAGE_RETURN = 13;
const READ_BYTES = 256 * 1024;

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

export class LineReader {
  readonly #input: Input;
  readonly #limitBytes: number;
  #buffer = new Uint8Array(READ_BYTES);
  /** What is read and not yet returned is [start, end). */
  #start = 0;
  #end = 0;
  /** No line feed is in [start, searched). */
  #searched = 0;
  #isOver = false;

  constructor(input: Input, limitBytes: number) {
    this.#input = input;
    this.#limitBytes = limitBytes;
  }

  /** The next line alone; null at the end. */
  async next(): Promise<Line | LineTooLong | null> {
    for (;;) {
      const feed = this.#buffer.subarray(0, this.#end)
        .indexOf(LINE_FEED, this.#searched);
      if (feed >= 0) return lineOf(this.#cut(feed + 1));
      if (this.#isOver) {
        return this.#start < this.#end ? lineOf(this.#cut(this.#end)) : null;
      }
      if (!await this.#more()) return new LineTooLong(this.#limitBytes);
    }
  }

  /** All whole lines at hand, at least one; null at the end. */
  async nextAll(): Promise<Line[] | LineTooLong | null> {
    for (;;) {
      const feed = this.#buffer.subarray(this.#searched, this.#end)
        .lastIndexOf(LINE_FEED);
      if (feed >= 0) return linesOf(this.#cut(this.#searched + feed + 1));
      if (this.#isOver) {
        return this.#start < this.#end ? linesOf(this.#cut(this.#end)) : null;
      }
      if (!await this.#more()) return new LineTooLong(this.#limitBytes);
    }
  }

  /** Valid until the next read. */
  #cut(end: number): Uint8Array {
    const bytes = this.#buffer.subarray(this.#start, end);
    this.#start = end;
    this.#searched = end;
    return bytes;
  }

  /** Reads on; false when the unfinished line is beyond the limit. */
  async #more(): Promise<boolean> {
    this.#searched = this.#end;
    if (this.#end - this.#start > this.#limitBytes) return false;
    this.#makeRoom();
    const count = await this.#input.read(this.#buffer.subarray(this.#end));
    if (count === null) this.#isOver = true;
    else this.#end += count;
    return true;
  }

  #makeRoom(): void {
    const length = this.#end - this.#start;
    const target = length > this.#buffer.length / 2
      ? new Uint8Array(this.#buffer.length * 2)
      : this.#buffer;
    if (target === this.#buffer) {
      this.#buffer.copyWithin(0, this.#start, this.#end);
    } else {
      target.set(this.#buffer.subarray(this.#start, this.#end));
    }
    this.#buffer = target;
    this.#start = 0;
    this.#end = length;
    this.#searched = length;
  }
}

function linesOf(bytes: Uint8Array): Line[] {
  let text: string;
  try {
    text = decoder.decode(bytes);
  } catch {
    return splitBytes(bytes);
  }
  const lines = text.split("\n");
  if (text.endsWith("\n")) lines.pop();
  if (!text.includes("\r")) return lines;
  return lines.map((line) => line.endsWith("\r") ? line.slice(0, -1) : line);
}

function splitBytes(bytes: Uint8Array): Line[] {
  const lines: Line[] = [];
  let start = 0;
  while (start < bytes.length) {
    const feed = bytes.indexOf(LINE_FEED, start);
    const end = feed < 0 ? bytes.length : feed + 1;
    lines.push(lineOf(bytes.subarray(start, end)));
    start = end;
  }
  return lines;
}

/** Takes off the line's end, and copies what stays bytes. */
function lineOf(bytes: Uint8Array): Line {
  let end = bytes.length;
  if (end > 0 && bytes[end - 1] === LINE_FEED) end--;
  if (end > 0 && bytes[end - 1] === CARRIAGE_RETURN) end--;
  const content = bytes.subarray(0, end);
  try {
    return decoder.decode(content);
  } catch {
    return content.slice();
  }
}
