/**
 * Puts the coordinators of groups and transactions together: their internal
 * topics, their hosts on this broker, the operations that both doors call, and
 * the work between them. Owns the wiring and its order, and no rule.
 */
import { Failure } from "../contract/errors.ts";
import type { MetadataImage } from "./cluster/metadata_image.ts";
import type { MetadataView } from "./cluster/metadata_view.ts";
import { CoordinatorHost } from "./coordinator/coordinator_host.ts";
import { CoordinatorRuntime } from "./coordinator/coordinator_runtime.ts";
import { ReplicaLog } from "./coordinator/replica_log.ts";
import type { Environment } from "./environment.ts";
import { GROUP_DEFAULTS, type GroupConfig } from "./group/config.ts";
import { GroupCoordinator } from "./group/group_coordinator.ts";
import { groupPartition, OFFSETS_TOPIC } from "./group/group_partition.ts";
import { GROUP_RECORD_FORMAT } from "./group/record_format.ts";
import { Peers } from "./kafka/peers.ts";
import type { Logger } from "./logger.ts";
import { Coordination } from "./operations/coordination.ts";
import { type GroupHost, Groups } from "./operations/groups.ts";
import { Markers } from "./operations/markers.ts";
import type { ProducerOperations } from "./operations/operations.ts";
import type { PartitionAccess } from "./operations/partition_access.ts";
import { allocationError } from "./operations/producers.ts";
import type { Topics } from "./operations/topics.ts";
import {
  type TransactionHost,
  Transactions,
} from "./operations/transactions.ts";
import type { PartitionReplica } from "./replication/partition_replica.ts";
import type { ReplicaManager } from "./replication/replica_manager.ts";
import {
  TRANSACTION_DEFAULTS,
  type TransactionConfig,
} from "./transaction/config.ts";
import { MarkerSender } from "./transaction/marker_sender.ts";
import type {
  TransactionAction,
  TransactionNotice,
} from "./transaction/messages.ts";
import { TRANSACTION_RECORD_FORMAT } from "./transaction/record_format.ts";
import {
  transactionPartition,
  TRANSACTIONS_TOPIC,
} from "./transaction/records.ts";
import { TransactionCoordinator } from "./transaction/transaction_coordinator.ts";

/** How the internal topics are made; what is there already stays as it is. */
export interface InternalTopicConfig {
  /** Of each of the two topics. */
  readonly partitions: number;
  /** Small, so that compaction, which spares the last segment, gets to work. */
  readonly segmentBytes: number;
  /** The assignment of a large group is one record. */
  readonly maxMessageBytes: number;
}

export const INTERNAL_TOPIC_DEFAULTS: InternalTopicConfig = {
  partitions: 50,
  segmentBytes: 100 * 1024 * 1024,
  maxMessageBytes: 16 * 1024 * 1024,
};

export interface CoordinatorsOptions {
  readonly environment: Environment;
  readonly logger: Logger;
  readonly brokerId: number;
  readonly view: MetadataView;
  readonly replicas: ReplicaManager;
  readonly access: PartitionAccess;
  readonly topics: Topics;
  readonly producers: ProducerOperations;
  readonly group?: Partial<GroupConfig>;
  readonly transaction?: Partial<TransactionConfig>;
  readonly internalTopics?: Partial<InternalTopicConfig>;
  /** A programmer's error in work that nobody awaits: stops the process. */
  onFatal(fault: unknown): void;
}

export class Coordinators {
  readonly groups: Groups;
  readonly transactions: Transactions;
  readonly markers: Markers;
  readonly #options: CoordinatorsOptions;
  readonly #internalTopics: InternalTopicConfig;
  readonly #groupHost: GroupHost;
  readonly #transactionHost: TransactionHost;
  readonly #peers: Peers;
  readonly #sender: MarkerSender;
  #unsubscribe = () => {};

