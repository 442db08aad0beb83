/**
 * A broker's configuration: from the options of `config_options.ts` to one
 * checked object, and back to flags for a process of its own. Owns the checks
 * of relations between settings; every fault is collected. Reads no environment
 * and opens nothing: the command line's parser does the former, the broker the
 * latter.
 */
import {
  type Command,
  defineCommand,
  type Invocation,
  type OptionValues,
} from "../cli/declaration.ts";
import { type Address, formatAddress } from "./address.ts";
import { isBlockedPort } from "./blocked_ports.ts";
import {
  ALL_INTERFACES,
  BROKER_OPTIONS,
  CONFIG_LIMITS,
  FIRST_HTTP_PORT,
  FIRST_KAFKA_PORT,
} from "./config_options.ts";
import type { LogLevel } from "./logger.ts";
import {
  metadataArguments,
  type MetadataConfig,
  metadataConfig,
  metadataFaults,
} from "./metadata_config.ts";

/** One broker's whole configuration, checked. */
export interface BrokerConfig {
  readonly id: number;
  /** What clients and peers call this broker's machine. */
  readonly advertisedHost: string;
  /** The local address that the listeners bind to. */
  readonly listenHostname: string;
  /** Of the HTTP listener; 0 picks a free one (tests only). */
  readonly port: number;
  /** Of the Kafka listener; null: none. */
  readonly kafkaPort: number | null;
  /** HTTP addresses of the other brokers, as far as they are known. */
  readonly peers: readonly Address[];
  readonly rack: string | null;
  /** What all brokers of this machine share. */
  readonly dataDirectory: string;
  /** This broker's own folder: nobody else reads or writes it. */
  readonly brokerDirectory: string;
  /** Where the cluster's facts are kept (DESIGN D5). */
  readonly metadata: MetadataConfig;
  readonly logFormat: "text" | "json";
  readonly logLevel: LogLevel;
  /** Partitions of a topic whose creator does not say. */
  readonly defaultPartitions: number;
  /** Replicas of a topic whose creator does not say; null: as D6 says. */
  readonly defaultReplicationFactor: number | null;
  /** Whether a Kafka client's asking for a topic makes it. */
  readonly autoCreateTopics: boolean;
  /** How long the first rebalance of an empty group waits for more members. */
  readonly groupInitialRebalanceDelayMs: number;
  /** Topic settings by Kafka's names, where a topic has none of its own. */
  readonly topicDefaults: { readonly [name: string]: string };
  /** Started by a supervisor: stops when standard input ends. */
  readonly supervised: boolean;
  /** This process may connect to `peers` and to nobody else: no flag says it. */
  readonly isConfined?: boolean;
}

/** A cluster of brokers on this machine, for one supervisor. */
export interface ClusterConfig {
  readonly dataDirectory: string;
  /** In id order. */
  readonly brokers: readonly BrokerConfig[];
}

/**
 * Settings that turned out wrong only when they were used (a port in use, a
 * folder that cannot be written): the process says so and exits with 2.
 */
export class ConfigurationError extends Error {
  override readonly name = "ConfigurationError";
  readonly faults: readonly string[];
  constructor(faults: readonly string[], cause?: unknown) {
    super(faults.join("; "), { cause });
    this.faults = faults;
  }
}

type BrokerInvocation = Invocation<OptionValues<typeof BROKER_OPTIONS>>;

/** What the `broker` command does once its configuration is known. */
export interface BrokerRunners {
  runBroker(config: BrokerConfig): Promise<number>;
  runCluster(config: ClusterConfig): Promise<number>;
}

export function brokerCommand(runners: BrokerRunners): Command {
  return defineCommand({
    name: "broker",
    summary: "Run a broker, or a whole cluster of them on this machine",
    description:
      "Without --id a supervisor starts --count brokers, each a process of " +
      "its own that may touch only its own folder and ports, and starts a " +
      "broker again when it dies.",
    options: BROKER_OPTIONS,
    examples: [
      { command: "streamnest broker --count=3", explanation: "Three brokers" },
      {
        command: "streamnest broker --id=1 --port=8080 " +
          "--peers=localhost:8081,localhost:8082",
        explanation: "One broker of three",
      },
    ],
    check: relationFaults,
    run: (invocation) =>
      invocation.options.id === undefined
        ? runners.runCluster(clusterConfig(invocation))
        : runners.runBroker(singleBrokerConfig(invocation)),
  });
}

/** What no single option can see. Ids and ports are in range already. */
function relationFaults({ options, given }: BrokerInvocation): string[] {
  const faults: string[] = [];
  if (options.id !== undefined && given.has("count")) {
    faults.push(
      "--id starts one broker and --count a cluster: give one of them",
    );
  }
  if (options.id === undefined) {
    for (const name of ["peers", "rack"]) {
      if (given.has(name)) {
        faults.push(`--${name} belongs to one broker: give --id as well`);
      }
    }
    if (options.supervised) faults.push("--supervised needs --id");
  }
  if (options.id !== undefined && given.has("firstId")) {
    faults.push("--first-id belongs to a cluster: --id names one broker");
  }
  faults.push(...metadataFaults(options.metadata, options));
  const isOnEtcd = options.metadata?.kind === "etcd";
  if (
    isOnEtcd && options.advertise === undefined &&
    ALL_INTERFACES.includes(options.host)
  ) {
    faults.push(
      `--host=${options.host} does not tell other machines where this one ` +
        "is: give --advertise as well",
    );
  }
  faults.push(...portFaults(options));
  const own = formatAddress({
    host: advertisedHost(options),
    port: httpPort(options, options.id ?? options.firstId),
  });
  if (options.peers.some((peer) => formatAddress(peer) === own)) {
    faults.push(`--peers: ${own} is this broker's own address`);
  }
  return faults;
}

