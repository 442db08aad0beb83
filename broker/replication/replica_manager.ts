/**
 * The partitions of this broker: opens and removes replicas, and gives them their
 * roles, as the metadata image says. Owns which replicas are here; what leaders
 * want changed goes to `isr_keeper.ts`, what followers fetch comes by
 * `fetchers.ts`. Whose a folder is says `partition_folders.ts`.
 */
import { StorageError } from "../../storage/error.ts";
import { Log } from "../../storage/log/log.ts";
import { OpenFiles } from "../../storage/log/open_files.ts";
import type {
  MetadataImage,
  PartitionImage,
  TopicImage,
} from "../cluster/metadata_image.ts";
import type { MetadataView } from "../cluster/metadata_view.ts";
import type { Environment } from "../environment.ts";
import type { Logger } from "../logger.ts";
import {
  readTopicSettings,
  type TopicConfig,
  type TopicSettings,
} from "../topic_config.ts";
import { AppendBudget } from "./append_queue.ts";
import type { FetchSource } from "./fetch_source.ts";
import { Fetchers } from "./fetchers.ts";
import { flushAll } from "./flush_all.ts";
import { IsrKeeper } from "./isr_keeper.ts";
import { LagWatch } from "./lag_watch.ts";
import { LogCleaner } from "./log_cleaner.ts";
import { OneATurn } from "./one_a_turn.ts";
import { PartitionFolders } from "./partition_folders.ts";
import { PartitionReplica } from "./partition_replica.ts";
import { Proposals } from "./proposals.ts";
import { Removals } from "./removals.ts";

export const REPLICA_LIMITS = {
  /** Open files of all logs together. */
  openFiles: 2000,
} as const;

export interface ReplicaManagerOptions {
  readonly environment: Environment;
  readonly logger: Logger;
  readonly brokerId: number;
  /** This broker's own folder. */
  readonly directory: string;
  readonly topicDefaults: TopicConfig;
  readonly view: MetadataView;
  /** Where followers fetch from; stays the caller's. */
  readonly source: FetchSource;
  /** False once others may have taken over what this broker leads. */
  holdsLease(): boolean;
  onFlush(topic: string, partition: number, seconds: number): void;
  onIsrChanged(direction: "shrunk" | "grown"): void;
  onFetched(topic: string, bytes: number): void;
  onFatal(fault: unknown): void;
}

interface Held {
  readonly topicId: string;
  readonly replica: PartitionReplica;
}

interface OpenedLog {
  readonly topic: TopicImage;
  readonly partition: number;
  readonly settings: TopicSettings;
  /** Its folder is there and marked. */
  readonly isClaimed: boolean;
  readonly log: Log;
}

export class ReplicaManager {
  readonly #options: ReplicaManagerOptions;
  readonly #folders: PartitionFolders;
  readonly #cleaner: LogCleaner;
  readonly #openFiles: OpenFiles;
  readonly #budget = new AppendBudget();
  readonly #firstAppends: OneATurn;
  readonly #keeper: IsrKeeper;
  readonly #proposals: Proposals;
  readonly #fetchers: Fetchers;
  readonly #removals: Removals;
  readonly #lagWatch: LagWatch;
  /**
   * Epochs in which an earlier run of this broker led, as `topicId/index`. It may
   * have lost what followers hold: it never goes on in such an epoch.
   */
  readonly #pastEpochs = new Map<string, number>();
  /** By topic, then by partition. */
  readonly #held = new Map<string, Map<number, Held>>();
  /** Partitions, as `topic-index`, whose files cannot be used, by topic id. */
  readonly #unusable = new Map<string, Set<string>>();
  #isClosed = false;

