/**
 * The simulated cluster: machines, the brokers on them, the metadata store, and
 * the network between them. Owns what can be done to them; when it is done is
 * the plan's to say, what must be true is the checks'.
 */
import { type RunningBroker, startBroker } from "../../broker/broker.ts";
import type { BrokerConfig } from "../../broker/config.ts";
import type { Environment } from "../../broker/environment.ts";
import type { LogFields, Logger } from "../../broker/logger.ts";
import { Room } from "../../broker/room.ts";
import type { MetadataStore } from "../../storage/metadata/metadata_store.ts";
import { brokerConfigOf } from "../support/broker_config.ts";
import { MemoryMetadata } from "../support/memory_metadata_store.ts";
import { type FileChange, MachineDisk, ProcessFileSystem } from "./disk.ts";
import { Http } from "./http.ts";
import { type LinkOptions, Links } from "./links.ts";
import { type DeathKind, SimulatedProcess } from "./process.ts";
import type { SeededRandom } from "./random.ts";
import { SimulatedStore } from "./store.ts";
import { type Power, Tcp } from "./tcp.ts";
import type { World } from "./world.ts";

export const HTTP_PORT = 8080;
export const KAFKA_PORT = 9092;
/** How soon a broker that ended is started again: before or after its lease. */
const START_AGAIN_MS = [100, 400, 2_000, 4_000];

/** What broken variants change in the world of a broker. */
export interface Seams {
  environment?(environment: Environment, machine: Machine): Environment;
  store?(store: MetadataStore, machine: Machine): MetadataStore;
  readonly config?: Partial<BrokerConfig>;
}

export interface ClusterOptions {
  readonly brokers: number;
  readonly links: LinkOptions;
  /** Of the machines in order: how fast their clocks run; 1 where not told. */
  readonly clockRates?: readonly number[];
  readonly seams?: Seams;
}

export interface Machine {
  readonly id: number;
  readonly name: string;
  readonly disk: MachineDisk;
  isOn: boolean;
  /** What its disk kept is decided when it is switched on again. */
  hasLostPower: boolean;
  /** Its supervisor starts the broker again when it ends. */
  isWanted: boolean;
  /** It is out of service: nobody starts its broker until it comes back. */
  isGone: boolean;
  process: SimulatedProcess | undefined;
  running: RunningBroker | undefined;
  room: Room | undefined;
  wallOffsetMs: number;
  /** How fast its clock runs; 1: right. */
  readonly clockRate: number;
  /** When its disk was replaced. */
  wipedAtMs: number | undefined;
  /** Where it still counts as in sync, as `topic-index`, without a copy. */
  readonly wipedPartitions: Set<string>;
  /** When its broker was killed or lost its power, in order. */
  readonly uncleanEnds: { readonly atMs: number; readonly kind: DeathKind }[];
}

/** Whose room is opened next: one opens in the turn that its store opened. */
let opening: Machine | undefined;
const openRoom = Room.prototype.open;
Room.prototype.open = function (this: Room): Promise<void> {
  if (opening !== undefined) opening.room = this;
  return openRoom.call(this);
};

export class Cluster {
  readonly world: World;
  readonly links: Links;
  readonly metadata: MemoryMetadata;
  readonly machines: Machine[] = [];
  /** Names of clients, also of those that are done. */
  readonly clients: string[] = [];
  /** Is told of files that are about to be cut, to be renamed, or to go. */
  onFileChange:
    | ((machine: Machine, kind: FileChange, path: string) => void)
    | undefined;
  readonly #options: ClusterOptions;
  readonly #random: SeededRandom;
  #isCalm = false;
  readonly #whenOn = new Map<string, (() => void)[]>();
  readonly #power: Power = {
    isOn: (name) => this.#isOn(name),
    whenOn: (name, action) => {
      if (this.#isOn(name)) return action();
      const actions = this.#whenOn.get(name) ?? [];
      actions.push(action);
      this.#whenOn.set(name, actions);
    },
  };
  readonly #tcp: Tcp;
  readonly #http: Http;

