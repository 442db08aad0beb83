/**
 * What every form of the metadata store refuses before it does anything, so
 * that a program which runs on one form runs on all of them. It owns the rules
 * for keys, values, transactions and leases; it knows no form.
 */
import {
  METADATA_LIMITS,
  type Operation,
  type Transaction,
} from "./metadata_store.ts";

const encoder = new TextEncoder();

/** Throws RangeError unless `key` can be stored. */
export function checkKey(key: string): void {
  if (key.length === 0) throw new RangeError("A key must not be empty.");
  checkPrefix(key);
}

/** As a key, but the empty prefix is allowed and means all keys. */
export function checkPrefix(prefix: string): void {
  checkText("A key", prefix, METADATA_LIMITS.keyBytes);
  if (prefix.includes("\0")) {
    throw new RangeError("A key must not hold the character U+0000.");
  }
}

/** Throws RangeError unless `revision` is one that a store can have. */
export function checkRevision(revision: number): void {
  if (!Number.isSafeInteger(revision) || revision < 1) {
    throw new RangeError(
      `A revision must be an integer from 1 on, not ${revision}.`,
    );
  }
}

/** Throws RangeError unless a lease may be granted for so long. */
export function checkLeaseTtl(ttlMs: number): void {
  const { leaseTtlMinMs, leaseTtlMaxMs } = METADATA_LIMITS;
  const fits = Number.isSafeInteger(ttlMs) && ttlMs >= leaseTtlMinMs &&
    ttlMs <= leaseTtlMaxMs;
  if (!fits) {
    throw new RangeError(
      `A lease must live ${leaseTtlMinMs} to ${leaseTtlMaxMs} ms, not ${ttlMs}.`,
    );
  }
}

/** Throws RangeError unless every form can take `transaction` as it is. */
export function checkTransaction(transaction: Transaction): void {
  const { compare, success, failure = [] } = transaction;
  const parts = { compare, success, failure };
  for (const [name, items] of Object.entries(parts)) {
    if (items.length > METADATA_LIMITS.operationsPerTransaction) {
      throw new RangeError(
        `A transaction must not have more than ` +
          `${METADATA_LIMITS.operationsPerTransaction} entries of ` +
          `"${name}", not ${items.length}.`,
      );
    }
  }
  let bytes = 0;
  for (const condition of compare) {
    bytes += checkedBytes(
      condition.key,
      condition.target === "value" ? condition.equals : undefined,
    );
  }
  for (const operation of [...success, ...failure]) {
    bytes += operationBytes(operation);
  }
  if (bytes > METADATA_LIMITS.transactionBytes) {
    throw new RangeError(
      `The keys and values of a transaction must not exceed ` +
        `${METADATA_LIMITS.transactionBytes} bytes, not ${bytes}.`,
    );
  }
  checkNoOverlap(success);
  checkNoOverlap(failure);
}

function operationBytes(operation: Operation): number {
  if (operation.kind === "deletePrefix") {
    checkPrefix(operation.prefix);
    return utf8Bytes(operation.prefix);
  }
  return checkedBytes(
    operation.key,
    operation.kind === "put" ? operation.value : undefined,
  );
}

function checkedBytes(key: string, value: string | undefined): number {
  checkKey(key);
  if (value === undefined) return utf8Bytes(key);
  checkText("A value", value, METADATA_LIMITS.valueBytes);
  return utf8Bytes(key) + utf8Bytes(value);
}

/** etcd refuses a branch that touches a put key twice: its order would matter. */
function checkNoOverlap(operations: Operation[]): void {
  const puts = new Set<string>();
  for (const operation of operations) {
    if (operation.kind !== "put") continue;
    if (puts.has(operation.key)) throw overlap(operation.key);
    puts.add(operation.key);
  }
  for (const operation of operations) {
    if (operation.kind === "delete" && puts.has(operation.key)) {
      throw overlap(operation.key);
    }
    if (operation.kind !== "deletePrefix") continue;
    for (const key of puts) {
      if (key.startsWith(operation.prefix)) throw overlap(key);
    }
  }
}

function overlap(key: string): RangeError {
  return new RangeError(
    `A branch of a transaction must not touch the key "${key}" twice.`,
  );
}

function checkText(what: string, text: string, limitBytes: number): void {
  if (!text.isWellFormed()) {
    throw new RangeError(`${what} must be well-formed text.`);
  }
  const bytes = utf8Bytes(text);
  if (bytes > limitBytes) {
    throw new RangeError(
      `${what} must not exceed ${limitBytes} bytes, not ${bytes}.`,
    );
  }
}

/** The length in UTF-8 of well-formed text. */
function utf8Bytes(text: string): number {
  return encoder.encode(text).length;
}

/**
 * The first key, in the order of code points, that is above all keys which start
 * with `prefix`; `undefined` when no key is above them.
 */
export function prefixEnd(prefix: string): string | undefined {
  const points = Array.from(prefix, (char) => char.codePointAt(0)!);
  while (points.length > 0) {
    const last = points.pop()!;
    if (last === 0x10FFFF) continue;
    // Surrogates are no characters: U+E000 follows U+D7FF.
    const next = last === 0xD7FF ? 0xE000 : last + 1;
    return String.fromCodePoint(...points, next);
  }
  return undefined;
}
