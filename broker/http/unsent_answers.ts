/**
 * Large answers on their way out: sent piece by piece as the client reads, and
 * counted until they are, so that clients who ask and do not read cannot fill
 * the memory. Small answers are handed over whole; their number is bounded by
 * the connections.
 */
import type { Timers } from "../environment.ts";
import { type Deadline, DeadlineQueue } from "./deadline_queue.ts";
import type { HttpLimits } from "./limits.ts";

type Bytes = Uint8Array<ArrayBuffer>;

const PIECE_BYTES = 64 * 1024;

export class UnsentAnswers {
  readonly #limits: HttpLimits;
  readonly #idle: DeadlineQueue;
  #bytes = 0;

  constructor(options: { timers: Timers; limits: HttpLimits }) {
    const { timers, limits } = options;
    this.#limits = limits;
    this.#idle = new DeadlineQueue({ timers, lengthMs: limits.answerIdleMs });
  }

  /** Bytes of large answers that clients have not taken yet. */
  get bytes(): number {
    return this.#bytes;
  }

  /** No more should be asked for: the answers of some wait for their readers. */
  get isFull(): boolean {
    return this.#bytes >= this.#limits.unsentAnswerBytes;
  }

  /** What a `Response` is made of. */
  body(body: string | Bytes | null): string | Bytes | ReadableStream | null {
    if (body === null || body.length < this.#limits.largeAnswerBytes) {
      return body;
    }
    return this.#stream(
      typeof body === "string" ? new TextEncoder().encode(body) : body,
    );
  }

  #stream(bytes: Bytes): ReadableStream {
    let sentBytes = 0;
    let deadline: Deadline | undefined;
    let isHeld = true;
    this.#bytes += bytes.length;
    const stopClock = () => {
      if (deadline !== undefined) this.#idle.remove(deadline);
    };
    const release = () => {
      stopClock();
      if (isHeld) this.#bytes -= bytes.length;
      isHeld = false;
    };
    return new ReadableStream<Bytes>({
      start: (controller) => {
        deadline = this.#idle.add(() => stall(controller));
      },
      pull: (controller) => {
        stopClock();
        if (sentBytes >= bytes.length) {
          release();
          controller.close();
          return;
        }
        const piece = bytes.subarray(sentBytes, sentBytes + PIECE_BYTES);
        sentBytes += piece.length;
        controller.enqueue(piece);
        deadline = this.#idle.add(() => stall(controller));
      },
      cancel: release,
    }, { highWaterMark: 0 });

    function stall(controller: ReadableStreamDefaultController<Bytes>): void {
      release();
      controller.error(new Error("The client stopped reading its answer"));
    }
  }
}
