/** What a broker says of itself on standard output while it starts. */
import { formatAddress } from "../address.ts";
import type { BrokerConfig } from "../config.ts";

export function startingLine(config: BrokerConfig): string {
  const peers = config.peers.map(formatAddress).join(",");
  return `Starting broker ${config.id} on port ${config.port}` +
    (peers === "" ? "" : ` with peers: ${peers}`);
}

/** The line by which a supervisor knows that the broker serves. */
export function runningLine(config: BrokerConfig): string {
  return `Broker ${config.id} running on :${config.port}`;
}
