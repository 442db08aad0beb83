/**
 * Reading request bodies within bounds: bytes of one body, bytes of all bodies,
 * the whole time and the silence. Owns no meaning of the bytes.
 *
 * A small body that says its length is read in one piece, which is twice as
 * fast as a stream; the length alone bounds it then, for hyper never reads past
 * it. What cannot be bounded here: Deno.serve has no timeout for request
 * headers (hyper's is not set and there is no option), and it leaves the
 * connection of a refused body open until the client closes it; the broker
 * holds no more than the socket then.
 */
import { Failure } from "../../contract/errors.ts";
import type { Timers } from "../environment.ts";
import { DeadlineQueue } from "./deadline_queue.ts";
import type { HttpLimits } from "./limits.ts";
import { Refusal } from "./problem.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/** Counts the bytes that a request keeps from the shared budget. */
export interface BodyHolder {
  readonly request: Request;
  /** Bytes taken from the budget; given back by `BodyReader.release`. */
  heldBytes: number;
}

const EMPTY: Bytes = new Uint8Array(0);

export class BodyReader {
  readonly #limits: HttpLimits;
  readonly #whole: DeadlineQueue;
  readonly #idle: DeadlineQueue;
  #heldBytes = 0;

  constructor(options: { timers: Timers; limits: HttpLimits }) {
    const { timers, limits } = options;
    this.#limits = limits;
    this.#whole = new DeadlineQueue({ timers, lengthMs: limits.bodyMs });
    this.#idle = new DeadlineQueue({ timers, lengthMs: limits.bodyIdleMs });
  }

  /** Bytes of bodies held by requests that have not been answered. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** The whole body, of at most `maxBytes` bytes. */
  read(holder: BodyHolder, maxBytes: number): Promise<Bytes | Failure> {
    const { request } = holder;
    const stated = request.headers.get("content-length");
    if (stated === null) {
      return request.body === null
        ? Promise.resolve(EMPTY)
        : this.#readStream(holder, maxBytes);
    }
    const length = Number(stated);
    if (length > maxBytes) return this.#refuse(holder, tooLarge(maxBytes));
    if (!(length <= this.#limits.wholeBodyBytes)) {
      return this.#readStream(holder, maxBytes);
    }
    if (!this.#hold(holder, length)) {
      return this.#refuse(holder, overloaded());
    }
    return this.#readWhole(request);
  }

  /** Gives back what a request held, once it is answered. */
  release(holder: BodyHolder): void {
    this.#heldBytes -= holder.heldBytes;
    holder.heldBytes = 0;
  }

  #hold(holder: BodyHolder, bytes: number): boolean {
    if (this.#heldBytes + bytes > this.#limits.pendingBodyBytes) return false;
    this.#heldBytes += bytes;
    holder.heldBytes += bytes;
    return true;
  }

  async #refuse(holder: BodyHolder, failure: Failure): Promise<Failure> {
    await holder.request.body?.cancel().catch(() => {});
    return failure;
  }

  #readWhole(request: Request): Promise<Bytes | Failure> {
    return new Promise((resolve) => {
      const deadline = this.#idle.add(() => resolve(stalled()));
      request.bytes().then((bytes) => {
        this.#idle.remove(deadline);
        resolve(bytes as Bytes);
      }, () => {
        this.#idle.remove(deadline);
        resolve(broken());
      });
    });
  }

  async #readStream(
    holder: BodyHolder,
    maxBytes: number,
  ): Promise<Bytes | Failure> {
    const body = holder.request.body;
    if (body === null) return EMPTY;
    const reader = body.getReader();
    const chunks: Uint8Array[] = [];
    let length = 0;
    let stall: () => void = () => {};
    const late = new Promise<"late">((resolve) => {
      stall = () => resolve("late");
    });
    const whole = this.#whole.add(stall);
    try {
      while (true) {
        const idle = this.#idle.add(stall);
        const read = await Promise.race([reader.read(), late]);
        this.#idle.remove(idle);
        if (read === "late") return stalled();
        if (read.done) return concatenate(chunks, length);
        length += read.value.length;
        if (length > maxBytes) return tooLarge(maxBytes);
        if (!this.#hold(holder, read.value.length)) return overloaded();
        chunks.push(read.value);
      }
    } catch {
      return broken();
    } finally {
      this.#whole.remove(whole);
      // Ends the reading where the body was not read to its end.
      reader.cancel().catch(() => {});
    }
  }
}

function concatenate(chunks: Uint8Array[], length: number): Bytes {
  const bytes = new Uint8Array(length);
  let position = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, position);
    position += chunk.length;
  }
  return bytes;
}

/** 413, for a body; `what` names the kind of body that was too large. */
export function tooLarge(maxBytes: number): Failure {
  return new Failure(
    "MESSAGE_TOO_LARGE",
    `The request body has more than ${maxBytes} bytes, the most that this request may have.`,
  );
}

function stalled(): Failure {
  return new Refusal(
    408,
    "Request body did not arrive in time",
    new Failure(
      "REQUEST_TIMED_OUT",
      "The request body stopped arriving; nothing was stored.",
    ),
  );
}

function broken(): Failure {
  return new Failure(
    "INVALID_REQUEST",
    "The request body ended before all of it had arrived.",
  );
}

/** 503: this broker has no room for more at the moment. */
export function overloaded(): Failure {
  return new Failure(
    "BROKER_NOT_AVAILABLE",
    "This broker holds as many requests as it may; nothing was stored, try again.",
    { retryAfterMs: 1000 },
  );
}
