/**
 * One torture run: a cluster, clients at work on it, faults in the order of a
 * seed, and then the verdict. Owns the course of a run; what is wrong is judged
 * by `checker.ts` and `replicas.ts`.
 */
import { ok, readPartition } from "../e2e/support/http.ts";
import { Random } from "../e2e/support/random.ts";
import { violationsOf } from "./checker.ts";
import { TortureCluster } from "./cluster.ts";
import { type FaultWorld, inflict } from "./faults.ts";
import type { Violation, WriterHistory } from "./history.ts";
import { CommitWatch } from "./load/commit_watch.ts";
import { libraryHttp, memberHttp, plainHttp, readHttp } from "./load/http.ts";
import { memberKafkajs, writeKafkajs } from "./load/kafkajs.ts";
import { readKcat, writeKcat } from "./load/kcat.ts";
import { type Load, pause, Stage } from "./load/stage.ts";
import { type FaultKind, type FaultStep, plan } from "./plan.ts";
import { differences } from "./replicas.ts";

export interface TortureOptions {
  readonly seed: number;
  readonly durationMs: number;
  /** Ends sooner after so many. */
  readonly mostFaults?: number;
  readonly kinds: readonly FaultKind[];
  readonly brokers: number;
  readonly replicationFactor: number;
  readonly longestHoldMs: number;
  /** Between two sends of one writer. */
  readonly paceMs: number;
  /** Clients of others are told to try for as long as it takes. */
  readonly hasPatientClients: boolean;
  readonly withKcat: boolean;
  readonly withNetwork: boolean;
  readonly withSmallDisk: boolean;
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

export interface TortureResult {
  readonly faults: readonly FaultRecord[];
  readonly violations: readonly Violation[];
  readonly seconds: number;
  /** Those of one client have the same name up to a slash. */
  readonly writers: readonly WriterHistory[];
  readonly readers: ReadonlyMap<string, number>;
  /** Records stored in the end. */
  readonly stored: number;
}

const TOPICS = { "torture-disk": 6, "torture-cache": 3 };
const PAGE_CACHE = { "flush.messages": "9007199254740991" };
const GROUP = "torture-group";
const SMALL_DISK_BYTES = 1024 * 1024 * 1024;
const SMALL_SEGMENT_BYTES = 1024 * 1024;
const LIFE_DEADLINE_MS = 60_000;
const WHOLE_DEADLINE_MS = 60_000;
const NEWS_DEADLINE_MS = 10_000;
const END_DEADLINE_MS = 90_000;
const POLL_MS = 100;

export async function torture(options: TortureOptions): Promise<TortureResult> {
  await using cluster = new TortureCluster({
    folder: options.folder,
    count: options.brokers,
    withNetwork: options.withNetwork,
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
  /** From now on an early end is no reason to wait for less. */
  #isEnding = false;

  constructor(cluster: TortureCluster, options: TortureOptions) {
    this.#cluster = cluster;
    this.#options = options;
    this.#stage = new Stage({
      brokers: cluster.brokers,
      topics: TOPICS,
      paceMs: options.paceMs,
      hasPatientClients: options.hasPatientClients,
    });
    this.#watch = new CommitWatch(this.#stage, GROUP);
    cluster.onUnexpectedEnd = (what) =>
      this.#stage.violation("a broker runs until it is told to stop", what);
  }

  async run(): Promise<TortureResult> {
    const stage = this.#stage;
    await this.#cluster.startAll();
    await this.#createTopics();
    const writing = this.#startWriters();
    const reading = this.#startReaders();
    await this.#untilAlive(performance.now(), "the beginning");
    stage.beginGaps();
    await this.#inflictAll();
    this.#tell("Faults are over: clients finish, then all is checked");
    this.#isEnding = true;
    stage.stopWriting();
    await this.#untilDone(writing);
    if (!await this.#untilWhole()) {
      stage.violation("replicas are in sync soon after", await this.#unwell());
    }
    const logs = await this.#readLogs();
    if (logs !== undefined) await this.#untilReadersHave(logs, reading);
    stage.stopReading();
    await this.#untilDone(reading);
    if (logs !== undefined) await this.#checkCommits(logs);
    await this.#stopBrokers();
    const { slots, writers, readings } = stage;
    return {
      faults: this.#faults,
      violations: [
        ...stage.violations,
        ...logs === undefined ? readings.violations : [
          ...violationsOf({ slots, logs, writers, readings }),
          ...this.#compareReplicas(logs),
        ],
      ],
      seconds: (performance.now() - this.#startedMs) / 1000,
      writers,
      readers: readings.counts,
      stored: logs?.reduce((sum, log) => sum + log.length, 0) ?? 0,
    };
  }

  async #createTopics(): Promise<void> {
    const { replicationFactor } = this.#options;
    for (const [topic, partitions] of Object.entries(TOPICS)) {
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
      untilWhole: () => this.#untilWhole(),
    };
    stage.beginGaps();
    await inflict(world, step);
    const endedMs = performance.now();
    const isAlive = await this.#untilAlive(endedMs, step.kind);
    const aliveMs = performance.now() - endedMs;
    const gapMs = stage.longestGapMs;
    let wholeMs: number | undefined;
    if (isAlive && step.mustSettle) {
      if (!await this.#untilWhole()) {
        stage.violation(
          "replicas are in sync soon after",
          `${step.kind}: ${await this.#unwell()}`,
        );
      }
      wholeMs = performance.now() - endedMs;
    }
    this.#faults.push({ step, atMs, gapMs, aliveMs, wholeMs });
    const isLost = stage.violations.length > 0 ||
      stage.readings.violations.length > 0;
    if (!isLost) await pause(step.restMs, signal);
    return !isLost;
  }

  /** Whether every partition took a record since then, within a bound. */
  async #untilAlive(momentMs: number, after: string): Promise<boolean> {
    const { signal } = this.#options;
    const stage = this.#stage;
    const isAlive = await this.#until(
      () => stage.hasEachTakenSince(momentMs),
      LIFE_DEADLINE_MS,
    );
    if (isAlive || signal.aborted) return true;
    const silent = stage.silentSince(momentMs)
      .map(({ topic, partition }) => `${topic}/${partition}`);
    stage.violation(
      "every partition takes records again soon after a fault",
      `${after}: ${silent.join(", ")} took none for ${
        LIFE_DEADLINE_MS / 1000
      } s; ${await this.#unwell()}`,
    );
    return false;
  }

