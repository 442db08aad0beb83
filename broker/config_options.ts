/**
 * What a broker can be told: flags, environment variables, defaults and help,
 * declared once, each with the check of its own text. Relations between them
 * are `config.ts`'s.
 */
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
import {
  DEFAULT_METADATA_PREFIX,
  type MetadataPlace,
  parseMetadata,
  prefixFault,
} from "./metadata_config.ts";

/** Bounds of the numbers that name brokers and ports. */
export const CONFIG_LIMITS = {
  /** Fits Kafka's int32 and keeps ports and folder names sane. */
  brokerId: 999_999,
  /** Brokers that one supervisor starts. */
  count: 100,
  port: 65_535,
} as const;

/** The quickstart's ports: broker 1 listens here, the next one above. */
export const FIRST_HTTP_PORT = 8080;
export const FIRST_KAFKA_PORT = 9092;
const DEFAULT_COUNT = 3;

export const ALL_INTERFACES: readonly string[] = ["0.0.0.0", "::"];

export const BROKER_OPTIONS = {
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
  firstId: integerOption({
    help: "Id of the first of --count brokers, where other machines have the " +
      "ids below it",
    environmentVariable: "STREAMNEST_FIRST_ID",
    minimum: 1,
    maximum: CONFIG_LIMITS.brokerId - CONFIG_LIMITS.count,
    default: 1,
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
  metadata: parsedOption<MetadataPlace | undefined>({
    help: "Where the brokers keep what they share: a file for brokers of one " +
      "machine, etcd for those of several " +
      "(default: metadata/metadata.db in the data folder)",
    environmentVariable: "STREAMNEST_METADATA",
    valueName: "sqlite:path|etcd://host:port,...",
    parse: parseMetadata,
  }),
  metadataPrefix: textOption({
    help: "What all keys in etcd begin with: one for each cluster on one etcd",
    environmentVariable: "STREAMNEST_METADATA_PREFIX",
    valueName: "prefix",
    default: DEFAULT_METADATA_PREFIX,
    fault: prefixFault,
  }),
  metadataUser: textOption({
    help: "User of etcd",
    environmentVariable: "STREAMNEST_METADATA_USER",
    valueName: "name",
    fault: userFault,
  }),
  metadataPasswordFile: textOption({
    help: "File with the password of that user, on one line",
    environmentVariable: "STREAMNEST_METADATA_PASSWORD_FILE",
    valueName: "path",
    fault: pathFault,
  }),
  metadataCa: textOption({
    help: "PEM file of the authorities that etcd's certificates are checked " +
      "by; turns TLS on",
    environmentVariable: "STREAMNEST_METADATA_CA",
    valueName: "path",
    fault: pathFault,
  }),
  metadataCert: textOption({
    help: "PEM file of this broker's own certificate for etcd",
    environmentVariable: "STREAMNEST_METADATA_CERT",
    valueName: "path",
    fault: pathFault,
  }),
  metadataKey: textOption({
    help: "PEM file of that certificate's key",
    environmentVariable: "STREAMNEST_METADATA_KEY",
    valueName: "path",
    fault: pathFault,
  }),
  defaultPartitions: integerOption({
    help: "Partitions of a new topic whose creator does not say",
    environmentVariable: "STREAMNEST_DEFAULT_PARTITIONS",
    minimum: 1,
    maximum: CONTRACT_LIMITS.partitionsPerTopic,
    default: 1,
  }),
  defaultReplicationFactor: integerOption({
    help: "Replicas of a new topic whose creator does not say " +
      "(default: 3, or as many as there are brokers)",
    environmentVariable: "STREAMNEST_DEFAULT_REPLICATION_FACTOR",
    minimum: 1,
    maximum: CONFIG_LIMITS.count,
  }),
  autoCreateTopics: switchOption({
    help:
      "Do not make topics that Kafka clients ask for and that are not there",
    environmentVariable: "STREAMNEST_AUTO_CREATE_TOPICS",
    default: true,
  }),
  groupInitialRebalanceDelayMs: integerOption({
    help: "How long a new consumer group waits for more members before its " +
      "first assignment, in milliseconds",
    environmentVariable: "STREAMNEST_GROUP_INITIAL_REBALANCE_DELAY_MS",
    minimum: 0,
    maximum: 300_000,
    default: 500,
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

function userFault(user: string): string | undefined {
  return user === "" ? "is empty" : undefined;
}

function pathFault(path: string): string | undefined {
  if (path === "") return "is empty";
  return path.includes("\0") ? "has a NUL character" : undefined;
}

function parseTopicSetting(
  text: string,
): readonly [string, string] | OptionFault {
  const match = /^([a-z][a-z0-9.]*)=(.*)$/s.exec(text);
  return match === null
    ? new OptionFault(`"${text}" is not of the form name=value`)
    : [match[1], match[2]];
}
