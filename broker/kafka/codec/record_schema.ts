/**
 * Messages that are not requests: the keys and values of records in internal
 * topics, and the blobs of the consumer protocol. Each begins with an int16,
 * the version of what follows (for a key: which kind of key it is).
 */
import { ProtocolError } from "./error.ts";
import { Reader } from "./reader.ts";
import type { Type } from "./schema.ts";
import type { VersionRange, VersionSpec } from "./versions.ts";
import { parseVersions } from "./versions.ts";
import { Writer } from "./writer.ts";

export interface ValueSchemaOptions<Out, In> {
  readonly name: string;
  readonly versions: VersionSpec;
  readonly firstFlexible: number | null;
  readonly type: Type<Out, In>;
  /**
   * Whether a version newer than ours is read as our newest, for formats that
   * promise only to add fields at the end; else it is a `ProtocolError`.
   */
  readonly readsNewer?: boolean;
}

/** A versioned value. */
export class ValueSchema<Out, In> {
  readonly name: string;
  readonly versions: VersionRange;
  readonly firstFlexible: number | null;
  readonly type: Type<Out, In>;
  readonly #readsNewer: boolean;

  constructor(options: ValueSchemaOptions<Out, In>) {
    this.name = options.name;
    this.versions = parseVersions(options.versions);
    this.firstFlexible = options.firstFlexible;
    this.type = options.type;
    this.#readsNewer = options.readsNewer ?? false;
  }

  /** Throws `EncodeError`. */
  encode(version: number, value: In): Uint8Array {
    const writer = new Writer();
    writer.int16(version);
    this.type.codec(this.#layout(version)).write(writer, value);
    return writer.bytes();
  }

  /** Throws `ProtocolError`. What it returns may hold views of `bytes`. */
  decode(bytes: Uint8Array): { version: number; value: Out } {
    const reader = new Reader(bytes);
    const version = reader.int16();
    const { min, max } = this.versions;
    if (version < min || version > max && !this.#readsNewer) {
      throw new ProtocolError(`${this.name} has no version ${version}`);
    }
    const layout = this.#layout(Math.min(version, max));
    return { version, value: this.type.codec(layout).read(reader) };
  }

  #layout(version: number): { version: number; flexible: boolean } {
    const flexible = this.firstFlexible !== null &&
      version >= this.firstFlexible;
    return { version, flexible };
  }
}

/** A key, told from the other keys of its topic by its first int16. */
export class KeySchema<Out, In> {
  readonly name: string;
  readonly kind: number;
  readonly type: Type<Out, In>;

  constructor(options: { name: string; kind: number; type: Type<Out, In> }) {
    this.name = options.name;
    this.kind = options.kind;
    this.type = options.type;
  }

  /** Throws `EncodeError`. */
  encode(value: In): Uint8Array {
    const writer = new Writer();
    writer.int16(this.kind);
    this.type.codec({ version: 0, flexible: false }).write(writer, value);
    return writer.bytes();
  }

  /** Throws `ProtocolError`, also for a key of another kind. */
  decode(bytes: Uint8Array): Out {
    const kind = keyKind(bytes);
    if (kind !== this.kind) {
      throw new ProtocolError(`a key of kind ${kind} is not a ${this.name}`);
    }
    const reader = new Reader(bytes);
    reader.int16();
    return this.type.codec({ version: 0, flexible: false }).read(reader);
  }
}

/** Which kind of key it is: the `kind` of its schema. */
export function keyKind(bytes: Uint8Array): number {
  return new Reader(bytes).int16();
}
