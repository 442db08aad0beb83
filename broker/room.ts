/**
 * The room behind the doors: a broker's link to the metadata, its partitions,
 * its place in the cluster (`cluster_parts.ts`), and the operations on all three.
 * Owns how these are built, in which order they start and stop; refuses to know doors and where the
 * metadata store came from, so that a test opens the very same room.
 */
import {
  LeaseEndedError,
  type MetadataStore,
  MetadataUnavailableError,
} from "../storage/metadata/metadata_store.ts";
import { leaveCleanMark, takeCleanMark } from "./cluster/clean_stop.ts";
import { untilNobodyIsCutOff } from "./cluster/confinement.ts";
import { noteRun, untilEarlierRunIsOver } from "./cluster/earlier_run.ts";
import {
  type FlushPeriods,
  flushPeriodsOf,
  noteFlushPeriods,
  readFlushPeriods,
  wasFlushedFirst,
} from "./cluster/flush_periods.ts";
import { isOwnFolder, markFolder } from "./cluster/folder_owner.ts";
import {
  untilAnswered,
  untilCommitted,
  untilHandedOver,
} from "./cluster/hand_over.ts";
import { settleStates } from "./cluster/start_states.ts";
import type { Controller } from "./cluster/controller/controller.ts";
import type { Membership } from "./cluster/membership.ts";
import type { MetadataView } from "./cluster/metadata_view.ts";
import { brokerFact, ClusterParts } from "./cluster_parts.ts";
import type { BrokerConfig } from "./config.ts";
import { Coordinators } from "./coordinators.ts";
import type { Environment } from "./environment.ts";
import type { Logger } from "./logger.ts";
import type { BrokerMetrics } from "./metrics.ts";
import { Balance } from "./operations/balance.ts";
import { Batches } from "./operations/batches.ts";
import { Cluster } from "./operations/cluster.ts";
import { FollowerFetches } from "./operations/follower_fetch.ts";
import { GroupDesk } from "./operations/group_desk.ts";
import type { Operations } from "./operations/operations.ts";
import { PartitionAccess } from "./operations/partition_access.ts";
import { Producers } from "./operations/producers.ts";
import { Records } from "./operations/records.ts";
import { SchemaGuard } from "./operations/schema_guard.ts";
import { Schemas } from "./operations/schemas.ts";
import { Topics } from "./operations/topics.ts";
import type { ReplicaManager } from "./replication/replica_manager.ts";
import { flushesByDefault, readTopicSettings } from "./topic_config.ts";

export interface RoomOptions {
  readonly config: BrokerConfig;
  readonly environment: Environment;
  readonly logger: Logger;
  /** Stays the caller's, who closes it after the room. */
  readonly store: MetadataStore;
  readonly version: string;
  /** The metadata cannot be followed any more, or following it failed. */
  onFault(fault: unknown): void;
}

export class Room {
  readonly view: MetadataView;
  readonly replicas: ReplicaManager;
  readonly membership: Membership;
  readonly controller: Controller;
  readonly metrics: BrokerMetrics;
  readonly access: PartitionAccess;
  readonly topics: Topics;
  readonly batches: Batches;
  readonly followers: FollowerFetches;
  readonly operations: Operations;
  readonly coordinators: Coordinators;
  readonly groups: GroupDesk;
  readonly #options: RoomOptions;
  readonly #parts: ClusterParts;
  #unsubscribe = () => {};
  /** The cluster counts on no more than what is on this broker's disk. */
  #isSettled = false;

  constructor(options: RoomOptions) {
    const { config, environment } = options;
    this.#options = options;
    this.#parts = new ClusterParts(options);
    const { view, replicas, membership, controller, metrics } = this.#parts;
    this.view = view;
    this.replicas = replicas;
    this.membership = membership;
    this.controller = controller;
    this.metrics = metrics;
    const brokerId = config.id;
    const { topicDefaults } = config;
    this.access = new PartitionAccess({
      view,
      replicas,
      brokerId,
      holdsLease: () => membership.holdsLease,
    });
    const { access } = this;
    const guard = new SchemaGuard(view);
    this.batches = new Batches({ access, guard, environment, metrics });
    this.followers = new FollowerFetches({
      view,
      replicas,
      environment,
      onServed: (bytes) => metrics.replication.served(bytes),
    });
    this.topics = new Topics({
      view,
      environment,
      brokerId,
      defaultPartitions: config.defaultPartitions,
      defaultReplicationFactor: config.defaultReplicationFactor,
      topicDefaults,
    });
    const producers = new Producers(view);
    this.coordinators = this.#createCoordinators(options, producers);
    const { groups } = this.coordinators;
    this.groups = new GroupDesk({
      groups,
      topics: access,
      brokerId,
      environment,
    });
    this.operations = {
      topics: this.topics,
      records: new Records({
        access,
        guard,
        environment,
        metrics,
        brokerId,
        topicDefaults,
      }),
      schemas: new Schemas(view, guard),
      cluster: new Cluster({ view, membership, replicas, brokerId }),
      balance: new Balance({ view, clock: environment.clock, replicas }),
      producers,
      groups: this.groups,
    };
  }