function portFaults(options: BrokerInvocation["options"]): string[] {
  const { id } = options;
  const ids = id === undefined ? idsOf(options) : [id];
  const last = ids[ids.length - 1];
  const faults: string[] = [];
  const lastHttp = httpPort(options, last);
  if (lastHttp > CONFIG_LIMITS.port) {
    faults.push(`--port: broker ${last} would need port ${lastHttp}`);
  }
  for (const each of ids) {
    const port = httpPort(options, each);
    if (!isBlockedPort(port)) continue;
    faults.push(
      `--port: broker ${each} would get port ${port}, which browsers and ` +
        "StreamNest's own HTTP clients refuse: take another",
    );
  }
  const lastKafka = kafkaPort(options, last);
  if (lastKafka === null) return faults;
  if (lastKafka > CONFIG_LIMITS.port) {
    faults.push(`--kafka-port: broker ${last} would need port ${lastKafka}`);
  }
  const httpPorts = new Set(ids.map((each) => httpPort(options, each)));
  const shared = ids
    .map((each) => kafkaPort(options, each))
    .find((port) => port !== null && httpPorts.has(port));
  if (shared !== undefined) {
    faults.push(
      `--port and --kafka-port both lead to port ${shared}: move one of them`,
    );
  }
  return faults;
}

function clusterConfig({ options }: BrokerInvocation): ClusterConfig {
  const ids = idsOf(options);
  const host = advertisedHost(options);
  const brokers = ids.map((id) => {
    const others = ids.filter((other) => other !== id);
    const peers = others.map((other) => ({
      host,
      port: httpPort(options, other),
    }));
    return { ...brokerConfig(options, id), peers, supervised: true };
  });
  return { dataDirectory: options.dataDir, brokers };
}

function singleBrokerConfig({ options }: BrokerInvocation): BrokerConfig {
  return brokerConfig(options, options.id ?? 1);
}

function brokerConfig(
  options: BrokerInvocation["options"],
  id: number,
): BrokerConfig {
  const { dataDir } = options;
  return {
    id,
    advertisedHost: advertisedHost(options),
    listenHostname: options.host === "localhost" ? "127.0.0.1" : options.host,
    port: httpPort(options, id),
    kafkaPort: kafkaPort(options, id),
    peers: options.peers,
    rack: options.rack ?? null,
    dataDirectory: dataDir,
    brokerDirectory: `${dataDir}/broker-${id}`,
    metadata: metadataConfig(
      options.metadata ??
        { kind: "sqlite", path: `${dataDir}/metadata/metadata.db` },
      options,
    ),
    logFormat: options.logFormat,
    logLevel: options.logLevel,
    defaultPartitions: options.defaultPartitions,
    defaultReplicationFactor: options.defaultReplicationFactor ?? null,
    autoCreateTopics: options.autoCreateTopics,
    groupInitialRebalanceDelayMs: options.groupInitialRebalanceDelayMs,
    topicDefaults: Object.fromEntries(options.topicConfig),
    supervised: options.supervised,
  };
}

/** The flags that make a process of its own become this broker. */
export function brokerArguments(config: BrokerConfig): string[] {
  const flags = [
    "broker",
    `--id=${config.id}`,
    `--port=${config.port}`,
    `--kafka-port=${config.kafkaPort ?? "none"}`,
    `--host=${config.listenHostname}`,
    `--advertise=${config.advertisedHost}`,
    `--data-dir=${config.dataDirectory}`,
    ...metadataArguments(config.metadata),
    `--default-partitions=${config.defaultPartitions}`,
    `--group-initial-rebalance-delay-ms=${config.groupInitialRebalanceDelayMs}`,
    `--log-format=${config.logFormat}`,
    `--log-level=${config.logLevel}`,
  ];
  if (config.defaultReplicationFactor !== null) {
    flags.push(
      `--default-replication-factor=${config.defaultReplicationFactor}`,
    );
  }
  if (!config.autoCreateTopics) flags.push("--no-auto-create-topics");
  if (config.peers.length > 0) {
    flags.push(`--peers=${config.peers.map(formatAddress).join(",")}`);
  }
  if (config.rack !== null) flags.push(`--rack=${config.rack}`);
  for (const [name, value] of Object.entries(config.topicDefaults)) {
    flags.push(`--topic-config=${name}=${value}`);
  }
  if (config.supervised) flags.push("--supervised");
  return flags;
}

function idsOf({ count, firstId }: BrokerInvocation["options"]): number[] {
  return Array.from({ length: count }, (_, index) => firstId + index);
}

/** `--port` is the first broker's in a cluster, this broker's own otherwise. */
function httpPort(options: BrokerInvocation["options"], id: number): number {
  const { port, firstId } = options;
  if (port === undefined) return FIRST_HTTP_PORT + id - firstId;
  return options.id === undefined ? port + id - firstId : port;
}

function kafkaPort(
  options: BrokerInvocation["options"],
  id: number,
): number | null {
  const { kafkaPort: port, firstId } = options;
  if (port === undefined) return FIRST_KAFKA_PORT + id - firstId;
  if (port === null) return null;
  return options.id === undefined ? port + id - firstId : port;
}

function advertisedHost(options: BrokerInvocation["options"]): string {
  if (options.advertise !== undefined) return options.advertise;
  return ALL_INTERFACES.includes(options.host) ? "localhost" : options.host;
}
