/**
 * TCP in memory: no ports, no timing but the order of microtasks. Owns both
 * ends; the client's end can stall, end its sending half, or vanish.
 */
import type {
  PeerAddress,
  TcpConnection,
  TcpListener,
} from "../../broker/environment.ts";

export class MemoryTcpListener implements TcpListener {
  readonly port: number;
  readonly #queue: TcpConnection[] = [];
  #waiting: ((connection: TcpConnection | null) => void) | null = null;
  #isClosed = false;
  #clients = 0;

  constructor(port = 9092) {
    this.port = port;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  connect(hostname = "198.51.100.7"): MemoryTcpClient {
    const client = new MemoryTcpClient(
      { hostname, port: 40_000 + this.#clients++ },
      { hostname: "203.0.113.1", port: this.port },
    );
    if (this.#waiting === null) this.#queue.push(client.serverEnd);
    else this.#waiting(client.serverEnd);
    this.#waiting = null;
    return client;
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
    this.#waiting = null;
  }
}

export class MemoryTcpClient {
  readonly serverEnd: TcpConnection;
  /** Bytes that the server may write before its writes wait. */
  windowBytes = Infinity;
  /** Writes that the server made. */
  writes = 0;
  /** The most that a read of the server had room for. */
  largestRoomBytes = 0;
  /** Bytes that the server has not read yet. */
  #toServer: Uint8Array[] = [];
  #hasEnded = false;
  #hasVanished = false;
  #isClosed = false;
  #received = new Uint8Array(0);
  #wakeServer: (() => void)[] = [];
  #wakeClient: (() => void)[] = [];

  constructor(remote: PeerAddress, local: PeerAddress) {
    this.serverEnd = {
      remote,
      local,
      read: (into) => this.#readByServer(into),
      write: (bytes) => this.#writtenByServer(bytes),
      close: () => {
        this.#isClosed = true;
        this.#wake();
      },
    };
  }

  /** The server closed the connection. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Bytes sent that the server has not read. */
  get unreadBytes(): number {
    return this.#toServer.reduce((sum, { length }) => sum + length, 0);
  }

  /** Bytes received that no call took. */
  get receivedBytes(): number {
    return this.#received.length;
  }

  send(...chunks: Uint8Array[]): void {
    for (const chunk of chunks) {
      if (chunk.length > 0) this.#toServer.push(chunk.slice());
    }
    this.#wake();
  }

  /** Sends nothing more, still receives. */
  end(): void {
    this.#hasEnded = true;
    this.#wake();
  }

  /** The connection breaks: reads and writes of the server reject. */
  vanish(): void {
    this.#hasVanished = true;
    this.#wake();
  }

  /** Lets the server write `bytes` more. */
  open(bytes = Infinity): void {
    this.windowBytes += bytes;
    this.#wake();
  }

  /** The next whole frame without its size; null when the server closed. */
  async frame(): Promise<Uint8Array | null> {
    for (;;) {
      const received = this.#received;
      if (received.length >= 4) {
        const end = 4 + new DataView(received.buffer).getInt32(0);
        if (received.length >= end) {
          this.#received = received.slice(end);
          return received.slice(4, end);
        }
      }
      if (this.#isClosed) return null;
      await new Promise<void>((resolve) => this.#wakeClient.push(resolve));
    }
  }

  /** Resolves when the server has closed the connection. */
  async closed(): Promise<void> {
    while (!this.#isClosed) {
      await new Promise<void>((resolve) => this.#wakeClient.push(resolve));
    }
  }

  async #readByServer(into: Uint8Array): Promise<number | null> {
    this.largestRoomBytes = Math.max(this.largestRoomBytes, into.length);
    for (;;) {
      if (this.#isClosed) return null;
      if (this.#hasVanished) throw new Error("connection reset");
      const chunk = this.#toServer[0];
      if (chunk !== undefined) {
        const count = Math.min(into.length, chunk.length);
        into.set(chunk.subarray(0, count));
        if (count === chunk.length) this.#toServer.shift();
        else this.#toServer[0] = chunk.subarray(count);
        return count;
      }
      if (this.#hasEnded) return null;
      await new Promise<void>((resolve) => this.#wakeServer.push(resolve));
    }
  }

  async #writtenByServer(bytes: Uint8Array): Promise<void> {
    this.writes++;
    let position = 0;
    for (;;) {
      if (this.#isClosed) throw new Error("closed");
      if (this.#hasVanished) throw new Error("broken pipe");
      const count = Math.min(bytes.length - position, this.windowBytes);
      this.windowBytes -= count;
      const all = new Uint8Array(this.#received.length + count);
      all.set(this.#received);
      all.set(
        bytes.subarray(position, position + count),
        this.#received.length,
      );
      this.#received = all;
      position += count;
      if (count > 0) this.#wake();
      if (position === bytes.length) return;
      await new Promise<void>((resolve) => this.#wakeServer.push(resolve));
    }
  }

  #wake(): void {
    const waiting = [...this.#wakeServer, ...this.#wakeClient];
    this.#wakeServer = [];
    this.#wakeClient = [];
    for (const resolve of waiting) resolve();
  }
}
