/**
 * The cluster under torture: broker processes, each on a host of its own where
 * the machine lets us make networks and with a small disk where it lets us
 * mount one; or those of a supervisor. Owns what is set up and takes it down
 * again, in whatever state it is. Faults are `faults.ts`.
 */
import type { MetadataAnswer } from "../../contract/http.ts";
import { type PortRun, reservePorts } from "../e2e/support/free_ports.ts";
import {
  type BrokerAddress,
  LoneBroker,
  type TortureBroker,
} from "./broker.ts";
import {
  EtcdMember,
  type MetadataServer,
  SharedFile,
} from "./metadata_server.ts";
import { TestNetwork } from "./network.ts";
import { SmallDisk } from "./small_disk.ts";
import { TortureSupervisor } from "./supervisor.ts";
import { tryRun } from "./system.ts";

export interface ClusterPlan {
  /** Holds everything; made by the caller, who removes it. */
  readonly folder: string;
  readonly count: number;
  readonly withNetwork: boolean;
  /** A supervisor keeps the brokers running; never `withNetwork`. */
  readonly isSupervised?: boolean;
  /** The broker that has a small disk; undefined: none. */
  readonly smallDiskOf?: number;
  readonly smallDiskBytes: number;
  /** Unless told, brokers share an SQLite file. */
  readonly withEtcd?: boolean;
  /** Further flags of the `broker` command. */
  readonly flags: readonly string[];
}

/** The rule that a clean stop is held to. */
export const STOPS_CLEANLY = "a broker stops cleanly within its time";
const HTTP_PORT = 8080;
const KAFKA_PORT = 9092;
/** In the run of ports that is reserved. */
const FIRST_KAFKA_PORT = 10;
const ETCD_PORT = 18;
const ANSWER_MS = 2000;

export class TortureCluster implements AsyncDisposable {
  readonly folder: string;
  readonly brokers: readonly TortureBroker[];
  readonly network: TestNetwork | undefined;
  readonly metadataServer: MetadataServer;
  readonly supervisor: TortureSupervisor | undefined;
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
      const addresses = Array.from(
        { length: plan.count },
        (_, index) => this.#address(index + 1),
      );
      if (plan.isSupervised) {
        this.supervisor = this.#supervised(addresses, plan);
      }
      this.brokers = this.supervisor?.brokers ??
        addresses.map((address) => this.#alone(address, addresses, plan));
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
    await this.supervisor?.start();
    await Promise.all(
      this.brokers
        .filter(({ state }) => state === "stopped")
        .map((broker) => broker.start()),
    );
  }

  /** Asks all to stop; those that did not do so cleanly, and how they did. */
  async stop(): Promise<string[]> {
    const stops = this.supervisor === undefined
      ? this.brokers.map((broker) => uncleanStop(`broker ${broker.id}`, broker))
      : [uncleanStop("the supervisor", this.supervisor)];
    return (await Promise.all(stops)).filter((fault) => fault !== undefined);
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
    await this.supervisor?.[Symbol.asyncDispose]();
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

  #alone(
    { id, http, kafka }: BrokerAddress,
    all: readonly BrokerAddress[],
    plan: ClusterPlan,
  ): TortureBroker {
    const host = this.network?.address(id) ?? "localhost";
    const peers = all.filter((other) => other.id !== id)
      .map((other) => other.http);
    return new LoneBroker({
      ...{ id, http, kafka },
      prefix: this.network?.commandPrefix(id) ?? [],
      logPath: `${this.folder}/broker-${id}.log`,
      flags: [
        `--id=${id}`,
        `--host=${host}`,
        `--port=${http.split(":")[1]}`,
        `--kafka-port=${kafka.split(":")[1]}`,
        `--peers=${peers.join(",")}`,
        ...this.#commonFlags(plan),
      ],
      onUnexpectedEnd: (what) => this.onUnexpectedEnd(what),
    });
  }

  #supervised(
    brokers: readonly BrokerAddress[],
    plan: ClusterPlan,
  ): TortureSupervisor {
    const [first] = brokers;
    return new TortureSupervisor({
      brokers,
      logPath: `${this.folder}/supervisor.log`,
      flags: [
        `--count=${brokers.length}`,
        `--port=${first.http.split(":")[1]}`,
        `--kafka-port=${first.kafka.split(":")[1]}`,
        ...this.#commonFlags(plan),
      ],
      onUnexpectedEnd: (what) => this.onUnexpectedEnd(what),
    });
  }

  #commonFlags({ flags }: ClusterPlan): string[] {
    return [
      `--data-dir=${this.folder}/data`,
      this.metadataServer.flag,
      ...flags,
    ];
  }

  #address(id: number): BrokerAddress {
    const host = this.network?.address(id);
    if (host !== undefined) {
      return {
        id,
        http: `${host}:${HTTP_PORT}`,
        kafka: `${host}:${KAFKA_PORT}`,
      };
    }
    const http = this.#ports.first + id - 1;
    const kafka = http + FIRST_KAFKA_PORT;
    return { id, http: `localhost:${http}`, kafka: `localhost:${kafka}` };
  }
}

/** Asks it to stop; how it ended, when not cleanly. */
export async function uncleanStop(
  name: string,
  process: { stop(): Promise<number | null> },
): Promise<string | undefined> {
  const code = await process.stop();
  if (code === 0) return undefined;
  return `${name}: ${code === null ? "had to be killed" : `exit ${code}`}`;
}
