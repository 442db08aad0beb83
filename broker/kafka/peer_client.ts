/**
 * Kafka requests to one other broker: one connection, pipelined, answered in
 * order. Owns connecting with back-off, the timeouts, and the bound on what
 * waits. Repeats nothing: whoever asks knows whether a request may be sent
 * twice, and every failure says whether the peer can have acted on it.
 */
import { invariant, InvariantError } from "../../storage/assert.ts";
import type { Environment, TcpConnection, Timer } from "../environment.ts";
import type { Api } from "./codec/api.ts";
import { ProtocolError } from "./codec/error.ts";
import { decodeResponse, encodeRequest } from "./codec/frame.ts";
import { FrameReader } from "./codec/frame_reader.ts";
import { CODEC_LIMITS } from "./codec/limits.ts";
import { Reader } from "./codec/reader.ts";

export interface PeerClientLimits {
  /** Requests that wait or are on their way. */
  readonly pendingRequests: number;
  /** Bytes of requests that wait to be sent; one larger may wait alone. */
  readonly unsentBytes: number;
  readonly connectMs: number;
  /** After a failed connect nothing is tried for so long; doubled each time. */
  readonly backOffMs: number;
  readonly maxBackOffMs: number;
}

export const PEER_CLIENT_LIMITS: PeerClientLimits = {
  pendingRequests: 1000,
  unsentBytes: 16 * 1024 * 1024,
  connectMs: 5000,
  backOffMs: 50,
  maxBackOffMs: 1000,
};

/** The peer has not seen the request: it may be sent again. */
export class NotSentError extends Error {
  override readonly name = "NotSentError";
}

/** The peer may or may not have acted on the request. */
export class OutcomeUnknownError extends Error {
  override readonly name = "OutcomeUnknownError";
}

export interface PeerClientOptions {
  readonly environment: Pick<
    Environment,
    "clock" | "network" | "random" | "timers"
  >;
  readonly address: { readonly hostname: string; readonly port: number };
  /** What the peer sees as our client id; asked for at each request. */
  readonly clientId: string | (() => string);
  /** Memory for an answer is had at once up to this size, else as it comes. */
  readonly trustedFrameBytes?: number;
  readonly limits?: Partial<PeerClientLimits>;
}

export interface PeerRequestOptions {
  /** From now until the answer, connecting included. */
  readonly timeoutMs: number;
  /** Ends the wait early; the connection stays. */
  readonly signal?: AbortSignal;
}

interface Pending {
  readonly correlationId: number;
  readonly chunks: readonly Uint8Array[];
  readonly sizeBytes: number;
  isSent: boolean;
  /** Throws ProtocolError. */
  answer(frame: Uint8Array): void;
  /** Idempotent, and of no effect once it is answered. */
  fail(error: Error): void;
}

export class PeerClient {
  readonly #options: PeerClientOptions;
  readonly #limits: PeerClientLimits;
  readonly #name: string;
  readonly #closing = new AbortController();
  #connection: TcpConnection | undefined;
  #isConnecting = false;
  #failedConnects = 0;
  #nextConnectMs = -Infinity;
  #nextCorrelationId = 1;
  /** In the order of the calls. */
  #unsent: Pending[] = [];
  #unsentBytes = 0;
  /** In the order in which the answers come. */
  #sent: Pending[] = [];
  /** Which connection's writing is under way. */
  #writing: TcpConnection | undefined;

  constructor(options: PeerClientOptions) {
    this.#options = options;
    this.#limits = { ...PEER_CLIENT_LIMITS, ...options.limits };
    const { hostname, port } = options.address;
    this.#name = `${hostname}:${port}`;
  }

