/**
 * The seam to the world (DESIGN D12). Broker code takes the clock, timers,
 * randomness, network and disk from here, so that a whole cluster can run in
 * one process from one seed. `system_environment.ts` is the form on Deno; the
 * simulated twin lives in `tests/`.
 */
import type { FileSystem } from "../storage/file_system.ts";

export interface Clock {
  /** Milliseconds since the Unix epoch, an integer; may jump. */
  nowMs(): number;
  /** Milliseconds from some start, with fractions; never goes back. */
  monotonicMs(): number;
}

export interface Timer {
  cancel(): void;
}

export interface Timers {
  /** Calls once after `delayMs` (0 to 2^31 - 1). */
  after(delayMs: number, callback: () => void): Timer;
  /** Calls once at the end of this turn of the event loop. */
  soon(callback: () => void): void;
}

export interface Random {
  bytes(length: number): Uint8Array;
  uuid(): string;
  /** In [0, 1). */
  float(): number;
}

/** Who asks, as far as the network tells. */
export interface PeerAddress {
  readonly hostname: string;
  readonly port: number;
}

export type HttpHandler = (
  request: Request,
  peer: PeerAddress,
) => Response | Promise<Response>;

export interface HttpListener {
  readonly port: number;
  /** Stops accepting, lets running requests end, resolves when all have. */
  close(): Promise<void>;
}

/** A connected TCP socket. */
export interface TcpConnection {
  readonly remote: PeerAddress;
  readonly local: PeerAddress;
  /** Bytes read into `into`; null at the end of the stream. */
  read(into: Uint8Array): Promise<number | null>;
  /** Resolves when all bytes are handed to the system. */
  write(bytes: Uint8Array): Promise<void>;
  /** Idempotent. */
  close(): void;
}

export interface TcpListener {
  readonly port: number;
  /** The next connection; null once closed. */
  accept(): Promise<TcpConnection | null>;
  close(): void;
}

export interface Network {
  /** Throws `ListenError` when the address is taken or not allowed. */
  serveHttp(
    options: { hostname: string; port: number },
    handler: HttpHandler,
  ): HttpListener;
  /** As the platform's `fetch`, towards a peer broker. */
  fetch(url: string, init: RequestInit): Promise<Response>;
  /** Throws `ListenError` when the address is taken or not allowed. */
  listenTcp(options: { hostname: string; port: number }): TcpListener;
  connectTcp(
    options: { hostname: string; port: number; signal?: AbortSignal },
  ): Promise<TcpConnection>;
}

/** A listener could not be opened. */
export class ListenError extends Error {
  override readonly name = "ListenError";
  readonly port: number;
  readonly remedy: ListenRemedy;
  constructor(
    port: number,
    { reason, remedy, cause }: {
      reason: string;
      remedy: ListenRemedy;
      cause: unknown;
    },
  ) {
    super(reason, { cause });
    this.port = port;
    this.remedy = remedy;
  }
}

/** What has to be another one; `permission`: what Deno was started with. */
export type ListenRemedy = "port" | "host" | "permission";

/** Numbers of this process, for metrics. */
export interface ProcessFacts {
  residentMemoryBytes(): number;
  heapUsedBytes(): number;
  /** User and system time together. */
  cpuSeconds(): number;
}

export interface Environment {
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
  readonly network: Network;
  readonly fileSystem: FileSystem;
  readonly process: ProcessFacts;
}
