/**
 * What the errors of etcd and of gRPC mean to the metadata store. Their classes
 * tell too little, so the texts are read, which etcd's own client does as well.
 */
import {
  LeaseEndedError,
  MetadataUnavailableError,
  type Transaction,
} from "./metadata_store.ts";

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

export function isLeaseNotFound(error: unknown): boolean {
  return messageOf(error).includes("requested lease not found");
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

/** gRPC found nobody to talk to: the request cannot have been applied. */
export function wasNotSent(error: unknown): boolean {
  return messageOf(error).includes("No connection established");
}

/** A member did not answer in time: what it was asked for may have been done. */
export function silence(name: string): MetadataUnavailableError {
  return new MetadataUnavailableError(
    `etcd at ${name} did not answer in time`,
  );
}

/** Of the form of `silence`, or gRPC's own. */
export function isSilence(error: unknown): boolean {
  return error instanceof MetadataUnavailableError ||
    messageOf(error).includes("DEADLINE_EXCEEDED");
}

/** The member, or the way to it, is at fault: another one may do better. */
export function isMembersFault(error: unknown): boolean {
  return isSilence(error) ||
    /UNAVAILABLE|INTERNAL|CANCELLED|No connection|stream has ended/
      .test(messageOf(error));
}

/** etcd says no, or is not who it should be: no use to insist. */
export function isRefusal(error: unknown): boolean {
  return /PERMISSION_DENIED|UNAUTHENTICATED|INVALID_ARGUMENT|authentication (failed|is not enabled)|certificate|NotCapable/i
    .test(messageOf(error));
}

export function unavailable(cause: unknown): MetadataUnavailableError {
  if (cause instanceof MetadataUnavailableError) return cause;
  return new MetadataUnavailableError(wordsOf(messageOf(cause)), {
    cause,
    isRefusal: isRefusal(cause),
  });
}

/**
 * gRPC's text for people: without its codes and what it counts and notes. What
 * is of no known form stays as it is.
 */
function wordsOf(message: string): string {
  const text = message.replace(/\s*Resolution note:\s*$/, "").trim();
  const [, late] = /DEADLINE_EXCEEDED.*?(?: after ([\d.]+s))/.exec(text) ?? [];
  if (late !== undefined) {
    const [, address] = /remote_addr=([^,\s]+)/.exec(text) ?? [];
    const where = address === undefined ? "" : ` at ${address}`;
    return `etcd${where} did not answer within ${
      Math.round(Number.parseFloat(late) * 1000)
    } ms`;
  }
  const [, refusal] =
    /(?:^\d+ [A-Z_]+: |desc = |^)etcdserver: (.+)$/.exec(text) ?? [];
  if (refusal !== undefined) return `etcd says: ${refusal}`;
  const reason = text.replace(/^\d+ [A-Z_]+: /, "")
    .replace(/ ?Last error: null\.?$/, "")
    .replace(/Last error: Error: /, "");
  return `etcd did not answer: ${reason}`;
}