  constructor(options: ReplicaManagerOptions) {
    const { environment, logger, directory } = options;
    this.#options = options;
    this.#firstAppends = new OneATurn(environment.timers);
    this.#folders = new PartitionFolders(environment.fileSystem, directory);
    this.#keeper = new IsrKeeper(options);
    this.#proposals = new Proposals({ ...options, keeper: this.#keeper });
    this.#fetchers = new Fetchers({
      ...options,
      onDiskFailing: (replica) => this.#proposals.standDown(replica),
    });
    this.#lagWatch = new LagWatch(environment, () => this.replicas());
    this.#removals = new Removals(environment.timers, logger);
    this.#cleaner = new LogCleaner({
      environment,
      logger,
      replicas: () => this.replicas(),
    });
    this.#openFiles = new OpenFiles(environment.fileSystem, {
      limit: REPLICA_LIMITS.openFiles,
    });
  }

  /**
   * Opens what the image gives to this broker, and makes it durable. Bring it
   * up to date with `apply` and the same image, which may be old by then.
   */
  async start(image: MetadataImage): Promise<void> {
    const { brokerId, logger } = this.#options;
    for (const fault of this.#folders.removeStrangers(image, brokerId)) {
      logger.error("A partition's folder cannot be removed", {
        cause: fault.message,
      });
    }
    const opened: OpenedLog[] = [];
    for (const topic of image.topics.values()) {
      const settings = this.#settingsOf(topic);
      this.#forEachOwn(topic, (index, state) => {
        this.#notePastEpoch(topic, index, state);
        const log = this.#openLog(topic, index, settings, image);
        if (log !== undefined) opened.push(log);
      });
    }
    for (const fault of await flushAll(opened.map(({ log }) => log))) {
      logger.error("A partition cannot be flushed", { cause: String(fault) });
    }
    for (const log of opened) this.#hold(log);
    this.#cleaner.start();
    this.#lagWatch.start();
  }

  /** The lease is back: what waited for it goes on. */
  recheck(): void {
    for (const replica of this.replicas()) replica.recheck();
  }

  /** The replica here, whether it leads or not. */
  replica(topic: string, partition: number): PartitionReplica | undefined {
    return this.#held.get(topic)?.get(partition)?.replica;
  }

  *replicas(): Generator<PartitionReplica> {
    for (const partitions of this.#held.values()) {
      for (const { replica } of partitions.values()) yield replica;
    }
  }

  /** False: there are files of it here that cannot be used. */
  isUsable({ topicId, name }: TopicImage, partition: number): boolean {
    return !this.#unusable.get(topicId)?.has(`${name}-${partition}`);
  }

  /** `topic-index` of the partitions here that can be read at best. */
  offline(): string[] {
    const offline = [...this.#unusable.values()].flatMap((names) => [...names]);
    for (const { topic, partition, log } of this.replicas()) {
      if (log.isOffline) offline.push(`${topic}-${partition}`);
    }
    return offline;
  }

  /** Brings the replicas from what `previous` said to what `image` says. */
  apply(image: MetadataImage, previous: MetadataImage): void {
    if (this.#isClosed) return;
    this.#dropGone(image, previous);
    for (const topic of image.topics.values()) {
      const before = previous.topics.get(topic.name);
      if (before !== topic) this.#applyTopic(topic, before, image);
    }
  }

  /** From now on whoever leads no longer answers all who wait at once. */
  keepNoWaits(): void {
    for (const replica of this.replicas()) replica.keepNoWaits();
  }

  /** Flushes and closes every log; true: all that was written is on the disk. */
  async close(): Promise<boolean> {
    this.#isClosed = true;
    const replicas = [...this.replicas()];
    // What is queued is written, and nothing more comes.
    for (const replica of replicas) replica.stop();
    this.#lagWatch.stop();
    await this.#fetchers.close();
    await this.#keeper.close();
    await this.#cleaner.stop();
    const faults = await flushAll(replicas.map(({ log }) => log));
    for (const replica of replicas) {
      try {
        replica.close();
      } catch (fault) {
        faults.push(fault);
      }
    }
    // A log that a flush in the background took offline says nothing here.
    const isWhole = this.offline().length === 0;
    this.#held.clear();
    this.#removals.close();
    if (faults.length > 0) {
      throw new AggregateError(faults, "Some partitions did not close cleanly");
    }
    return isWhole;
  }

  #applyTopic(
    topic: TopicImage,
    before: TopicImage | undefined,
    image: MetadataImage,
  ): void {
    const settings = this.#settingsOf(topic);
    const isSame = before?.modRevision === topic.modRevision;
    this.#forEachOwn(topic, (index, state) => {
      const isUnchanged = isSame && before?.partitionStates[index] === state;
      if (isUnchanged) return;
      const held = this.#held.get(topic.name)?.get(index);
      if (held === undefined) {
        const opened = this.#openLog(topic, index, settings, image);
        if (opened !== undefined) return this.#hold(opened);
        const { minInsyncReplicas } = settings;
        return this.#proposals.giveUp(topic, index, minInsyncReplicas);
      }
      if (!isSame) held.replica.reconfigure(settings);
      this.#takeRole(held.replica, state);
    });
  }

  #settingsOf(topic: TopicImage): TopicSettings {
    return readTopicSettings(topic, this.#options.topicDefaults);
  }

  /** The partitions of a topic that have a replica on this broker. */
  #forEachOwn(
    topic: TopicImage,
    visit: (partition: number, state: PartitionImage) => void,
  ): void {
    topic.partitionStates.forEach((state, index) => {
      if (state === undefined || index >= topic.partitions) return;
      if (state.replicas.includes(this.#options.brokerId)) visit(index, state);
    });
  }

  #takeRole(replica: PartitionReplica, state: PartitionImage): void {
    const { brokerId } = this.#options;
    const leads = state.leader === brokerId && state.isr.includes(brokerId) &&
      !this.#isPastEpoch(replica, state);
    if (leads) {
      this.#fetchers.remove(replica);
      replica.lead(state);
      return;
    }
    replica.follow(state);
    if (replica.following === undefined) this.#fetchers.remove(replica);
    else this.#fetchers.follow(replica);
  }

  #notePastEpoch(
    { topicId }: TopicImage,
    partition: number,
    { leader, leaderEpoch, replicas }: PartitionImage,
  ): void {
    if (leader !== this.#options.brokerId || replicas.length === 1) return;
    this.#pastEpochs.set(`${topicId}/${partition}`, leaderEpoch);
  }

  #isPastEpoch(
    { topicId, partition }: PartitionReplica,
    { leaderEpoch }: PartitionImage,
  ): boolean {
    const past = this.#pastEpochs.get(`${topicId}/${partition}`);
    return past !== undefined && leaderEpoch <= past;
  }

  /** Undefined, and said, when its files cannot be trusted. */
  #openLog(
    topic: TopicImage,
    partition: number,
    settings: TopicSettings,
    image: MetadataImage,
  ): OpenedLog | undefined {
    const { environment, logger } = this.#options;
    this.#removals.finish(topic.name, partition);
    try {
      const isClaimed = this.#folders.keepOwn(topic, partition, image);
      const log = Log.open({
        fileSystem: environment.fileSystem,
        openFiles: this.#openFiles,
        directory: this.#folders.path(topic.name, partition),
        config: settings.log,
        nowMs: environment.clock.nowMs(),
      });
      this.#noteUsable(topic, partition, true);
      return { topic, partition, settings, isClaimed, log };
    } catch (fault) {
      if (!(fault instanceof StorageError)) throw fault;
      this.#noteUsable(topic, partition, false);
      logger.error("A partition cannot be opened and stays offline", {
        topic: topic.name,
        partition,
        cause: fault.message,
      });
      return undefined;
    }
  }

  #noteUsable(topic: TopicImage, partition: number, isUsable: boolean): void {
    const { topicId, name } = topic;
    const names = this.#unusable.get(topicId) ?? new Set<string>();
    if (isUsable) names.delete(`${name}-${partition}`);
    else names.add(`${name}-${partition}`);
    if (names.size === 0) this.#unusable.delete(topicId);
    else this.#unusable.set(topicId, names);
  }

  #hold({ topic, partition, settings, isClaimed, log }: OpenedLog): void {
    const { environment, logger, onFlush } = this.#options;
    const replica = new PartitionReplica({
      topic: topic.name,
      topicId: topic.topicId,
      partition,
      world: this.#proposals.worldOf(topic, partition),
      log,
      settings,
      environment,
      logger,
      budget: this.#budget,
      firstAppends: this.#firstAppends,
      onFlush: (seconds) => onFlush(topic.name, partition, seconds),
      prepare: isClaimed
        ? () => {}
        : () => this.#folders.claim(topic, partition),
    });
    let partitions = this.#held.get(topic.name);
    if (partitions === undefined) {
      this.#held.set(topic.name, partitions = new Map());
    }
    partitions.set(partition, { topicId: topic.topicId, replica });
    this.#takeRole(replica, topic.partitionStates[partition]!);
  }

  #dropGone(image: MetadataImage, previous: MetadataImage): void {
    const { brokerId } = this.#options;
    for (const topicId of this.#unusable.keys()) {
      if (image.topicById(topicId) === undefined) {
        this.#unusable.delete(topicId);
      }
    }
    for (const [name, partitions] of this.#held) {
      const topic = image.topics.get(name);
      if (topic !== undefined && previous.topics.get(name) === topic) continue;
      for (const [partition, { topicId, replica }] of partitions) {
        const state = topic?.partitionStates[partition];
        const stays = topic?.topicId === topicId &&
          (state === undefined || state.replicas.includes(brokerId));
        if (stays) continue;
        partitions.delete(partition);
        this.#fetchers.remove(replica);
        this.#removals.add(replica);
      }
      if (partitions.size === 0) this.#held.delete(name);
    }
  }
}
