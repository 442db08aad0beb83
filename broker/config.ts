/**
 * What a broker can be told: flags, environment variables, defaults and help,
 * declared once. Owns the checks of single settings and of their relations;
 * every fault is collected. Reads no environment and opens nothing: the command
 * line's parser does the former, the broker the latter.
 */
import {
  type Command,
  defineCommand,
  type Invocation,
  type OptionValues,
} from "../cli/declaration.ts";
import { OptionFault } from "../cli/declaration.ts";
import {
  choiceOption,
  integerOption,
  listOption,
  parsedOption,
  switchOption,
  textOption,
} from "../cli/options.ts";
import { CONTRACT_LIMITS } from "../contract/limits.ts";
import { type Address, formatAddress, parseAddress } from "./address.ts";
import type { LogLevel } from "./logger.ts";

/** Bounds of the numbers that name brokers and ports. */
export const CONFIG_LIMITS = {
  /** Fits Kafka's int32 and keeps ports and folder names sane. */
  brokerId: 999_999,
  /** Brokers that one supervisor starts. */
  count: 100,
  port: 65_535,
} as const;

/** The quickstart's ports: broker 1 listens here, the next one above. */
const FIRST_HTTP_PORT = 8080;
const FIRST_KAFKA_PORT = 9092;
const DEFAULT_COUNT = 3;

/** Where the cluster's facts are kept (DESIGN D5). */
export interface SqliteMetadataConfig {
  readonly kind: "sqlite";
  /** The database file; its folder holds nothing else. */
  readonly path: string;
}

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
  readonly metadata: SqliteMetadataConfig;
  readonly logFormat: "text" | "json";
  readonly logLevel: LogLevel;
  /** Partitions of a topic whose creator does not say. */
  readonly defaultPartitions: number;
  /** Topic settings by Kafka's names, where a topic has none of its own. */
  readonly topicDefaults: { readonly [name: string]: string };
  /** Started by a supervisor: stops when standard input ends. */
  readonly supervised: boolean;
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

const OPTIONS = {
  count: integerOption({
    help: "Start this many brokers as a cluster on this machine",
    environmentVariable: "STREAMNEST_COUNT",
    minimum: 1,
    maximum: CONFIG_LIMITS.count,
    default: DEFAULT_COUNT,
  }),
  id: integerOption({
    help: "Start one broker, with this id, in this process",
    environmentVariable: "STREAMNEST_ID",
    minimum: 1,
    maximum: CONFIG_LIMITS.brokerId,
  }),
  port: integerOption({
    help: "HTTP port; of a cluster's first broker, the others take the next " +
      `ones (default ${FIRST_HTTP_PORT} for broker 1, the next for broker 2)`,
    environmentVariable: "STREAMNEST_PORT",
    minimum: 1,
    maximum: CONFIG_LIMITS.port,
  }),
  kafkaPort: parsedOption<number | null>({
    help: "Port for Kafka clients, counted like --port; none closes it " +
      `(default ${FIRST_KAFKA_PORT} for broker 1)`,
    valueName: "n|none",
    environmentVariable: "STREAMNEST_KAFKA_PORT",
    parse: parseKafkaPort,
  }),
  host: textOption({
    help: "Address to listen on: localhost stays on this machine, 0.0.0.0 " +
      "opens all interfaces",
    environmentVariable: "STREAMNEST_HOST",
    valueName: "host",
    default: "localhost",
    fault: hostFault,
  }),
  advertise: textOption({
    help: "Host name that clients and other brokers use (default: --host, " +
      "or localhost when that is all interfaces)",
    environmentVariable: "STREAMNEST_ADVERTISE",
    valueName: "host",
    fault: advertisedHostFault,
  }),
  peers: parsedOption<readonly Address[]>({
    help: "HTTP addresses of the other brokers",
    environmentVariable: "STREAMNEST_PEERS",
    valueName: "host:port,...",
    default: "",
    parse: parsePeers,
  }),
  rack: textOption({
    help: "Where this broker stands, so that replicas are spread over racks",
    environmentVariable: "STREAMNEST_RACK",
    valueName: "name",
    fault: rackFault,
  }),
  dataDir: textOption({
    help: "Folder for everything stored; the same folder is the same cluster",
    environmentVariable: "STREAMNEST_DATA_DIR",
    valueName: "path",
    default: "data",
    fault: pathFault,
  }),
  metadata: parsedOption<string | undefined>({
    help: "Where the brokers keep what they share " +
      "(default: metadata/metadata.db in the data folder)",
    environmentVariable: "STREAMNEST_METADATA",
    valueName: "sqlite:path",
    parse: parseMetadata,
  }),
  defaultPartitions: integerOption({
    help: "Partitions of a new topic whose creator does not say",
    environmentVariable: "STREAMNEST_DEFAULT_PARTITIONS",
    minimum: 1,
    maximum: CONTRACT_LIMITS.partitionsPerTopic,
    default: 1,
  }),
  topicConfig: listOption<readonly [string, string]>({
    help: "Setting of topics that have none of their own, by Kafka's name, " +
      "such as retention.ms=86400000",
    valueName: "name=value",
    parse: parseTopicSetting,
  }),
  logFormat: choiceOption({
    help: "How diagnostic lines look",
    environmentVariable: "STREAMNEST_LOG_FORMAT",
    choices: ["text", "json"],
    default: "text",
  }),
  logLevel: choiceOption({
    help: "The least important diagnostic lines to write",
    environmentVariable: "STREAMNEST_LOG_LEVEL",
    choices: ["debug", "info", "warn", "error"],
    default: "info",
  }),
  supervised: switchOption({
    help: "Stop when standard input ends",
    hidden: true,
  }),
};