  constructor(options: CoordinatorsOptions) {
    const { access, environment } = options;
    this.#options = options;
    this.#internalTopics = {
      ...INTERNAL_TOPIC_DEFAULTS,
      ...options.internalTopics,
    };
    this.#groupHost = this.#createGroupHost();
    this.#transactionHost = this.#createTransactionHost();
    this.groups = new Groups({
      coordination: this.#coordination(OFFSETS_TOPIC, groupPartition),
      host: this.#groupHost,
      holdsLease: () => access.holdsLease,
    });
    this.transactions = new Transactions({
      coordination: this.#coordination(
        TRANSACTIONS_TOPIC,
        transactionPartition,
      ),
      host: this.#transactionHost,
      holdsLease: () => access.holdsLease,
    });
    const { clock } = environment;
    this.markers = new Markers({ access, groups: this.groups, clock });
    this.#peers = new Peers(options);
    this.#sender = new MarkerSender({
      ...options,
      markers: this.markers,
      peers: this.#peers,
    });
  }

  /** After the replicas follow the image, so that they change first. */
  start(): void {
    this.#groupHost.start();
    this.#transactionHost.start();
    this.#unsubscribe = this.#options.view.subscribe((image, previous) =>
      this.#forgetDeleted(image, previous)
    );
  }

  /** Before the replicas close. */
  close(): void {
    this.#unsubscribe();
    this.#transactionHost.close();
    this.#groupHost.close();
    this.#peers.close();
  }

  #coordination(
    name: string,
    partitionOf: (id: string, partitions: number) => number,
  ): Coordination {
    const { view, topics } = this.#options;
    const { partitions, segmentBytes, maxMessageBytes } = this.#internalTopics;
    return new Coordination(view, topics, {
      name,
      partitions,
      config: {
        "cleanup.policy": "compact",
        "segment.bytes": String(segmentBytes),
        "max.message.bytes": String(maxMessageBytes),
      },
      partitionOf,
    });
  }

  #createGroupHost(): GroupHost {
    const { environment, view, onFatal } = this.#options;
    const config = { ...GROUP_DEFAULTS, ...this.#options.group };
    return new CoordinatorHost({
      ...this.#options,
      topic: OFFSETS_TOPIC,
      create: (replica) =>
        new CoordinatorRuntime({
          core: new GroupCoordinator({
            config,
            partitionExists: (topic, partition) =>
              partition >= 0 &&
              partition < (view.image.topics.get(topic)?.partitions ?? 0),
          }),
          log: new ReplicaLog(replica, GROUP_RECORD_FORMAT, environment),
          clock: environment.clock,
          timers: environment.timers,
          onFatal,
        }),
    });
  }

  #createTransactionHost(): TransactionHost {
    const { environment, onFatal } = this.#options;
    const config = { ...TRANSACTION_DEFAULTS, ...this.#options.transaction };
    return new CoordinatorHost({
      ...this.#options,
      topic: TRANSACTIONS_TOPIC,
      create: (replica) =>
        new CoordinatorRuntime({
          core: new TransactionCoordinator({
            config,
            offsetsPartition: (groupId) => this.#offsetsPartition(groupId),
          }),
          log: new ReplicaLog(replica, TRANSACTION_RECORD_FORMAT, environment),
          clock: environment.clock,
          timers: environment.timers,
          perform: this.#performer(replica),
          onFatal,
        }),
    });
  }

  #offsetsPartition(groupId: string): { topic: string; partition: number } {
    const { image } = this.#options.view;
    const count = image.topics.get(OFFSETS_TOPIC)?.partitions ??
      this.#internalTopics.partitions;
    return { topic: OFFSETS_TOPIC, partition: groupPartition(groupId, count) };
  }

  /** Carries out what the coordinator on this replica decides. */
  #performer(
    replica: PartitionReplica,
  ): (
    action: TransactionAction,
    signal: AbortSignal,
  ) => Promise<TransactionNotice | undefined> {
    const coordinatorEpoch = replica.leaderEpoch ?? -1;
    return async (action, signal) => {
      if (action.type === "allocateProducerId") {
        return await this.#allocate(action.transactionalId);
      }
      const { transactionalId, producerId, producerEpoch } = action;
      const isDone = await this.#sender.send(action.partitions, {
        producerId,
        producerEpoch,
        committed: action.committed,
        coordinatorEpoch,
      }, signal);
      return isDone
        ? { type: "markersWritten", transactionalId, producerId, producerEpoch }
        : undefined;
    };
  }

  async #allocate(transactionalId: string): Promise<TransactionNotice> {
    const allocated = await this.#options.producers.allocate();
    return allocated instanceof Failure
      ? {
        type: "producerIdRefused",
        transactionalId,
        error: allocationError(allocated),
      }
      : {
        type: "producerIdAllocated",
        transactionalId,
        producerId: allocated.producerId,
      };
  }

  #forgetDeleted(image: MetadataImage, previous: MetadataImage): void {
    if (image.topics === previous.topics) return;
    for (const { name, topicId } of previous.topics.values()) {
      if (image.topics.get(name)?.topicId !== topicId) {
        this.groups.topicDeleted(name);
      }
    }
  }
}
