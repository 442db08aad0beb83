/**
 * A cluster of real processes through `main.ts`, on free ports and in a folder
 * of its own, for end-to-end tests.
 */
import { type PortRun, reservePorts } from "./free_ports.ts";
import { childrenOf, commandLineOf, RunningProcess } from "./process.ts";

export interface ClusterOptions {
  /** Brokers; 3 unless told. */
  count?: number;
  /** Further flags of the `broker` command. */
  flags?: readonly string[];
  /** Program and first arguments, for packages other than `main.ts`. */
  program?: readonly string[];
  env?: Record<string, string>;
  /** Where to make the data folder; the system's temporary folder unless told. */
  parentFolder?: string;
}

export class TestCluster implements AsyncDisposable {
  readonly count: number;
  readonly dataDirectory: string;
  readonly #ports: PortRun;
  readonly #options: ClusterOptions;
  #process: RunningProcess | undefined;

  private constructor(options: ClusterOptions) {
    this.#options = options;
    this.count = options.count ?? 3;
    this.dataDirectory = Deno.makeTempDirSync({
      prefix: "streamnest-e2e-",
      dir: options.parentFolder,
    });
    this.#ports = reservePorts();
  }

  /** Resolves when the cluster says that it is ready. */
  static async start(options: ClusterOptions = {}): Promise<TestCluster> {
    const cluster = new TestCluster(options);
    try {
      await cluster.start();
    } catch (error) {
      await cluster[Symbol.asyncDispose]();
      throw error;
    }
    return cluster;
  }

  /** Port of a broker's HTTP listener; brokers count from 1. */
  httpPort(broker = 1): number {
    return this.#ports.first + broker - 1;
  }

  kafkaPort(broker = 1): number {
    return this.#ports.first + 10 + broker - 1;
  }

  /** Such as `http://localhost:10020`, without a slash at the end. */
  url(broker = 1): string {
    return `http://localhost:${this.httpPort(broker)}`;
  }

  get process(): RunningProcess {
    if (this.#process === undefined) throw new Error("the cluster is stopped");
    return this.#process;
  }

  /** The flags that a supervisor of this very cluster gets. */
  get args(): string[] {
    return [
      "broker",
      `--count=${this.count}`,
      `--port=${this.httpPort()}`,
      `--kafka-port=${this.kafkaPort()}`,
      `--data-dir=${this.dataDirectory}`,
      ...this.#options.flags ?? [],
    ];
  }

  /** Starts the supervisor (again), on the same folder and ports. */
  async start(): Promise<void> {
    const { program, env } = this.#options;
    this.#process = new RunningProcess({ program, args: this.args, env });
    await this.#process.waitForLine("out", /^Cluster of .* ready in /);
  }

  /** Process id of a broker; throws while it is not running. */
  brokerPid(broker: number): number {
    const pid = childrenOf(this.process.pid)
      .find((child) => commandLineOf(child).includes(`--id=${broker}`));
    if (pid === undefined) throw new Error(`broker ${broker} is not running`);
    return pid;
  }

  /** Stops all cleanly; resolves to the supervisor's exit code. */
  async stop(): Promise<number> {
    this.process.signal("SIGTERM");
    return await this.#ended();
  }

  /** Kill -9 of the supervisor; its brokers stop by themselves. */
  async kill(): Promise<void> {
    this.process.signal("SIGKILL");
    await this.#ended();
  }

  /** Kill -9 of the supervisor and of every broker, as in a crash of all. */
  async killAll(): Promise<void> {
    const { pid } = this.process;
    const brokers = childrenOf(pid);
    const ended = this.kill();
    for (const broker of brokers) {
      try {
        Deno.kill(broker, "SIGKILL");
      } catch {
        // It had ended already.
      }
    }
    await ended;
  }

  async #ended(): Promise<number> {
    const code = await this.process.ended();
    this.#process = undefined;
    return code;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process !== undefined) await this.stop();
    this.#ports.release();
    Deno.removeSync(this.dataDirectory, { recursive: true });
  }
}
