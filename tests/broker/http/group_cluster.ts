/**
 * Real brokers with HTTP doors on one another, over disks, metadata, network and
 * time in memory: for what groups do across brokers.
 */
import {
  createHttpHandler,
  type HttpDoor,
} from "../../../broker/http/server.ts";
import type { BrokerConfig } from "../../../broker/config.ts";
import {
  FORWARDED_HEADER,
  type GroupRecordsAnswer,
} from "../../../contract/http.ts";
import { assert, assertEquals } from "../../support/assert.ts";
import { type TestBroker, TestCluster } from "../../support/test_broker.ts";
import { requestOf } from "./door.ts";

const STEP_MS = 10;

export interface Reply {
  readonly status: number;
  // deno-lint-ignore no-explicit-any
  readonly body: any;
}

export class GroupCluster {
  readonly cluster = new TestCluster();
  readonly #doors = new Map<number, HttpDoor>();

  static async open(
    count: number,
    config: Partial<BrokerConfig> = {},
  ): Promise<GroupCluster> {
    const opened = new GroupCluster();
    for (let id = 1; id <= count; id++) {
      await opened.during(opened.cluster.broker({
        id,
        port: 8079 + id,
        groupInitialRebalanceDelayMs: 0,
        ...config,
      }));
      opened.serve(id);
    }
    return opened;
  }

  get time() {
    return this.cluster.time;
  }

  broker(id: number): TestBroker {
    return this.cluster.brokers.get(id)!;
  }

  /** A door onto the broker's room; after each start of it. */
  serve(id: number): void {
    const quiet = () => {};
    const { time } = this.cluster;
    this.#doors.set(
      id,
      createHttpHandler({
        operations: this.broker(id).operations,
        environment: {
          clock: time,
          timers: time,
          random: {
            bytes: (length) => new Uint8Array(length),
            uuid: () => this.cluster.uuid(),
            float: () => 0.5,
          },
          network: {
            serveHttp: unused,
            fetch: (url, init) => this.#fetch(url, init),
            listenTcp: unused,
            connectTcp: unused,
          },
        },
        logger: { debug: quiet, info: quiet, warn: quiet, error: quiet },
        brokerId: id,
        version: "0.0.1",
        metricsText: () => ({ contentType: "text/plain", body: "" }),
        onInvariant: (error) => {
          throw error;
        },
      }),
    );
  }

  /** The broker dies with all it knew; its page cache survives. */
  async kill(id: number): Promise<void> {
    this.#doors.delete(id);
    await this.broker(id).kill();
  }

  async restart(id: number): Promise<void> {
    await this.during(this.broker(id).start());
    this.serve(id);
  }

  async #fetch(url: string, init: RequestInit): Promise<Response> {
    const id = Number(new URL(url).port) - 8079;
    const door = this.#doors.get(id);
    if (door === undefined) throw new TypeError("client error (Connect)");
    const { signal } = init;
    if (signal?.aborted) throw signal.reason;
    const aborted = Promise.withResolvers<never>();
    const onAbort = () => aborted.reject(signal!.reason);
    signal?.addEventListener("abort", onAbort);
    try {
      return await Promise.race([
        door.handler(requestOf(url, init), { hostname: "peer", port: 1 }),
        aborted.promise,
      ]);
    } finally {
      signal?.removeEventListener("abort", onAbort);
    }
  }

  /** Lets time pass in small steps until `work` is done. */
  async during<T>(work: Promise<T>, limitMs = 120_000): Promise<T> {
    let isDone = false;
    const done = () => void (isDone = true);
    work.then(done, done);
    for (let passedMs = 0; !isDone; passedMs += STEP_MS) {
      assert(passedMs <= limitMs, `nothing came of it for ${limitMs} ms`);
      await this.time.elapse(passedMs === 0 ? 0 : STEP_MS);
    }
    return await work;
  }

  /** Sends a request to broker `id`; time stands until someone moves it. */
  async send(
    id: number,
    method: string,
    target: string,
    options: {
      body?: unknown;
      signal?: AbortSignal;
      headers?: HeadersInit;
    } = {},
  ): Promise<Reply> {
    const { body, signal, headers } = options;
    const door = this.#doors.get(id);
    assert(door !== undefined, `broker ${id} runs`);
    const response = await door.handler(
      requestOf(`http://localhost:${8079 + id}${target}`, {
        method,
        signal,
        headers,
        body: body === undefined ? undefined : JSON.stringify(body),
      }),
      { hostname: "10.0.0.7", port: 5000 },
    );
    const text = await response.text();
    return {
      status: response.status,
      body: text === "" ? null : JSON.parse(text),
    };
  }

  /** The same, letting time pass until it is answered. */
  call(
    id: number,
    method: string,
    target: string,
    body?: unknown,
  ): Promise<Reply> {
    return this.during(this.send(id, method, target, { body }));
  }

  /** A GET that another broker sent on. */
  forwarded(id: number, target: string): Promise<Reply> {
    const headers = { [FORWARDED_HEADER]: "9" };
    return this.during(this.send(id, "GET", target, { headers }));
  }

  /** A poll that must succeed. */
  async poll(
    id: number,
    member: string,
    query = "",
  ): Promise<GroupRecordsAnswer> {
    const reply = await this.call(
      id,
      "GET",
      `/v1/groups/g/records?topics=demo&member=${member}${query}`,
    );
    assertEquals(reply.status, 200, JSON.stringify(reply.body));
    return reply.body;
  }

  /** Polls until the member is stable in a generation. */
  async settled(id: number, member: string, query = "") {
    for (let i = 0; i < 50; i++) {
      const answer = await this.poll(id, member, query);
      if (answer.state === "stable") return answer;
      await this.time.elapse(100);
    }
    throw new Error(`member ${member} does not settle`);
  }

  async produce(partition: number, ...messages: string[]): Promise<void> {
    const reply = await this.call(1, "POST", "/produce", {
      topic: "demo",
      messages: messages.map((message) => ({ message, partition })),
    });
    assertEquals(reply.status, 200, JSON.stringify(reply.body));
  }

  async createTopic(partitions: number): Promise<void> {
    const reply = await this.call(1, "POST", "/create-topic", {
      topic: "demo",
      partitions,
      replicationFactor: 1,
    });
    assertEquals(reply.status, 200, JSON.stringify(reply.body));
  }

  /** The broker that coordinates the group. */
  async coordinator(group = "g"): Promise<number> {
    const reply = await this.call(1, "GET", `/v1/groups/${group}`);
    if (reply.status === 200) return reply.body.coordinator;
    const route = await this.during(
      this.broker(1).operations.groups.route(group),
    );
    assert("broker" in route);
    return route.broker.id;
  }

  async stop(): Promise<void> {
    for (const door of this.#doors.values()) await door.close();
    await this.during(this.cluster.stop());
  }
}

/** "partition:message" of each record, in order. */
export function texts(answer: GroupRecordsAnswer): string[] {
  return answer.records.map(({ partition, message }) =>
    `${partition}:${message}`
  );
}

function unused(): never {
  throw new Error("Not used by these tests");
}