  /**
   * Rejects with {@linkcode NotSentError} or {@linkcode OutcomeUnknownError},
   * and with EncodeError for a body that the version cannot carry.
   */
  request<RequestIn, Response>(
    api: Api<unknown, RequestIn, Response, unknown>,
    version: number,
    body: RequestIn,
    { timeoutMs, signal }: PeerRequestOptions,
  ): Promise<Response> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) {
        return reject(new NotSentError("The request was given up"));
      }
      const correlationId = this.#nextCorrelationId;
      const { clientId: named } = this.#options;
      const clientId = typeof named === "string" ? named : named();
      const chunks = encodeRequest(
        api,
        { version, correlationId, clientId },
        body,
      );
      const sizeBytes = chunks.reduce((sum, each) => sum + each.byteLength, 0);
      const refusal = this.#refusal(sizeBytes);
      if (refusal !== undefined) return reject(new NotSentError(refusal));
      this.#nextCorrelationId = (correlationId + 1) & 0x7fffffff;
      const finish = () => {
        timer.cancel();
        signal?.removeEventListener("abort", onAbort);
      };
      const pending: Pending = {
        correlationId,
        chunks,
        sizeBytes,
        isSent: false,
        answer: (frame) => {
          const decoded = decodeResponse(api, version, frame);
          finish();
          resolve(decoded.body);
        },
        fail: (error) => {
          finish();
          reject(error);
        },
      };
      const onAbort = () => this.#giveUp(pending);
      const timer: Timer = this.#options.environment.timers.after(
        timeoutMs,
        () => this.#timedOut(pending, timeoutMs),
      );
      signal?.addEventListener("abort", onAbort, { once: true });
      this.#unsent.push(pending);
      this.#unsentBytes += sizeBytes;
      this.#proceed();
    });
  }

  /** Fails all that waits. Idempotent. */
  close(): void {
    this.#closing.abort();
    this.#disconnect("This broker closed the connection");
    this.#failUnsent("This broker closed the connection");
  }

  #refusal(sizeBytes: number): string | undefined {
    if (this.#closing.signal.aborted) return "The client is closed";
    const { clock } = this.#options.environment;
    if (
      this.#connection === undefined && !this.#isConnecting &&
      clock.monotonicMs() < this.#nextConnectMs
    ) return `${this.#name} could not be reached just now`;
    const { pendingRequests, unsentBytes } = this.#limits;
    if (this.#unsent.length + this.#sent.length >= pendingRequests) {
      return `${pendingRequests} requests to ${this.#name} wait already`;
    }
    return this.#unsentBytes > 0 && this.#unsentBytes + sizeBytes > unsentBytes
      ? `${this.#unsentBytes} bytes to ${this.#name} wait already`
      : undefined;
  }

  /** Whatever is next: connecting, or sending what waits. */
  #proceed(): void {
    const connection = this.#connection;
    if (connection === undefined) {
      if (!this.#isConnecting) void this.#connect();
    } else if (this.#writing !== connection) void this.#write(connection);
  }

  async #connect(): Promise<void> {
    const { network, timers } = this.#options.environment;
    this.#isConnecting = true;
    const patience = new AbortController();
    const timer = timers.after(this.#limits.connectMs, () => patience.abort());
    try {
      const connection = await network.connectTcp({
        ...this.#options.address,
        signal: AbortSignal.any([patience.signal, this.#closing.signal]),
      });
      if (this.#closing.signal.aborted) return connection.close();
      this.#connection = connection;
      this.#failedConnects = 0;
      void this.#read(connection);
    } catch (cause) {
      this.#backOff();
      this.#failUnsent(`${this.#name} cannot be reached`, cause);
    } finally {
      timer.cancel();
      this.#isConnecting = false;
    }
    if (this.#connection !== undefined) this.#proceed();
  }

  #backOff(): void {
    const { backOffMs, maxBackOffMs } = this.#limits;
    const { clock, random } = this.#options.environment;
    const delayMs = Math.min(
      backOffMs * 2 ** Math.min(this.#failedConnects++, 20),
      maxBackOffMs,
    );
    // Spread out, so that brokers do not all return at one moment.
    this.#nextConnectMs = clock.monotonicMs() +
      delayMs * (0.5 + random.float() / 2);
  }

  async #write(connection: TcpConnection): Promise<void> {
    this.#writing = connection;
    try {
      while (this.#connection === connection && this.#unsent.length > 0) {
        const batch = this.#unsent;
        this.#unsent = [];
        this.#unsentBytes = 0;
        for (const pending of batch) pending.isSent = true;
        this.#sent.push(...batch);
        for (const bytes of joined(batch)) await connection.write(bytes);
      }
    } catch (cause) {
      this.#broke(connection, cause);
    } finally {
      if (this.#writing === connection) this.#writing = undefined;
    }
  }

  async #read(connection: TcpConnection): Promise<void> {
    const frames = new FrameReader(() => CODEC_LIMITS.produceFrameBytes);
    const { trustedFrameBytes: trustedBytes } = this.#options;
    try {
      for (;;) {
        const count = await connection.read(frames.space({ trustedBytes }));
        if (this.#connection !== connection) return;
        if (count === null) break;
        frames.commit(count);
        for (let frame; (frame = frames.take()) !== null;) this.#answer(frame);
      }
    } catch (cause) {
      return this.#broke(connection, cause);
    }
    this.#lost(connection, `${this.#name} closed the connection`);
  }

  /** Throws ProtocolError. */
  #answer(frame: Uint8Array): void {
    const pending = this.#sent[0];
    const correlationId = new Reader(frame).int32();
    if (pending?.correlationId !== correlationId) {
      throw new ProtocolError(
        `the answer to request ${correlationId} came out of turn`,
      );
    }
    pending.answer(frame);
    this.#sent.shift();
  }

  #timedOut(pending: Pending, timeoutMs: number): void {
    if (!pending.isSent) {
      this.#drop(pending);
      return pending.fail(
        new NotSentError(`${this.#name} took no request for ${timeoutMs} ms`),
      );
    }
    // Answers come in order: what waits behind it would wait as long.
    this.#disconnect(`${this.#name} did not answer for ${timeoutMs} ms`);
    if (this.#unsent.length > 0) this.#proceed();
  }

  /** The caller does not wait any longer; a sent request keeps its turn. */
  #giveUp(pending: Pending): void {
    if (pending.isSent) {
      pending.fail(new OutcomeUnknownError("The request was given up"));
      return;
    }
    this.#drop(pending);
    pending.fail(new NotSentError("The request was given up"));
  }

  #drop(pending: Pending): void {
    const index = this.#unsent.indexOf(pending);
    invariant(index >= 0, "a request that was not sent waits to be sent");
    this.#unsent.splice(index, 1);
    this.#unsentBytes -= pending.sizeBytes;
  }

  #broke(connection: TcpConnection, cause: unknown): void {
    if (cause instanceof InvariantError) throw cause;
    this.#lost(connection, `The connection to ${this.#name} broke`, cause);
  }

  #lost(connection: TcpConnection, reason: string, cause?: unknown): void {
    if (this.#connection !== connection) return connection.close();
    this.#disconnect(reason, cause);
    if (this.#unsent.length > 0) this.#proceed();
  }

  #disconnect(reason: string, cause?: unknown): void {
    this.#connection?.close();
    this.#connection = undefined;
    const sent = this.#sent;
    this.#sent = [];
    for (const pending of sent) {
      pending.fail(new OutcomeUnknownError(reason, { cause }));
    }
  }

  #failUnsent(reason: string, cause?: unknown): void {
    const unsent = this.#unsent;
    this.#unsent = [];
    this.#unsentBytes = 0;
    for (const pending of unsent) {
      pending.fail(new NotSentError(reason, { cause }));
    }
  }
}

/** From this size on a chunk is written by itself, without being copied. */
const JOINED_BYTES = 64 * 1024;

/** The bytes of requests in order, small chunks together. */
function* joined(requests: readonly Pending[]): Generator<Uint8Array> {
  let small: Uint8Array[] = [];
  let sizeBytes = 0;
  for (const chunk of requests.flatMap(({ chunks }) => chunks)) {
    if (sizeBytes > 0 && sizeBytes + chunk.byteLength > JOINED_BYTES) {
      yield concatenated(small, sizeBytes);
      small = [];
      sizeBytes = 0;
    }
    small.push(chunk);
    sizeBytes += chunk.byteLength;
  }
  yield concatenated(small, sizeBytes);
}

function concatenated(
  chunks: readonly Uint8Array[],
  sizeBytes: number,
): Uint8Array {
  if (chunks.length === 1) return chunks[0];
  const bytes = new Uint8Array(sizeBytes);
  let position = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, position);
    position += chunk.byteLength;
  }
  return bytes;
}
