/**
 * HTTP between simulated processes: a request, its handling, its answer, each of
 * which a fault can stop. Owns exchanges under way and the listeners; refuses to
 * know what is asked. Every exchange is a connection of its own, so exchanges
 * overtake each other.
 */
import type { HttpHandler, HttpListener } from "../../broker/environment.ts";
import type { Links } from "./links.ts";
import type { SimulatedProcess } from "./process.ts";
import { machineOf, type Power } from "./tcp.ts";

interface Server {
  readonly process: SimulatedProcess;
  readonly handler: HttpHandler;
  running: number;
  readonly idle: (() => void)[];
}

export class Http {
  readonly #links: Links;
  readonly #power: Power;
  readonly #servers = new Map<string, Server>();

  constructor(links: Links, power: Power) {
    this.#links = links;
    this.#power = power;
  }

  serve(
    process: SimulatedProcess,
    port: number,
    handler: HttpHandler,
  ): HttpListener {
    const address = `${machineOf(process)}:${port}`;
    const server: Server = { process, handler, running: 0, idle: [] };
    this.#servers.set(address, server);
    const forget = () => {
      if (this.#servers.get(address) === server) this.#servers.delete(address);
    };
    process.onDeath(forget);
    return {
      port,
      close: () => {
        forget();
        if (server.running === 0) return Promise.resolve();
        return new Promise((resolve) => void server.idle.push(resolve));
      },
    };
  }

  fetch(
    process: SimulatedProcess,
    url: string,
    init: RequestInit,
  ): Promise<Response> {
    const { host, hostname } = new URL(url);
    const exchange = new Exchange({
      links: this.#links,
      power: this.#power,
      process,
      hostname,
      url,
      init,
    });
    return exchange.run(() => {
      if (!this.#power.isOn(hostname)) return "silence";
      return this.#servers.get(host) ?? "refused";
    });
  }
}

interface ExchangeOptions {
  readonly links: Links;
  readonly power: Power;
  readonly process: SimulatedProcess;
  readonly hostname: string;
  readonly url: string;
  readonly init: RequestInit;
}

class Exchange {
  readonly #options: ExchangeOptions;
  readonly #from: string;
  readonly #clientGone = new AbortController();
  readonly #settled = Promise.withResolvers<Response>();
  #isOver = false;

  constructor(options: ExchangeOptions) {
    this.#options = options;
    this.#from = machineOf(options.process);
  }

  run(find: () => Server | "silence" | "refused"): Promise<Response> {
    const { links, hostname, process, init } = this.#options;
    const { signal } = init;
    if (signal?.aborted) return Promise.reject(signal.reason);
    const onAbort = () => {
      this.#over(() => this.#settled.reject(signal!.reason));
      // The broker sees the connection close.
      links.send(this.#from, hostname, () => this.#clientGone.abort());
    };
    signal?.addEventListener("abort", onAbort, { once: true });
    process.onDeath((kind) => {
      this.#isOver = true;
      if (kind !== "power") {
        links.send(this.#from, hostname, () => this.#clientGone.abort());
      }
    });
    const isLost = links.isLost();
    links.send(this.#from, hostname, () => {
      const server = find();
      if (server === "silence" || this.#clientGone.signal.aborted) return;
      if (server === "refused") {
        return this.#fail("client error (Connect): connection refused");
      }
      if (isLost) return this.#fail("connection reset");
      server.process.enter(() => this.#serve(server));
    });
    return this.#settled.promise.finally(() =>
      signal?.removeEventListener("abort", onAbort)
    );
  }

  #serve(server: Server): void {
    const { init, url, process } = this.#options;
    server.running++;
    const gone = new AbortController();
    const leave = () => server.process.enter(() => gone.abort());
    this.#clientGone.signal.addEventListener("abort", leave);
    const forget = server.process.onDeath((kind) => {
      const fail = () => this.#fail("connection closed before the answer");
      if (kind !== "power") fail();
      else this.#options.power.whenOn(this.#options.hostname, fail);
    });
    const request = new Request(url, {
      method: init.method,
      headers: init.headers,
      body: init.body,
      signal: gone.signal,
    });
    const peer = { hostname: machineOf(process), port: 1 };
    void (async () => {
      const response = await server.handler(request, peer);
      const body = await response.bytes().catch(() => undefined);
      server.running--;
      if (server.running === 0) {
        for (const resolve of server.idle.splice(0)) resolve();
      }
      if (!server.process.isAlive) return;
      forget();
      if (body === undefined) return this.#fail("the answer broke off");
      this.#answer(response, body);
    })();
  }

  #answer(response: Response, body: Uint8Array<ArrayBuffer>): void {
    const { links, hostname } = this.#options;
    if (links.isLost()) return this.#fail("connection reset");
    const { status, headers } = response;
    links.send(hostname, this.#from, () =>
      this.#over(() => {
        const isEmpty = status === 204 || status === 304;
        this.#settled.resolve(
          new Response(isEmpty ? null : body, { status, headers }),
        );
      }));
  }

  /** The client hears that there will be no answer. */
  #fail(reason: string): void {
    const { links, hostname } = this.#options;
    links.send(
      hostname,
      this.#from,
      () => this.#over(() => this.#settled.reject(new TypeError(reason))),
    );
  }

  #over(settle: () => void): void {
    this.#options.process.enter(() => {
      if (this.#isOver) return;
      this.#isOver = true;
      settle();
    });
  }
}
