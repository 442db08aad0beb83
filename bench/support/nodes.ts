/**
 * Three brokers of one cluster, each started and ended by itself: for rows that
 * kill one or let it come back, where a supervisor would be in the way.
 */
import type { MetadataAnswer, PartitionLocation } from "../../contract/http.ts";
import { freePorts } from "./broker.ts";
import { Server } from "./process.ts";

const MAIN = new URL("../../main.ts", import.meta.url).pathname;
const COUNT = 3;
const POLL_MS = 5;
const DEADLINE_MS = 120_000;

export class BenchNodes implements AsyncDisposable {
  readonly directory: string;
  readonly #ports = freePorts(2 * COUNT);
  readonly #servers = new Map<number, Server>();

  private constructor(directory: string) {
    this.directory = directory;
  }

  static async start(): Promise<BenchNodes> {
    const nodes = new BenchNodes(
      Deno.makeTempDirSync({ prefix: "streamnest-bench-" }),
    );
    await Promise.all(nodes.ids.map((id) => nodes.start(id)));
    return nodes;
  }

  /** Brokers count from 1. */
  get ids(): number[] {
    return Array.from({ length: COUNT }, (_, index) => index + 1);
  }

  port(id: number): number {
    return this.#ports[id - 1];
  }

  kafkaPort(id: number): number {
    return this.#ports[COUNT + id - 1];
  }

  /** Processor time of all brokers together. */
  cpuSeconds(): number {
    return [...this.#servers.values()]
      .reduce((sum, server) => sum + server.cpuSeconds(), 0);
  }

  async start(id: number): Promise<void> {
    const peers = this.ids.filter((other) => other !== id)
      .map((other) => `localhost:${this.port(other)}`);
    this.#servers.set(
      id,
      await Server.start({
        args: [
          "--allow-net",
          "--allow-read",
          "--allow-write",
          "--allow-env=STREAMNEST_*",
          MAIN,
          "broker",
          `--id=${id}`,
          `--port=${this.port(id)}`,
          `--kafka-port=${this.kafkaPort(id)}`,
          `--peers=${peers.join(",")}`,
          `--data-dir=${this.directory}`,
          "--log-level=error",
        ],
        ready: new RegExp(`^Broker ${id} running on`),
      }),
    );
  }

  async stop(id: number, signal: Deno.Signal = "SIGTERM"): Promise<void> {
    await this.#servers.get(id)?.stop(signal);
    this.#servers.delete(id);
  }

  /** Resolves when every replica is in sync. */
  async createTopic(
    topic: string,
    options: {
      replicationFactor: number;
      partitions?: number;
      config?: Record<string, string>;
    },
  ): Promise<void> {
    const response = await fetch(
      `http://localhost:${this.port(1)}/create-topic`,
      {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ topic, partitions: 1, ...options }),
      },
    );
    const text = await response.text();
    if (!response.ok) throw new Error(text);
    await this.untilInSync(topic);
  }

  async deleteTopic(topic: string): Promise<void> {
    const url = `http://localhost:${this.port(1)}/v1/topics/${topic}`;
    const response = await fetch(url, { method: "DELETE" });
    const text = await response.text();
    if (!response.ok) throw new Error(text);
  }

  /** Partition 0 of a topic, as a broker that runs tells it. */
  async partition(topic: string): Promise<PartitionLocation | undefined> {
    const [id] = this.#servers.keys();
    const response = await fetch(`http://localhost:${this.port(id)}/metadata`);
    const metadata: MetadataAnswer = await response.json();
    return metadata.topic_partitions[topic]?.partitions[0];
  }

  /** All replicas are in sync, and lead what they prefer to. */
  async untilInSync(topic: string): Promise<void> {
    const endMs = performance.now() + DEADLINE_MS;
    while (performance.now() < endMs) {
      const found = await this.partition(topic);
      if (
        found !== undefined && found.isr.length === found.replicas.length &&
        found.leader === found.replicas[0]
      ) return;
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
    throw new Error(`the replicas of ${topic} are not in sync`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.ids.map((id) => this.stop(id)));
    Deno.removeSync(this.directory, { recursive: true });
  }
}
