/**
 * The contract's keys, entries, comparisons and operations in the form of etcd,
 * below one namespace: bytes in base64, and what is absent is zero or empty. It
 * makes no calls.
 */
import { Buffer } from "node:buffer";
import type { Compare, KeyValue, Operation } from "./metadata_store.ts";
import { prefixEnd } from "./validation.ts";

/** A lease of this number never is; it stands for ids that are no numbers. */
const NO_LEASE = "9223372036854775807";

/** As the gateway writes it. */
export interface EtcdKeyValue {
  readonly key: string;
  readonly value?: string;
  readonly create_revision?: string;
  readonly mod_revision: string;
  readonly version?: string;
  readonly lease?: string;
}

/** From `key` to before `range_end`. */
export interface EtcdRange {
  readonly key: string;
  readonly range_end?: string;
}

export class EtcdCodec {
  readonly #namespace: string;
  /** How much of a key in etcd is the namespace. */
  readonly #namespaceBytes: number;

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
    this.#namespaceBytes = Buffer.byteLength(this.#namespace);
  }

  key(key: string): string {
    return base64(this.#namespace + key);
  }

  /** Below the namespace, yet no key of the contract: these hold no U+0000. */
  barrierKey(): string {
    return this.key("\0barrier");
  }

  /** The keys of the contract only: the barrier is below U+0001. */
  prefixRange(prefix: string): EtcdRange {
    return this.#rangeOf(prefix === "" ? "\x01" : prefix, prefix);
  }

  watchedRange(): EtcdRange {
    return this.#rangeOf("", "");
  }

  #rangeOf(from: string, prefix: string): EtcdRange {
    // "\0" means: to the end of all keys.
    const end = prefixEnd(this.#namespace + prefix) ?? "\0";
    return { key: this.key(from), range_end: base64(end) };
  }

  compare(compare: Compare): unknown {
    const key = this.key(compare.key);
    const { target, equals } = compare;
    if (target === "value") {
      return {
        key,
        result: "EQUAL",
        target: "VALUE",
        value: base64(equals),
      };
    }
    return target === "modRevision"
      ? { key, result: "EQUAL", target: "MOD", mod_revision: equals }
      : { key, result: "EQUAL", target: "CREATE", create_revision: equals };
  }

  operation(operation: Operation): unknown {
    if (operation.kind === "put") {
      const { key, value, leaseId } = operation;
      const lease = leaseId === undefined
        ? undefined
        : isLeaseId(leaseId)
        ? leaseId
        : NO_LEASE;
      return {
        request_put: { key: this.key(key), value: base64(value), lease },
      };
    }
    const range: EtcdRange = operation.kind === "delete"
      ? { key: this.key(operation.key) }
      : this.prefixRange(operation.prefix);
    return { request_delete_range: range };
  }

  entry(kv: EtcdKeyValue): KeyValue {
    const entry = {
      key: this.contractKey(kv),
      value: Buffer.from(kv.value ?? "", "base64").toString(),
      createRevision: Number(kv.create_revision ?? 0),
      modRevision: Number(kv.mod_revision),
      version: Number(kv.version ?? 0),
    };
    const { lease = "0" } = kv;
    return lease === "0" ? entry : { ...entry, leaseId: lease };
  }

  /** Without the namespace. */
  contractKey({ key }: EtcdKeyValue): string {
    return Buffer.from(key, "base64").subarray(this.#namespaceBytes).toString();
  }
}

function base64(text: string): string {
  return Buffer.from(text).toString("base64");
}

export function isLeaseId(leaseId: string): boolean {
  return /^[1-9]\d{0,18}$/.test(leaseId) && BigInt(leaseId) < 2n ** 63n;
}
