/**
 * The brokers of one supervisor may connect only to each other (DESIGN D10:
 * `permissions.ts`). Another broker that joined them could fetch from them, but
 * they not from it: what it came to lead would lose its replicas. Owns the
 * refusal to start such a broker; refuses to judge who is reachable for other
 * reasons.
 */
import { formatAddress } from "../address.ts";
import { type BrokerConfig, ConfigurationError } from "../config.ts";
import type { Timers } from "../environment.ts";
import { EARLIER_RUN_LIMITS } from "./earlier_run.ts";
import type { BrokerFact } from "./facts.ts";
import type { MetadataImage } from "./metadata_image.ts";
import type { MetadataView } from "./metadata_view.ts";

/** HTTP addresses of the only brokers it may connect to; undefined: any. */
export function confinedTo(config: BrokerConfig): string[] | undefined {
  return config.isConfined ? config.peers.map(formatAddress) : undefined;
}

/**
 * Resolves when all live brokers may connect to this one, and it to them. One
 * that was killed a moment ago seems to live: it is waited for.
 *
 * @throws ConfigurationError when one that is cut off goes on living.
 */
export async function untilNobodyIsCutOff(
  view: MetadataView,
  timers: Timers,
  self: BrokerFact,
): Promise<void> {
  const { longestWaitMs, stepMs } = EARLIER_RUN_LIMITS;
  for (let waitedMs = 0;; waitedMs += stepMs) {
    const other = cutOff(view.image, self);
    if (other === undefined) return;
    if (waitedMs >= longestWaitMs) throw refusal(self, other);
    await new Promise<void>((resolve) => timers.after(stepMs, resolve));
    await view.catchUp();
  }
}

function cutOff(
  { brokers }: MetadataImage,
  self: BrokerFact,
): BrokerFact | undefined {
  return [...brokers.values()].find((other) =>
    other.id !== self.id && other.incarnation !== undefined &&
    !(mayConnect(self, other) && mayConnect(other, self))
  );
}

function mayConnect(from: BrokerFact, to: BrokerFact): boolean {
  return from.confinedTo?.includes(addressOf(to)) ?? true;
}

function addressOf({ host, httpPort }: BrokerFact): string {
  return formatAddress({ host, port: httpPort });
}

function refusal(self: BrokerFact, other: BrokerFact): ConfigurationError {
  const [inside, outside] = mayConnect(other, self)
    ? [self, other]
    : [other, self];
  return new ConfigurationError([
    `broker ${inside.id} runs under a supervisor and may connect only to the ` +
    `brokers started with it, not to broker ${outside.id} on ` +
    `${addressOf(outside)}: start all of them under one supervisor, with a ` +
    "greater --count, or each by itself with --id",
  ]);
}
