/**
 * One torture run: a cluster, clients at work on it, faults in the order of a
 * seed, and then the verdict (`verdict.ts`). Owns the course of a run.
 */
import { ok } from "../e2e/support/http.ts";
import { Random } from "../e2e/support/random.ts";
import { TortureCluster } from "./cluster.ts";
import { type FaultWorld, inflict } from "./faults.ts";
import { Health } from "./health.ts";
import type { WriterHistory } from "./history.ts";
import { CommitWatch } from "./load/commit_watch.ts";
import { libraryHttp, memberHttp, plainHttp, readHttp } from "./load/http.ts";
import { writeKafkajs } from "./load/kafkajs.ts";
import { memberKafkajs } from "./load/kafkajs_member.ts";
import { readKcat, writeKcat } from "./load/kcat.ts";
import { type Load, pause, Stage } from "./load/stage.ts";
import {
  TransactionLoad,
  TRANSACTIONS_PARTITIONS,
  TRANSACTIONS_TOPIC,
} from "./load/transactions.ts";
import { type FaultKind, type FaultStep, plan } from "./plan.ts";
import { reachVerdict, type Verdict } from "./verdict.ts";

export interface TortureOptions {
  readonly seed: number;
  readonly durationMs: number;
  /** Ends sooner after so many. */
  readonly mostFaults?: number;
  readonly kinds: readonly FaultKind[];
  readonly brokers: number;
  readonly replicationFactor: number;
  readonly longestHoldMs: number;
  /** Of a hundred faults, how many come while replicas still catch up. */
  readonly hastePercent: number;
  /** Between two sends of one writer. */
  readonly paceMs: number;
  /** Clients of others are told to try for as long as it takes. */
  readonly hasPatientClients: boolean;
  readonly withKcat: boolean;
  readonly withNetwork: boolean;
  readonly withSmallDisk: boolean;
  /** A supervisor keeps the brokers running; never `withNetwork`. */
  readonly isSupervised: boolean;
  /** In place of an SQLite file that the brokers share. */
  readonly withEtcd: boolean;
  /** Further flags of the `broker` command. */
  readonly flags: readonly string[];
  /** Holds everything; made by the caller, who removes it. */
  readonly folder: string;
  /** A line for whoever watches. */
  readonly tell: (line: string) => void;
  /** Aborts when the run is to end early, and to be checked. */
  readonly signal: AbortSignal;
  /** Rejects when even the check is to end. */
  readonly givenUp?: Promise<never>;
}

export interface FaultRecord {
  readonly step: FaultStep;
  /** From the start of the run. */
  readonly atMs: number;
  /** The longest that a partition took no record, until all took some again. */
  readonly gapMs: number;
  /** From the end of the fault until every partition took a record. */
  readonly aliveMs: number;
  /** From the end of the fault until all replicas were in sync; if waited for. */
  readonly wholeMs: number | undefined;
}

export interface TortureResult extends Verdict {
  readonly faults: readonly FaultRecord[];
  readonly seconds: number;
  /** Those of one client have the same name up to a slash. */
  readonly writers: readonly WriterHistory[];
  readonly readers: ReadonlyMap<string, number>;
  /** How often a client that never repeats was told no, by reason. */
  readonly refusals: ReadonlyMap<string, number>;
  /** What is no violation, and how often it was. */
  readonly notes: ReadonlyMap<string, number>;
  readonly transactions: { readonly begun: number; readonly committed: number };
}

const TOPICS = { "torture-disk": 6, "torture-cache": 3 };
const PAGE_CACHE = { "flush.messages": "9007199254740991" };
const GROUP = "torture-group";
const SMALL_DISK_BYTES = 1024 * 1024 * 1024;
const SMALL_SEGMENT_BYTES = 1024 * 1024;

export async function torture(options: TortureOptions): Promise<TortureResult> {
  await using cluster = new TortureCluster({
    folder: options.folder,
    count: options.brokers,
    withNetwork: options.withNetwork,
    isSupervised: options.isSupervised,
    withEtcd: options.withEtcd,
    smallDiskOf: options.withSmallDisk ? 2 : undefined,
    smallDiskBytes: SMALL_DISK_BYTES,
    flags: options.flags,
  });
  const running = new TortureRun(cluster, options).run();
  const result = await Promise.race([running, ...giveUps(options)]);
  if (result.violations.length > 0) cluster.keepSmallDisk();
  return result;
}

function giveUps({ givenUp }: TortureOptions): Promise<never>[] {
  return givenUp === undefined ? [] : [givenUp];
}

class TortureRun {
  readonly #cluster: TortureCluster;
  readonly #options: TortureOptions;
  readonly #stage: Stage;
  readonly #startedMs = performance.now();
  readonly #faults: FaultRecord[] = [];
  readonly #watch: CommitWatch;
  readonly #health: Health;
  readonly #transactions: TransactionLoad;