  #createCoordinators(
    options: RoomOptions,
    producers: Producers,
  ): Coordinators {
    const { config, environment, logger } = options;
    const { view, replicas, access, topics } = this;
    return new Coordinators({
      environment,
      logger,
      brokerId: config.id,
      view,
      replicas,
      access,
      topics,
      producers,
      group: { initialRebalanceDelayMs: config.groupInitialRebalanceDelayMs },
      onFatal: options.onFault,
    });
  }

  /** Reads the metadata and opens the partitions; nobody knows of it yet. */
  async open(): Promise<void> {
    await this.view.start();
    const { config, environment } = this.#options;
    const { fileSystem } = environment;
    const folder = config.brokerDirectory;
    const owner = {
      clusterId: await this.membership.nameCluster(),
      brokerId: config.id,
    };
    const isNewDisk = !isOwnFolder(fileSystem, folder, owner);
    await untilEarlierRunIsOver({
      view: this.view,
      timers: environment.timers,
      fileSystem,
      folder,
      brokerId: config.id,
    });
    await this.view.catchUp();
    await untilNobodyIsCutOff(
      this.view,
      environment.timers,
      brokerFact(config),
    );
    const wasStoppedCleanly = takeCleanMark(fileSystem, folder);
    const lastPeriods = readFlushPeriods(fileSystem, folder);
    const { image } = this.view;
    await this.replicas.start(image);
    await this.#settleStates({ isNewDisk, wasStoppedCleanly }, lastPeriods);
    // Not before: a start that fails half way must find what this one found.
    if (isNewDisk) {
      markFolder(fileSystem, folder, owner);
      this.#tellNewDisk();
    }
    const periods = flushPeriodsOf(
      image.topics.values(),
      flushesByDefault(config.topicDefaults),
    );
    noteFlushPeriods(fileSystem, folder, periods);
    noteRun(fileSystem, folder, this.membership.incarnation);
    this.#isSettled = true;
    this.#unsubscribe = this.view.subscribe((image, previous) =>
      this.replicas.apply(image, previous)
    );
    // What the metadata has become meanwhile.
    this.replicas.apply(this.view.image, image);
    this.coordinators.start();
  }

  /** What was on the disk before: other replicas have it, or nobody. */
  #tellNewDisk(): void {
    const { config, logger } = this.#options;
    const folder = config.brokerDirectory;
    const held = [...this.view.image.topics.values()]
      .flatMap(({ partitionStates }) => partitionStates)
      .filter((state) => state?.replicas.includes(config.id) ?? false);
    const partitions = held.length;
    const lost = held.filter((state) => state?.replicas.length === 1).length;
    if (partitions > lost) {
      logger.warn(
        "This broker's folder is empty: its replicas are filled from the others",
        { folder, partitions: partitions - lost },
      );
    }
    if (lost > 0) {
      logger.error(
        "This broker's folder is empty: partitions without another replica begin anew",
        { folder, partitions: lost },
      );
    }
  }

  #settleStates(
    found: { isNewDisk: boolean; wasStoppedCleanly: boolean },
    lastPeriods: FlushPeriods,
  ): Promise<void> {
    const { config, logger } = this.#options;
    return settleStates({
      view: this.view,
      conditionOf: (topic, partition) => {
        const settings = readTopicSettings(topic, config.topicDefaults);
        return {
          ...found,
          brokerId: config.id,
          isUsable: this.replicas.isUsable(topic, partition),
          flushesFirst: settings.flushMessages === 1 &&
            wasFlushedFirst(topic, lastPeriods),
          minInsyncReplicas: settings.minInsyncReplicas,
        };
      },
      onLost: (topic, partition) =>
        logger.error(
          "A partition lost its only in-sync replica with this broker's disk",
          { topic, partition },
        ),
    });
  }

  /** Resolves when the cluster can see this broker. */
  async join(): Promise<void> {
    await this.membership.join();
    this.#parts.orphans.start();
    this.controller.start();
  }

  /** Hands over what others can lead, and takes no new duties. */
  async leave(): Promise<void> {
    this.#parts.orphans.stop();
    const { view, membership } = this;
    const { config, environment } = this.#options;
    this.access.handOver();
    const { timers } = environment;
    const replicas = () => this.replicas.replicas();
    await untilCommitted(view, config.id, { replicas, timers });
    try {
      await membership.announceLeave();
      await untilHandedOver(view, config.id, environment.timers);
      await this.controller.resign();
    } catch (fault) {
      const isAway = fault instanceof MetadataUnavailableError ||
        fault instanceof LeaseEndedError;
      if (!isAway) throw fault;
    }
    await untilAnswered({ replicas, timers });
    this.replicas.keepNoWaits();
  }

  /** Answers who waits, flushes and closes, and gives up the lease. */
  async close(): Promise<void> {
    this.groups.close();
    this.coordinators.close();
    this.#unsubscribe();
    try {
      await this.controller.stop();
      const isWhole = await this.replicas.close();
      const { environment, config } = this.#options;
      if (isWhole && this.#isSettled) {
        leaveCleanMark(environment.fileSystem, config.brokerDirectory);
      }
    } finally {
      this.#parts.source.close();
      await this.membership.leave();
      this.view.close();
    }
  }
}
