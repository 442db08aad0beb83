/**
 * The bytes that a connection still has to send. Owns their order, how many
 * writes they become, and how long a reader may take; it opens and closes
 * nothing.
 */
import type { Clock, TcpConnection, Timers } from "../environment.ts";
import type { ScratchPool } from "./scratch_pool.ts";

/** Gathered bytes from which a shared buffer is cheaper than a new one. */
const SHARED_BYTES = 4 * 1024;
/**
 * Turns of the event loop for which an answer may wait for the next one. A send
 * wakes the client, which costs more than to make the answer of a produce.
 */
const HELD_TURNS = 4;
/** Largest write: a slow reader is judged by each of them. */
const WRITE_BYTES = 1024 * 1024;

export interface OutboxOptions {
  readonly socket: TcpConnection;
  readonly clock: Clock;
  readonly timers: Timers;
  /** Chunks that fit one of its buffers together are copied into one write. */
  readonly scratch: ScratchPool;
  /** Called with each change of the bytes that wait. */
  readonly onChange: (bytes: number) => void;
  /** Called with each chunk that has been sent whole. */
  readonly onSent: (chunk: Uint8Array) => void;
}

/** One write, and the shared buffer under it. */
interface Piece {
  readonly bytes: Uint8Array;
  readonly buffer: Uint8Array | null;
  /** Sent whole, or copied, with this piece. */
  readonly ended: readonly Uint8Array[];
}

export class Outbox {
  readonly #options: OutboxOptions;
  /** In order; the first may be partly sent. */
  #chunks: Uint8Array[] = [];
  #unsentBytes = 0;
  #isWriting = false;
  #isHolding = false;
  #writeStartMs = 0;
  #hasFailed = false;
  #waiting: { belowBytes: number; resolve: () => void }[] = [];

  constructor(options: OutboxOptions) {
    this.#options = options;
  }

  get unsentBytes(): number {
    return this.#unsentBytes;
  }

  /** The peer takes no more: whatever is sent is dropped. */
  get hasFailed(): boolean {
    return this.#hasFailed;
  }

  /** How long the reader has not taken what is being written. */
  stalledMs(nowMs: number): number {
    return this.#isWriting ? nowMs - this.#writeStartMs : 0;
  }

  /**
   * The chunks must not change until they are sent. With `moreSoon` they may
   * wait a little for what is sent next.
   */
  send(chunks: readonly Uint8Array[], moreSoon = false): void {
    if (this.#hasFailed) return;
    let bytes = 0;
    for (const chunk of chunks) {
      if (chunk.byteLength === 0) continue;
      this.#chunks.push(chunk);
      bytes += chunk.byteLength;
    }
    this.#change(bytes);
    const isFull = this.#unsentBytes >= this.#options.scratch.bufferBytes;
    if (!moreSoon || isFull) this.#flush();
    else if (!this.#isHolding && bytes > 0) this.#hold(HELD_TURNS);
  }

  /** Resolves when no more than `bytes` wait, or nothing can be sent. */
  async below(bytes: number): Promise<void> {
    this.#flush();
    if (this.#unsentBytes <= bytes) return;
    await new Promise<void>((resolve) =>
      this.#waiting.push({ belowBytes: bytes, resolve })
    );
  }

  #hold(turns: number): void {
    this.#isHolding = turns > 0;
    if (turns === 0) return this.#flush();
    this.#options.timers.soon(() => {
      if (this.#isHolding) this.#hold(turns - 1);
    });
  }

  #flush(): void {
    this.#isHolding = false;
    if (!this.#isWriting && this.#chunks.length > 0) void this.#write();
  }

  /** Never rejects. */
  async #write(): Promise<void> {
    const { socket, clock, scratch, onSent } = this.#options;
    this.#isWriting = true;
    try {
      while (this.#chunks.length > 0) {
        const { bytes, buffer, ended } = this.#nextPiece();
        this.#writeStartMs = clock.monotonicMs();
        await socket.write(bytes);
        if (buffer !== null) scratch.give(buffer);
        ended.forEach(onSent);
        if (!this.#hasFailed) this.#change(-bytes.byteLength);
      }
    } catch {
      // The client is gone: its connection reads that, too.
      this.abandon();
    }
    this.#isWriting = false;
  }

  /** Drops what waits: nobody will take it. Idempotent. */
  abandon(): void {
    this.#hasFailed = true;
    this.#chunks = [];
    this.#change(-this.#unsentBytes);
  }

  #nextPiece(): Piece {
    let count = 0;
    let bytes = 0;
    for (const { byteLength } of this.#chunks) {
      if (bytes + byteLength > this.#options.scratch.bufferBytes) break;
      bytes += byteLength;
      count++;
    }
    if (count > 1) return this.#gather(this.#chunks.splice(0, count), bytes);
    const first = this.#chunks[0];
    if (first.byteLength <= WRITE_BYTES) {
      this.#chunks.shift();
      return { bytes: first, buffer: null, ended: [first] };
    }
    this.#chunks[0] = first.subarray(WRITE_BYTES);
    const piece = first.subarray(0, WRITE_BYTES);
    return { bytes: piece, buffer: null, ended: [] };
  }

  #gather(chunks: readonly Uint8Array[], bytes: number): Piece {
    const buffer = bytes < SHARED_BYTES ? null : this.#options.scratch.take();
    const all = buffer ?? new Uint8Array(bytes);
    let position = 0;
    for (const chunk of chunks) {
      all.set(chunk, position);
      position += chunk.byteLength;
    }
    return { bytes: all.subarray(0, bytes), buffer, ended: chunks };
  }

  #change(bytes: number): void {
    this.#unsentBytes += bytes;
    this.#options.onChange(bytes);
    if (this.#waiting.length === 0) return;
    this.#waiting = this.#waiting.filter(({ belowBytes, resolve }) => {
      if (this.#unsentBytes > belowBytes) return true;
      resolve();
      return false;
    });
  }
}
