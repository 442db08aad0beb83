/**
 * HTTP clients while brokers are lost and come back: real rooms that replicate,
 * over disks, metadata, network and time in memory. Clients ask one broker that
 * stays, and must see nothing but slower answers.
 */
import {
  createHttpHandler,
  type HttpDoor,
} from "../../../broker/http/server.ts";
import type { ConsumeAnswer } from "../../../contract/http.ts";
import { assert, assertEquals } from "../../support/assert.ts";
import { KafkaCluster, type TestBroker } from "../../support/kafka_cluster.ts";
import { requestOf } from "./door.ts";

const PARTITIONS = 3;

/** How a broker is lost to the others. */
type Loss = "dies" | "stands still";

class HttpCluster {
  readonly cluster = new KafkaCluster({
    replicationFactor: 3,
    internalPartitions: 1,
  });
  readonly #doors = new Map<number, HttpDoor>();
  readonly #lost = new Map<number, Loss>();

  async open(): Promise<void> {
    for (const id of [1, 2, 3]) {
      const broker = await this.cluster.open(id);
      this.#doors.set(id, this.#door(broker));
    }
    const created = await this.call(1, "POST", "/v1/topics", {
      topic: "demo",
      partitions: PARTITIONS,
    });
    assertEquals(created.status, 200, JSON.stringify(created.body));
    await this.cluster.pass(100);
  }

  #door({ id, room }: TestBroker): HttpDoor {
    const quiet = () => {};
    const { time } = this.cluster;
    const unused = () => {
      throw new Error("Not used by these tests");
    };
    return createHttpHandler({
      operations: room.operations,
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
    });
  }

  /** To the others it is gone, from one moment to the next. */
  lose(id: number, loss: Loss): void {
    const broker = this.cluster.brokers.get(id)!;
    this.#lost.set(id, loss);
    broker.isReachable = false;
    broker.store.faults.unreachable = true;
    for (const pair of this.cluster.connectionsTo(broker)) pair.cut();
  }

  find(id: number): void {
    const broker = this.cluster.brokers.get(id)!;
    this.#lost.delete(id);
    broker.isReachable = true;
    broker.store.reconnect();
  }

  async #fetch(url: string, init: RequestInit): Promise<Response> {
    const id = Number(new URL(url).port) - 8079;
    if (this.#lost.get(id) === "dies") {
      throw new TypeError("fetch failed", {
        cause: new Error("client error (Connect): Connection refused"),
      });
    }
    const { signal } = init;
    const aborted = new Promise<never>((_, reject) => {
      signal?.addEventListener("abort", () => reject(signal.reason));
    });
    if (this.#lost.has(id)) return await aborted;
    const peer = { hostname: "peer", port: 1 };
    const response = await Promise.race([
      this.#doors.get(id)!.handler(requestOf(url, init), peer),
      aborted,
    ]);
    // Lost meanwhile, and the answer with it.
    if (this.#lost.has(id)) throw new TypeError("connection reset by peer");
    return response;
  }

  async send(id: number, method: string, target: string, body?: unknown) {
    const response = await this.#doors.get(id)!.handler(
      requestOf(`http://localhost:${8079 + id}${target}`, {
        method,
        body: body === undefined ? undefined : JSON.stringify(body),
      }),
      { hostname: "client", port: 1 },
    );
    const text = await response.text();
    return {
      status: response.status,
      body: text === "" ? undefined : JSON.parse(text),
    };
  }

  call(id: number, method: string, target: string, body?: unknown) {
    return this.cluster.settle(this.send(id, method, target, body));
  }

  async close(): Promise<void> {
    for (const door of this.#doors.values()) {
      await this.cluster.settle(door.close());
    }
    await this.cluster.close();
  }
}

/** With an identity: writes numbers to one partition, each once, in order. */
async function produce(
  http: HttpCluster,
  partition: number,
  until: () => boolean,
): Promise<number> {
  const identity = await http.send(1, "POST", "/v1/producers", {});
  let sequence = 0;
  while (!until()) {
    const { status, body } = await http.send(1, "POST", "/produce", {
      topic: "demo",
      partition,
      message: `${sequence}`,
      producer: { ...identity.body, sequence },
    });
    assertEquals(status, 200, JSON.stringify(body));
    sequence++;
    await new Promise<void>((go) => http.cluster.time.after(40, go));
  }
  return sequence;
}

/** Reads one partition from its start; what it saw. */
async function consume(
  http: HttpCluster,
  partition: number,
  until: (count: number) => boolean,
): Promise<string[]> {
  const seen: string[] = [];
  let offset = 0;
  while (!until(seen.length)) {
    const { status, body } = await http.send(
      1,
      "GET",
      `/consume?topic=demo&partition=${partition}&offset=${offset}` +
        "&max=100&waitMs=500",
    );
    assertEquals(status, 200, JSON.stringify(body));
    const answer = body as ConsumeAnswer;
    for (const { message } of answer.records) seen.push(message!);
    offset = answer.nextOffset;
  }
  return seen;
}

/** Consumes as a group's member, each record at least once. */
async function consumeAsGroup(
  http: HttpCluster,
  until: (seen: ReadonlySet<string>) => boolean,
): Promise<ReadonlySet<string>> {
  const seen = new Set<string>();
  let ack = "none";
  while (!until(seen)) {
    const { status, body } = await http.send(
      1,
      "GET",
      `/v1/groups/g/records?topics=demo&member=m&waitMs=500&ack=${ack}` +
        "&autoOffsetReset=earliest",
    );
    assertEquals(status, 200, JSON.stringify(body));
    ack = body.poll;
    for (const { partition, message } of body.records) {
      seen.add(`${partition}:${message}`);
    }
  }
  return seen;
}

for (const loss of ["dies", "stands still"] as const) {
  Deno.test(`Clients of a broker that stays see no error while each other one ${loss} and comes back`, async () => {
    const http = new HttpCluster();
    try {
      await http.open();
      let isOver = false;
      const partitions = Array.from({ length: PARTITIONS }, (_, i) => i);
      const producing = Promise.all(
        partitions.map((partition) => produce(http, partition, () => isOver)),
      );
      let written: number[] = [];
      const consuming = Promise.all(partitions.map((partition) =>
        consume(
          http,
          partition,
          (count) => count === written[partition],
        )
      ));
      const grouping = consumeAsGroup(
        http,
        (seen) => isOver && seen.size === written.reduce((a, b) => a + b, 0),
      );
      const failure = Promise.race([producing, consuming, grouping]);
      failure.catch(() => {});
      for (const id of [2, 3, 2]) {
        await http.cluster.pass(500);
        http.lose(id, loss);
        await http.cluster.pass(6000);
        http.find(id);
        await http.cluster.pass(4000);
      }
      isOver = true;
      written = await http.cluster.settle(producing);
      for (const count of written) {
        assert(count > 200, `${count} in 30 s: it went on`);
      }
      const seen = await http.cluster.settle(consuming);
      for (const partition of partitions) {
        assertEquals(
          seen[partition],
          Array.from({ length: written[partition] }, (_, i) => `${i}`),
        );
      }
      await http.cluster.settle(grouping);
    } finally {
      await http.close();
    }
  });
}
