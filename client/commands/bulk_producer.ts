/**
 * Lines of standard input into a topic, fast: batches, bounded memory, a line
 * number for everything that goes wrong, a summary at the end.
 */
import { EXIT_DONE, EXIT_FAILED } from "../../cli/run.ts";
import { CONTRACT_LIMITS } from "../../contract/limits.ts";
import { Producer } from "../producer.ts";
import { nextInTurn, onceEach } from "./interactive_producer.ts";
import { Interrupted, type Interruption } from "./interruption.ts";
import { type Line, LineReader, LineTooLong } from "./line_reader.ts";
import { LineFault, type LineForm, readRecordLine } from "./record_lines.ts";
import { OutputClosed } from "../terminal.ts";
import { counted, Progress } from "./progress.ts";
import type { Session } from "./session.ts";

/** Bytes of a body beside its one record. */
const ENVELOPE_BYTES = 64 * 1024;
/** The longest JSON text of one record that a request can carry. */
const LONGEST_RECORD_BYTES = CONTRACT_LIMITS.batchBodyBytes - ENVELOPE_BYTES;
/** The longest line that is read at all. */
export const LONGEST_LINE_BYTES = LONGEST_RECORD_BYTES;
/** Texts up to this length fit whatever their characters. */
const SURELY_FITS_CHARACTERS = LONGEST_RECORD_BYTES / 3;
const LINGER_MS = 20;
/** Refused lines that are told one by one; at one more the work stops. */
const REFUSED_LINES_LIMIT = 100;

const encoder = new TextEncoder();

export type AcknowledgementForm = "none" | "text" | "json";

export interface BulkOptions {
  readonly topic: string;
  readonly form: LineForm;
  readonly acknowledgements: AcknowledgementForm;
  readonly deliveryTimeoutMs: number;
  readonly interruption: Interruption;
}

export async function produceLines(
  session: Session,
  options: BulkOptions,
): Promise<number> {
  const { topic, form } = options;
  const { partition: fixed, partitions } = form;
  const isSpread = fixed === undefined && form.key === undefined;
  const firstPartition = isSpread
    ? await nextInTurn(session, topic, partitions)
    : 0;
  return await new BulkProducer(session, options, firstPartition).run();
}

class BulkProducer {
  readonly #session: Session;
  readonly #options: BulkOptions;
  readonly #lines: LineReader;
  readonly #producer: Producer;
  readonly #progress: Progress;
  #lineNumber = 0;
  #acknowledged = 0;
  #refused = 0;
  #isPrinting: boolean;
  /** Acknowledgements to print. */
  #pendingText = "";
  /** Lines cannot be read any more: why. */
  #inputFault: string | undefined;

