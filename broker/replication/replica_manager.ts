/**
 * The partitions of this broker: opens, leads, resigns and removes replicas as
 * the metadata image says. Owns the folders of the broker; refuses to change
 * metadata.
 *
 * A folder carries `partition.json` with its topic's id: a folder left by an
 * earlier topic of the same name is removed, never read as the new one's.
 */
import { StorageError } from "../../storage/error.ts";
import { Log } from "../../storage/log/log.ts";
import { OpenFiles } from "../../storage/log/open_files.ts";
import { leaderEpoch } from "../../storage/log/types.ts";
import type {
  MetadataImage,
  PartitionImage,
  TopicImage,
} from "../cluster/metadata_image.ts";
import type { Environment, Timer } from "../environment.ts";
import type { Logger } from "../logger.ts";
import {
  readTopicSettings,
  type TopicConfig,
  type TopicSettings,
} from "../topic_config.ts";
import { AppendBudget } from "./append_queue.ts";
import { PartitionReplica } from "./partition_replica.ts";

export const REPLICA_LIMITS = {
  /** Open files of all logs together. */
  openFiles: 2000,
  /** How often retention looks at every log. */
  retentionIntervalMs: 60_000,
  /** Logs that are flushed at a time when all of them are. */
  flushesAtOnce: 64,
} as const;

const IDENTITY_FILE = "partition.json";

export interface ReplicaManagerOptions {
  readonly environment: Environment;
  readonly logger: Logger;
  readonly brokerId: number;
  /** This broker's own folder. */
  readonly directory: string;
  readonly topicDefaults: TopicConfig;
  onFlush(topic: string, partition: number, seconds: number): void;
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
  readonly #openFiles: OpenFiles;
  readonly #budget = new AppendBudget();
  /** By topic, then by partition. */
  readonly #held = new Map<string, Map<number, Held>>();
  #retentionTimer: Timer | undefined;