type BrokerInvocation = Invocation<OptionValues<typeof OPTIONS>>;

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
    options: OPTIONS,
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
  faults.push(...portFaults(options));
  const own = formatAddress({
    host: advertisedHost(options),
    port: httpPort(options, options.id ?? 1),
  });
  if (options.peers.some((peer) => formatAddress(peer) === own)) {
    faults.push(`--peers: ${own} is this broker's own address`);
  }
  return faults;
}

function portFaults(options: BrokerInvocation["options"]): string[] {
  const { id } = options;
  const ids = id === undefined ? idsUpTo(options.count) : [id];
  const last = ids[ids.length - 1];
  const faults: string[] = [];
  const lastHttp = httpPort(options, last);
  if (lastHttp > CONFIG_LIMITS.port) {
    faults.push(`--port: broker ${last} would need port ${lastHttp}`);
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
  const ids = idsUpTo(options.count);
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
    metadata: {
      kind: "sqlite",
      path: options.metadata ?? `${dataDir}/metadata/metadata.db`,
    },
    logFormat: options.logFormat,
    logLevel: options.logLevel,
    defaultPartitions: options.defaultPartitions,
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
    `--metadata=sqlite:${config.metadata.path}`,
    `--default-partitions=${config.defaultPartitions}`,
    `--log-format=${config.logFormat}`,
    `--log-level=${config.logLevel}`,
  ];
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

function idsUpTo(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index + 1);
}

/** `--port` is the first broker's in a cluster, this broker's own otherwise. */
function httpPort(options: BrokerInvocation["options"], id: number): number {
  const { port } = options;
  if (port === undefined) return FIRST_HTTP_PORT + id - 1;
  return options.id === undefined ? port + id - 1 : port;
}

function kafkaPort(
  options: BrokerInvocation["options"],
  id: number,
): number | null {
  const { kafkaPort: port } = options;
  if (port === undefined) return FIRST_KAFKA_PORT + id - 1;
  if (port === null) return null;
  return options.id === undefined ? port + id - 1 : port;
}

const ALL_INTERFACES: readonly string[] = ["0.0.0.0", "::"];

function advertisedHost(options: BrokerInvocation["options"]): string {
  if (options.advertise !== undefined) return options.advertise;
  return ALL_INTERFACES.includes(options.host) ? "localhost" : options.host;
}

function parseKafkaPort(text: string): number | null | OptionFault {
  if (text === "none") return null;
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  return port >= 1 && port <= CONFIG_LIMITS.port ? port : new OptionFault(
    `"${text}" is neither a port from 1 to ${CONFIG_LIMITS.port} nor none`,
  );
}

function parsePeers(text: string): readonly Address[] | OptionFault {
  if (text === "") return [];
  const peers: Address[] = [];
  const seen = new Set<string>();
  for (const part of text.split(",")) {
    const address = parseAddress(part);
    if (address === undefined) {
      return new OptionFault(
        `"${part}" is not an address such as localhost:8081`,
      );
    }
    const name = formatAddress(address);
    if (seen.has(name)) return new OptionFault(`${name} is named twice`);
    seen.add(name);
    peers.push(address);
  }
  return peers;
}

function hostFault(host: string): string | undefined {
  const address = host.includes(":") ? `[${host}]:1` : `${host}:1`;
  return parseAddress(address) === undefined
    ? `"${host}" is not a host name or an address`
    : undefined;
}

function advertisedHostFault(host: string): string | undefined {
  return ALL_INTERFACES.includes(host)
    ? `"${host}" means all interfaces: nobody can connect to it`
    : hostFault(host);
}

function rackFault(rack: string): string | undefined {
  return /^[\x21-\x7e]{1,249}$/.test(rack)
    ? undefined
    : `"${rack}" is not 1 to 249 printable characters without spaces`;
}

function pathFault(path: string): string | undefined {
  if (path === "") return "is empty";
  return path.includes("\0") ? "has a NUL character" : undefined;
}

function parseMetadata(text: string): string | OptionFault {
  const path = /^sqlite:(.+)$/s.exec(text)?.[1];
  if (path === undefined) {
    return new OptionFault(`"${text}" is not of the form sqlite:<path>`);
  }
  const fault = pathFault(path);
  return fault === undefined ? path : new OptionFault(fault);
}

function parseTopicSetting(
  text: string,
): readonly [string, string] | OptionFault {
  const match = /^([a-z][a-z0-9.]*)=(.*)$/s.exec(text);
  return match === null
    ? new OptionFault(`"${text}" is not of the form name=value`)
    : [match[1], match[2]];
}
