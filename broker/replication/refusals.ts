/** Why a leader takes no append just now: what clients are told. */
import { Failure } from "../../contract/errors.ts";

export function withoutLease(partition: string): Failure {
  return new Failure(
    "NOT_LEADER_OR_FOLLOWER",
    `This broker cannot renew its lease with the metadata store, so another one may lead ${partition} by now: nothing is acknowledged here`,
    { retryAfterMs: 500 },
  );
}

export function overloaded(partition: string): Failure {
  return new Failure(
    "THROTTLING_QUOTA_EXCEEDED",
    `More is sent to ${partition} than the disk takes`,
    { retryAfterMs: 100 },
  );
}

/** Too few are in sync, before or after the records were written. */
export function tooFewInSync(
  code: "NOT_ENOUGH_REPLICAS" | "NOT_ENOUGH_REPLICAS_AFTER_APPEND",
  { partition, isr, needed }: {
    partition: string;
    isr: readonly number[];
    needed: number;
  },
): Failure {
  const written = code === "NOT_ENOUGH_REPLICAS"
    ? "nothing was written"
    : "the records are written, and may or may not be kept";
  return new Failure(
    code,
    `Of ${partition} only ${inSyncText(isr)} in sync, but ` +
      `"min.insync.replicas" asks for ${needed}: ${written}`,
    { retryAfterMs: 1000 },
  );
}

function inSyncText(isr: readonly number[]): string {
  return isr.length === 1
    ? `broker ${isr[0]} is`
    : `brokers ${isr.join(", ")} are`;
}
