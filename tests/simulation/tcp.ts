/**
 * TCP between simulated processes: bytes in order within a connection, no order
 * between connections; a lost message breaks its connection, since TCP repeats
 * all others by itself. Owns connections and listeners; refuses to know what is
 * sent.
 */
import type {
  PeerAddress,
  TcpConnection,
  TcpListener,
} from "../../broker/environment.ts";
import type { Links } from "./links.ts";
import type { DeathKind, SimulatedProcess } from "./process.ts";

/** Bytes under way or unread after which a write waits. */
const WINDOW_BYTES = 256 * 1024;

/** Which machines are on. */
export interface Power {
  isOn(machine: string): boolean;
  /** Calls when the machine is on: now, or later. */
  whenOn(machine: string, action: () => void): void;
}

type Arrival = { readonly bytes: Uint8Array } | "end" | "reset";

/** One end of a connection. */
class End implements TcpConnection {
  readonly remote: PeerAddress;
  readonly local: PeerAddress;
  readonly process: SimulatedProcess;
  readonly #links: Links;
  readonly #power: Power;
  readonly #forget: () => void;
  peer!: End;
  /** Sent, and not read by the peer. */
  #unreadBytes = 0;
  #nextToSend = 0;
  #nextToArrive = 0;
  readonly #early = new Map<number, Arrival>();
  readonly #inbox: Uint8Array[] = [];
  #hasEnded = false;
  #isReset = false;
  #isClosed = false;
  #isGone = false;
  #wakeReader: (() => void) | undefined;
  readonly #wakeWriters: (() => void)[] = [];

  constructor(
    process: SimulatedProcess,
    ways: { links: Links; power: Power },
    addresses: { local: PeerAddress; remote: PeerAddress },
  ) {
    this.process = process;
    this.#links = ways.links;
    this.#power = ways.power;
    this.local = addresses.local;
    this.remote = addresses.remote;
    this.#forget = process.onDeath((kind) => this.#ownerDied(kind));
  }

