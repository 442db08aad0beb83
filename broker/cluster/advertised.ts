/**
 * Whether the address that this broker registers leads to this broker. Owns one
 * look at its own start, and a line when it does not: with a wrong address all
 * seems well, for the broker reaches the others, until it leads something.
 *
 * A line and no more: behind some networks a machine cannot call itself by the
 * name that others use.
 */
import { formatAddress } from "../address.ts";
import type { BrokerConfig } from "../config.ts";
import type { Environment } from "../environment.ts";
import type { Logger } from "../logger.ts";

export const ADVERTISED_LIMITS = {
  /** Of the answer. */
  longestWaitMs: 5000,
} as const;

export interface AdvertisedOptions {
  readonly config: BrokerConfig;
  readonly environment: Environment;
  readonly logger: Logger;
  /** The broker stops. */
  readonly signal: AbortSignal;
}

/** Resolves when it has looked; never rejects. */
export async function checkAdvertised(
  { config, environment, logger, signal }: AdvertisedOptions,
): Promise<void> {
  const address = formatAddress({
    host: config.advertisedHost,
    port: config.port,
  });
  const late = new AbortController();
  const timer = environment.timers.after(
    ADVERTISED_LIMITS.longestWaitMs,
    () => late.abort(new Error("no answer in time")),
  );
  let cause: string | undefined;
  try {
    const response = await environment.network.fetch(
      `http://${address}/health/live`,
      { signal: AbortSignal.any([late.signal, signal]) },
    );
    const body: unknown = await response.json().catch(() => undefined);
    cause = isFrom(body, config.id)
      ? undefined
      : "something else answers there";
  } catch (fault) {
    cause = reasonOf(fault);
  } finally {
    timer.cancel();
  }
  if (cause === undefined || signal.aborted) return;
  logger.warn(
    "The address that this broker gives to others does not lead to it: see --advertise",
    { address, cause },
  );
}

function isFrom(body: unknown, brokerId: number): boolean {
  return typeof body === "object" && body !== null && "brokerId" in body &&
    body.brokerId === brokerId;
}

/** Deno's `fetch` keeps what is wrong in the cause. */
function reasonOf(fault: unknown): string {
  if (!(fault instanceof Error)) return String(fault);
  return fault.cause instanceof Error ? reasonOf(fault.cause) : fault.message;
}
