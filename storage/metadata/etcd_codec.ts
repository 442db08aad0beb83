/**
 * The contract's keys, entries, comparisons and operations in the form of etcd,
 * below one namespace. It makes no calls.
 */
import { Buffer } from "node:buffer";
import type {
  ICompare,
  IDeleteRangeRequest,
  IKeyValue,
  IRequestOp,
} from "etcd3";
import type { Compare, KeyValue, Operation } from "./metadata_store.ts";
import { prefixEnd } from "./validation.ts";

/** A lease of this number never is; it stands for ids that are no numbers. */
const NO_LEASE = "9223372036854775807";

export class EtcdCodec {
  readonly #namespace: string;
  /** How much of a key in etcd is the namespace. */
  readonly namespaceBytes: number;

  /**
   * A colon ends the namespace and is no part of any: so none is the beginning
   * of another. Throws RangeError when it, or another character, is.
   */
  constructor(namespace: string) {
    if (!/^[\w./-]{1,200}$/.test(namespace)) {
      throw new RangeError(
        `The etcd namespace "${namespace}" must be 1 to 200 letters, digits ` +
          `and characters of "._/-".`,
      );
    }
    this.#namespace = `${namespace}:`;
    this.namespaceBytes = Buffer.byteLength(this.#namespace);
  }

  key(key: string): Buffer {
    return Buffer.from(this.#namespace + key);
  }

  /** Below the namespace, yet no key of the contract: these hold no U+0000. */
  barrierKey(): Buffer {
    return this.key("\0barrier");
  }

  /** The keys of the contract only: the barrier is below U+0001. */
  prefixRange(prefix: string) {
    return this.#rangeOf(prefix === "" ? "\x01" : prefix, prefix);
  }

  watchedRange() {
    return this.#rangeOf("", "");
  }

  #rangeOf(from: string, prefix: string): { key: Buffer; range_end: Buffer } {
    // "\0" means: to the end of all keys.
    const end = prefixEnd(this.#namespace + prefix) ?? "\0";
    return { key: this.key(from), range_end: Buffer.from(end) };
  }

  compare(compare: Compare): ICompare {
    const key = this.key(compare.key);
    const { target, equals } = compare;
    if (target === "value") {
      return {
        key,
        result: "Equal",
        target: "Value",
        value: Buffer.from(equals),
      };
    }
    return target === "modRevision"
      ? { key, result: "Equal", target: "Mod", mod_revision: equals }
      : { key, result: "Equal", target: "Create", create_revision: equals };
  }

  operation(operation: Operation): IRequestOp {
    if (operation.kind === "put") {
      const { key, value, leaseId } = operation;
      const lease = leaseId === undefined
        ? undefined
        : isLeaseId(leaseId)
        ? leaseId
        : NO_LEASE;
      return {
        request_put: { key: this.key(key), value: Buffer.from(value), lease },
      };
    }
    const range: IDeleteRangeRequest = operation.kind === "delete"
      ? { key: this.key(operation.key) }
      : this.prefixRange(operation.prefix);
    return { request_delete_range: range };
  }

  entry(kv: IKeyValue): KeyValue {
    const entry = {
      key: kv.key.subarray(this.namespaceBytes).toString(),
      value: kv.value.toString(),
      createRevision: Number(kv.create_revision),
      modRevision: Number(kv.mod_revision),
      version: Number(kv.version),
    };
    return kv.lease === "0" ? entry : { ...entry, leaseId: kv.lease };
  }
}

export function isLeaseId(leaseId: string): boolean {
  return /^[1-9]\d{0,18}$/.test(leaseId) && BigInt(leaseId) < 2n ** 63n;
}