  constructor(world: World, options: ClusterOptions) {
    this.world = world;
    this.#options = options;
    this.#random = world.random("cluster");
    this.links = new Links(world, options.links);
    this.#tcp = new Tcp(this.links, this.#power);
    this.#http = new Http(this.links, this.#power);
    this.metadata = new MemoryMetadata({
      clock: { nowMs: () => world.wallMs, monotonicMs: () => world.nowMs },
      timers: {
        after: (delayMs, callback) => world.schedule(delayMs, callback),
        soon: (callback) => void world.schedule(0, callback),
      },
    });
    for (let id = 1; id <= options.brokers; id++) this.addMachine();
  }

  /** Clients' machines always are. */
  #isOn(name: string): boolean {
    return this.machines.find((each) => each.name === name)?.isOn ?? true;
  }

  /** From now on nothing takes longer than it must. */
  calm(): void {
    this.#isCalm = true;
  }

  /** A machine whose broker has never run. */
  addMachine(): Machine {
    const id = this.machines.length + 1;
    const name = `broker-${id}`;
    const machine: Machine = {
      id,
      name,
      disk: new MachineDisk(this.world, name),
      isOn: true,
      hasLostPower: false,
      isWanted: false,
      isGone: false,
      process: undefined,
      running: undefined,
      room: undefined,
      wallOffsetMs: 0,
      clockRate: this.#options.clockRates?.[id - 1] ?? 1,
      wipedAtMs: undefined,
      wipedPartitions: new Set(),
      uncleanEnds: [],
    };
    machine.disk.onChange = (kind, path) =>
      this.onFileChange?.(machine, kind, path);
    this.machines.push(machine);
    return machine;
  }

  /** A process without a disk, of a client. */
  client(name: string): SimulatedProcess {
    this.clients.push(name);
    return new SimulatedProcess(this.world, name);
  }

  /** What a client of this process reaches the cluster by. */
  environmentOf(process: SimulatedProcess): Omit<Environment, "fileSystem"> {
    return {
      clock: process.clock,
      timers: process.timers,
      random: process.randomness,
      process: {
        residentMemoryBytes: () => 0,
        heapUsedBytes: () => 0,
        cpuSeconds: () => 0,
      },
      network: {
        serveHttp: ({ port }, handler) =>
          this.#http.serve(process, port, handler),
        fetch: (url, init) => this.#http.fetch(process, url, init),
        listenTcp: ({ port }) => this.#tcp.listen(process, port),
        connectTcp: (options) => this.#tcp.connect(process, options),
      },
    };
  }

  /** Starts the broker, unless it runs; it is started again when it ends. */
  start(machine: Machine): void {
    if (machine.isGone) return;
    machine.isWanted = true;
    machine.isOn = true;
    if (machine.process?.isAlive) return;
    if (machine.hasLostPower) machine.disk.losePower();
    machine.hasLostPower = false;
    for (const action of this.#whenOn.get(machine.name) ?? []) action();
    this.#whenOn.delete(machine.name);
    const { world } = this;
    const process = new SimulatedProcess(world, machine.name);
    process.wallOffsetMs = machine.wallOffsetMs;
    process.clockRate = machine.clockRate;
    machine.process = process;
    machine.disk.process = process;
    machine.room = undefined;
    machine.running = undefined;
    process.onDeath((kind) => this.#died(machine, kind));
    world.say(machine.name, "starts");
    process.after(0, () => void this.#run(machine, process));
  }

  /** As SIGTERM; it is not started again by itself. */
  async stop(machine: Machine): Promise<void> {
    const { process, running } = machine;
    machine.isWanted = false;
    if (process === undefined || !process.isAlive) return;
    this.world.say(machine.name, "is asked to stop");
    if (running === undefined) return process.die("kill");
    await new Promise<void>((resolve) => {
      process.onDeath(() => resolve());
      process.enter(() => {
        void running.stop().catch((fault: unknown) => {
          this.world.say(machine.name, `did not stop cleanly: ${fault}`);
        }).then(() => {
          this.world.say(machine.name, "has stopped");
          process.die("stop");
        });
      });
    });
  }

  kill(machine: Machine): void {
    machine.process?.die("kill");
  }

  losePower(machine: Machine): void {
    if (machine.process?.isAlive) machine.process.die("power");
    else if (machine.isOn) this.#losePower(machine);
  }

  /** Out of service; what a fault would start again stays off. */
  retire(machine: Machine): void {
    machine.isGone = true;
    machine.isWanted = false;
  }

  /** Back in service, with the disk that it has. */
  comeBack(machine: Machine): void {
    machine.isGone = false;
    this.start(machine);
  }

  /** Of a machine that is off; its new disk is empty. */
  replaceDisk(machine: Machine): void {
    machine.hasLostPower = false;
    machine.wipedAtMs = this.world.nowMs;
    machine.disk.replace();
  }

  #died(machine: Machine, kind: DeathKind): void {
    const { world } = this;
    world.say(machine.name, kind === "power" ? "loses its power" : "has ended");
    machine.disk.diesAfter = undefined;
    machine.running = undefined;
    machine.room = undefined;
    // Not within the operation of the disk in which it died.
    if (kind === "power") this.#losePower(machine);
    else if (kind === "kill") {
      machine.uncleanEnds.push({ atMs: world.nowMs, kind });
    }
    if (!machine.isWanted) return;
    const restMs = this.#isCalm ? START_AGAIN_MS[0] : this.#random.pick(
      START_AGAIN_MS,
    );
    world.schedule(restMs, () => {
      if (machine.isWanted && machine.isOn) this.start(machine);
    });
  }

  #losePower(machine: Machine): void {
    machine.isOn = false;
    machine.uncleanEnds.push({ atMs: this.world.nowMs, kind: "power" });
    machine.hasLostPower = true;
  }

  async #run(machine: Machine, process: SimulatedProcess): Promise<void> {
    const { world } = this;
    const { seams } = this.#options;
    const plain: Environment = {
      ...this.environmentOf(process),
      fileSystem: new ProcessFileSystem(machine.disk, process),
    };
    const environment = seams?.environment?.(plain, machine) ?? plain;
    try {
      const running = await startBroker(
        this.#configOf(machine),
        environment,
        this.#loggerOf(machine),
        {
          openStore: () => {
            const { links, metadata } = this;
            const store = new SimulatedStore(process, links, metadata);
            opening = machine;
            return Promise.resolve(seams?.store?.(store, machine) ?? store);
          },
        },
      );
      if (!process.isAlive) return;
      world.say(machine.name, "is ready");
      machine.running = running;
      running.failed.catch((fault) => {
        if (!process.isAlive) return;
        world.violated(`${machine.name} broke an invariant: ${told(fault)}`);
      });
    } catch (fault) {
      if (!process.isAlive) return;
      world.say(machine.name, `cannot start: ${told(fault)}`);
      process.die("kill");
    }
  }

  #configOf(machine: Machine): BrokerConfig {
    return brokerConfigOf({
      id: machine.id,
      advertisedHost: machine.name,
      port: HTTP_PORT,
      kafkaPort: KAFKA_PORT,
      dataDirectory: "/data",
      defaultReplicationFactor: null,
      ...this.#options.seams?.config,
    });
  }

  #loggerOf(machine: Machine): Logger {
    const write =
      (level: string) => (message: string, fields: LogFields = {}) => {
        if (!(machine.process?.isAlive)) return;
        const details = Object.entries(fields).map(([name, value]) =>
          ` ${name}=${value}`
        );
        this.world.say(machine.name, `${level}: ${message}${details.join("")}`);
      };
    return {
      debug: () => {},
      info: write("info"),
      warn: write("warn"),
      error: write("error"),
    };
  }
}

export function told(fault: unknown): string {
  if (!(fault instanceof Error)) return String(fault);
  const first = (fault.stack ?? "").split("\n")
    .filter((line) => line.includes("/broker/") || line.includes("/storage/"))
    .slice(0, 4).map((line) =>
      line.trim().replace(/file:\S*\/(broker|storage)/, "$1")
    );
  return [`${fault.name}: ${fault.message}`, ...first].join(" | ");
}
