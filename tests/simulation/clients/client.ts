/**
 * What the simulated clients share: a process of their own, a way to the
 * brokers, and the load's beginning and end. Owns no protocol.
 */
import type { Environment } from "../../../broker/environment.ts";
import type { Checks } from "../checks.ts";
import type { Cluster } from "../cluster.ts";
import type { FactsWatch } from "../facts_watch.ts";
import type { TopicSpec } from "../history.ts";
import type { SimulatedProcess } from "../process.ts";
import type { ReceiptChecks } from "../receipt_checks.ts";
import type { World } from "../world.ts";

/** What clients are told of the simulation they run in. */
export interface Load {
  readonly world: World;
  readonly cluster: Cluster;
  readonly checks: Checks;
  /** What the metadata says, for those who judge answers by it. */
  readonly facts: FactsWatch;
  /** That are there; more may come. */
  readonly topics: TopicSpec[];
  /** Nothing new is begun; what was begun is brought to its end. */
  readonly isOver: boolean;
  /** The mean pause between two requests of a client. */
  readonly pauseMs: number;
  /** Producers that can ask for receipts do, and have them checked. */
  readonly receipts: ReceiptChecks | undefined;
}

export type ClientEnvironment = Omit<Environment, "fileSystem">;

export abstract class Client {
  readonly load: Load;
  readonly name: string;
  readonly process: SimulatedProcess;
  readonly environment: ClientEnvironment;

  constructor(load: Load, name: string) {
    this.load = load;
    this.name = name;
    this.process = load.cluster.client(name);
    this.environment = load.cluster.environmentOf(this.process);
  }

  /** Works until the load is over and nothing is left to be done. */
  abstract run(): Promise<void>;

  /** What it waits for, for whoever wants to know why it does not end. */
  doing = "nothing";

  get nowMs(): number {
    return this.load.world.nowMs;
  }

  say(what: string): void {
    this.load.world.say(this.name, what);
  }

  /** Before the next request of a client at ease. */
  pause(times = 1): Promise<void> {
    return this.process.sleep(
      this.process.random.exponential(times * this.load.pauseMs),
    );
  }

  /** Before the same request once more. */
  backOff(): Promise<void> {
    return this.process.sleep(this.process.random.between(30, 250));
  }

  /** Any broker, whether it runs or not; none that is out of service. */
  anyMachine() {
    const { machines } = this.load.cluster;
    return this.process.random.pick(machines.filter(({ isGone }) => !isGone));
  }
}
