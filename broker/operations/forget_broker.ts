/**
 * Taking a broker that is gone for good off the list of brokers. Owns when that
 * may be: nothing of the cluster is on it any more.
 */
import { Failure } from "../../contract/errors.ts";
import { KEYS } from "../cluster/facts.ts";
import type { MetadataImage } from "../cluster/metadata_image.ts";
import type { MetadataView } from "../cluster/metadata_view.ts";
import {
  alreadyRuns,
  metOthers,
  unchangedIntent,
  unknownBroker,
} from "./balance_faults.ts";
import { orUnavailable } from "./metadata_failure.ts";

/** Partitions that a refusal names. */
const NAMED = 10;

/**
 * Its entry and its mark of having been drained go together, so that a broker
 * that is given the same id later begins as a new one.
 */
export function forgetBroker(
  view: MetadataView,
  brokerId: number,
): Promise<Failure | undefined> {
  return orUnavailable(async () => {
    const image = await view.catchUp();
    const isBeingDrained = image.balance?.brokerId === brokerId;
    const fault = unknownBroker(brokerId, image) ??
      inUse(brokerId, image) ??
      (isBeingDrained ? alreadyRuns(image) : undefined);
    if (fault !== undefined) return fault;
    const { succeeded } = await view.transact({
      compare: [
        { key: KEYS.liveBroker(brokerId), target: "modRevision", equals: 0 },
        unchangedIntent(image),
      ],
      success: [
        { kind: "delete", key: KEYS.broker(brokerId) },
        { kind: "delete", key: KEYS.drainedBroker(brokerId) },
      ],
    });
    return succeeded ? undefined : metOthers("The request");
  });
}

function inUse(brokerId: number, image: MetadataImage): Failure | undefined {
  const held = partitionsOn(brokerId, image);
  const drain = `\`streamnest cluster drain --broker=${brokerId}\``;
  if (image.isAlive(brokerId)) {
    const first = held.length === 0 ? "" : `empty it with ${drain} and `;
    return refusal(`Broker ${brokerId} is alive: ${first}stop it first`);
  }
  if (held.length === 0) return undefined;
  const named = held.slice(0, NAMED).join(", ");
  const more = held.length - NAMED;
  return refusal(
    `Broker ${brokerId} holds replicas of ${held.length} partition${
      held.length === 1 ? "" : "s"
    } (${named}${
      more > 0 ? ` and ${more} more` : ""
    }): empty it with ${drain} first`,
  );
}

/** "demo-0": also those that come or go. */
function partitionsOn(brokerId: number, { topics }: MetadataImage): string[] {
  return [...topics.keys()].sort().flatMap((name) =>
    topics.get(name)!.partitionStates.flatMap((state, partition) =>
      state?.replicas.includes(brokerId) ? [`${name}-${partition}`] : []
    )
  );
}

function refusal(detail: string): Failure {
  return new Failure("POLICY_VIOLATION", detail, { field: "broker" });
}
