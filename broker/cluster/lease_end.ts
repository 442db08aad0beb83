/**
 * Why this broker's lease had ended, as far as it can be told from here: for the
 * operator who reads the log. It decides nothing.
 */

export interface LeaseEnd {
  /** How long a lease lives without a renewal. */
  readonly leaseTtlMs: number;
  /** Renewals failed since the last that succeeded. */
  readonly hasFailed: boolean;
  /** The longest time since then by which a renewal was begun too late. */
  readonly lateMs: number;
  /** How long the store took to say that the lease is no more. */
  readonly tookMs: number;
}

export function whyLeaseEnded(
  { leaseTtlMs, hasFailed, lateMs, tookMs }: LeaseEnd,
): string {
  // Half a lease lost in one place: there is the reason.
  const muchMs = leaseTtlMs / 2;
  if (lateMs >= muchMs && lateMs >= tookMs) {
    return `this broker stood still for ${seconds(lateMs)}: it was paused, ` +
      "or its machine too busy";
  }
  if (hasFailed) return "the metadata store was away, or this broker cut off";
  if (tookMs >= muchMs) {
    return `the metadata store took ${seconds(tookMs)} to answer, or this ` +
      "broker stood still meanwhile";
  }
  return "the metadata store ended it: its own time went on, or somebody " +
    "revoked the lease";
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
