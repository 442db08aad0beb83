/**
 * One simulation from its seed to its verdict: a cluster is started, loaded and
 * hurt, then left in peace, in which it must recover in time, and looked at from
 * outside. Owns the course; each part of it has its own file.
 */
import { Checks } from "./checks.ts";
import { Client, type Load } from "./clients/client.ts";
import { Committer } from "./clients/committer.ts";
import { GroupDeliveries, GroupMember } from "./clients/group_member.ts";
import {
  Errand,
  makeTopic,
  type NewTopic,
  readToEnd,
} from "./clients/errand.ts";
import { HttpProducer } from "./clients/http_producer.ts";
import { HttpReader } from "./clients/http_reader.ts";
import { KafkaProducer } from "./clients/kafka_producer.ts";
import { KafkaReader } from "./clients/kafka_reader.ts";
import { Operator } from "./clients/operator.ts";
import { Cluster, type Seams, told } from "./cluster.ts";
import { TransactionHistory, Transactor } from "./clients/transactor.ts";
import { Tuner } from "./clients/tuner.ts";
import { FactsWatch } from "./facts_watch.ts";
import { ExtraParts } from "./extra_parts.ts";
import { NO_EXTRAS } from "./extras.ts";
import { endFaults, type FaultContext, makeFault } from "./faults.ts";
import { type FoundRecord, History, type TopicSpec } from "./history.ts";
import { withSmallLimits } from "./limits.ts";
import { type Plan, planOf } from "./plan.ts";
import { ReceiptChecks } from "./receipt_checks.ts";
import { SimulatedCrash } from "../support/memory_file_system.ts";
import { Violation, World } from "./world.ts";

/** From the end of all faults until everything works again, at most. */
const RECOVERY_MS = 15_000;
/** From a start without faults until the topics are made, at most. */
const START_MS = 10_000;
const SAMPLE_MS = 20;

export interface SimulationOptions {
  readonly seed: number;
  readonly keepsTrace?: boolean;
  readonly seams?: Seams;
  /** Differences from what the seed says. */
  readonly plan?: Partial<Plan>;
}

export interface Outcome {
  readonly seed: number;
  /** Undefined: all rules held. */
  readonly violation: string | undefined;
  readonly hash: string;
  readonly lines: readonly string[];
  readonly events: number;
  readonly simulatedMs: number;
  readonly acknowledgements: number;
  readonly reads: number;
  readonly elections: number;
  readonly cleanings: number;
}

export async function simulate(options: SimulationOptions): Promise<Outcome> {
  const simulation = new Simulation(options);
  const release = watchForStrays(simulation.world);
  const mendLimits = withSmallLimits(simulation.plan.extras);
  try {
    await simulation.run();
  } catch (fault) {
    if (!(fault instanceof Violation)) {
      simulation.world.violated(`the simulation itself failed: ${told(fault)}`);
    }
  } finally {
    mendLimits();
    release();
  }
  return simulation.outcome();
}

/** What nobody caught is a broker's error, unless the broker is dead. */
function watchForStrays(world: World): () => void {
  const onError = (event: PromiseRejectionEvent | ErrorEvent) => {
    event.preventDefault();
    const fault = event instanceof ErrorEvent ? event.error : event.reason;
    if (fault instanceof SimulatedCrash || world.hadDeath) return;
    world.violated(`nobody caught ${told(fault)}`);
  };
  const strays = (event: Event) => onError(event as ErrorEvent);
  globalThis.addEventListener("unhandledrejection", strays);
  globalThis.addEventListener("error", strays);
  return () => {
    globalThis.removeEventListener("unhandledrejection", strays);
    globalThis.removeEventListener("error", strays);
  };
}

