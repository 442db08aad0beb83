/**
 * Two ends of one TCP connection in memory: no ports, no timing but the order
 * of microtasks. Either end may close, and the wire between them may be cut.
 */
import type {
  PeerAddress,
  TcpConnection,
  TcpListener,
} from "../../broker/environment.ts";

/** Bytes on their way to one end. */
class Pipe {
  readonly #chunks: Uint8Array[] = [];
  #wake: (() => void)[] = [];
  hasEnded = false;
  isBroken = false;

  write(bytes: Uint8Array): void {
    if (this.isBroken) throw new Error("broken pipe");
    if (bytes.length > 0) this.#chunks.push(bytes.slice());
    this.change();
  }

  async read(into: Uint8Array): Promise<number | null> {
    for (;;) {
      if (this.isBroken) throw new Error("connection reset");
      const chunk = this.#chunks[0];
      if (chunk !== undefined) {
        const count = Math.min(into.length, chunk.length);
        into.set(chunk.subarray(0, count));
        if (count === chunk.length) this.#chunks.shift();
        else this.#chunks[0] = chunk.subarray(count);
        return count;
      }
      if (this.hasEnded) return null;
      await new Promise<void>((resolve) => this.#wake.push(resolve));
    }
  }

  change(): void {
    const wake = this.#wake;
    this.#wake = [];
    for (const resolve of wake) resolve();
  }
}

class End implements TcpConnection {
  readonly remote: PeerAddress;
  readonly local: PeerAddress;
  readonly #incoming: Pipe;
  readonly #outgoing: Pipe;
  isClosed = false;

  constructor(
    addresses: { remote: PeerAddress; local: PeerAddress },
    pipes: { incoming: Pipe; outgoing: Pipe },
  ) {
    this.remote = addresses.remote;
    this.local = addresses.local;
    this.#incoming = pipes.incoming;
    this.#outgoing = pipes.outgoing;
  }

  read(into: Uint8Array): Promise<number | null> {
    return this.isClosed
      ? Promise.reject(new Error("closed"))
      : this.#incoming.read(into);
  }

  async write(bytes: Uint8Array): Promise<void> {
    await Promise.resolve();
    if (this.isClosed) throw new Error("closed");
    this.#outgoing.write(bytes);
  }

  close(): void {
    this.isClosed = true;
    this.#outgoing.hasEnded = true;
    this.#outgoing.change();
    // As Deno does: a read under way on one's own closed socket is interrupted.
    this.#incoming.isBroken = true;
    this.#incoming.change();
  }
}

export interface TcpPair {
  readonly client: TcpConnection;
  readonly server: TcpConnection;
  /** Both ends reject from now on. */
  cut(): void;
}

export function tcpPair(
  client: PeerAddress = { hostname: "127.0.0.1", port: 40_000 },
  server: PeerAddress = { hostname: "127.0.0.1", port: 9092 },
): TcpPair {
  const toServer = new Pipe();
  const toClient = new Pipe();
  return {
    client: new End(
      { local: client, remote: server },
      { incoming: toClient, outgoing: toServer },
    ),
    server: new End(
      { local: server, remote: client },
      { incoming: toServer, outgoing: toClient },
    ),
    cut() {
      for (const pipe of [toServer, toClient]) {
        pipe.isBroken = true;
        pipe.change();
      }
    },
  };
}

/** A listener that is given its connections. */
export class GivenTcpListener implements TcpListener {
  readonly port: number;
  readonly #queue: TcpConnection[] = [];
  #waiting: ((connection: TcpConnection | null) => void) | undefined;
  #isClosed = false;

  constructor(port: number) {
    this.port = port;
  }

  give(connection: TcpConnection): void {
    if (this.#waiting === undefined) this.#queue.push(connection);
    else this.#waiting(connection);
    this.#waiting = undefined;
  }

  accept(): Promise<TcpConnection | null> {
    const next = this.#queue.shift();
    if (next !== undefined || this.#isClosed) {
      return Promise.resolve(next ?? null);
    }
    return new Promise((resolve) => this.#waiting = resolve);
  }

  close(): void {
    this.#isClosed = true;
    this.#waiting?.(null);
    this.#waiting = undefined;
  }
}
