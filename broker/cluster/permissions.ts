/**
 * What a broker's process may touch (DESIGN D10): its own folder, the metadata
 * file's folder, its listeners and its peers. Pure: from a configuration to
 * Deno's flags.
 *
 * With etcd the brokers of other machines may come and go, and names of hosts
 * lead to addresses that nobody knows before: the network is open then, and the
 * disk is closed as ever.
 */
import { type Address, formatAddress } from "../address.ts";
import type { BrokerConfig } from "../config.ts";
import { metadataFiles } from "../metadata_config.ts";

/**
 * Permission flags for one broker of a cluster. `cluster` is all its brokers:
 * their Kafka ports are where replicas are fetched from. Deno splits lists at
 * commas and knows no escape, so paths must have none (`folders.ts` sees to it).
 */
export function permissionFlags(
  config: BrokerConfig,
  cluster: readonly BrokerConfig[],
): string[] {
  const { metadata } = config;
  if (metadata.kind === "etcd") {
    const read = [config.brokerDirectory, ...metadataFiles(metadata)];
    return [
      "--no-prompt",
      `--allow-read=${read.join(",")}`,
      `--allow-write=${config.brokerDirectory}`,
      "--allow-net",
    ];
  }
  const folders = [config.brokerDirectory, folderOf(metadata.path)].join(",");
  return [
    "--no-prompt",
    `--allow-read=${folders}`,
    `--allow-write=${folders}`,
    `--allow-net=${[...addresses(config, cluster)].join(",")}`,
  ];
}

function addresses(
  config: BrokerConfig,
  cluster: readonly BrokerConfig[],
): Set<string> {
  const allowed = new Set<string>();
  const add = (address: Address) => allowed.add(formatAddress(address));
  for (const port of portsOf(config)) {
    add({ host: config.listenHostname, port });
  }
  for (const peer of config.peers) add(peer);
  for (const broker of cluster) {
    // `localhost` and its address are one place, but two names to Deno.
    const hosts = broker.advertisedHost === "localhost"
      ? ["localhost", "127.0.0.1"]
      : [broker.advertisedHost];
    for (const host of hosts) {
      for (const port of portsOf(broker)) add({ host, port });
    }
  }
  return allowed;
}

function portsOf(config: BrokerConfig): number[] {
  return config.kafkaPort === null
    ? [config.port]
    : [config.port, config.kafkaPort];
}

/** The folder that holds a file, as the metadata store needs it whole. */
export function folderOf(path: string): string {
  const slash = path.lastIndexOf("/");
  if (slash < 0) return ".";
  return slash === 0 ? "/" : path.slice(0, slash);
}