class Simulation {
  readonly world: World;
  readonly plan: Plan;
  readonly #cluster: Cluster;
  readonly #history: History;
  readonly #facts: FactsWatch;
  readonly #checks: Checks;
  readonly #extras: ExtraParts;
  readonly #faults: FaultContext;
  readonly #transactional: TopicSpec = {
    name: "transactions",
    partitions: 2,
    replicationFactor: 3,
    level: "disk",
    isTransactional: true,
  };
  readonly #transactions = new TransactionHistory();
  readonly #running = new Set<Client>();
  readonly #load: Load & { isOver: boolean };

  constructor({ seed, keepsTrace, seams, plan }: SimulationOptions) {
    this.world = new World({ seed, keepsTrace });
    const { world } = this;
    this.plan = { ...planOf(seed), ...plan };
    this.#cluster = new Cluster(world, {
      brokers: this.plan.brokers,
      links: { ...this.plan.links, loss: 0 },
      clockRates: this.plan.extras.clockRates,
      seams,
    });
    this.#history = new History(world, this.#cluster.machines);
    this.#facts = new FactsWatch(world, this.#cluster, this.#history);
    this.#checks = new Checks(
      world,
      this.#cluster,
      this.#history,
      this.#facts,
    );
    this.#faults = {
      world,
      cluster: this.#cluster,
      facts: this.#facts,
      random: world.random("faults"),
      isOver: false,
    };
    const { hasReceipts } = this.plan.extras;
    this.#load = {
      world,
      cluster: this.#cluster,
      checks: this.#checks,
      facts: this.#facts,
      topics: [...this.plan.topics],
      isOver: false,
      pauseMs: this.plan.pauseMs,
      receipts: hasReceipts
        ? new ReceiptChecks(world, this.#cluster, {
          facts: this.#facts,
          history: this.#history,
        })
        : undefined,
    };
    this.#extras = new ExtraParts({
      world,
      cluster: this.#cluster,
      history: this.#history,
      load: this.#load,
      plan: this.plan,
    });
  }

  outcome(): Outcome {
    const { world } = this;
    return {
      seed: world.seed,
      violation: world.violation?.message,
      hash: world.trace.hash,
      lines: world.trace.lines,
      events: world.events,
      simulatedMs: world.nowMs,
      acknowledgements: this.#history.acknowledgements,
      reads: this.#history.reads,
      elections: this.#facts.elections,
      cleanings: this.#extras.cleanings,
    };
  }

  async run(): Promise<void> {
    const { world } = this;
    await this.#extras.prepare();
    const { extras, ...plan } = this.plan;
    world.say("PLAN", JSON.stringify(plan));
    if (extras !== NO_EXTRAS) world.say("PLAN", JSON.stringify(extras));
    for (const machine of this.#cluster.machines) this.#cluster.start(machine);
    await this.#makeTopics();
    this.#startLoad();
    this.#sampleAgain();
    this.#faultAgain();
    this.#extras.beginFaults();
    this.#cluster.links.options = this.plan.links;
    const endMs = world.nowMs + this.plan.durationMs;
    await world.run(endMs, () => false);
    this.#stopAtViolation();
    this.#load.isOver = true;
    this.#faults.isOver = true;
    this.#extras.endFaults();
    endFaults(this.#faults);
    await this.#recover();
    await this.#readAll();
    for (const partition of this.#history.partitions) {
      // What an operator began may still go on.
      await this.#until(
        RECOVERY_MS,
        () => this.#checks.disagreement(partition) === undefined,
        () => `${partition.name}: ${this.#checks.disagreement(partition)}`,
      );
      this.#checks.compareReplicas(partition);
    }
    this.#stopAtViolation();
    world.say("CHECK", "all rules held");
  }

  #stopAtViolation(): void {
    if (this.world.violation !== undefined) throw this.world.violation;
  }

  /** Runs until `isDone`, which must come about within `limitMs`. */
  async #until(
    limitMs: number,
    isDone: () => boolean,
    complaint: () => string,
  ): Promise<void> {
    const { world } = this;
    const inTime = await world.run(world.nowMs + limitMs, isDone);
    this.#stopAtViolation();
    if (!inTime) world.violated(`within ${limitMs} ms: ${complaint()}`);
    this.#stopAtViolation();
  }

  #begin(client: Client): void {
    this.#running.add(client);
    client.process.after(0, () => {
      client.run().catch((fault) =>
        this.world.violated(`client ${client.name} failed: ${told(fault)}`)
      ).finally(() => this.#running.delete(client));
    });
  }

  get #allTopics(): TopicSpec[] {
    const { topics, transactors } = this.plan;
    return transactors > 0 ? [...topics, this.#transactional] : [...topics];
  }

  async #makeTopics(): Promise<void> {
    for (const topic of this.#allTopics) this.#history.add(topic);
    const all = this.#allTopics.map((topic) => this.#newTopic(topic));
    for (const topic of [...all, ...this.#extras.topics]) {
      this.#begin(
        new Errand(
          this.#load,
          `maker of ${topic.name}`,
          (client) => makeTopic(client, topic),
        ),
      );
    }
    await this.#until(
      START_MS,
      () => this.#running.size === 0,
      () => "the topics were not made",
    );
  }

  #newTopic(topic: TopicSpec): NewTopic {
    const { segmentBytes, topicConfig, extras: { flushMs } } = this.plan;
    const { name, partitions, replicationFactor } = topic;
    const cached = {
      "flush.messages": "1000000",
      ...flushMs === undefined ? {} : { "flush.ms": flushMs },
    };
    const config = {
      ...topicConfig,
      ...topic.level === "cache" ? cached : {},
      ...segmentBytes === undefined ? {} : { "segment.bytes": segmentBytes },
    };
    return { name, partitions, replicationFactor, config };
  }

  #startLoad(): void {
    const plan = this.plan;
    const random = this.world.random("load");
    const load = this.#load;
    for (let i = 1; i <= plan.httpProducers; i++) {
      this.#begin(new HttpProducer(load, `http-${i}`, random.chance(0.5)));
    }
    for (let i = 1; i <= plan.kafkaProducers; i++) {
      this.#begin(new KafkaProducer(load, `kafka-${i}`, random.chance(0.6)));
    }
    const partitions = this.#history.partitions.filter(({ topic }) =>
      topic.isTransactional !== true
    );
    for (let i = 1; i <= plan.transactors; i++) {
      this.#begin(
        new Transactor(
          load,
          `transactor-${i}`,
          this.#transactional,
          this.#transactions,
        ),
      );
    }
    for (let i = 1; i <= plan.httpReaders; i++) {
      this.#begin(new HttpReader(load, `reader-${i}`, random.pick(partitions)));
    }
    for (let i = 1; i <= plan.kafkaReaders; i++) {
      this.#begin(
        new KafkaReader(load, `fetcher-${i}`, random.pick(partitions)),
      );
    }
    for (let i = 1; i <= plan.committers; i++) {
      this.#begin(new Committer(load, `committer-${i}`));
    }
    for (let i = 1; i <= plan.operators; i++) {
      this.#begin(new Operator(load, `operator-${i}`, this.#history));
    }
    for (let i = 1; i <= (plan.tuners ?? 0); i++) {
      this.#begin(new Tuner(load, `tuner-${i}`));
    }
    this.#startGroup();
    for (const client of this.#extras.clients()) this.#begin(client);
  }

  #startGroup(): void {
    const [topic] = this.plan.topics;
    const deliveries = new GroupDeliveries();
    const places = this.#history.partitions.filter((each) =>
      each.topic === topic
    );
    const isDone = () =>
      places.every(({ partition, acknowledgedEnd }) =>
        deliveries.missing(topic.name, partition, acknowledgedEnd) === undefined
      );
    for (let i = 1; i <= this.plan.groupMembers; i++) {
      this.#begin(
        new GroupMember(this.#load, `member-${i}`, {
          group: "workers",
          topic,
          deliveries,
          isDone,
        }),
      );
    }
  }

  #sampleAgain(): void {
    this.world.schedule(SAMPLE_MS, () => {
      this.#checks.sample();
      this.#extras.sample();
      this.#sampleAgain();
    });
  }

  #faultAgain(): void {
    const { faults, meanFaultGapMs } = this.plan;
    if (faults.length === 0) return;
    const { random } = this.#faults;
    this.world.schedule(100 + random.exponential(meanFaultGapMs), () => {
      if (this.#load.isOver) return;
      makeFault(random.pick(faults), this.#faults);
      this.#faultAgain();
    });
  }

  /** Every request comes to its end, and all replicas agree. */
  async #recover(): Promise<void> {
    const busy = () => [...this.#running];
    let disagreement: string | undefined;
    const isDone = () => {
      if (this.#running.size > 0) return false;
      disagreement = undefined;
      for (const partition of this.#history.partitions) {
        const reason = this.#checks.disagreement(partition);
        if (reason === undefined) continue;
        disagreement = `${partition.name}: ${reason}`;
        return false;
      }
      disagreement = this.#extras.disagreement();
      return disagreement === undefined;
    };
    await this.#until(RECOVERY_MS, isDone, () =>
      [
        "the cluster did not recover:",
        ...busy().map(({ name, doing }) => `${name} is still ${doing};`),
        disagreement ?? "",
      ].join(" "));
    this.world.say("CHECK", "the cluster has recovered");
  }

  async #readAll(): Promise<void> {
    for (const client of this.#extras.lastErrands()) {
      this.#begin(client);
      await this.#until(
        START_MS,
        () => this.#running.size === 0,
        () => `the ${client.name} does not come to its end`,
      );
    }
    for (const partition of this.#history.partitions) {
      const found: FoundRecord[] = [];
      this.#begin(
        new Errand(
          this.#load,
          `last reader of ${partition.name}`,
          (client) => readToEnd(client, partition, found),
        ),
      );
      await this.#until(
        START_MS,
        () => this.#running.size === 0,
        () => `${partition.name} cannot be read`,
      );
      if (partition.topic.isTransactional !== true) {
        partition.checkAll(found);
        continue;
      }
      const fault = this.#transactions.fault(found.map(({ value }) => value));
      if (fault !== undefined) {
        this.world.violated(`${partition.name}: ${fault}`);
      }
    }
  }
}