  async read(into: Uint8Array): Promise<number | null> {
    for (;;) {
      if (this.#isClosed) return null;
      const chunk = this.#inbox[0];
      if (chunk !== undefined) {
        const count = Math.min(chunk.length, into.length);
        into.set(chunk.subarray(0, count));
        if (count === chunk.length) this.#inbox.shift();
        else this.#inbox[0] = chunk.subarray(count);
        this.peer.#wasRead(count);
        return count;
      }
      if (this.#isReset) throw new Error("connection reset by peer");
      if (this.#hasEnded) return null;
      await new Promise<void>((resolve) => this.#wakeReader = resolve);
    }
  }

  async write(bytes: Uint8Array): Promise<void> {
    if (this.#isClosed) throw new Error("the connection is closed");
    if (this.#isReset) throw new Error("broken pipe");
    this.#unreadBytes += bytes.length;
    if (this.#links.isLost()) this.breaks();
    else this.#send({ bytes: bytes.slice() });
    while (this.#unreadBytes > WINDOW_BYTES && !this.#isReset) {
      await new Promise<void>((resolve) => this.#wakeWriters.push(resolve));
      if (this.#isClosed) throw new Error("the connection is closed");
    }
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#forget();
    this.#send("end");
    this.#wake();
  }

  /** Both ends see it, sooner or later. */
  breaks(): void {
    this.#send("reset");
    this.peer.#send("reset");
  }

  #send(arrival: Arrival): void {
    if (this.#isGone) return;
    const number = this.#nextToSend++;
    const { peer } = this;
    this.#links.send(
      machineOf(this.process),
      machineOf(peer.process),
      () => peer.#arrive(number, arrival),
    );
  }

  #arrive(number: number, arrival: Arrival): void {
    if (this.#isGone) return this.#refuseForTheDead();
    this.#early.set(number, arrival);
    for (;;) {
      const next = this.#early.get(this.#nextToArrive);
      if (next === undefined) break;
      this.#early.delete(this.#nextToArrive++);
      if (next === "reset") this.#isReset = true;
      else if (next === "end") this.#hasEnded = true;
      else if (!this.#isReset) this.#inbox.push(next.bytes);
    }
    this.process.enter(() => this.#wake());
  }

  /** The machine knows of no such connection, once it is on again. */
  #refuseForTheDead(): void {
    const machine = machineOf(this.process);
    const { peer } = this;
    this.#power.whenOn(
      machine,
      () =>
        this.#links.send(machine, machineOf(peer.process), () => peer.#lose()),
    );
  }

  #lose(): void {
    if (this.#isGone) return;
    this.#isReset = true;
    this.process.enter(() => this.#wake());
  }

  /** Power that goes off tells nobody. */
  #ownerDied(kind: DeathKind): void {
    this.#isClosed = true;
    if (kind !== "power") this.#send("reset");
    this.#isGone = true;
  }

  #wasRead(count: number): void {
    this.#unreadBytes -= count;
    if (this.#unreadBytes <= WINDOW_BYTES) {
      this.process.enter(() => this.#wake());
    }
  }

  #wake(): void {
    const reader = this.#wakeReader;
    this.#wakeReader = undefined;
    reader?.();
    for (const writer of this.#wakeWriters.splice(0)) writer();
  }
}

/** Incarnations of a process share their machine's ways. */
export function machineOf(process: SimulatedProcess): string {
  return process.name;
}

class Listener implements TcpListener {
  readonly port: number;
  readonly process: SimulatedProcess;
  readonly #onClose: () => void;
  readonly #queue: TcpConnection[] = [];
  #wake: (() => void) | undefined;
  #isClosed = false;

  constructor(process: SimulatedProcess, port: number, onClose: () => void) {
    this.process = process;
    this.port = port;
    this.#onClose = onClose;
  }

  /** By the system of its machine, also while the process is paused. */
  admit(connection: TcpConnection): void {
    this.#queue.push(connection);
    this.process.enter(() => this.#wakeUp());
  }

  async accept(): Promise<TcpConnection | null> {
    for (;;) {
      if (this.#isClosed) return null;
      const next = this.#queue.shift();
      if (next !== undefined) return next;
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#onClose();
    for (const connection of this.#queue.splice(0)) connection.close();
    this.#wakeUp();
  }

  #wakeUp(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }
}

export class Tcp {
  readonly #links: Links;
  readonly #power: Power;
  readonly #listeners = new Map<string, Listener>();
  #clientPorts = 40_000;

  constructor(links: Links, power: Power) {
    this.#links = links;
    this.#power = power;
  }

  listen(process: SimulatedProcess, port: number): TcpListener {
    const address = `${machineOf(process)}:${port}`;
    const listener = new Listener(process, port, () => {
      if (this.#listeners.get(address) === listener) {
        this.#listeners.delete(address);
      }
    });
    this.#listeners.set(address, listener);
    process.onDeath(() => void this.#listeners.delete(address));
    return listener;
  }

  connect(
    process: SimulatedProcess,
    options: { hostname: string; port: number; signal?: AbortSignal },
  ): Promise<TcpConnection> {
    const { hostname, port, signal } = options;
    const from = machineOf(process);
    return new Promise((resolve, reject) => {
      const settle = (action: () => void) => process.enter(action);
      signal?.addEventListener("abort", () => reject(signal.reason), {
        once: true,
      });
      if (signal?.aborted) return reject(signal.reason);
      this.#links.send(from, hostname, () => {
        if (!this.#power.isOn(hostname)) return;
        const listener = this.#listeners.get(`${hostname}:${port}`);
        if (listener === undefined) {
          this.#links.send(
            hostname,
            from,
            () => settle(() => reject(new Error("connection refused"))),
          );
          return;
        }
        const { near, far } = this.#pair(process, listener);
        listener.admit(far);
        this.#links.send(hostname, from, () =>
          settle(() => {
            if (signal?.aborted) near.close();
            else resolve(near);
          }));
      });
    });
  }

  #pair(process: SimulatedProcess, listener: Listener) {
    const client = {
      hostname: machineOf(process),
      port: this.#clientPorts++,
    };
    const server = {
      hostname: machineOf(listener.process),
      port: listener.port,
    };
    const ways = { links: this.#links, power: this.#power };
    const near = new End(process, ways, {
      local: client,
      remote: server,
    });
    const far = new End(listener.process, ways, {
      local: server,
      remote: client,
    });
    near.peer = far;
    far.peer = near;
    return { near, far };
  }
}