  constructor(options: ReplicaManagerOptions) {
    this.#options = options;
    this.#openFiles = new OpenFiles(options.environment.fileSystem, {
      limit: REPLICA_LIMITS.openFiles,
    });
  }

  /** Opens what the image gives to this broker, and makes it durable. */
  async start(image: MetadataImage): Promise<void> {
    this.#options.environment.fileSystem.createDirectory(
      this.#options.directory,
    );
    this.#removeStrangers(image);
    this.#dropGone(image);
    const opened: OpenedLog[] = [];
    for (const topic of image.topics.values()) {
      this.#forEachOwn(topic, (index) => {
        const log = this.#openLog(topic, index);
        if (log !== undefined) opened.push(log);
      });
    }
    for (const fault of await flushAll(opened.map(({ log }) => log))) {
      this.#options.logger.error("A partition cannot be flushed", {
        cause: String(fault),
      });
    }
    for (const log of opened) this.#hold(log);
    this.#scheduleRetention();
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

  /** Brings the replicas in line with the image. */
  apply(image: MetadataImage, previous?: MetadataImage): void {
    this.#dropGone(image);
    for (const topic of image.topics.values()) {
      if (previous?.topics.get(topic.name) !== topic) this.#applyTopic(topic);
    }
  }

  /** Flushes and closes every log. */
  async close(): Promise<void> {
    this.#retentionTimer?.cancel();
    const replicas = [...this.replicas()];
    // What is queued is written, and nothing more comes.
    for (const replica of replicas) replica.stop();
    const faults = await flushAll(replicas.map(({ log }) => log));
    for (const replica of replicas) {
      try {
        replica.close();
      } catch (fault) {
        faults.push(fault);
      }
    }
    this.#held.clear();
    if (faults.length > 0) {
      throw new AggregateError(faults, "Some partitions did not close cleanly");
    }
  }

  #applyTopic(topic: TopicImage): void {
    const { topicDefaults } = this.#options;
    const settings = readTopicSettings(topic.config, topicDefaults);
    this.#forEachOwn(topic, (index, state) => {
      const held = this.#held.get(topic.name)?.get(index);
      if (held === undefined) {
        const opened = this.#openLog(topic, index);
        if (opened !== undefined) this.#hold(opened);
      } else {
        held.replica.reconfigure(settings);
        this.#takeRole(held.replica, state);
      }
    });
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
    if (state.leader === this.#options.brokerId) {
      replica.lead(leaderEpoch(state.leaderEpoch));
    } else replica.resign();
  }

  /** Undefined, and said, when its files cannot be trusted. */
  #openLog(topic: TopicImage, partition: number): OpenedLog | undefined {
    const { environment, logger, topicDefaults } = this.#options;
    const settings = readTopicSettings(topic.config, topicDefaults);
    const directory = this.#directoryOf(topic.name, partition);
    try {
      const isClaimed = this.#keepOwn(directory, topic.topicId);
      const log = Log.open({
        fileSystem: environment.fileSystem,
        openFiles: this.#openFiles,
        directory,
        config: settings.log,
        nowMs: environment.clock.nowMs(),
      });
      return { topic, partition, settings, isClaimed, log };
    } catch (fault) {
      if (!(fault instanceof StorageError)) throw fault;
      logger.error("A partition cannot be opened and stays offline", {
        topic: topic.name,
        partition,
        cause: fault.message,
      });
      return undefined;
    }
  }

  #hold({ topic, partition, settings, isClaimed, log }: OpenedLog): void {
    const { environment, logger, onFlush } = this.#options;
    const replica = new PartitionReplica({
      topic: topic.name,
      partition,
      log,
      settings,
      environment,
      logger,
      budget: this.#budget,
      onFlush: (seconds) => onFlush(topic.name, partition, seconds),
      prepare: isClaimed
        ? () => {}
        : () => this.#claim(log.directory, topic.topicId),
    });
    let partitions = this.#held.get(topic.name);
    if (partitions === undefined) {
      this.#held.set(topic.name, partitions = new Map());
    }
    partitions.set(partition, { topicId: topic.topicId, replica });
    this.#takeRole(replica, topic.partitionStates[partition]!);
  }

  /** True when the folder is this very topic's; another's is removed. */
  #keepOwn(directory: string, topicId: string): boolean {
    const { fileSystem } = this.#options.environment;
    if (!fileSystem.exists(directory)) return false;
    const path = `${directory}/${IDENTITY_FILE}`;
    if (fileSystem.exists(path)) {
      const text = new TextDecoder().decode(fileSystem.readFile(path));
      if (text === identityText(topicId)) return true;
    }
    fileSystem.remove(directory);
    return false;
  }

  /** Makes the folder and marks it, durably, before anything is stored in it. */
  #claim(directory: string, topicId: string): void {
    const { fileSystem } = this.#options.environment;
    fileSystem.createDirectory(directory);
    fileSystem.writeFileAtomic(
      `${directory}/${IDENTITY_FILE}`,
      new TextEncoder().encode(identityText(topicId)),
    );
  }

  #directoryOf(topic: string, partition: number): string {
    return `${this.#options.directory}/${topic}_${partition}`;
  }

  #dropGone(image: MetadataImage): void {
    const { brokerId } = this.#options;
    for (const [name, partitions] of this.#held) {
      const topic = image.topics.get(name);
      for (const [partition, { topicId, replica }] of partitions) {
        const stays = topic?.topicId === topicId &&
          topic.partitionStates[partition]?.replicas.includes(brokerId);
        if (stays) continue;
        replica.delete();
        partitions.delete(partition);
      }
      if (partitions.size === 0) this.#held.delete(name);
    }
  }

  /** Folders whose topic went while this broker was down. */
  #removeStrangers(image: MetadataImage): void {
    const { fileSystem } = this.#options.environment;
    for (const entry of fileSystem.readDirectory(this.#options.directory)) {
      const match = /^(.+)_(\d+)$/.exec(entry.name);
      if (!entry.isDirectory || match === null) continue;
      if (!image.topics.has(match[1])) {
        fileSystem.remove(`${this.#options.directory}/${entry.name}`);
      }
    }
  }

  #scheduleRetention(): void {
    const { environment, logger } = this.#options;
    this.#retentionTimer = environment.timers.after(
      REPLICA_LIMITS.retentionIntervalMs,
      () => {
        for (const replica of this.replicas()) {
          try {
            replica.log.enforceRetention(
              environment.clock.nowMs(),
              replica.highWatermark,
            );
          } catch (fault) {
            if (!(fault instanceof StorageError)) throw fault;
            logger.error("Retention failed", { cause: fault.message });
          }
        }
        this.#scheduleRetention();
      },
    );
  }
}

/** Together, because disks are good at that. Resolves to what went wrong. */
async function flushAll(logs: readonly Log[]): Promise<unknown[]> {
  const faults: unknown[] = [];
  let next = 0;
  const work = async () => {
    while (next < logs.length) {
      const log = logs[next++];
      if (log.isOffline) continue;
      await log.flush().catch((fault) => faults.push(fault));
    }
  };
  await Promise.all(
    Array.from({ length: REPLICA_LIMITS.flushesAtOnce }, work),
  );
  return faults;
}

function identityText(topicId: string): string {
  return `${JSON.stringify({ topicId })}\n`;
}