  constructor(cluster: TortureCluster, options: TortureOptions) {
    this.#cluster = cluster;
    this.#options = options;
    this.#stage = new Stage({
      brokers: cluster.brokers,
      topics: TOPICS,
      paceMs: options.paceMs,
      hasPatientClients: options.hasPatientClients,
      clientLog: `${options.folder}/kafkajs.log`,
    });
    this.#watch = new CommitWatch(this.#stage, GROUP);
    this.#transactions = new TransactionLoad(this.#stage);
    this.#health = new Health(cluster, this.#stage);
    cluster.onUnexpectedEnd = (what) =>
      this.#stage.violation("a broker runs until it is told to stop", what);
  }

  async run(): Promise<TortureResult> {
    const stage = this.#stage;
    await this.#cluster.startAll();
    await this.#createTopics();
    const writing = this.#startWriters();
    const reading = this.#startReaders();
    await this.#health.untilAlive(performance.now(), {
      after: "the beginning",
      signal: this.#options.signal,
    });
    stage.beginGaps();
    await this.#inflictAll();
    this.#tell("Faults are over: clients finish, then all is checked");
    const verdict = await reachVerdict({
      cluster: this.#cluster,
      stage,
      health: this.#health,
      watch: this.#watch,
      transactions: this.#transactions,
      writing,
      reading,
    });
    return {
      ...verdict,
      faults: this.#faults,
      seconds: (performance.now() - this.#startedMs) / 1000,
      writers: stage.writers,
      readers: stage.readings.counts,
      refusals: stage.refusals,
      notes: stage.notes,
      transactions: this.#transactions.counts,
    };
  }

  async #createTopics(): Promise<void> {
    const { replicationFactor } = this.#options;
    const topics = {
      ...TOPICS,
      [TRANSACTIONS_TOPIC]: TRANSACTIONS_PARTITIONS,
    };
    for (const [topic, partitions] of Object.entries(topics)) {
      await ok(`${this.#cluster.broker(1).url}/create-topic`, {
        topic,
        partitions,
        replicationFactor,
        config: {
          "segment.bytes": SMALL_SEGMENT_BYTES,
          ...topic === "torture-cache" ? PAGE_CACHE : {},
        },
      });
    }
  }

  #startWriters(): Load[] {
    const stage = this.#stage;
    const loads = [
      plainHttp(stage, "http-plain"),
      ...stage.topics.map((topic) =>
        libraryHttp(stage, `http-library-${topic}`, topic)
      ),
      writeKafkajs(stage, "kafkajs-idempotent"),
      this.#transactions.run(),
    ];
    if (this.#options.withKcat) loads.push(writeKcat(stage, "kcat-idempotent"));
    return loads;
  }

  #startReaders(): Load[] {
    const stage = this.#stage;
    const loads = [
      ...stage.topics.map((topic) =>
        readHttp(stage, `http-reader-${topic}`, topic)
      ),
      memberHttp(stage, "http-member", GROUP),
      memberKafkajs(stage, "kafkajs-member", GROUP),
      this.#watch.run(),
    ];
    if (this.#options.withKcat) {
      for (const topic of stage.topics) {
        loads.push(readKcat(stage, `kcat-reader-${topic}`, topic));
      }
    }
    return loads;
  }

  async #inflictAll(): Promise<void> {
    const { durationMs, kinds, seed, signal, mostFaults } = this.#options;
    const steps = plan({
      random: new Random(seed),
      kinds,
      brokers: this.#options.brokers,
      slots: this.#stage.slots.length,
      longestHoldMs: this.#options.longestHoldMs,
      hastePercent: this.#options.hastePercent,
    });
    const endMs = this.#startedMs + durationMs;
    for (const step of steps) {
      if (performance.now() > endMs || signal.aborted) return;
      if (this.#faults.length === mostFaults) return;
      if (!await this.#inflictOne(step)) return;
    }
  }

  /** False: the run is lost. */
  async #inflictOne(step: FaultStep): Promise<boolean> {
    const stage = this.#stage;
    const atMs = performance.now() - this.#startedMs;
    const { signal } = this.#options;
    this.#tell(
      `${step.kind} (broker ${step.broker}, ${Math.round(step.holdMs)} ms)`,
    );
    const world: FaultWorld = {
      cluster: this.#cluster,
      stage,
      signal,
      untilWhole: () => this.#health.untilWhole({ after: step.kind, signal }),
    };
    stage.beginGaps();
    await inflict(world, step);
    const endedMs = performance.now();
    const after = { after: step.kind, signal };
    const isAlive = await this.#health.untilAlive(endedMs, after);
    const aliveMs = performance.now() - endedMs;
    const gapMs = stage.longestGapMs;
    let wholeMs: number | undefined;
    if (isAlive && step.mustSettle) {
      await this.#health.untilWhole(after);
      wholeMs = performance.now() - endedMs;
    }
    this.#faults.push({ step, atMs, gapMs, aliveMs, wholeMs });
    const isLost = stage.violations.length > 0 ||
      stage.readings.violations.length > 0;
    if (!isLost) await pause(step.restMs, signal);
    return !isLost;
  }

  #tell(line: string): void {
    const seconds = (performance.now() - this.#startedMs) / 1000;
    const { acknowledgedCount } = this.#stage;
    this.#options.tell(
      `[${
        seconds.toFixed(1).padStart(6)
      } s, ${acknowledgedCount} acknowledged] ${line}`,
    );
  }
}
