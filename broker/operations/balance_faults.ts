/**
 * Why replicas are not moved as an operator asks: what several calls refuse, and
 * the comparison that holds them off each other.
 */
import { Failure } from "../../contract/errors.ts";
import type { Compare } from "../../storage/metadata/metadata_store.ts";
import { KEYS } from "../cluster/facts.ts";
import type { MetadataImage } from "../cluster/metadata_image.ts";

/** Holds as long as nothing that operators asked for begins or ends. */
export function unchangedIntent({ balance }: MetadataImage): Compare {
  const equals = balance?.modRevision ?? 0;
  return { key: KEYS.balance, target: "modRevision", equals };
}

export function unknownBroker(
  brokerId: number | undefined,
  image: MetadataImage,
): Failure | undefined {
  if (brokerId === undefined || image.brokers.has(brokerId)) return undefined;
  const known = [...image.brokers.keys()].sort((a, b) => a - b);
  return new Failure(
    "BROKER_ID_NOT_REGISTERED",
    `There is no broker ${brokerId}; known are ${known.join(", ")}`,
    { field: "brokerId" },
  );
}

export function alreadyRuns({ balance }: MetadataImage): Failure | undefined {
  if (balance === undefined) return undefined;
  const what = balance.kind === "drain"
    ? `Broker ${balance.brokerId} is being drained`
    : "A rebalance runs";
  const since = new Date(balance.startedAtMs).toISOString();
  return new Failure(
    "REASSIGNMENT_IN_PROGRESS",
    `${what} since ${since}: let it end, or cancel it first`,
  );
}

export function metOthers(what: string): Failure {
  return new Failure(
    "REQUEST_TIMED_OUT",
    `${what} met other changes again and again: try again`,
    { retryAfterMs: 1000 },
  );
}
