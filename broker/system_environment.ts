/**
 * The environment of a broker on a real machine: Deno's network and disk, with
 * the clock, timers and randomness of `system_seams.ts`. Decides nothing; turns the platform's errors
 * into the seam's.
 */
import process from "node:process";
import { DenoFileSystem } from "../storage/deno_file_system.ts";
import {
  type Environment,
  type HttpHandler,
  type HttpListener,
  ListenError,
  type ListenRemedy,
  type Network,
  type PeerAddress,
  type ProcessFacts,
  type TcpConnection,
  type TcpListener,
} from "./environment.ts";
import { systemClock, systemRandom, systemTimers } from "./system_seams.ts";

/** Kept-alive connections to one peer. */
const IDLE_CONNECTIONS_PER_PEER = 64;
const IDLE_CONNECTION_MS = 30_000;
/** How long to wait when the system has no room for one more connection. */
const ACCEPT_PAUSE_MS = 50;

export interface SystemEnvironment extends Environment {
  /** Closes pooled connections to peers. Idempotent. */
  close(): void;
}

export function createSystemEnvironment(): SystemEnvironment {
  const network = new SystemNetwork();
  return {
    clock: systemClock,
    timers: systemTimers,
    random: systemRandom,
    network,
    fileSystem: new DenoFileSystem(),
    process: systemProcess,
    close: () => network.close(),
  };
}

const systemProcess: ProcessFacts = {
  residentMemoryBytes: () => Deno.memoryUsage().rss,
  heapUsedBytes: () => Deno.memoryUsage().heapUsed,
  cpuSeconds() {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1e6;
  },
};

class SystemNetwork implements Network {
  #client: Deno.HttpClient | undefined;

  serveHttp(
    options: { hostname: string; port: number },
    handler: HttpHandler,
  ): HttpListener {
    const server = attemptToListen(options.port, () =>
      Deno.serve({
        ...options,
        onListen() {},
        // The handler answers every error itself; this is the last resort.
        onError: () => new Response(null, { status: 500 }),
      }, (request, info) => handler(request, new HttpPeer(info))));
    return {
      port: server.addr.port,
      close: () => server.shutdown(),
    };
  }

  fetch(url: string, init: RequestInit): Promise<Response> {
    this.#client ??= Deno.createHttpClient({
      http2: false,
      poolMaxIdlePerHost: IDLE_CONNECTIONS_PER_PEER,
      poolIdleTimeout: IDLE_CONNECTION_MS,
    });
    return fetch(url, { redirect: "manual", ...init, client: this.#client });
  }

  listenTcp(options: { hostname: string; port: number }): TcpListener {
    return new SystemTcpListener(
      attemptToListen(options.port, () => Deno.listen(options)),
    );
  }

  async connectTcp(
    options: { hostname: string; port: number; signal?: AbortSignal },
  ): Promise<TcpConnection> {
    return new SystemTcpConnection(await Deno.connect(options));
  }

  close(): void {
    this.#client?.close();
    this.#client = undefined;
  }
}

function attemptToListen<Listener>(
  port: number,
  listen: () => Listener,
): Listener {
  try {
    return listen();
  } catch (cause) {
    throw new ListenError(port, { ...listenFault(cause), cause });
  }
}

/** The reason completes "Cannot listen on port 8080: ...". */
function listenFault(
  cause: unknown,
): { reason: string; remedy: ListenRemedy } {
  if (cause instanceof Deno.errors.AddrInUse) {
    return { reason: "another program listens there", remedy: "port" };
  }
  if (cause instanceof Deno.errors.PermissionDenied) {
    return { reason: "not allowed", remedy: "port" };
  }
  if (cause instanceof Deno.errors.NotCapable) {
    return { reason: "Deno does not allow it", remedy: "permission" };
  }
  if (cause instanceof Deno.errors.AddrNotAvailable) {
    const reason = "this machine does not have that address";
    return { reason, remedy: "host" };
  }
  const reason = cause instanceof Error ? cause.message : String(cause);
  const isOfHost = reason.includes("failed to lookup address");
  return { reason, remedy: isOfHost ? "host" : "port" };
}

/** Looked up when it is asked for: few requests want to know. */
class HttpPeer implements PeerAddress {
  readonly #info: Deno.ServeHandlerInfo<Deno.NetAddr>;

  constructor(info: Deno.ServeHandlerInfo<Deno.NetAddr>) {
    this.#info = info;
  }

  get hostname(): string {
    return this.#info.remoteAddr.hostname;
  }

  get port(): number {
    return this.#info.remoteAddr.port;
  }
}

function peerAddress(address: Deno.NetAddr): PeerAddress {
  return { hostname: address.hostname, port: address.port };
}

class SystemTcpListener implements TcpListener {
  readonly #listener: Deno.TcpListener;
  #closed = false;

  constructor(listener: Deno.TcpListener) {
    this.#listener = listener;
  }

  get port(): number {
    return this.#listener.addr.port;
  }

  async accept(): Promise<TcpConnection | null> {
    while (!this.#closed) {
      let connection: Deno.TcpConn | undefined;
      try {
        connection = await this.#listener.accept();
        return new SystemTcpConnection(connection);
      } catch {
        connection?.close();
        if (this.#closed) break;
        // Out of file handles, or the client left already: neither may end
        // the loop that all other clients depend on.
        await new Promise<void>((resolve) => {
          systemTimers.after(ACCEPT_PAUSE_MS, resolve);
        });
      }
    }
    return null;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#listener.close();
  }
}

class SystemTcpConnection implements TcpConnection {
  readonly remote: PeerAddress;
  readonly local: PeerAddress;
  readonly #connection: Deno.TcpConn;
  #closed = false;

  constructor(connection: Deno.TcpConn) {
    this.#connection = connection;
    this.remote = peerAddress(connection.remoteAddr);
    this.local = peerAddress(connection.localAddr);
    // Small answers must not wait for the peer's delayed acknowledgement.
    connection.setNoDelay(true);
    connection.setKeepAlive(true);
  }

  async read(into: Uint8Array): Promise<number | null> {
    if (this.#closed) return null;
    try {
      return await this.#connection.read(into);
    } catch (cause) {
      if (this.#closed) return null;
      throw cause;
    }
  }

  async write(bytes: Uint8Array): Promise<void> {
    let position = 0;
    while (position < bytes.length) {
      position += await this.#connection.write(bytes.subarray(position));
    }
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#connection.close();
  }
}
