/**
 * One client's connection: requests in, answers out, strictly one at a time and
 * in order, as Kafka does. Owns its reading, its bounds and its end. It decides
 * nothing about the requests, which are the dispatcher's.
 *
 * While a request is being worked on, one read is outstanding, so that a client
 * that leaves is noticed and its request's signal aborted. Whole requests that
 * arrived before the client ended are still served: with acks=0 a producer may
 * send and go. After a reset they are not.
 */
import type {
  Clock,
  PeerAddress,
  TcpConnection,
  Timers,
} from "../environment.ts";
import type { AnswerBuffers } from "./answer_buffers.ts";
import type { ByteBudget, Share } from "./byte_budget.ts";
import { FrameReader } from "./codec/frame_reader.ts";
import type { Client, Dispatcher } from "./dispatcher.ts";
import { isFollowersFetch } from "./follower_frame.ts";
import type { KafkaLimits } from "./limits.ts";
import { Outbox } from "./outbox.ts";
import type { ScratchPool } from "./scratch_pool.ts";
import type { UnsentBudget } from "./unsent_budget.ts";

export interface ConnectionOptions {
  readonly socket: TcpConnection;
  readonly dispatcher: Dispatcher;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly limits: KafkaLimits;
  /** Of large frames, shared by all connections. */
  readonly frameBudget: ByteBudget;
  /** Of large buffers to read into, shared by all connections. */
  readonly bufferBudget: ByteBudget;
  /** Of unsent answers, shared by all connections but those of followers. */
  readonly unsentBudget: UnsentBudget;
  /** The same, shared by those. */
  readonly followerBudget: UnsentBudget;
  readonly scratch: ScratchPool;
  /** Takes back what answers were made in. */
  readonly answerBuffers: AnswerBuffers;
}

const PRODUCE_KEY = 0;
const FETCH_KEY = 1;
/** What a connection reads into until it proves busy. */
const LEAST_BUFFER_BYTES = 16 * 1024;
const BUFFER_GROWTH = 4;
/** Reads that fill less than this part of a buffer speak for a smaller one. */
const SMALL_READ_PART = 1 / 8;
const SMALL_READS = 16;
/** Up to here a frame's claimed size, once it has its share, is allocated. */
const TRUSTED_BYTES = 8 * 1024 * 1024;

/**
 * How long one connection may work without a turn of the event loop. Reads and
 * writes that are ready need none, so a client that pipelines could keep all
 * others waiting.
 */
const TURN_MS = 5;

export class Connection implements Client {
  readonly #options: ConnectionOptions;
  readonly #frames = new FrameReader();
  readonly #outbox: Outbox;
  #unsentBudget: UnsentBudget;
  /** The outstanding read. */
  #reading: Promise<void> | null = null;
  /** Nothing more arrives: the client left, or the broker stops. */
  #hasEnded = false;
  #isStopping = false;
  #isClosed = false;
  /** A request is being worked on, or its answer waits for a slow reader. */
  #isServing = false;
  /** A request waits for its share of memory. */
  #isStarved = false;
  /** Of the request that is being worked on, once somebody asked for it. */
  #controller: AbortController | null = null;
  /** Of the frame that arrives next. */
  #share: Share | null = null;
  /** Size of the next buffer to read into, and what allows it. */
  #bufferBytes = LEAST_BUFFER_BYTES;
  #bufferShare: Share | null = null;
  #smallReads = 0;
  /** Since when the client has been waited for: a request, or more of one. */
  #waitingSinceMs: number;

