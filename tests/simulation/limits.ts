/**
 * Bounds of the product that would hardly be met within a simulation, made
 * small for as long as one runs. Owns the putting back.
 */
import { INTERNAL_TOPIC_DEFAULTS } from "../../broker/coordinators.ts";
import { CLEANER_LIMITS } from "../../broker/replication/log_cleaner.ts";
import type { Extras } from "./extras.ts";

/** Returns what puts them back. */
export function withSmallLimits(extras: Extras): () => void {
  const { cleaner = {}, internalSegmentBytes } = extras;
  const mendCleaner = assign(CLEANER_LIMITS, cleaner);
  const mendTopics = assign(
    INTERNAL_TOPIC_DEFAULTS,
    internalSegmentBytes === undefined
      ? {}
      : { segmentBytes: internalSegmentBytes },
  );
  return () => {
    mendTopics();
    mendCleaner();
  };
}

/** They are read-only to the product, and objects like others. */
function assign<Limits extends object>(
  limits: Limits,
  values: { [Name in keyof Limits]?: number },
): () => void {
  const before = { ...limits };
  Object.assign(limits, values);
  return () => void Object.assign(limits, before);
}