  /** Whether all replicas of all partitions are in sync, within a bound. */
  #untilWhole(): Promise<boolean> {
    return this.#until(
      async () => await this.#unwell() === "",
      WHOLE_DEADLINE_MS,
    );
  }

  /** Partitions without leader or with replicas out of sync, for a person. */
  async #unwell(): Promise<string> {
    const metadata = await this.#cluster.metadata();
    if (metadata === undefined) return "no broker answers";
    const dead = metadata.brokers.filter(({ alive }) => !alive)
      .map(({ id }) => `broker ${id} is not alive`);
    const partitions = Object.entries(metadata.topic_partitions)
      .flatMap(([topic, { partitions }]) =>
        partitions
          .filter(({ leader, isr, replicas }) =>
            leader === null || isr.length < replicas.length
          )
          .map(({ partition, leader, leaderEpoch, isr, replicas }) =>
            `${topic}/${partition} leader ${leader} epoch ${leaderEpoch} ` +
            `isr ${isr} of ${replicas}`
          )
      );
    return [...dead, ...partitions].join("; ");
  }

  async #until(
    condition: () => boolean | Promise<boolean>,
    deadlineMs: number,
  ): Promise<boolean> {
    const endMs = performance.now() + deadlineMs;
    const { signal } = this.#options;
    while (!await condition()) {
      if (performance.now() > endMs) return false;
      if (signal.aborted && !this.#isEnding) return false;
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
    return true;
  }

  async #untilDone(loads: readonly Load[]): Promise<void> {
    let isDone = false;
    Promise.all(loads.map((load) => load.done)).then(() => isDone = true);
    if (await this.#until(() => isDone, END_DEADLINE_MS)) return;
    this.#stage.violation(
      "clients end when they are told to",
      `not within ${END_DEADLINE_MS / 1000} s`,
    );
  }

  /** By slot; undefined when one cannot be read. */
  async #readLogs(): Promise<string[][] | undefined> {
    const logs: string[][] = [];
    for (const [slot, { topic, partition }] of this.#stage.slots.entries()) {
      try {
        logs.push(await this.#readLog(slot));
      } catch (error) {
        this.#stage.violation(
          "what is stored can be read",
          `${topic}/${partition}: ${(error as Error).message.split("\n")[0]}`,
        );
      }
    }
    return logs.length === this.#stage.slots.length ? logs : undefined;
  }

  /** A new leader may know a moment later how far all replicas are. */
  async #readLog(slot: number): Promise<string[]> {
    const { topic, partition } = this.#stage.slots[slot];
    const { url } = this.#cluster.broker(1);
    const least = this.#stage.knownEnd(slot);
    const log: string[] = [];
    await this.#until(async () => {
      const from = log.length;
      for (const record of await readPartition(url, topic, partition, from)) {
        if (record.offset !== log.length) {
          this.#stage.violation(
            "offsets are dense",
            `${topic}/${partition}: ${record.offset} after ${log.length - 1}`,
          );
        }
        log[record.offset] = record.message ?? "";
      }
      return log.length >= least;
    }, NEWS_DEADLINE_MS);
    return log;
  }

  /** Readers get to the end, and the group as a whole does. */
  async #untilReadersHave(
    logs: readonly (readonly string[])[],
    loads: readonly Load[],
  ): Promise<void> {
    const { readings, slots } = this.#stage;
    const behind = () => [
      ...loads.flatMap(({ reader }) =>
        (reader?.slots ?? [])
          .filter((slot) =>
            readings.nextOf(reader!.name)[slot] < logs[slot].length
          )
          .map((slot) => ({ name: reader!.name, slot }))
      ),
      ...readings.coveredBy(GROUP).flatMap((covered, slot) =>
        covered.size < logs[slot].length ? [{ name: GROUP, slot }] : []
      ),
    ];
    if (await this.#until(() => behind().length === 0, END_DEADLINE_MS)) return;
    for (const { name, slot } of behind()) {
      const { topic, partition } = slots[slot];
      const has = name === GROUP
        ? `${readings.coveredBy(GROUP)[slot].size} records`
        : `offset ${readings.nextOf(name)[slot]}`;
      this.#stage.violation(
        "readers get everything",
        `${name} is at ${has} of ${logs[slot].length} in ${topic}/${partition}`,
      );
    }
  }

  /** The members left: what they dealt with is committed. */
  async #checkCommits(logs: readonly (readonly string[])[]): Promise<void> {
    const { slots } = this.#stage;
    await this.#watch.look(this.#cluster.broker(1).http);
    for (const [slot, offset] of this.#watch.highest.entries()) {
      const end = logs[slot].length;
      if (offset === end || (offset < 0 && end === 0)) continue;
      const { topic, partition } = slots[slot];
      this.#stage.violation(
        "a group's positions are where its members were",
        `${GROUP} committed ${offset} of ${end} in ${topic}/${partition}`,
      );
    }
  }

  async #stopBrokers(): Promise<void> {
    const codes = await Promise.all(
      this.#cluster.brokers.map((broker) => broker.stop()),
    );
    for (const [index, code] of codes.entries()) {
      if (code === 0) continue;
      this.#stage.violation(
        "a broker stops cleanly within its time",
        `broker ${index + 1} at the end: ${code ?? "had to be killed"}`,
      );
    }
  }

  #compareReplicas(logs: readonly (readonly string[])[]): Violation[] {
    const { brokers, replicationFactor } = this.#options;
    if (replicationFactor < brokers) return [];
    const folders = new Map(
      this.#cluster.brokers.map(({ id }) => [
        id,
        this.#cluster.brokerFolder(id),
      ]),
    );
    return this.#stage.slots.flatMap((slot, index) =>
      differences({ slot, highWatermark: logs[index].length, folders })
    );
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