  constructor(options: ConnectionOptions) {
    const { socket, clock, timers, scratch, answerBuffers } = options;
    this.#options = options;
    this.#unsentBudget = options.unsentBudget;
    this.#outbox = new Outbox({
      socket,
      clock,
      timers,
      scratch,
      onChange: (bytes) => this.#unsentBudget.change(bytes),
      onSent: (chunk) => answerBuffers.giveBack(chunk),
    });
    this.#waitingSinceMs = clock.monotonicMs();
  }

  get remote(): PeerAddress {
    return this.#options.socket.remote;
  }

  get local(): PeerAddress {
    return this.#options.socket.local;
  }

  signal(): AbortSignal {
    this.#controller ??= new AbortController();
    if (this.#hasEnded) this.#controller.abort();
    return this.#controller.signal;
  }

  /** Serves until the client leaves, a fault, `stop` or `close`. */
  async run(): Promise<void> {
    try {
      await this.#serveAll();
    } catch (error) {
      this.#options.dispatcher.refuse(error, this);
    }
    await this.#outbox.below(0);
    this.close();
    await this.#reading;
  }

  /** Ends waits and, once the running request is answered, the connection. */
  stop(): void {
    this.#isStopping = true;
    this.#end();
    if (!this.#isServing) void this.#outbox.below(0).then(() => this.close());
  }

  /** At once. Idempotent. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#end();
    this.#bufferShare?.release();
    this.#outbox.abandon();
    this.#options.socket.close();
  }

  /** Why the client has kept the broker waiting for too long, if it has. */
  overdue(nowMs: number): string | null {
    const { limits } = this.#options;
    if (this.#outbox.stalledMs(nowMs) > limits.writeMs) {
      return `it does not take its answers for ${limits.writeMs} ms`;
    }
    if (this.#isServing || this.#isStarved) return null;
    const waitedMs = nowMs - this.#waitingSinceMs;
    if (this.#frames.bufferedBytes === 0) {
      return waitedMs > limits.idleMs
        ? `it sent no request for ${limits.idleMs} ms`
        : null;
    }
    const bytes = this.#share?.bytes ?? 0;
    const allowedMs = limits.frameMs +
      Math.ceil(1000 * bytes / limits.frameBytesPerSecond);
    return waitedMs > allowedMs
      ? `its request did not arrive within ${allowedMs} ms`
      : null;
  }

  /** Throws `ProtocolError` on what is no frame. */
  async #serveAll(): Promise<void> {
    const { clock, timers } = this.#options;
    let turnSinceMs = clock.monotonicMs();
    for (;;) {
      if (clock.monotonicMs() - turnSinceMs >= TURN_MS) {
        await new Promise<void>((resolve) => timers.soon(resolve));
        turnSinceMs = clock.monotonicMs();
      }
      if (this.#isStopping || this.#isClosed) return;
      const frame = this.#frames.take();
      if (frame !== null) {
        const goOn = await this.#serve(frame);
        if (!goOn) return;
      } else if (this.#hasEnded) {
        return;
      } else {
        await this.#fill();
      }
    }
  }

  /** False when the connection must end. */
  async #serve(frame: Uint8Array): Promise<boolean> {
    const { dispatcher, limits } = this.#options;
    const share = this.#share;
    this.#share = null;
    this.#isServing = true;
    try {
      this.#readAhead();
      // Fetches have the large answers; all others must not wait for them.
      const room = isOf(FETCH_KEY, frame) ? this.#roomFor(frame) : null;
      if (room !== null) await room;
      if (this.#isClosed) return false;
      const chunks = await dispatcher.answer(frame, this);
      // Once that is answered, its batches are in a file and nobody has them.
      if (isOf(PRODUCE_KEY, frame)) this.#frames.giveBack(frame);
      share?.release();
      if (chunks === null) return false;
      this.#outbox.send(chunks, this.#frames.hasNext);
      if (this.#outbox.unsentBytes > limits.unsentBytes) {
        await this.#outbox.below(limits.unsentBytes);
      }
      return !this.#outbox.hasFailed;
    } finally {
      share?.release();
      this.#controller = null;
      this.#isServing = false;
      this.#wait();
    }
  }

  /** When the answer to a fetch may be begun; null: now. */
  #roomFor(frame: Uint8Array): Promise<void> | null {
    const { followerBudget } = this.#options;
    if (this.#unsentBudget !== followerBudget && isFollowersFetch(frame)) {
      this.#unsentBudget.change(-this.#outbox.unsentBytes);
      this.#unsentBudget = followerBudget;
      this.#unsentBudget.change(this.#outbox.unsentBytes);
    }
    return this.#unsentBudget.room();
  }

  /** From now on the client is waited for. */
  #wait(): void {
    this.#waitingSinceMs = this.#options.clock.monotonicMs();
  }

  /** Resolves when more has arrived or nothing more will. */
  async #fill(): Promise<void> {
    const { frameBudget, limits } = this.#options;
    const bytes = this.#frames.nextFrameBytes ?? 0;
    if (bytes > limits.smallFrameBytes && this.#share === null) {
      this.#isStarved = true;
      this.#share = frameBudget.take(bytes);
      await this.#share.granted;
      this.#isStarved = false;
      this.#wait();
    }
    this.#read();
    await this.#reading;
  }

  /** Reads on while a request is being worked on, within bounds. */
  #readAhead(): void {
    const { limits } = this.#options;
    const boundBytes = Math.min(
      limits.readAheadBytes,
      Math.max(this.#bufferBytes, this.#share?.bytes ?? 0),
    );
    if (this.#frames.bufferedBytes >= boundBytes) return;
    let bytes: number | null;
    try {
      bytes = this.#frames.nextFrameBytes;
    } catch {
      // It is told when it is this frame's turn.
      return;
    }
    if (bytes === null || bytes <= limits.smallFrameBytes) this.#read();
    else if (bytes <= limits.readAheadBytes) {
      this.#share ??= this.#options.frameBudget.tryTake(bytes);
      if (this.#share !== null) this.#read();
    }
  }

  #read(): void {
    if (this.#reading !== null || this.#hasEnded) return;
    const space = this.#frames.space({
      bufferBytes: this.#bufferBytes,
      trustedBytes: Math.min(TRUSTED_BYTES, this.#share?.bytes ?? 0),
    });
    this.#reading = this.#options.socket.read(space).then(
      (count) => this.#arrived(count, space.byteLength),
      // The connection was reset: nobody is left to be answered.
      () => this.close(),
    );
  }

  #arrived(count: number | null, spaceBytes: number): void {
    this.#reading = null;
    if (count === null) return this.#end();
    if (this.#frames.bufferedBytes === 0 && !this.#isServing) this.#wait();
    this.#frames.commit(count);
    this.#adaptBuffer(count, spaceBytes);
    if (this.#isServing) this.#readAhead();
  }

  /** A full buffer asks for a larger one, many small reads for the least. */
  #adaptBuffer(count: number, spaceBytes: number): void {
    const { bufferBudget, limits } = this.#options;
    const isSmall = count < spaceBytes &&
      count < SMALL_READ_PART * this.#bufferBytes;
    this.#smallReads = isSmall ? this.#smallReads + 1 : 0;
    if (this.#smallReads >= SMALL_READS) {
      this.#bufferShare?.release();
      this.#bufferShare = null;
      this.#bufferBytes = LEAST_BUFFER_BYTES;
    }
    const largest = limits.readBufferBytes;
    if (count < spaceBytes || this.#bufferBytes >= largest) return;
    const wanted = Math.min(largest, BUFFER_GROWTH * this.#bufferBytes);
    // One to read into, and one whose frames are being worked on.
    const share = bufferBudget.tryTake(2 * wanted);
    if (share === null) return;
    this.#bufferShare?.release();
    this.#bufferShare = share;
    this.#bufferBytes = wanted;
  }

  #end(): void {
    this.#hasEnded = true;
    this.#share?.release();
    this.#controller?.abort();
  }
}

function isOf(apiKey: number, frame: Uint8Array): boolean {
  return frame.byteLength >= 2 && frame[0] === 0 && frame[1] === apiKey;
}