  constructor(session: Session, options: BulkOptions, firstPartition: number) {
    this.#session = session;
    this.#options = options;
    this.#isPrinting = options.acknowledgements !== "none";
    const { terminal } = session;
    this.#lines = new LineReader(terminal.input, LONGEST_LINE_BYTES);
    this.#producer = new Producer({
      world: terminal,
      cluster: session.cluster,
      topic: options.topic,
      partitions: options.form.partitions,
      firstPartition,
      lingerMs: LINGER_MS,
      deliveryTimeoutMs: options.deliveryTimeoutMs,
      events: {
        acknowledged: (partition, tags, offsetOf) => {
          this.#acknowledged += tags.length;
          this.#notePrinted(partition, tags, offsetOf);
        },
        rejected: ({ tag, reason }) => this.#refuse(tag, reason),
        notice: onceEach((text) => session.notice(text)),
      },
    });
    this.#progress = new Progress({
      terminal,
      printer: session.printer,
      isWanted: true,
      count: () => this.#acknowledged,
    });
  }

  async run(): Promise<number> {
    const { interruption } = this.#options;
    try {
      while (this.#producer.fault === undefined) {
        const lines = await interruption.either(this.#lines.nextAll());
        if (lines === null || lines instanceof Interrupted) break;
        if (lines instanceof LineTooLong) {
          this.#inputFault = `line ${this.#lineNumber + 1} is longer than ` +
            `${lines.limitBytes} bytes`;
          break;
        }
        await this.#send(lines);
        await this.#print();
      }
      await this.#producer.flush();
      await this.#print();
    } finally {
      this.#producer.close();
      await this.#progress.end();
    }
    return await this.#conclude();
  }

  async #send(lines: readonly Line[]): Promise<void> {
    for (const line of lines) {
      const { isInterrupted } = this.#options.interruption;
      if (isInterrupted || this.#producer.fault !== undefined) return;
      this.#lineNumber++;
      const record = readRecordLine(line, this.#options.form);
      const fault = record instanceof LineFault
        ? record.reason
        : sizeFault(record.text);
      if (record instanceof LineFault || fault !== undefined) {
        this.#refuse(this.#lineNumber, fault!);
        continue;
      }
      const partition = record.partition ??
        this.#producer.choosePartition(record.key);
      const room = this.#producer.sendText(
        record.text,
        this.#lineNumber,
        partition,
      );
      if (room !== undefined) {
        await room;
        await this.#print();
      }
    }
  }

  #refuse(lineNumber: number, reason: string): void {
    this.#refused++;
    if (this.#refused > REFUSED_LINES_LIMIT) {
      this.#producer.stop(
        `more than ${REFUSED_LINES_LIMIT} lines were refused`,
      );
      return;
    }
    this.#session.notice(`line ${lineNumber} was not stored: ${reason}`);
  }

  #notePrinted(
    partition: number,
    tags: readonly number[],
    offsetOf: (index: number) => number | undefined,
  ): void {
    if (!this.#isPrinting) return;
    const { acknowledgements } = this.#options;
    tags.forEach((line, index) => {
      const offset = offsetOf(index) ?? null;
      this.#pendingText += acknowledgements === "json"
        ? `${JSON.stringify({ line, partition, offset })}\n`
        : `line ${line}: partition ${partition} offset ${offset}\n`;
    });
  }

  async #print(): Promise<void> {
    if (this.#pendingText === "") return;
    const text = this.#pendingText;
    this.#pendingText = "";
    try {
      await this.#session.printer.out(text);
    } catch (error) {
      // Who stopped reading acknowledgements did not ask to stop sending.
      if (!(error instanceof OutputClosed)) throw error;
      this.#isPrinting = false;
    }
  }

  async #conclude(): Promise<number> {
    const { printer } = this.#session;
    const { summary } = this.#progress;
    const fault = this.#producer.fault?.reason ?? this.#inputFault;
    const refused = this.#refused === 0
      ? ""
      : `, ${this.#refused} refused of ${
        counted(this.#lineNumber, "line")
      } read`;
    if (fault !== undefined) {
      return await this.#session.fail(
        `stopped: ${fault}\n${counted(this.#acknowledged, "message")} ` +
          `acknowledged of ${counted(this.#lineNumber, "line")} read`,
      );
    }
    if (this.#options.interruption.isInterrupted) {
      await printer.error(
        `Interrupted: ${counted(this.#acknowledged, "message")} acknowledged ` +
          `of ${counted(this.#lineNumber, "line")} read${refused}\n`,
      );
      return EXIT_FAILED;
    }
    await printer.error(`${summary}${refused}\n`);
    return this.#refused === 0 ? EXIT_DONE : EXIT_FAILED;
  }
}

function sizeFault(text: string): string | undefined {
  if (text.length <= SURELY_FITS_CHARACTERS) return undefined;
  const bytes = encoder.encode(text).length;
  return bytes <= LONGEST_RECORD_BYTES
    ? undefined
    : `it takes ${bytes} bytes as JSON, more than the ` +
      `${LONGEST_RECORD_BYTES} that a request can carry`;
}
