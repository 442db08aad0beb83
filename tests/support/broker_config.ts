/** A broker's configuration for tests: the defaults of broker 1, changed at will. */
import type { BrokerConfig } from "../../broker/config.ts";

export function brokerConfigOf(
  changes: Partial<BrokerConfig> = {},
): BrokerConfig {
  const id = changes.id ?? 1;
  const dataDirectory = changes.dataDirectory ?? "data";
  return {
    id,
    advertisedHost: "localhost",
    listenHostname: "127.0.0.1",
    port: 8079 + id,
    kafkaPort: null,
    peers: [],
    rack: null,
    dataDirectory,
    brokerDirectory: `${dataDirectory}/broker-${id}`,
    metadata: {
      kind: "sqlite",
      path: `${dataDirectory}/metadata/metadata.db`,
    },
    logFormat: "text",
    logLevel: "info",
    defaultPartitions: 1,
    defaultReplicationFactor: 1,
    autoCreateTopics: true,
    groupInitialRebalanceDelayMs: 0,
    topicDefaults: {},
    supervised: false,
    ...changes,
  };
}
