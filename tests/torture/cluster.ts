/**
 * The cluster under torture: broker processes, each on a host of its own where
 * the machine lets us make networks and with a small disk where it lets us
 * mount one. Owns what is set up and takes it down again, in whatever state it
 * is. Faults are `faults.ts`.
 */
import type { MetadataAnswer } from "../../contract/http.ts";
import { type PortRun, reservePorts } from "../e2e/support/free_ports.ts";
import { TortureBroker } from "./broker.ts";
import {
  EtcdMember,
  type MetadataServer,
  SharedFile,
} from "./metadata_server.ts";
import { TestNetwork } from "./network.ts";
import { SmallDisk } from "./small_disk.ts";
import { tryRun } from "./system.ts";

export interface ClusterPlan {
  /** Holds everything; made by the caller, who removes it. */
  readonly folder: string;
  readonly count: number;
  readonly withNetwork: boolean;
  /** The broker that has a small disk; undefined: none. */
  readonly smallDiskOf?: number;
  readonly smallDiskBytes: number;
  /** Unless told, brokers share an SQLite file. */
  readonly withEtcd?: boolean;
  /** Further flags of the `broker` command. */
  readonly flags: readonly string[];
}

const HTTP_PORT = 8080;
const KAFKA_PORT = 9092;
/** In the run of ports that is reserved. */
const ETCD_PORT = 18;
const ANSWER_MS = 2000;

export class TortureCluster implements AsyncDisposable {
  readonly folder: string;
  readonly brokers: readonly TortureBroker[];
  readonly network: TestNetwork | undefined;
  readonly metadataServer: MetadataServer;
  /** A broker ended, and nobody had asked it to. */
  onUnexpectedEnd: (what: string) => void = () => {};
  readonly smallDisk: { broker: TortureBroker; disk: SmallDisk } | undefined;
  readonly #resources = new DisposableStack();
  readonly #ports: PortRun;

  constructor(plan: ClusterPlan) {
    this.folder = plan.folder;
    this.#ports = this.#resources.adopt(
      reservePorts(),
      (ports) => ports.release(),
    );
    try {
      if (plan.withNetwork) {
        this.network = this.#resources.use(new TestNetwork(plan.count));
      }
      this.metadataServer = this.#metadataServer(plan);
      this.brokers = Array.from(
        { length: plan.count },
        (_, index) => this.#broker(index + 1, plan),
      );
      if (plan.smallDiskOf !== undefined) {
        const path = this.brokerFolder(plan.smallDiskOf);
        const disk = new SmallDisk(path, plan.smallDiskBytes);
        this.smallDisk = {
          disk: this.#resources.use(disk),
          broker: this.broker(plan.smallDiskOf),
        };
      }
    } catch (error) {
      this.#resources.dispose();
      throw error;
    }
  }

  /** Brokers count from 1. */
  broker(id: number): TortureBroker {
    return this.brokers[id - 1];
  }

  brokerFolder(id: number): string {
    return `${this.folder}/data/broker-${id}`;
  }

  /** Starts what they share, and then the brokers. */
  async startAll(): Promise<void> {
    await this.metadataServer.start();
    await this.start();
  }

  /** Starts those that are stopped, and lets those go on that are paused. */
  async start(): Promise<void> {
    for (const broker of this.brokers) broker.resume();
    await Promise.all(
      this.brokers
        .filter(({ state }) => state === "stopped")
        .map((broker) => broker.start()),
    );
  }

  /** What a broker that answers says; undefined while none does. */
  async metadata(): Promise<MetadataAnswer | undefined> {
    for (const { state, url } of this.brokers) {
      if (state !== "running") continue;
      try {
        const response = await fetch(`${url}/metadata`, {
          signal: AbortSignal.timeout(ANSWER_MS),
        });
        if (response.ok) return await response.json();
        await response.body?.cancel();
      } catch {
        // It does not answer now: another may.
      }
    }
    return undefined;
  }

  /** What is on the small disk goes with it: copies it beside. */
  keepSmallDisk(): void {
    if (this.smallDisk === undefined) return;
    const { broker, disk } = this.smallDisk;
    tryRun("cp", "-r", disk.path, `${this.folder}/small-disk-${broker.id}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(
      this.brokers.map((broker) => broker[Symbol.asyncDispose]()),
    );
    await this.metadataServer[Symbol.asyncDispose]();
    this.#resources.dispose();
  }

  #metadataServer({ folder, withEtcd }: ClusterPlan): MetadataServer {
    if (withEtcd !== true) return new SharedFile(`${folder}/data`);
    const host = this.network?.gateway ?? "127.0.0.1";
    const port = this.#ports.first + ETCD_PORT;
    return new EtcdMember(folder, host, [port, port + 1]);
  }

  #broker(id: number, plan: ClusterPlan): TortureBroker {
    const ids = Array.from({ length: plan.count }, (_, index) => index + 1);
    const host = this.network?.address(id) ?? "localhost";
    const http = this.#address(id, "http");
    const kafka = this.#address(id, "kafka");
    const peers = ids.filter((other) => other !== id)
      .map((other) => this.#address(other, "http"));
    return new TortureBroker({
      id,
      prefix: this.network?.commandPrefix(id) ?? [],
      http,
      kafka,
      logPath: `${this.folder}/broker-${id}.log`,
      flags: [
        `--id=${id}`,
        `--host=${host}`,
        `--port=${http.split(":")[1]}`,
        `--kafka-port=${kafka.split(":")[1]}`,
        `--peers=${peers.join(",")}`,
        `--data-dir=${this.folder}/data`,
        this.metadataServer.flag,
        ...plan.flags,
      ],
      onUnexpectedEnd: (what) => this.onUnexpectedEnd(what),
    });
  }

  #address(id: number, door: "http" | "kafka"): string {
    if (this.network !== undefined) {
      const port = door === "http" ? HTTP_PORT : KAFKA_PORT;
      return `${this.network.address(id)}:${port}`;
    }
    const first = this.#ports.first + (door === "http" ? 0 : 10);
    return `localhost:${first + id - 1}`;
  }
}
