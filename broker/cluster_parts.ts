/**
 * What ties a broker to its cluster: the metadata, the lease, the controller's
 * office, the replicas and where they fetch from. Owns how these know of each
 * other; when they start and stop is `room.ts`'s.
 */
import type { MetadataStore } from "../storage/metadata/metadata_store.ts";
import { confinedTo } from "./cluster/confinement.ts";
import { Controller } from "./cluster/controller/controller.ts";
import type { BrokerFact } from "./cluster/facts.ts";
import { Membership } from "./cluster/membership.ts";
import { MetadataView } from "./cluster/metadata_view.ts";
import { Orphans } from "./cluster/orphans.ts";
import type { BrokerConfig } from "./config.ts";
import type { Environment } from "./environment.ts";
import { KafkaFetchSource } from "./kafka/fetch_source.ts";
import type { Logger } from "./logger.ts";
import { BrokerMetrics } from "./metrics.ts";
import { ReplicaManager } from "./replication/replica_manager.ts";

export interface ClusterPartsOptions {
  readonly config: BrokerConfig;
  readonly environment: Environment;
  readonly logger: Logger;
  readonly store: MetadataStore;
  readonly version: string;
  onFault(fault: unknown): void;
}

export class ClusterParts {
  readonly view: MetadataView;
  readonly metrics: BrokerMetrics;
  readonly source: KafkaFetchSource;
  readonly replicas: ReplicaManager;
  readonly membership: Membership;
  readonly controller: Controller;
  readonly orphans: Orphans;

  constructor(options: ClusterPartsOptions) {
    const { config, environment, logger, onFault } = options;
    const brokerId = config.id;
    const view = new MetadataView(options.store, environment.timers, onFault);
    view.subscribeHealth((fault) =>
      fault === undefined
        ? logger.info("Changes of the cluster's metadata arrive again")
        : logger.warn("Changes of the cluster's metadata do not arrive", {
          cause: fault.message,
        })
    );
    const holdsLease = () => this.membership.holdsLease;
    this.view = view;
    this.metrics = new BrokerMetrics({
      process: environment.process,
      version: options.version,
      brokerId,
      replicas: () => this.replicas.replicas(),
      image: () => view.image,
      isController: () => this.controller.isActive,
      holdsLease,
    });
    const { metrics } = this;
    this.source = new KafkaFetchSource({
      environment,
      view,
      brokerId,
      incarnation: () => this.membership.incarnation,
      onFetched: (bytes) => metrics.replication.fetched(bytes),
    });
    this.replicas = new ReplicaManager({
      environment,
      logger,
      brokerId,
      directory: config.brokerDirectory,
      topicDefaults: config.topicDefaults,
      view,
      source: this.source,
      holdsLease,
      onFlush: (topic, partition, seconds) =>
        metrics.flushed(topic, partition, seconds),
      onIsrChanged: (direction) => metrics.replication.isrChanged(direction),
      onFetched: () => {},
      onFatal: onFault,
    });
    this.membership = new Membership({
      view,
      environment,
      logger,
      broker: brokerFact(config),
      onLease: () => this.replicas.recheck(),
      onDisplaced: onFault,
    });
    this.controller = new Controller({
      view,
      membership: this.membership,
      environment,
      logger,
      brokerId,
      topicDefaults: config.topicDefaults,
      onElected: (partitions, reason) =>
        metrics.controller.elected(partitions, reason),
      onFatal: onFault,
    });
    this.orphans = new Orphans({ ...options, view, brokerId });
  }
}

export function brokerFact(config: BrokerConfig): BrokerFact {
  const addresses = confinedTo(config);
  return {
    id: config.id,
    host: config.advertisedHost,
    httpPort: config.port,
    kafkaPort: config.kafkaPort,
    rack: config.rack,
    ...(addresses === undefined ? {} : { confinedTo: addresses }),
  };
}
