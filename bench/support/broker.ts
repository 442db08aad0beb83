/**
 * A broker under test: a real process through `main.ts`, with the permissions
 * that `deno task broker` gives, on free ports and in a folder of its own.
 */
import { childrenOf, Server } from "./process.ts";

const MAIN = new URL("../../main.ts", import.meta.url).pathname;
/** Acknowledges from the page cache, as Kafka does. */
export const PAGE_CACHE = { "flush.messages": "9007199254740991" };

export class BenchBroker implements AsyncDisposable {
  readonly directory: string;
  readonly port: number;
  readonly kafkaPort: number;
  #server: Server | undefined;

  private constructor(directory: string, ports: number[]) {
    this.directory = directory;
    [this.port, this.kafkaPort] = ports;
  }

  static async start(): Promise<BenchBroker> {
    const directory = Deno.makeTempDirSync({ prefix: "streamnest-bench-" });
    const broker = new BenchBroker(directory, freePorts(2));
    await broker.start();
    return broker;
  }

  get server(): Server {
    if (this.#server === undefined) throw new Error("the broker is stopped");
    return this.#server;
  }

  /** Starts it (again); resolves to the milliseconds until it serves. */
  async start(): Promise<number> {
    this.#server = await Server.start({
      args: [
        "--allow-net",
        "--allow-read",
        "--allow-write",
        "--allow-env=STREAMNEST_*",
        MAIN,
        "broker",
        "--id=1",
        `--port=${this.port}`,
        `--kafka-port=${this.kafkaPort}`,
        `--data-dir=${this.directory}`,
        "--log-level=warn",
      ],
      ready: /^Broker 1 running on/,
    });
    return this.#server.startMs;
  }

  async stop(signal: Deno.Signal = "SIGTERM"): Promise<void> {
    await this.#server?.stop(signal);
    this.#server = undefined;
  }

  async createTopic(
    topic: string,
    options: { partitions?: number; config?: Record<string, string> } = {},
  ): Promise<void> {
    const response = await fetch(`http://localhost:${this.port}/create-topic`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ topic, partitions: 1, ...options }),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(text);
  }

  /** Each benchmark round fills a topic of its own; this makes room again. */
  async deleteTopic(topic: string): Promise<void> {
    const response = await fetch(
      `http://localhost:${this.port}/v1/topics/${topic}`,
      { method: "DELETE" },
    );
    const text = await response.text();
    if (!response.ok) throw new Error(text);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    Deno.removeSync(this.directory, { recursive: true });
  }
}

/** A supervisor with three brokers, as `deno task cluster` starts them. */
export class BenchCluster implements AsyncDisposable {
  readonly server: Server;

  private constructor(server: Server) {
    this.server = server;
  }

  static async start(directory: string): Promise<BenchCluster> {
    const [port] = freePorts(3);
    const [kafkaPort] = freePorts(3);
    return new BenchCluster(
      await Server.start({
        args: [
          `--allow-run=${Deno.execPath()}`,
          "--allow-read",
          "--allow-write",
          "--allow-env=STREAMNEST_*",
          MAIN,
          "broker",
          "--count=3",
          `--port=${port}`,
          `--kafka-port=${kafkaPort}`,
          `--data-dir=${directory}`,
        ],
        ready: /^Cluster of .* ready in/,
      }),
    );
  }

  get brokerPids(): number[] {
    return childrenOf(this.server.pid);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.server.stop();
  }
}

/** The first of a run of ports that nothing listens on. */
export function freePorts(count: number): number[] {
  for (let attempt = 0; attempt < 100; attempt++) {
    const first = 10_000 + Math.floor(Math.random() * 20_000);
    const ports = Array.from({ length: count }, (_, index) => first + index);
    if (ports.every(isFree)) return ports;
  }
  throw new Error("no free ports found");
}

function isFree(port: number): boolean {
  try {
    Deno.listen({ hostname: "127.0.0.1", port }).close();
    return true;
  } catch {
    return false;
  }
}
