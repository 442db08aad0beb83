/**
 * The body of most requests to produce one message, read straight from its
 * bytes: a JSON object of a few known fields, without escapes in its strings. It
 * says what the strict reading (`resources/produce.ts`) would say, or nothing,
 * and the body is left to that: nothing is refused here.
 *
 * Why: text that is made only to be parsed, objects that are made only to be
 * checked, and a message that is decoded only to be encoded again, took an
 * eighth of the processor time of such a request.
 */
import { isUtf8 } from "node:buffer";
import type { NewRecord, RecordHeader } from "../operations/operations.ts";
import { ANY_PARTITION } from "./input.ts";
import type { HttpLimits } from "./limits.ts";
import type { ProduceSettings } from "./produce_request.ts";
import { isAt, TopicNames } from "./topic_names.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/** One message that is to be stored. */
export interface OneMessage {
  readonly settings: ProduceSettings;
  readonly record: NewRecord;
  /** Undefined: its key, or its turn, says it. */
  readonly partition: number | undefined;
}

const LAST_CONTROL = 0x1f;
const TAB = 9;
const LINE_FEED = 10;
const CARRIAGE_RETURN = 13;
const SPACE = 32;
const QUOTE = 34;
const COMMA = 44;
const ZERO = 48;
const NINE = 57;
const COLON = 58;
const BACKSLASH = 92;
const OPENING = 123;
const CLOSING = 125;
const FIRST_NOT_ASCII = 128;
/** Any number of so many digits is a safe integer. */
const SAFE_DIGITS = 15;

const ENCODER = new TextEncoder();
const TOPIC = ENCODER.encode("topic");
const MESSAGE = ENCODER.encode("message");
const KEY = ENCODER.encode("key");
const PARTITION = ENCODER.encode("partition");

const NO_HEADERS: readonly RecordHeader[] = [];

const NOTHING: Bytes = new Uint8Array(0);

/** Reads one body at a time, within a call. */
export class PlainProduceReader {
  readonly #limits: HttpLimits;
  readonly #topics = new TopicNames();
  #bytes = NOTHING;
  #at = 0;
  #isAscii = true;
  #topic: string | undefined;
  #message: Bytes | undefined;
  #key: Bytes | undefined;
  #partition: number | undefined;

  constructor(limits: HttpLimits) {
    this.#limits = limits;
  }

  /**
   * Undefined: the body is not that plain, whether it is right or wrong.
   *
   * @param topic Of the path; a body with one of its own is wrong then.
   */
  read(bytes: Bytes, topic: string | undefined): OneMessage | undefined {
    if (bytes.length > this.#limits.messageBodyBytes) return undefined;
    this.#begin(bytes, topic);
    const message = this.#readObject() ? this.#result() : undefined;
    // What is read belongs to the request.
    this.#begin(NOTHING, undefined);
    return message;
  }

  #begin(bytes: Bytes, topic: string | undefined): void {
    this.#bytes = bytes;
    this.#at = 0;
    this.#isAscii = true;
    this.#topic = topic;
    this.#message = undefined;
    this.#key = undefined;
    this.#partition = undefined;
  }

  #result(): OneMessage | undefined {
    if (this.#topic === undefined || this.#message === undefined) {
      return undefined;
    }
    return {
      settings: {
        topic: this.#topic,
        timeoutMs: this.#limits.produceTimeoutMs,
        receipt: false,
        producer: undefined,
      },
      record: {
        key: this.#key ?? null,
        value: this.#message,
        headers: NO_HEADERS,
        timestampMs: undefined,
      },
      partition: this.#partition,
    };
  }

  #readObject(): boolean {
    if (!this.#take(OPENING)) return false;
    do {
      if (!this.#readMember()) return false;
    } while (this.#take(COMMA));
    if (!this.#take(CLOSING)) return false;
    this.#skipBlanks();
    return this.#at === this.#bytes.length &&
      (this.#isAscii || isUtf8(this.#bytes));
  }

  /** False also where a field stands twice: the last one would count. */
  #readMember(): boolean {
    const bytes = this.#bytes;
    const end = this.#stringEnd();
    const start = this.#at;
    if (end < 0) return false;
    this.#at = end + 1;
    if (!this.#take(COLON)) return false;
    if (isAt(bytes, start, end, MESSAGE)) {
      return this.#message === undefined &&
        (this.#message = this.#string()) !== undefined;
    }
    if (isAt(bytes, start, end, TOPIC)) {
      return this.#topic === undefined &&
        (this.#topic = this.#name()) !== undefined;
    }
    if (isAt(bytes, start, end, PARTITION)) {
      return this.#partition === undefined &&
        (this.#partition = this.#integer(ANY_PARTITION.max)) !== undefined;
    }
    return isAt(bytes, start, end, KEY) && this.#key === undefined &&
      (this.#key = this.#string()) !== undefined;
  }

  #name(): string | undefined {
    const end = this.#stringEnd();
    const start = this.#at;
    if (end < 0) return undefined;
    this.#at = end + 1;
    return this.#topics.at(this.#bytes, start, end);
  }

  #string(): Bytes | undefined {
    const end = this.#stringEnd();
    const start = this.#at;
    if (end < 0) return undefined;
    this.#at = end + 1;
    return this.#bytes.subarray(start, end);
  }

  /** Goes to the first byte within a string; where its last quote is, or -1. */
  #stringEnd(): number {
    if (!this.#take(QUOTE)) return -1;
    const bytes = this.#bytes;
    for (let i = this.#at; i < bytes.length; i++) {
      const byte = bytes[i];
      if (byte === QUOTE) return i;
      if (byte === BACKSLASH || byte <= LAST_CONTROL) return -1;
      if (byte >= FIRST_NOT_ASCII) this.#isAscii = false;
    }
    return -1;
  }

  #integer(max: number): number | undefined {
    this.#skipBlanks();
    const bytes = this.#bytes;
    const start = this.#at;
    let value = 0;
    let at = start;
    while (bytes[at] >= ZERO && bytes[at] <= NINE) {
      value = value * 10 + bytes[at++] - ZERO;
    }
    this.#at = at;
    const digits = at - start;
    // A fraction or an exponent is neither a comma nor a brace.
    const isPlain = digits > 0 && digits <= SAFE_DIGITS &&
      (digits === 1 || bytes[start] !== ZERO);
    return isPlain && value <= max ? value : undefined;
  }

  /** Whether the byte comes next, after blanks; it is passed then. */
  #take(wanted: number): boolean {
    if (this.#bytes[this.#at] <= SPACE) this.#skipBlanks();
    if (this.#bytes[this.#at] !== wanted) return false;
    this.#at++;
    return true;
  }

  #skipBlanks(): void {
    for (;;) {
      const byte = this.#bytes[this.#at];
      const isBlank = byte === SPACE || byte === LINE_FEED ||
        byte === CARRIAGE_RETURN || byte === TAB;
      if (!isBlank) return;
      this.#at++;
    }
  }
}
