/**
 * What etcd's errors mean to the metadata store: their gRPC codes, and etcd's
 * words where one code is of several things.
 */
import { ETCD_CODES, EtcdError, GATEWAY_OFF } from "./etcd_gateway.ts";
import {
  LeaseEndedError,
  MetadataUnavailableError,
  type Transaction,
} from "./metadata_store.ts";

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

export function isLeaseNotFound(error: unknown): boolean {
  return codeOf(error) === ETCD_CODES.notFound &&
    messageOf(error).includes("lease not found");
}

/** What was to be compacted is no more. */
export function isCompacted(error: unknown): boolean {
  return codeOf(error) === ETCD_CODES.outOfRange &&
    messageOf(error).includes("has been compacted");
}

function codeOf(error: unknown): number | undefined {
  return error instanceof EtcdError ? error.code : undefined;
}

/** The lease that etcd did not find; it does not say which. */
export function endedLease(
  { success, failure = [] }: Transaction,
): LeaseEndedError {
  const put = [...success, ...failure].find((operation) =>
    operation.kind === "put" && operation.leaseId !== undefined
  ) as { leaseId: string };
  return new LeaseEndedError(put.leaseId);
}

/** Nothing of the request was sent: it cannot have been applied. */
export function wasNotSent(error: unknown): boolean {
  return error instanceof EtcdError && error.wasNotSent;
}

/** A member did not answer in time: what it was asked for may have been done. */
export function silence(name: string): MetadataUnavailableError {
  return new MetadataUnavailableError(
    `etcd at ${name} did not answer in time`,
  );
}

/** Of the form of `silence`, or of the member's own gateway. */
export function isSilence(error: unknown): boolean {
  return error instanceof MetadataUnavailableError ||
    codeOf(error) === ETCD_CODES.deadlineExceeded;
}

/** The member, or the way to it, is at fault: another one may do better. */
export function isMembersFault(error: unknown): boolean {
  if (isSilence(error)) return true;
  return error instanceof EtcdError &&
    (error.code === undefined || MEMBERS_CODES.has(error.code));
}

const MEMBERS_CODES: ReadonlySet<number> = new Set([
  ETCD_CODES.cancelled,
  ETCD_CODES.internal,
  ETCD_CODES.unavailable,
  GATEWAY_OFF,
]);

/** etcd says no, or is not who it should be: no use to insist. */
export function isRefusal(error: unknown): boolean {
  const code = codeOf(error);
  return code === undefined
    ? /certificate|NotCapable|are blocked/i.test(messageOf(error))
    : REFUSALS.has(code) || code === ETCD_CODES.failedPrecondition &&
        messageOf(error).includes("authentication is not enabled");
}

const REFUSALS: ReadonlySet<number> = new Set([
  ETCD_CODES.invalidArgument,
  ETCD_CODES.permissionDenied,
  ETCD_CODES.unauthenticated,
  GATEWAY_OFF,
]);

export function unavailable(cause: unknown): MetadataUnavailableError {
  if (cause instanceof MetadataUnavailableError) return cause;
  return new MetadataUnavailableError(wordsOf(cause), {
    cause,
    isRefusal: isRefusal(cause),
  });
}

/** For people. */
function wordsOf(cause: unknown): string {
  const message = messageOf(cause);
  const [, said] = /^etcdserver: (.+)$/.exec(message) ?? [];
  if (said !== undefined) return `etcd says: ${said}`;
  return codeOf(cause) === GATEWAY_OFF
    ? message
    : `etcd did not answer: ${message}`;
}
