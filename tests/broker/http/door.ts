/** Doors onto fake operations, wired together by a fake network, without ports. */
import { ManualTime } from "../../support/manual_time.ts";
import { FakeCluster, FakeOperations } from "../../support/fake_operations.ts";
import type { HttpLimits } from "../../../broker/http/limits.ts";
import {
  createHttpHandler,
  type HttpDoor,
  type HttpObservation,
} from "../../../broker/http/server.ts";
import type { InvariantError } from "../../../storage/assert.ts";

export interface TestDoor {
  readonly door: HttpDoor;
  readonly operations: FakeOperations;
  readonly time: ManualTime;
  readonly observations: HttpObservation[];
  readonly invariants: InvariantError[];
  readonly logged: string[];
  /** Sends a request; a body that is no string is sent as JSON. */
  call(method: string, target: string, body?: unknown): Promise<Response>;
  /** The same, for the JSON of the answer. */
  /** Lets the longest wait for a leader pass. */
  outlast(): Promise<void>;
  // deno-lint-ignore no-explicit-any
  json(method: string, target: string, body?: unknown): Promise<any>;
}

/** What one broker asked of another. */
export interface Hop {
  readonly url: string;
  readonly method: string;
  readonly body: string | undefined;
}

export class TestNetwork {
  readonly doors = new Map<string, TestDoor>();
  readonly hops: Hop[] = [];
  /** Thrown instead of sending. */
  error: Error | undefined;
  /** Thrown instead of the answer, after the request was worked on. */
  lostAnswer: Error | undefined;

  async fetch(url: string, init: RequestInit): Promise<Response> {
    this.hops.push({
      url,
      method: init.method ?? "GET",
      body: init.body as string | undefined,
    });
    if (this.error !== undefined) throw this.error;
    const { host } = new URL(url);
    const peer = this.doors.get(host);
    if (peer === undefined) throw new TypeError("client error (Connect)");
    const { signal } = init;
    const answer = Promise.resolve(
      peer.door.handler(requestOf(url, init), { hostname: "peer", port: 1 }),
    );
    const aborted = new Promise<never>((_, reject) => {
      signal?.addEventListener("abort", () => reject(signal.reason));
    });
    const response = await Promise.race([answer, aborted]);
    if (this.lostAnswer !== undefined) throw this.lostAnswer;
    return response;
  }
}

/**
 * As Deno.serve makes requests: the URL is as it came, and the length of the
 * body is stated.
 */
export function requestOf(url: string, init: RequestInit): Request {
  const headers = new Headers(init.headers);
  if (typeof init.body === "string" && !headers.has("content-length")) {
    const { length } = new TextEncoder().encode(init.body);
    headers.set("content-length", String(length));
  }
  const request = new Request("http://localhost/", { ...init, headers });
  Object.defineProperty(request, "url", { value: url });
  return request;
}

export interface TestDoorOptions {
  brokerId?: number;
  cluster?: FakeCluster;
  network?: TestNetwork;
  limits?: Partial<HttpLimits>;
}

export function testDoor(options: TestDoorOptions = {}): TestDoor {
  const brokerId = options.brokerId ?? 1;
  const network = options.network ?? new TestNetwork();
  const time = new ManualTime();
  const operations = new FakeOperations({ brokerId, cluster: options.cluster });
  const observations: HttpObservation[] = [];
  const invariants: InvariantError[] = [];
  const logged: string[] = [];
  const log = (message: string, fields?: Record<string, unknown>) =>
    void logged.push(`${message} ${JSON.stringify(fields)}`);
  const door = createHttpHandler({
    operations,
    brokerId,
    version: "0.0.1",
    logger: { debug: log, info: log, warn: log, error: log },
    metrics: { observe: (observation) => void observations.push(observation) },
    metricsText: () => ({
      contentType: "text/plain; version=0.0.4",
      body: "m",
    }),
    limits: options.limits,
    onInvariant: (error) => void invariants.push(error),
    environment: {
      clock: time,
      timers: time,
      random: {
        bytes: (length) => new Uint8Array(length),
        uuid: () => "11111111-2222-4333-8444-555555555555",
        float: () => 0.5,
      },
      network: {
        serveHttp: unused,
        fetch: (url, init) => network.fetch(url, init),
        listenTcp: unused,
        connectTcp: unused,
      },
    },
  });
  const call = async (method: string, target: string, body?: unknown) => {
    const text = body === undefined || typeof body === "string"
      ? body
      : JSON.stringify(body);
    return await door.handler(
      requestOf(`http://localhost:8080${target}`, { method, body: text }),
      { hostname: "127.0.0.1", port: 5000 },
    );
  };
  const test: TestDoor = {
    door,
    operations,
    time,
    observations,
    invariants,
    logged,
    call,
    outlast: async () => {
      for (let passedMs = 0; passedMs < 6000; passedMs += 50) {
        for (let i = 0; i < 20; i++) await Promise.resolve();
        await time.elapse(50);
      }
    },
    json: async (method, target, body) =>
      await (await call(method, target, body)).json(),
  };
  network.doors.set(`localhost:${8079 + brokerId}`, test);
  return test;
}

/** Brokers 1 to `count` with one cluster and one network. */
export function testDoors(count: number, limits?: Partial<HttpLimits>) {
  const ids = Array.from({ length: count }, (_, i) => i + 1);
  const cluster = new FakeCluster(ids);
  const network = new TestNetwork();
  const doors = ids.map((brokerId) =>
    testDoor({ brokerId, cluster, network, limits })
  );
  return { cluster, network, doors };
}

function unused(): never {
  throw new Error("Not used by these tests");
}
